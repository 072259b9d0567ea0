"""Waiting in the caller's own loop, which goes on meanwhile: the code runs in a greenlet, its task waits.

Whatever is held over a wait must let that loop go on, too: locks, queues, pauses.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar

from journal.waiting import Events, Later, Lock, wait_in_thread

T = TypeVar("T")
P = ParamSpec("P")


class _Outcome:
    """What a call of the engine came to."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value, self.error = value, error


class NativeLoop:
    """The loop that runs now. `run` is how its tasks call the engine; its other threads may wait, too."""

    def __init__(self) -> None:
        import greenlet  # an extra: only stores on many machines need it

        class Caller(greenlet.greenlet):  # type: ignore[misc]  # it has no types
            """A greenlet that runs the engine for a task."""

        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.current: Callable[[], object] = greenlet.getcurrent
        self._caller = Caller
        self._idle: list[Any] = []  # to make one anew costs ten times as much
        self._later = Later()

    async def run(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """What the call returns. Whatever it waits for, this task awaits."""
        caller = self._idle.pop() if self._idle else self._caller(self._serve)
        caller.gr_context = contextvars.copy_context()  # as a thread's call has it
        answer = caller.switch((call, arguments, options))
        while answer.__class__ is not _Outcome:
            try:
                found = await answer
            except BaseException as error:
                answer = caller.throw(error)
            else:
                answer = caller.switch(found)
        self._idle.append(caller)
        result: T = answer.value
        failure, answer.value, answer.error = answer.error, None, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback knows this frame
        return result

    def _serve(self, job: Any) -> None:
        """One call after the other, in a greenlet."""
        me: Any = self.current()
        while True:
            call, arguments, options = job
            try:
                outcome = _Outcome(call(*arguments, **options), None)
            except BaseException as error:
                outcome = _Outcome(None, error)
            del job, call, arguments, options
            job = me.parent.switch(outcome)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the task that this code belongs to await it; from another thread, run it in the loop."""
        caller: Any = self.current()
        if caller.__class__ is self._caller:
            found: T = caller.parent.switch(work)
            return found
        if threading.get_ident() != self._thread:
            return wait_in_thread(work, self._loop, self._loop.call_soon_threadsafe)
        work.close()
        raise RuntimeError("this would stop the event loop: use the `await` of an AsyncStateStore")

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it in the loop."""
        if threading.get_ident() == self._thread:
            self._later.begin(work)
        else:
            self._loop.call_soon_threadsafe(self._later.begin, work)

    def finish(self, seconds: float) -> None:
        """Wait for what was begun."""
        self.wait(self._later.end(seconds))

    def lock(self) -> Lock:
        """One for greenlets and threads."""
        return _TaskLock(self)

    def events(self) -> Events[Any]:
        """One for greenlets and threads."""
        return _LoopEvents(self, self._loop)

    def pause(self, seconds: float) -> None:
        """Let the loop go on meanwhile."""
        self.wait(asyncio.sleep(seconds))

    def take(self, attempt: Callable[[int], object], at_once: int) -> None:
        """Try again and again where the loop must go on: it is taken by another task only in passing."""
        if threading.get_ident() != self._thread:
            attempt(0)
            return
        while True:
            with contextlib.suppress(BlockingIOError):
                attempt(at_once)
                return
            self.pause(0.001)

    def close(self) -> None:
        """The loop is the caller's."""


# Whoever waited for so long need not try any more.
_PATIENCE_SECONDS: Final = 0.2


class _Turn:
    """One who waits for a lock: may try when it `comes`, or has it then."""

    __slots__ = ("comes", "given_at", "is_given", "owner")

    def __init__(self, owner: object, given_at: float) -> None:
        self.owner, self.given_at = owner, given_at
        self.comes: Future[None] = Future()
        self.is_given = False


class _TaskLock:
    """Each greenlet is an owner, and each thread; who waits in the loop lets the loop go on.

    Who gives it back and takes it again at once is not held up by those who wait: to let each in turn would
    have them all look at the same state, and then all but one be too late. Who has waited for long is given
    it all the same.
    """

    __slots__ = ("_current", "_depth", "_mutex", "_native", "_owner", "_waiting")

    def __init__(self, native: NativeLoop) -> None:
        self._native, self._current = native, native.current
        self._mutex = threading.Lock()  # never held while anybody waits
        self._owner: object = None
        self._depth = 0
        self._waiting: deque[_Turn] = deque()

    def acquire(self, blocking: bool = True) -> bool:
        me = self._current()
        if self._owner is me:  # nobody else makes it so, or not so
            self._depth += 1
            return True
        given_at = time.monotonic() + _PATIENCE_SECONDS
        has_waited = False
        while True:
            with self._mutex:
                if self._owner is None:
                    self._owner, self._depth = me, 1
                    return True
                if not blocking:
                    return False
                turn = _Turn(me, given_at)
                if has_waited:
                    self._waiting.appendleft(turn)
                else:
                    self._waiting.append(turn)
            try:
                self._native.wait(_result_of(turn.comes))
            except BaseException:
                self._leave(turn)
                raise
            if turn.is_given:
                return True
            has_waited = True

    def _leave(self, turn: "_Turn") -> None:
        """Whoever waited was cancelled; if it was its turn, it is somebody else's."""
        with self._mutex:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
            if turn.is_given:
                self._owner = None
            if self._owner is None:
                self._wake()

    def release(self) -> None:
        if self._depth > 1:
            self._depth -= 1
            return
        with self._mutex:
            self._owner = None
            self._wake()

    def _wake(self) -> None:
        """Let the next one try, or have it."""
        if self._waiting:
            turn = self._waiting.popleft()
            if time.monotonic() >= turn.given_at:
                self._owner, self._depth, turn.is_given = turn.owner, 1, True
            turn.comes.set_result(None)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


async def _result_of(turn: "Future[None]") -> None:
    await asyncio.shield(asyncio.wrap_future(turn))


class _LoopEvents(Generic[T]):
    """For one reader. Who tells in the loop itself wakes it without a detour."""

    def __init__(self, native: NativeLoop, loop: asyncio.AbstractEventLoop) -> None:
        self._native, self._loop = native, loop
        self._thread = threading.get_ident()
        self._events: deque[T] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, event: T) -> None:
        self._events.append(event)
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def get(self, seconds: float) -> T | None:
        if not self._events and seconds > 0:
            self._native.wait(self._wait(seconds))
        return self._events.popleft() if self._events else None

    async def _wait(self, seconds: float) -> None:
        self._reader = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._wake)
        try:
            if not self._events:  # one that came from another thread meanwhile
                await self._reader
        finally:
            timer.cancel()
            self._reader = None
