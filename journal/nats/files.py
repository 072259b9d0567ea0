"""Files: a key-value bucket; a file that is too large for it is in the object store, and its key names it."""

import asyncio
import contextlib
import time
from typing import Final

from journal.backend import File, Moved, Unclear, Unreachable
from journal.nats.connection import Connection
from journal.nats.layout import EXPECTED, PIECES, PUT, Layout
from journal.nats.pieces import fits, new_id, read_pieces, write_pieces
from journal.nats.stream import Message, Stream

_PAUSE_SECONDS: Final = 0.02


class NatsFiles:
    """Whole files by name. A file's revision is the place of its message."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._layout = layout
        self._files = Stream(connection, layout.files)
        self._objects = Stream(connection, layout.objects)

    async def get(self, name: str) -> File | None:
        """See Files.get. The stream's leader answers."""
        while (message := await self._files.last(self._layout.file(name))) is not None:
            if PIECES not in message.headers:
                return File(message.data, message.place)
            large, _, count = message.headers[PIECES].partition("/")
            data = await read_pieces(self._objects, self._layout.file_pieces(large), int(count))
            if data is not None:
                return File(data, message.place)
            # It was changed meanwhile, or it is gone.
        return None

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """See Files.put. Raises Unclear where it may have been written, and nobody tells."""
        put, headers = new_id(), {}
        value = data
        if not fits(self._files, data):
            count = await write_pieces(self._objects, self._layout.file_pieces(put), data, 0)
            value, headers = b"", {PIECES: f"{put}/{count}"}
        try:
            place, former = await self._put(name, value, {**headers, PUT: put}, revision)
        except Moved:
            if headers:
                await self._drop({put})
            raise
        await self._drop(former)
        return place

    async def _put(
        self, name: str, value: bytes, headers: dict[str, str], revision: int | None
    ) -> tuple[int, set[str]]:
        """Write a file's message; its place, and the pieces that it has made void."""
        subject = self._layout.file(name)
        former: set[str] = set()
        until = time.monotonic() + self._files.connection.timeout
        while True:
            there = await self._files.last(subject)
            # A try that got no answer may have got through.
            if there is not None and there.headers.get(PUT) == headers[PUT]:
                return there.place, former
            place = there.place if there is not None else 0
            if revision not in (None, place):
                raise Moved(f"the file is at revision {place}")
            former |= _pieces_of(there)
            try:
                return await self._files.add(subject, value, {**headers, EXPECTED: str(place)}), former
            except (Moved, Unclear) as error:
                if time.monotonic() > until:
                    raise Unclear(f"{self._files.name}: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)

    async def remove(self, name: str) -> bool:
        """See Files.remove."""
        was_there = False
        while (there := await self._files.last(self._layout.file(name))) is not None:
            was_there = True
            if await self._files.remove(there.place):
                await self._drop(_pieces_of(there))
                break
        return was_there

    async def _drop(self, large: set[str]) -> None:
        for each in large:
            with contextlib.suppress(Unreachable):  # they only take room
                await self._objects.purge(self._layout.file_pieces(each))

    async def names(self, folder: str) -> list[str]:
        """See Files.names. The stream's leader answers."""
        subjects = await self._files.subjects(self._layout.folder(folder))
        return sorted(self._layout.file_of(subject) for subject in subjects)


def _pieces_of(message: Message | None) -> set[str]:
    """The large file that a message names, if it names one."""
    named = message.headers.get(PIECES) if message is not None else None
    return {named.partition("/")[0]} if named else set()
