"""Marks: writers note which sessions they are about to change, so that the catalog reads only those again.

One append-only file of ids, whose first byte says whether it still counts. Writers look at that byte after
each new mark, and count on their marks for a moment. A reader takes the file away: it renames it, writes
TAKEN into the first byte, waits for that moment to pass, and only then reads it. A mark is made under the
session's lock, so whoever locks that session after taking the marks sees the change.
"""

import contextlib
import os
import threading
import time
import uuid
from time import monotonic
from typing import Final, NamedTuple

from journal import disk as disks
from journal.disk import Disk

NAME: Final = "changed"
LIVE, TAKEN = b"+", b"-"
# How long a writer counts on its marks without looking whether they still count.
COUNTS_FOR_SECONDS: Final = 0.001
# More than a writer makes: where the file is longer, something else is in it.
MAX_BYTES: Final = 16 * 1024 * 1024


class Taken(NamedTuple):
    """What was marked, the files that say so, and whether that is all there was."""

    session_ids: set[str]
    paths: list[str]
    is_all: bool


class OwnMarks:
    """The marks of a store whose folder no other process knows: they need no file, and tell of all."""

    tell_all = True

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._marked: set[str] = set()
        self._taken: set[str] = set()  # and not worked off yet

    def mark(self, session_id: str) -> None:
        """See Marks.mark."""
        with self._mutex:
            self._marked.add(session_id)

    def take(self) -> Taken:
        """See Marks.take."""
        with self._mutex:
            self._taken |= self._marked
            self._marked.clear()
            return Taken(set(self._taken), [], True)

    def forget(self, taken: Taken) -> None:
        """See Marks.forget."""
        with self._mutex:
            self._taken -= taken.session_ids

    def close(self) -> None:
        """Nothing to close."""


class Marks:
    """The marks of one store; threads share it. Other programs may change a session without one."""

    tell_all = False

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk, self._folder = disk, folder
        self._path = os.path.join(folder, NAME)
        self._mutex = threading.Lock()
        self._fd = -1
        self._marked: set[str] = set()
        self._counts_until = 0.0

    def mark(self, session_id: str) -> None:
        """Note that a session is about to change. Costs no system call where the note stands already."""
        if monotonic() < self._counts_until and session_id in self._marked:
            return
        with self._mutex:
            while not (session_id in self._marked and self._counts()):
                if self._fd < 0 or not self._counts():
                    self._open()
                disks.write_whole(self._disk, self._fd, session_id.encode() + b"\n")
                self._marked.add(session_id)

    def _counts(self) -> bool:
        """Whether a reader will find what is in the file."""
        now = monotonic()
        if self._disk.read(self._fd, 1, 0) != LIVE or self._disk.status_of(self._fd).st_nlink == 0:
            return False
        self._counts_until = now + COUNTS_FOR_SECONDS
        return True

    def _open(self) -> None:
        """Open the file that counts; make it where there is none, or one that a crash has garbled."""
        self._let_go()
        disks.make_folders(self._disk, self._folder)
        while self._fd < 0:
            fd = self._disk.open(self._path, write=True, create=True)
            try:
                if self._disk.status_of(fd).st_size == 0:
                    disks.write_whole(self._disk, fd, LIVE + b"\n")
                if self._disk.read(fd, 1, 0) == LIVE:
                    self._fd = fd
                else:
                    self._set_aside()
            finally:
                if self._fd < 0:
                    disks.close(self._disk, fd, self._path)

    def _set_aside(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # there is none, or another process was first
            self._disk.rename(self._path, f"{self._path}.{uuid.uuid4().hex}")

    def _let_go(self) -> None:
        # In this order: whoever looks meanwhile must not count on the next file for what is in this one.
        self._counts_until = 0.0
        self._marked = set()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            disks.close(self._disk, fd, self._path)

    def close(self) -> None:
        """Close the file; the next mark opens it again."""
        with self._mutex:
            self._let_go()

    def take(self) -> Taken:
        """All marks, and the files that hold them: remove those once the marks are worked off."""
        self._set_aside()
        taken = []
        for entry in self._disk.entries(self._folder):
            if entry.name.startswith(f"{NAME}."):
                with contextlib.suppress(FileNotFoundError):  # another reader worked it off
                    self._disk.overwrite(entry.path, TAKEN)
                    taken.append(entry)
        if taken:
            time.sleep(2 * COUNTS_FOR_SECONDS)
        session_ids: set[str] = set()
        is_all = True
        for entry in taken:
            if entry.status.st_size > MAX_BYTES:
                is_all = False
                continue
            with contextlib.suppress(FileNotFoundError):
                data = disks.read_file(self._disk, entry.path) or b""
                session_ids.update(data.decode(errors="replace").split("\n")[1:])
        return Taken(session_ids, [entry.path for entry in taken], is_all)

    def forget(self, taken: Taken) -> None:
        """Remove files of marks that were worked off."""
        for path in taken.paths:
            disks.remove_file(self._disk, path, durable=False)
