"""Sessions' journals: a subject each, a message each change. See journal/nats/layout.py."""

import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from journal.backend import Change, Heard, Listening, Unreachable
from journal.nats.client import Incoming
from journal.nats.connection import Connection
from journal.nats.finishing import Finishing
from journal.nats.layout import EXPECTED, KIND, PIECES, TOMBSTONES, Kind, Layout
from journal.nats.stream import Message, Stream
from journal.nats.subject import Subject

# To overwrite a message takes a hundred times what it takes to write it. What is erased is overwritten,
# however much it is; a session that is deleted and has more changes than that is only purged.
MOST_OVERWRITTEN: Final = 1000


class NatsJournals:
    """Every session's journal, in one stream."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection, self._layout = connection, layout
        self._stream = Stream(connection, layout.journals)
        self._finishing = Finishing()

    async def close(self) -> None:
        """End what goes on behind a read."""
        await self._finishing.close()

    def _session(self, session_id: str) -> Subject:
        pieces = partial(self._layout.pieces, session_id)
        changes = self._layout.changes(session_id)
        what = f"session {session_id!r}"
        return Subject(what, self._stream, changes, self._stream, pieces, is_file=False)

    # Reading

    async def head(self, session_id: str) -> int:
        """See Journals.head. The stream's leader answers."""
        message = await self._session(session_id).last()
        return message.place if message else 0

    async def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """See Journals.read."""
        last: dict[str, int] = {}  # by subject, what was given out last
        torn: set[str] = set()  # of these, changes are missing behind that
        async for messages in self._stream.read(self._layout.changes(session_id), after):
            for message in messages:
                subject, is_new = message.subject, KIND in message.headers
                before = last.setdefault(subject, after)
                if is_new and (before > after or subject in torn or (session_id is not None and after)):
                    place, most = message.place, _most(message.headers[KIND])
                    session = self._session(self._layout.session_of(subject))
                    await self._finishing.finish(session, place, most)
                data = None
                if is_new or int(message.headers.get(EXPECTED, 0)) <= before:
                    data = message.data if PIECES not in message.headers else await self._data(message)
                # Somebody removes what a change behind it made void, and that one is still to come.
                if data is None:
                    torn.add(subject)
                    continue
                torn.discard(subject)
                last[subject] = message.place
                yield self._change(message, data)
        for subject in torn:  # nobody who may do that: whoever checks the journal says what is missing
            async for messages in self._stream.read(subject, last[subject]):
                for message in messages:
                    if (data := await self._data(message)) is not None:
                        yield self._change(message, data)

    async def _data(self, message: Message) -> bytes | None:
        if PIECES not in message.headers:
            return message.data
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
        """What is known of a session's deletions: the last change that made others void tells."""
        last: Message | None = None
        async for messages in self._stream.read(self._layout.changes(session_id), 0):
            for message in messages:
                if KIND in message.headers:
                    last = message
        data = None if last is None else await self._data(last)
        if last is None or data is None:
            return b""
        change = self._change(last, data)
        return change.data if change.kind == "delete" else change.tombstones

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """See Journals.delete."""
        return await self._put(session_id, "delete", tombstones, after, {})

    async def _put(
        self, session_id: str, kind: Kind, data: bytes, after: int, headers: dict[str, str]
    ) -> int:
        # First this, which makes all before it void from now on; then those are removed, which takes longer
        # and may be cut short. The other way round a crash would lose the journal. A rollup would remove
        # them at once, and then nothing could overwrite them any more.
        session = self._session(session_id)
        place = await session.add(data, {EXPECTED: str(after), KIND: kind, **headers})
        with contextlib.suppress(Unreachable):  # whoever reads it next goes on: see read
            await session.forget(place, _most(kind))
        return place


def _most(kind: str) -> int | None:
    return MOST_OVERWRITTEN if kind == "delete" else None
