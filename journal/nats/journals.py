"""Sessions' journals: a subject each, a message each change. See journal/nats/layout.py."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from nats.aio.msg import Msg

from journal.backend import Change, Heard, Listening, Moved, Unreachable
from journal.nats.connection import Connection
from journal.nats.layout import AFTER, EXPECTED, KIND, PIECES, ROLLUP, Kind, Layout
from journal.nats.pieces import Pieces, fits
from journal.nats.stream import Message, Stream


class NatsJournals:
    """Every session's journal, in one stream."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection, self._layout = connection, layout
        self._stream = Stream(connection, layout.journals)

    # Reading

    async def head(self, session_id: str) -> int:
        """See Journals.head. The stream's leader answers."""
        message = await self._stream.last(self._layout.changes(session_id))
        return message.place if message else 0

    async def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """See Journals.read."""
        before = after
        async for messages in self._stream.read(self._layout.changes(session_id), after):
            for message in messages:
                if KIND in message.headers and before and session_id is not None:
                    await self._forget(message)
                before = message.place
                if PIECES not in message.headers:
                    yield self._change(message, message.data)
                elif (data := await self._data(message)) is not None:
                    yield self._change(message, data)

    def _change(self, message: Message, data: bytes) -> Change:
        place, subject, headers, _ = message
        kind: Kind = headers.get(KIND, "append")  # type: ignore[assignment]
        return Change(self._layout.session_of(subject), place, int(headers.get(EXPECTED, 0)), kind, data)

    async def _forget(self, message: Message) -> None:
        """Remove what a change made void, which a server that crashed then may have kept."""
        with contextlib.suppress(Unreachable):
            first = await self._stream.next(message.subject, 0)
            if first is not None and first.place < message.place:
                await self._stream.purge(message.subject, before=message.place)

    async def _data(self, message: Message) -> bytes | None:
        """What is in the pieces that a message names; None where the change is void by now."""
        session_id = self._layout.session_of(message.subject)
        data = await self._pieces(session_id).read(message.headers[PIECES])
        if data is None:
            first = await self._stream.next(message.subject, message.place - 1)
            if first is not None and first.place == message.place:
                raise Unreachable(
                    f"session {session_id!r}: pieces of the change at {message.place} were removed from the "
                    f"stream {self._stream.name}, and not by a store; restore it from a copy"
                )
        return data

    async def listen(self, session_id: str | None, heard: Heard) -> Listening:
        """See Journals.listen."""

        async def hear(live: Msg) -> None:
            headers = live.headers or {}
            message = Message(int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, live.data)
            with contextlib.suppress(Unreachable):  # it is missed, and whoever reads is told why
                data = await self._data(message) if PIECES in headers else message.data
                if data is not None:
                    heard(self._change(message, data))

        listening = await self._connection.listen(self._layout.live(session_id), hear)
        try:
            # The leader's server is asked on the way on which it is told of the listener: now it knows.
            await self._stream.info()
            listening.check()
        except BaseException:
            await listening.close()
            raise
        return listening

    # Writing

    async def append(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.append."""
        data = b"".join(lines)
        headers = {EXPECTED: str(after)}
        if fits(self._stream, data):
            return await self._stream.add(self._layout.changes(session_id), data, headers)
        with self._connection.in_time():
            return await self._add_in_pieces(session_id, data, headers)

    async def replace(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.replace."""
        with self._connection.in_time():
            return await self._put(session_id, "replace", b"".join(lines), after)

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """See Journals.delete."""
        with self._connection.in_time():
            return await self._put(session_id, "delete", tombstones, after)

    async def _put(self, session_id: str, kind: Kind, data: bytes, after: int) -> int:
        headers = {EXPECTED: str(after), KIND: kind, ROLLUP: "sub"}
        if fits(self._stream, data):
            place = await self._stream.add(self._layout.changes(session_id), data, headers)
        else:
            place = await self._add_in_pieces(session_id, data, headers)
        with contextlib.suppress(Unreachable):  # it is on record; what is left only takes room
            await self.sweep(session_id)
        return place

    async def _add_in_pieces(self, session_id: str, data: bytes, headers: dict[str, str]) -> int:
        after = int(headers[EXPECTED])
        if await self.head(session_id) > after:
            raise Moved  # before so much is sent
        await self.sweep(session_id)
        pieces = self._pieces(session_id)
        name = await pieces.write(data, after)
        try:
            return await self._stream.add(self._layout.changes(session_id), b"", {**headers, PIECES: name})
        except (Moved, Unreachable):
            await pieces.drop(name)
            raise

    def _pieces(self, session_id: str) -> Pieces:
        return Pieces(self._stream, partial(self._layout.pieces, session_id))

    async def sweep(self, session_id: str) -> None:
        """Remove a session's pieces that can never count any more. Raises Unreachable.

        Pieces say what their change expects to be the last one. Once another change is behind that, they are
        of a change that is void, or was never made and never will be: however late its message may come.
        """
        for subject in await self._stream.subjects(self._layout.pieces(session_id)):
            piece = await self._stream.next(subject, 0)
            if piece is None:
                continue
            after = int(piece.headers[AFTER])
            first = await self._stream.next(self._layout.changes(session_id), after)
            change = subject.rpartition(".")[2]
            if first is not None and first.headers.get(PIECES, "").partition("/")[0] != change:
                await self._stream.purge(subject)
