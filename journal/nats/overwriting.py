"""Removing messages so that their bytes leave the servers' files, too.

A purge, a rollup and a limit take messages out of every answer; their bytes stay in the file of a block,
among those of others, until the server has a reason to write that anew. Who removes one message by its place
has it overwritten first: a server writes its block again, up to 8 MiB, each time, and lets nobody else at the
stream meanwhile. So few are asked for at once: more of them are no faster, and everybody else would wait.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from journal.nats.link import Denied
from journal.nats.stream import Message, Stream

_AT_ONCE: Final = 4


async def overwrite(
    stream: Stream, subject: str, messages: Sequence[Message], before: int | None = None
) -> None:
    """Overwrite and remove these messages of a subject: all it has, or all before a place.

    The first of them goes first, alone: what is behind it can then be told from a whole history. Where this
    user may not do that, they are purged, so that they are in no answer. Raises Unreachable.
    """
    places = iter([message.place for message in messages])

    async def go_on() -> None:
        for place in places:
            await stream.remove(place)

    try:
        for place in places:
            await stream.remove(place)
            break
        outcomes = await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
    except Denied:
        await stream.purge(subject, before)
