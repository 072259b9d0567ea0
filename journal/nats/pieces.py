"""What is too large for a message: its pieces are written first, and count once a message names them."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from journal.backend import Moved, Unclear, Unreachable
from journal.nats.layout import AFTER, HEADER_BYTES
from journal.nats.stream import Stream

_PIECE_BYTES: Final = 512 * 1024
# So many are on their way at once.
_TOGETHER: Final = 8
_PAUSE_SECONDS: Final = 0.1


def new_id() -> str:
    """A name that nobody else uses."""
    return os.urandom(16).hex()


def fits(stream: Stream, data: bytes) -> bool:
    """Whether a message can hold it."""
    return len(data) + HEADER_BYTES <= stream.connection.largest_message


class Pieces:
    """The pieces of large things, in a stream. Each is known by its id and how many there are: `ID/COUNT`.

    subject  of the pieces of an id
    """

    def __init__(self, stream: Stream, subject: Callable[[str], str]) -> None:
        self._stream, self._subject = stream, subject

    async def write(self, data: bytes, after: int) -> str:
        """Write data in pieces, with what the message that will name them expects; their name.

        Raises Unreachable. Where it fails some may be there, and nobody names them.
        """
        until = self._stream.connection.until()
        while True:
            name = f"{new_id()}/"
            try:
                return f"{name}{await self._write(self._subject(name[:-1]), data, after)}"
            except (Unclear, Moved) as error:
                await self.drop(name)
                if time.monotonic() > until:
                    raise Unreachable(f"a large change could not be written: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _write(self, subject: str, data: bytes, after: int) -> int:
        size = min(_PIECE_BYTES, self._stream.connection.largest_message - HEADER_BYTES)
        headers = {AFTER: str(after)}
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        last = 0
        for first in range(0, len(pieces), _TOGETHER):
            together = [
                self._stream.add(subject, each, headers) for each in pieces[first : first + _TOGETHER]
            ]
            places = await asyncio.gather(*together, return_exceptions=True)
            for place in places:
                if isinstance(place, BaseException):
                    raise place
                # They were sent in order; over two connections they may have come otherwise.
                if place <= last:
                    raise Unclear("the connection was lost")
                last = place
        return len(pieces)

    async def read(self, name: str) -> bytes | None:
        """What was written; None where it is not all there any more. Raises Unreachable."""
        id, _, count = name.partition("/")
        read = self._stream.read(self._subject(id), 0)
        pieces = [message.data async for some in read for message in some]
        return b"".join(pieces) if len(pieces) == int(count) else None

    async def drop(self, name: str) -> None:
        """Remove them, if that can be: they only take room."""
        with contextlib.suppress(Unreachable):
            await self._stream.purge(self._subject(name.partition("/")[0]))
