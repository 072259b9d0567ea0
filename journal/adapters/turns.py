"""Turns: tasks that want the same thing get it in the order in which they asked."""

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary


class Turns:
    """One lock a thing and event loop, as long as somebody has it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[int, Hashable], asyncio.Lock] = WeakValueDictionary()

    def of(self, thing: Hashable) -> asyncio.Lock:
        """The lock, first come, first served: `async with turns.of(session_id):`."""
        return self._locks.setdefault((id(asyncio.get_running_loop()), thing), asyncio.Lock())
