"""The tombstones of a store, by session."""

import msgspec

from journal import disk as disks
from journal.backend import Unreachable
from journal.disk import Disk
from journal.reader import lines
from journal.tombstones import Tombstone, add_tombstone

_decode = msgspec.json.Decoder(Tombstone).decode


class Graves:
    """Each session's tombstones as lines, verbatim; read anew when the file has changed.

    unreadable  the numbers of the lines that are none
    """

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk, self._path = disk, path
        self._seen: tuple[int, int] | None = None
        self._lines: dict[str, list[bytes]] = {}
        self.unreadable: list[int] = []

    def session_ids(self) -> list[str]:
        """The sessions that have some, in the order of their first deletions."""
        self._look()
        return list(self._lines)

    def of(self, session_id: str) -> list[bytes]:
        """A session's, in the order of its deletions, each with its newline."""
        self._look()
        return self._lines.get(session_id, [])

    def add(self, session_id: str, tombstones: bytes) -> None:
        """Note those of these that are not there; on disk when this returns. Raises Unreachable."""
        try:
            given = [_decode(line) for line in tombstones.splitlines()]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            reason = f"session {session_id!r}: what is to be noted is no tombstone ({error})"
            raise Unreachable(f"{reason}; nothing was written") from None
        there = {_decode(line) for line in self.of(session_id)}
        for tombstone in given:
            if tombstone.id != session_id:
                raise Unreachable(f"a tombstone of session {tombstone.id!r} is none of {session_id!r}")
            if tombstone not in there:
                add_tombstone(self._disk, self._path, tombstone, durable=True)

    def _look(self) -> None:
        status = self._disk.status(self._path)
        seen = None if status is None else (status.st_ino, status.st_size)
        if seen == self._seen:
            return
        self._lines, self.unreadable = {}, []
        if seen is not None:
            self._read()
        self._seen = seen

    def _read(self) -> None:
        fd = self._disk.open(self._path)
        try:
            for number, (_, line) in enumerate(lines(self._disk, fd, 0), 1):
                try:
                    self._lines.setdefault(_decode(line).id, []).append(line + b"\n")
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    self.unreadable.append(number)
        finally:
            disks.close(self._disk, fd, self._path)
