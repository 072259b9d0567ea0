"""Waiting for a coroutine in code that has no `await`: the engine is written once, its backends are async.

`AtOnce`: the coroutine never waits. `LoopThread`: an event loop of its own, in a thread. The third way is in
native_loop.py: the caller's loop, which goes on meanwhile. Locks that are held meanwhile must let that loop
go on, too; so who waits makes the locks.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Lock(Protocol):
    """A lock that its owner may take again, as threading.RLock."""

    def acquire(self, blocking: bool = True) -> bool:
        """Take it; False where it is taken, and one would have to wait."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Events(Protocol[T]):
    """What somebody tells, from any thread, and somebody else waits for."""

    def put(self, event: T) -> None:
        """Tell it. Never waits."""

    def get(self, seconds: float) -> T | None:
        """The next one; None where none comes in so many seconds."""


class Waiting(Protocol):
    """How the engine waits for its backend."""

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns, or raises."""

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it, and wait for it no longer than for the end. It raises nothing."""

    def lock(self) -> Lock:
        """A lock that may be held while somebody waits."""

    def events(self) -> Events[Any]:
        """A queue of events."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""

    def take(self, attempt: Callable[[int], object], at_once: int) -> None:
        """Take a lock of the system's: `attempt(0)` waits, `attempt(at_once)` raises BlockingIOError."""

    def finish(self, seconds: float) -> None:
        """Give what was begun so long to come to its end."""

    def close(self) -> None:
        """Nobody waits any more."""


class _QueuedEvents(Generic[T]):
    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.put = self._queue.put

    def get(self, seconds: float) -> T | None:
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None


class _InThreads:
    """What is the same wherever threads wait."""

    def lock(self) -> Lock:
        """One for threads."""
        return threading.RLock()

    def events(self) -> Events[Any]:
        """One for threads."""
        return _QueuedEvents()

    def pause(self, seconds: float) -> None:
        """Let this thread sleep."""
        time.sleep(seconds)

    def take(self, attempt: Callable[[int], object], at_once: int) -> None:
        """Let this thread wait for it."""
        attempt(0)


class AtOnce(_InThreads):
    """For backends whose coroutines never wait."""

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        try:
            work.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        work.close()
        raise RuntimeError("this backend's coroutines wait for something; they need an event loop")

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it now."""
        self.wait(work)

    def finish(self, seconds: float) -> None:
        """Nothing was left for later."""

    def close(self) -> None:
        """Nothing to close."""


class Later:
    """What was begun in a loop, and nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """In the loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, seconds: float) -> None:
        """Wait for it so long, and then no longer."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()


class LoopThread(_InThreads):
    """An event loop in a thread of its own; any number of threads may wait for it."""

    def __init__(self) -> None:
        self._later = Later()
        self._loop = asyncio.new_event_loop()
        self._gate = threading.RLock()  # what is begun is begun before the end
        self._is_over = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="journal-loop", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the loop. Raises RuntimeError in the loop's thread, where garbage may be collected."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the event loop cannot wait for itself")
        return wait_in_thread(work, self._loop, self._begin)

    def _begin(self, call: Callable[..., object], *arguments: object) -> None:
        with self._gate:
            if self._is_over:
                raise RuntimeError("the event loop is closed")
            self._loop.call_soon_threadsafe(call, *arguments)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it in the loop."""
        self._begin(self._later.begin, work)

    def finish(self, seconds: float) -> None:
        """Wait for what was begun."""
        self.wait(self._later.end(seconds))

    def close(self) -> None:
        """End the loop, and its thread; who waits for something is told."""
        with self._gate:
            is_first, self._is_over = not self._is_over, True
        if is_first and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
        if threading.current_thread() is not self._thread:
            self._thread.join()
            self._loop.close()

    def _end(self) -> None:
        """In the loop, behind all that was begun."""
        self._loop.create_task(_end_tasks()).add_done_callback(lambda _: self._loop.stop())


def wait_in_thread(
    work: Coroutine[Any, Any, T],
    loop: asyncio.AbstractEventLoop,
    begin_in_loop: Callable[..., object],
) -> T:
    """As asyncio.run_coroutine_threadsafe and its result, in two thirds of the time."""
    is_done = threading.Lock()
    is_done.acquire()
    tasks: list[asyncio.Task[T]] = []

    def begin() -> None:
        tasks.append(loop.create_task(work))
        tasks[0].add_done_callback(lambda _: is_done.release())

    def give_up() -> None:
        for task in tasks:
            task.cancel()

    try:
        begin_in_loop(begin)
    except RuntimeError:  # it is closed
        work.close()
        raise
    try:
        is_done.acquire()
    except BaseException:  # whoever waited was interrupted
        with contextlib.suppress(RuntimeError):  # it is closed, and all that was in it is given up
            loop.call_soon_threadsafe(give_up)
        raise
    try:
        return tasks[0].result()
    except asyncio.CancelledError:
        raise RuntimeError("the event loop was stopped") from None
    finally:
        tasks.clear()  # an error's traceback knows this frame


async def _end_tasks() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
