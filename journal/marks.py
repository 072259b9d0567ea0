"""Marks: writers note which sessions they are about to change, so that the catalog reads only those again.

One append-only file of ids, whose first byte says whether it still counts. A reader takes it away: it
renames the file, writes TAKEN into the first byte, and only then reads it. Writers look at that byte, through
a shared mapping, before and after they count on a mark. A mark is made under the session's lock, so whoever
locks that session after taking the marks sees the change.
"""

import contextlib
import mmap
import os
import threading
import uuid
from time import monotonic
from typing import Final

from journal import disk as disks
from journal.disk import LOCK_EX, LOCK_UN, Disk

NAME: Final = "changed"
LIVE, TAKEN = b"+", b"-"
_LIVE: Final = LIVE[0]
# A file that someone simply removed keeps its first byte: so often writers look whether theirs is there.
CHECK_AFTER_SECONDS: Final = 1.0


class Marks:
    """The marks of one store; threads share it."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk, self._folder = disk, folder
        self._path = os.path.join(folder, NAME)
        self._mutex = threading.Lock()
        self._fd = -1
        # The first byte of the open file and what this store marked in it, replaced together: a mark must
        # never be counted on because of the byte of another file.
        self._live: tuple[mmap.mmap | bytes, set[str]] = (TAKEN, set())
        self._check_at = 0.0

    def mark(self, session_id: str) -> None:
        """Note that a session is about to change. Costs no system call where the note stands already."""
        first_byte, marked = self._live
        try:
            if session_id in marked and first_byte[0] == _LIVE and monotonic() < self._check_at:
                return
        except ValueError:
            pass  # another thread closed it: it is opening the next file
        with self._mutex:
            while True:
                if not self._counts():
                    self._open()
                disks.write_whole(self._disk, self._fd, session_id.encode() + b"\n")
                if self._counts():
                    self._live[1].add(session_id)
                    return

    def _counts(self) -> bool:
        """Whether a reader will find what is in the file."""
        if self._live[0][0] != _LIVE or self._disk.status_of(self._fd).st_nlink == 0:
            return False
        self._check_at = monotonic() + CHECK_AFTER_SECONDS
        return True

    def _open(self) -> None:
        self._let_go()
        disks.make_folders(self._disk, self._folder, durable=False)
        self._fd = self._disk.open(self._path, write=True, create=True)
        self._disk.flock(self._fd, LOCK_EX)
        try:
            if self._disk.status_of(self._fd).st_size == 0:
                disks.write_whole(self._disk, self._fd, LIVE + b"\n")
        finally:
            self._disk.flock(self._fd, LOCK_UN)
        self._live = self._disk.map_first_byte(self._fd), set()

    def _let_go(self) -> None:
        first_byte, _ = self._live
        self._live = TAKEN, set()
        if isinstance(first_byte, mmap.mmap):
            first_byte.close()
            self._disk.close(self._fd)

    def close(self) -> None:
        """Close the file; the next mark opens it again."""
        with self._mutex:
            self._let_go()

    def take(self) -> tuple[set[str], list[str]]:
        """All marks, and the files that hold them: remove those once the marks are worked off."""
        with contextlib.suppress(FileNotFoundError):
            self._disk.rename(self._path, f"{self._path}.{uuid.uuid4().hex}")
        session_ids: set[str] = set()
        taken = []
        for entry in self._disk.entries(self._folder):
            if entry.name.startswith(f"{NAME}."):
                with contextlib.suppress(FileNotFoundError):  # another reader worked it off
                    self._disk.overwrite(entry.path, TAKEN)
                    data = disks.read_file(self._disk, entry.path) or b""
                    session_ids.update(data.decode(errors="replace").split("\n")[1:])
                    taken.append(entry.path)
        session_ids.discard("")
        return session_ids, taken

    def forget(self, taken: list[str]) -> None:
        """Remove files of marks that were worked off."""
        for path in taken:
            disks.remove_file(self._disk, path, durable=False)
