"""Sessions' journals: a subject each, a message each change. See journal/nats/layout.py."""

import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from typing import Any

from journal.backend import Change, Heard, Listening, Unreachable
from journal.nats.client import Incoming
from journal.nats.connection import Connection
from journal.nats.layout import EXPECTED, KIND, PIECES, ROLLUP, TOMBSTONES, Kind, Layout
from journal.nats.stream import Message, Stream
from journal.nats.subject import Subject


class NatsJournals:
    """Every session's journal, in one stream."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection, self._layout = connection, layout
        self._stream = Stream(connection, layout.journals)

    def _session(self, session_id: str) -> Subject:
        pieces = partial(self._layout.pieces, session_id)
        changes = self._layout.changes(session_id)
        return Subject(f"session {session_id!r}", self._stream, changes, self._stream, pieces)

    # Reading

    async def head(self, session_id: str) -> int:
        """See Journals.head. The stream's leader answers."""
        message = await self._session(session_id).last()
        return message.place if message else 0

    async def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """See Journals.read."""
        before = after
        async for messages in self._stream.read(self._layout.changes(session_id), after):
            for message in messages:
                if KIND in message.headers and before and session_id is not None:
                    await self._session(session_id).forget(message.place)
                before = message.place
                data = message.data if PIECES not in message.headers else await self._data(message)
                if data is not None:
                    yield self._change(message, data)

    async def _data(self, message: Message) -> bytes | None:
        return await self._session(self._layout.session_of(message.subject)).data_of(message)

    def _change(self, message: Message, data: bytes) -> Change:
        place, subject, headers, _ = message
        kind: Kind = headers.get(KIND, "append")  # type: ignore[assignment]
        end = int(headers.get(TOMBSTONES, 0))
        session_id, after = self._layout.session_of(subject), int(headers.get(EXPECTED, 0))
        return Change(session_id, place, after, kind, data[end:], data[:end])

    async def listen(self, session_id: str | None, heard: Heard) -> Listening:
        """See Journals.listen."""

        def hear(live: Incoming) -> Coroutine[Any, Any, None] | None:
            headers = live.headers
            message = Message(int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, live.data)
            if PIECES in headers:
                return hear_whole(message)
            heard(self._change(message, live.data))
            return None

        async def hear_whole(message: Message) -> None:
            with contextlib.suppress(Unreachable):  # it is missed, and whoever reads is told why
                data = await self._data(message)
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
        return await self._session(session_id).add(b"".join(lines), {EXPECTED: str(after)})

    async def replace(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.replace."""
        with self._connection.in_time():
            tombstones = await self._tombstones(session_id) if after else b""
            headers = {TOMBSTONES: str(len(tombstones))} if tombstones else {}
            return await self._put(session_id, "replace", b"".join((tombstones, *lines)), after, headers)

    async def _tombstones(self, session_id: str) -> bytes:
        """What is known of a session's deletions: its first message tells."""
        first = await self._stream.next(self._layout.changes(session_id), 0)
        data = None if first is None or KIND not in first.headers else await self._data(first)
        if first is None or data is None:
            return b""
        change = self._change(first, data)
        return change.data if change.kind == "delete" else change.tombstones

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """See Journals.delete."""
        return await self._put(session_id, "delete", tombstones, after, {})

    async def _put(
        self, session_id: str, kind: Kind, data: bytes, after: int, headers: dict[str, str]
    ) -> int:
        session = self._session(session_id)
        with self._connection.in_time():
            place = await session.add(data, {EXPECTED: str(after), KIND: kind, ROLLUP: "sub", **headers})
            await session.sweep()
        return place
