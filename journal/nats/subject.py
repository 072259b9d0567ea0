"""One subject, whose messages may be of any size: what is too large is written in pieces first.

Pieces count once a message names them. They say what that message expects to be the last one of its subject;
once another one is behind that, they are of a message that is void, or was never sent and never will count,
however late it may come. So nothing else is needed to know which may go.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from journal.backend import Moved, Unclear, Unreachable
from journal.nats.layout import AFTER, EXPECTED, HEADER_BYTES, KIND, PIECES
from journal.nats.overwriting import overwrite
from journal.nats.stream import Message, Stream

_PIECE_BYTES: Final = 512 * 1024
# So many are on their way at once.
_TOGETHER: Final = 8
_PAUSE_SECONDS: Final = 0.1
# Whoever removes messages has removed another one by then.
_LOOKS_AGAIN_SECONDS: Final = 0.5


def new_id() -> str:
    """A name that nobody else uses."""
    return os.urandom(16).hex()


class Subject:
    """A session's changes, or a file.

    what     the same in words, for errors
    pieces   the stream of pieces, and the subject of those that belong together
    is_file  each message makes those before it void; of changes, some do
    """

    def __init__(
        self,
        what: str,
        stream: Stream,
        subject: str,
        pieces: Stream,
        pieces_subject: Callable[[str], str],
        *,
        is_file: bool,
    ) -> None:
        self._what, self._stream, self._subject, self._is_file = what, stream, subject, is_file
        self._pieces, self._pieces_subject = pieces, pieces_subject

    @property
    def name(self) -> str:
        """What the servers call it."""
        return self._subject

    async def last(self) -> Message | None:
        """The last message. Raises Unreachable."""
        return await self._stream.last(self._subject)

    async def add(self, data: bytes, headers: dict[str, str]) -> int:
        """Add a message behind the one that it expects; its place. Raises Moved, Unclear, Unreachable."""
        if len(data) + HEADER_BYTES <= self._stream.connection.largest_message:
            return await self._stream.add(self._subject, data, headers)
        with self._stream.connection.in_time():
            return await self._add_in_pieces(data, headers)

    async def remove(self, message: Message) -> bool:
        """Overwrite and remove a message; False where it is not there any more. Raises Unreachable."""
        was_there = await self._stream.remove(message.place)
        if was_there and PIECES in message.headers:
            await self._overwrite_pieces(_id_in(message))
        return was_there

    async def data_of(self, message: Message) -> bytes | None:
        """What a message holds; None where it is void by now. Raises Unreachable."""
        if PIECES not in message.headers:
            return message.data
        id, _, count = message.headers[PIECES].partition("/")
        read = self._pieces.read(self._pieces_subject(id), 0)
        pieces = [piece.data async for some in read for piece in some]
        if len(pieces) == int(count):
            return b"".join(pieces)
        still = await self._stream.next(self._subject, message.place - 1)
        if still is not None and still.place == message.place and not await self._is_void(message):
            raise Unreachable(
                f"{self._what}: pieces of message {message.place} were removed from the stream "
                f"{self._pieces.name}, and not by a store; restore it from a copy"
            )
        return None

    async def _is_void(self, message: Message) -> bool:
        """Whether a message behind it took the place of all before."""
        async for some in self._stream.read(self._subject, message.place):
            if self._is_file or any(KIND in each.headers for each in some):
                return True
        return False

    async def is_left(self, before: int) -> bool:
        """Whether there are messages before a place that nobody is removing. Raises Unreachable."""
        first = await self._stream.next(self._subject, 0)
        if first is None or first.place >= before:
            return False
        await asyncio.sleep(_LOOKS_AGAIN_SECONDS)
        return await self._stream.next(self._subject, 0) == first

    async def forget(self, before: int, most: int | None = None) -> None:
        """Overwrite and remove what a message at a place made void. Raises Unreachable.

        most  of more messages than that, only the pieces are overwritten
        """
        void = await self._stream.messages(self._subject, before)
        # While one message is there, whoever reads it knows that this is not done: so their pieces go first.
        if ids := {_id_in(message) for message in void if PIECES in message.headers}:
            current = await self._stream.next(self._subject, before - 1)
            # A file that was only touched has the pieces that it had.
            for id in ids - {current and _id_in(current)}:
                await self._overwrite_pieces(id)
        await self.sweep()
        if most is not None and len(void) > most:
            await self._stream.purge(self._subject, before)
        else:
            await overwrite(self._stream, self._subject, void, before)

    async def sweep(self) -> None:
        """Overwrite and remove pieces that can never count any more. Raises Unreachable."""
        for subject in await self._pieces.subjects(self._pieces_subject("*")):
            piece, id = await self._pieces.next(subject, 0), subject.rpartition(".")[2]
            if piece is None:
                continue
            behind = await self._stream.next(self._subject, int(piece.headers[AFTER]))
            if behind is not None and _id_in(behind) != id:
                await self._overwrite_pieces(id)

    async def _overwrite_pieces(self, id: str) -> None:
        subject = self._pieces_subject(id)
        await overwrite(self._pieces, subject, await self._pieces.messages(subject))

    async def _add_in_pieces(self, data: bytes, headers: dict[str, str]) -> int:
        last = await self.last()
        if last is not None and last.place > int(headers[EXPECTED]):
            raise Moved  # before so much is sent
        with contextlib.suppress(Unreachable):  # they only take room
            await self.sweep()
        id, count = await self._write_pieces(data, headers[EXPECTED])
        try:
            return await self._stream.add(self._subject, b"", {**headers, PIECES: f"{id}/{count}"})
        except (Moved, Unreachable):
            await self._drop(id)
            raise

    async def _write_pieces(self, data: bytes, after: str) -> tuple[str, int]:
        """Their id, and how many. Raises Unreachable."""
        until = self._stream.connection.until()
        while True:
            id = new_id()
            try:
                return id, await self._try_to_write(self._pieces_subject(id), data, {AFTER: after})
            except Unclear as error:
                await self._drop(id)
                if time.monotonic() > until:
                    raise Unreachable(f"{self._what}: pieces could not be written: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _try_to_write(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        size = min(_PIECE_BYTES, self._stream.connection.largest_message - HEADER_BYTES)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        last = 0
        for first in range(0, len(pieces), _TOGETHER):
            adding = [self._pieces.add(subject, each, headers) for each in pieces[first : first + _TOGETHER]]
            for place in await asyncio.gather(*adding, return_exceptions=True):
                if isinstance(place, BaseException):
                    raise place
                # They were sent in order; over two connections they may have come otherwise.
                if place <= last:
                    raise Unclear("the connection was lost")
                last = place
        return len(pieces)

    async def _drop(self, id: str) -> None:
        with contextlib.suppress(Unreachable):  # they are swept later
            await self._overwrite_pieces(id)


def _id_in(message: Message) -> str:
    """The id of the pieces that a message names."""
    return message.headers.get(PIECES, "").partition("/")[0]
