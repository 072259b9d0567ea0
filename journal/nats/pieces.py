"""What is too large for a message: its pieces are written first, and count once a message names them."""

import asyncio
import os
from typing import Final

from journal.backend import Moved, Unclear, Unreachable
from journal.nats.layout import AFTER, HEADER_BYTES
from journal.nats.stream import Stream

_PIECE_BYTES: Final = 512 * 1024
# So many are on their way at once.
_TOGETHER: Final = 8
_TRIES: Final = 5


def new_id() -> str:
    """A name for pieces that nobody else uses."""
    return os.urandom(16).hex()


def fits(stream: Stream, data: bytes) -> bool:
    """Whether a message can hold it."""
    return len(data) + HEADER_BYTES <= stream.connection.largest_message


async def write_pieces(stream: Stream, subject: str, data: bytes, after: int) -> int:
    """Write data as pieces, with what the message that will name them expects; how many. Raises Unreachable.

    Where it fails, some may be there: nobody names them.
    """
    size = min(_PIECE_BYTES, stream.connection.largest_message - HEADER_BYTES)
    headers = {AFTER: str(after)}
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    last = 0
    for first in range(0, len(pieces), _TOGETHER):
        together = [stream.add(subject, piece, headers) for piece in pieces[first : first + _TOGETHER]]
        try:
            places = await asyncio.gather(*together)
        except (Unclear, Moved) as error:
            raise Unreachable(f"a large change could not be written, {error}: try again") from error
        # They were sent in order; over two connections they may have come otherwise.
        if [last, *places] != sorted({last, *places}):
            raise Unreachable("a large change could not be written, the connection was lost: try again")
        last = places[-1]
    return len(pieces)


async def read_pieces(stream: Stream, subject: str, count: int) -> bytes | None:
    """What was written as so many pieces; None where they are not all there any more. Raises Unreachable."""
    pieces = [message.data async for message in stream.read(subject, 0)]
    return b"".join(pieces) if len(pieces) == count else None
