"""An AsyncStateStore for writers who wait for each call: the same campaign, the other face."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Awaited:
    """What `opening` gives, each of its methods run to its end in a loop of this object's own."""

    def __init__(self, opening: Callable[[], Awaitable[Any]]) -> None:
        self._runner = asyncio.Runner()
        try:
            self._store = self._runner.run(_of(opening))
        except BaseException:
            self._runner.close()
            raise

    def close(self) -> None:
        """Close the store, and the loop."""
        with self._runner:
            self._runner.run(self._store.close())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any, **options: Any) -> Any:
            return self._runner.run(method(*arguments, **options))

        return call


async def _of(opening: Callable[[], Awaitable[Any]]) -> Any:
    return await opening()
