"""Files: a key-value bucket; what is too large for a message is in the object store."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from journal.backend import File, Moved, Unclear, Unreachable
from journal.nats.connection import Connection
from journal.nats.finishing import Finishing
from journal.nats.layout import EXPECTED, PIECES, PUT, Layout
from journal.nats.stream import Message, Stream
from journal.nats.subject import Subject, new_id

_PAUSE_SECONDS: Final = 0.02
# What a message holds, and its headers, by what is there now; None for no message.
Content: TypeAlias = Callable[[Message | None], tuple[bytes, dict[str, str]] | None]


class NatsFiles:
    """Whole files by name. A file's revision is the place of its message."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection, self._layout = connection, layout
        self._files, self._objects = Stream(connection, layout.files), Stream(connection, layout.objects)
        self._finishing = Finishing()

    async def close(self) -> None:
        """End what goes on behind a look."""
        await self._finishing.close()

    def _file(self, name: str) -> Subject:
        pieces = partial(self._layout.file_pieces, name)
        subject = self._layout.file(name)
        return Subject(f"file {name!r}", self._files, subject, self._objects, pieces, is_file=True)

    async def get(self, name: str) -> File | None:
        """See Files.get. The stream's leader answers."""
        file = self._file(name)
        while (message := await file.last()) is not None:
            if (data := await file.data_of(message)) is not None:
                return File(data, message.place)
        return None

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """See Files.put. Raises Unclear where it may have been written, and nobody tells."""
        place = await self._put(name, lambda there: (data, {}), revision)
        assert place is not None
        return place

    async def touch(self, name: str) -> int | None:
        """See Files.touch. Raises as `put`. Its pieces are not sent again."""

        def same(there: Message | None) -> tuple[bytes, dict[str, str]] | None:
            if there is None:
                return None
            return there.data, {PIECES: there.headers[PIECES]} if PIECES in there.headers else {}

        return await self._put(name, same, None)

    async def _put(self, name: str, content: Content, revision: int | None) -> int | None:
        file = self._file(name)
        with self._connection.in_time():
            if (put := await self._put_message(file, content, revision)) is None:
                return None
        new, has_older = put
        if has_older:
            with contextlib.suppress(Unreachable):  # the next one who puts it there, or looks at all, does
                await file.forget(new)
        return new

    async def _put_message(
        self, file: Subject, content: Content, revision: int | None
    ) -> tuple[int, bool] | None:
        """Its revision, and whether there may be others before it; None where there is no content."""
        headers = {PUT: new_id()}
        doubt: Unclear | None = None
        while True:
            try:
                there = await file.last()
            except Unreachable as error:
                raise (Unclear(f"{doubt}; then {error}") if doubt else error) from doubt
            # A try that got no answer may have got through.
            if there is not None and there.headers.get(PUT) == headers[PUT]:
                return there.place, True
            place = there.place if there is not None else 0
            if revision not in (None, place):
                raise Moved(f"the file is at revision {place}")
            if (made := content(there)) is None:
                return None
            try:
                new = await file.add(made[0], {**headers, **made[1], EXPECTED: str(place)})
            except (Moved, Unclear) as error:
                doubt = error if isinstance(error, Unclear) else doubt
                if time.monotonic() > self._connection.until():
                    raise Unclear(f"{self._files.name}: {error}") from error
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            return new, there is not None

    async def remove(self, name: str, revision: int | None = None) -> bool:
        """See Files.remove."""
        file, was_there, removed = self._file(name), False, ""
        while (there := await file.last()) is not None:
            # What was put there after that stays, unless it was put in the place of what is removed.
            if removed and there.headers.get(EXPECTED) != removed:
                break
            if revision not in (None, there.place):
                raise Moved(f"the file is at revision {there.place}")
            was_there = True
            await file.forget(there.place)  # first: else an older one would be the last
            if await file.remove(there):
                removed = str(there.place)
        return was_there

    async def names(self, folder: str) -> list[str]:
        """See Files.names. The stream's leader answers."""
        counts = await self._files.counts(self._layout.folder(folder))
        names = sorted(map(self._layout.file_of, counts))
        for name in names:
            if counts[self._layout.file(name)] > 1:
                file = self._file(name)
                if (last := await file.last()) is not None:
                    await self._finishing.finish(file, last.place)
        return names
