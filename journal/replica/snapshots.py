"""Snapshots that stores share: whoever opens a long session need not fetch all of it.

A cache: the backend's journal is the truth, and a snapshot counts only if the change at its place ends with
the record that it names.
"""

import asyncio
import contextlib
import os
from typing import Final, NamedTuple

import msgspec

from journal.backend import Unclear, Unreachable
from journal.layout import Layout
from journal.replica.asking import Asking
from journal.replica.files import PLAIN, read_whole
from journal.snapshot import marker_of, read_marker

# Of a shorter journal, all is fetched about as fast.
WORTH_BYTES: Final = 1024 * 1024
# So much of a journal's end comes with its snapshot: writers look back to the last records.
_TAIL_BYTES: Final = 64 * 1024
# Between tries to remove what must not stay.
_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 10.0, 30.0)


class Begun(NamedTuple):
    """Where to begin: the snapshot, the journal's last bytes, where they begin, up to which change."""

    data: bytes
    tail: bytes
    offset: int
    place: int


class _Header(msgspec.Struct):
    """What stands before a snapshot: the place of the last change that it stands for, and that one's size.

    Then the end of the journal, so many bytes of it.
    """

    place: int
    tail_bytes: int


class SharedSnapshots:
    """The snapshots that the backend keeps."""

    def __init__(self, backend: Asking, layout: Layout) -> None:
        self._backend, self._layout = backend, layout

    def share(self, session_id: str, place: int) -> None:
        """Give the others the snapshot that is here, of all up to a place, if it saves them much: later."""
        path, journal = self._layout.snapshot(session_id), self._layout.journal(session_id)
        with contextlib.suppress(OSError):
            size = os.stat(journal).st_size
            marker = read_marker(PLAIN, path)
            if size < WORTH_BYTES or marker is None or marker.offset != size:
                return
            fd = PLAIN.open(journal)
            try:
                tail = PLAIN.read(fd, _TAIL_BYTES, size - _TAIL_BYTES)
            finally:
                os.close(fd)
            header = msgspec.json.encode(_Header(place, len(tail)))
            data = b"".join((header, b"\n", tail, read_whole(path)))
            self._backend.later(self._share(session_id, place, data))

    async def _share(self, session_id: str, place: int, data: bytes) -> None:
        is_current = False
        with contextlib.suppress(Unreachable, Unclear):
            await self._backend.files.put(_name(session_id), data)
            # Somebody may have erased what it says, and looked for it before it was there.
            is_current = await self._backend.journals.head(session_id) == place
        if not is_current:
            await self._remove_surely(session_id)

    async def _remove_surely(self, session_id: str) -> None:
        for pause in _PAUSES_SECONDS:
            with contextlib.suppress(Unreachable, Unclear):
                await self._backend.files.remove(_name(session_id))
                return
            await asyncio.sleep(pause)

    def remove(self, session_id: str) -> None:
        """What a snapshot says will be void. Raises UnreachableError."""
        if self._may_be_there(session_id):
            self._backend.ask(self._backend.files.remove(_name(session_id)))

    def remove_later(self, session_id: str) -> None:
        """The same once more, when it is void: one may have come in between."""
        if self._may_be_there(session_id):
            self._backend.later(self._remove_surely(session_id))

    def _may_be_there(self, session_id: str) -> bool:
        try:
            return os.stat(self._layout.journal(session_id)).st_size >= WORTH_BYTES
        except OSError:
            return False

    def begin(self, session_id: str) -> Begun | None:
        """Where to begin with a session; None where nobody shared a snapshot of what it is now."""
        found = self._backend.ask(self._backend.files.get(_name(session_id)))
        if found is None:
            return None
        head, _, rest = found.data.partition(b"\n")
        try:
            header = msgspec.json.decode(head, type=_Header)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        tail, data = rest[: header.tail_bytes], rest[header.tail_bytes :]
        marker = marker_of(data)
        change = self._backend.ask(self._change_at(session_id, header.place))
        if change is None or marker is None or not (tail.endswith(change) or change.endswith(tail)):
            return None
        return Begun(data, tail, marker.offset - len(tail), header.place)

    async def _change_at(self, session_id: str, place: int) -> bytes | None:
        async for change in self._backend.journals.read(session_id, place - 1):
            return change.data if change.place == place else None
        return None


def _name(session_id: str) -> str:
    return f"snapshots/{session_id}"
