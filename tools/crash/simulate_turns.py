"""Turns: simulated processes that run at the same time, switched at chosen system calls, always the same way.

Each has a thread, and only one of them runs at any moment.
"""

import threading
from collections.abc import Callable, Collection
from typing import Final

from crash.simulated_disk import Killed, SimulatedDisk

# A switch at a call that only looks would show nothing that one at the next of these does not.
_STEPS: Final = frozenset(
    ("open", "write", "sync", "flock", "truncate", "rename", "unlink", "make_folder", "sync_folder", "close")
)


class Turns:
    """Runs what processes do, the first one first; at each of the `switches`, counted in steps, to the next.

    Who waits for a lock gives its turn away. An AssertionError where all wait.
    """

    def __init__(self, switches: Collection[int]) -> None:
        self._switches = frozenset(switches)
        self._steps = self._waits = 0
        self._gates: list[threading.Semaphore] = []
        self._running: set[int] = set()
        self._errors: list[BaseException] = []

    def run(self, *scripts: tuple[SimulatedDisk, Callable[[], object]]) -> None:
        """Return when all are done. Raises what one of them raised; a killed one is simply done."""
        self._gates = [threading.Semaphore(0) for _ in scripts]
        self._running = set(range(len(scripts)))
        threads = []
        for me, (disk, act) in enumerate(scripts):
            disk.watch = self._stepper(me)
            disk.wait = self._waiter(me)
            threads.append(threading.Thread(target=self._play, args=(me, act), daemon=True))
        for thread in threads:
            thread.start()
        self._gates[0].release()
        for thread in threads:
            thread.join()
        for disk, _ in scripts:
            disk.watch = disk.wait = None
        if self._errors:
            raise self._errors[0]

    def _play(self, me: int, act: Callable[[], object]) -> None:
        self._gates[me].acquire()
        try:
            act()
        except Killed:
            pass
        except BaseException as error:
            self._errors.append(error)
        self._waits = 0
        self._running.discard(me)
        self._give_to_next(me)

    def _stepper(self, me: int) -> Callable[[str], None]:
        def step(call: str) -> None:
            if call in _STEPS:
                self._waits = 0
                self._steps += 1
                if self._steps in self._switches:
                    self._hand_over(me)

        return step

    def _waiter(self, me: int) -> Callable[[], None]:
        def wait() -> None:
            self._waits += 1
            is_alone = len(self._running) == 1
            assert not is_alone, "it waits for ever: nobody is there to release the lock"
            assert self._waits <= 2 * len(self._running), "all wait for each other"
            self._hand_over(me)

        return wait

    def _hand_over(self, me: int) -> None:
        if len(self._running) > 1:
            self._give_to_next(me)
            self._gates[me].acquire()

    def _give_to_next(self, me: int) -> None:
        for step in range(1, len(self._gates) + 1):
            other = (me + step) % len(self._gates)
            if other in self._running and other != me:
                self._gates[other].release()
                return
