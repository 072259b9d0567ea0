"""Files: a key-value bucket; a file that is too large for it is in the object store, and its key names it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from journal.backend import File, Moved, Unclear, Unreachable
from journal.nats.connection import Connection
from journal.nats.layout import EXPECTED, PIECES, PUT, Layout
from journal.nats.pieces import Pieces, fits, new_id
from journal.nats.stream import Stream

_PAUSE_SECONDS: Final = 0.02


class NatsFiles:
    """Whole files by name. A file's revision is the place of its message."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._layout = layout
        self._files = Stream(connection, layout.files)
        self._pieces = Pieces(Stream(connection, layout.objects), layout.file_pieces)

    async def get(self, name: str) -> File | None:
        """See Files.get. The stream's leader answers."""
        looked_at = 0
        while (message := await self._files.last(self._layout.file(name))) is not None:
            data: bytes | None = message.data
            if PIECES in message.headers:
                data = await self._pieces.read(message.headers[PIECES])
            if data is not None:
                return File(data, message.place)
            if message.place == looked_at:  # nobody changed it meanwhile
                raise Unreachable(
                    f"pieces of the file {name!r} were removed from {self._layout.objects}, and not "
                    "by a store; restore it from a copy"
                )
            looked_at = message.place
        return None

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """See Files.put. Raises Unclear where it may have been written, and nobody tells."""
        with self._files.connection.in_time():
            return await self._put(name, data, revision)

    async def _put(self, name: str, data: bytes, revision: int | None) -> int:
        headers = {PUT: new_id()}
        if not fits(self._files, data):
            headers[PIECES] = await self._pieces.write(data, 0)
            data = b""
        try:
            place, former = await self._put_message(name, data, headers, revision)
        except (Moved, Unreachable):
            await self._drop(_pieces_of(headers))
            raise
        await self._drop(former)
        return place

    async def _put_message(
        self, name: str, value: bytes, headers: dict[str, str], revision: int | None
    ) -> tuple[int, set[str]]:
        """Write a file's message; its place, and the pieces that it has made void."""
        subject = self._layout.file(name)
        former: set[str] = set()
        until, doubt = self._files.connection.until(), None
        while True:
            try:
                there = await self._files.last(subject)
            except Unreachable as error:
                raise (Unclear(f"{doubt}; then {error}") if doubt else error) from doubt
            # A try that got no answer may have got through.
            if there is not None and there.headers.get(PUT) == headers[PUT]:
                return there.place, former
            place = there.place if there is not None else 0
            if revision not in (None, place):
                raise Moved(f"the file is at revision {place}")
            former |= _pieces_of(there.headers if there is not None else {})
            try:
                return await self._files.add(subject, value, {**headers, EXPECTED: str(place)}), former
            except (Moved, Unclear) as error:
                doubt = error if isinstance(error, Unclear) else doubt
                if time.monotonic() > until:
                    raise Unclear(f"{self._files.name}: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)

    async def remove(self, name: str) -> bool:
        """See Files.remove."""
        was_there = False
        while (there := await self._files.last(self._layout.file(name))) is not None:
            was_there = True
            if await self._files.remove(there.place):
                await self._drop(_pieces_of(there.headers))
                break
        return was_there

    async def _drop(self, names: set[str]) -> None:
        for name in names:
            await self._pieces.drop(name)

    async def names(self, folder: str) -> list[str]:
        """See Files.names. The stream's leader answers."""
        subjects = await self._files.subjects(self._layout.folder(folder))
        return sorted(self._layout.file_of(subject) for subject in subjects)


def _pieces_of(headers: Mapping[str, str]) -> set[str]:
    """The pieces that a message names."""
    return {headers[PIECES]} if PIECES in headers else set()
