"""Marks: writers note which sessions they are about to change, so that the catalog reads only those again.

One append-only file of ids. A reader takes it away: it gives the file another name, takes its write
permission bit off, which every writer looks at before and after it counts on a mark, and only then reads it.
A mark is made under the session's lock, so whoever locks that session after taking the marks sees the change.
"""

import contextlib
import os
import threading
import uuid
from typing import Final

from journal import disk as disks
from journal.disk import Disk

NAME: Final = "changed"
_WRITABLE: Final = 0o200


class Marks:
    """The marks of one store; threads share it."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk, self._folder = disk, folder
        self._path = os.path.join(folder, NAME)
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._marked: set[str] = set()

    def mark(self, session_id: str) -> None:
        """Note that a session is about to change. Costs one system call where the note stands already."""
        with self._mutex:
            fd = self._fd
            if fd is not None and session_id in self._marked and self._counts(fd):
                return
            while True:
                if fd is None or not self._counts(fd):
                    fd = self._open()
                disks.write_whole(self._disk, fd, session_id.encode() + b"\n")
                if self._counts(fd):
                    self._marked.add(session_id)
                    return

    def _counts(self, fd: int) -> bool:
        status = self._disk.status_of(fd)
        return bool(status.st_mode & _WRITABLE) and status.st_nlink > 0

    def _open(self) -> int:
        self._let_go()
        disks.make_folders(self._disk, self._folder, durable=False)
        self._fd = self._disk.open(self._path, write=True, create=True)
        return self._fd

    def _let_go(self) -> None:
        if self._fd is not None:
            self._disk.close(self._fd)
        self._fd, self._marked = None, set()

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
                    self._disk.make_read_only(entry.path)
                    data = disks.read_file(self._disk, entry.path) or b""
                    session_ids.update(data.decode(errors="replace").split("\n"))
                    taken.append(entry.path)
        session_ids.discard("")
        return session_ids, taken

    def forget(self, taken: list[str]) -> None:
        """Remove files of marks that were worked off."""
        for path in taken:
            disks.remove_file(self._disk, path, durable=False)
