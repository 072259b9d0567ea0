"""Removing what somebody made void who did not come to the end of that: whoever finds it goes on with it."""

import asyncio
import contextlib
from typing import Final

from journal.backend import Unreachable
from journal.nats.subject import Subject

# Who reads waits so long for it; it may go on for minutes behind that.
_WAITS_SECONDS: Final = 2.0


class Finishing:
    """What is being removed by this process: each once at a time."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def finish(self, subject: Subject, before: int, most: int | None = None) -> None:
        """See Subject.forget. Nothing happens where somebody else is at it."""
        task = self._tasks.get(subject.name)
        if task is None:
            task = self._tasks[subject.name] = asyncio.create_task(_finish(subject, before, most))
            task.add_done_callback(lambda _: self._tasks.pop(subject.name, None))
        await asyncio.wait((task,), timeout=_WAITS_SECONDS)

    async def close(self) -> None:
        """End it where it is: the next one goes on."""
        for task in list(self._tasks.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _finish(subject: Subject, before: int, most: int | None) -> None:
    with contextlib.suppress(Unreachable):  # the next one who finds it does
        if await subject.is_left(before):
            await subject.forget(before, most)
