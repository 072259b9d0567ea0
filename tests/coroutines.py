"""Tests that are coroutines, each run in a loop of its own, and what they share about backends."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from journal.backend import Backend, Change

SECONDS = 60


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test's coroutine; one that hangs fails, and one that leaves something running."""

    @functools.wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(SECONDS):
                await test(*arguments, **options)
                while rest := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(rest)

        asyncio.run(main())

    return run


async def comes_true(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until it does; raises TimeoutError where it does not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def changes_of(backend: Backend, session_id: str | None = None, after: int = 0) -> list[Change]:
    """What is read of a session, or of all."""
    return [change async for change in backend.journals.read(session_id, after)]
