"""Documents, attachments and quarantined bytes of a replica: fetched when somebody looks."""

import contextlib
import errno
import os
import stat
from typing import Final

from journal.backend import Moved
from journal.disk import Disk, chunks, make_folders, read_file, write_whole
from journal.layout import Layout
from journal.replica.asking import Asking

PLAIN: Final = Disk()
"""The folder as it is, for who must not look further."""


class ReplicatedFiles:
    """Which files are shared, under which names, and how they come and go."""

    def __init__(self, backend: Asking, layout: Layout) -> None:
        self._backend, self._layout = backend, layout
        # Of each attachment that was looked at: only that one may be removed. One that was put there since
        # has a reason that nobody has looked for yet.
        self._revisions: dict[str, int] = {}
        for folder in (layout.quarantine, layout.attachments):
            make_folders(PLAIN, folder)

    def name_of(self, path: str) -> str | None:
        """The backend's name for a file; None for one that is only here."""
        folder, name = os.path.split(path)
        layout = self._layout
        if name.startswith(".") or folder == layout.sessions:
            return None
        if folder == layout.quarantine:
            return f"quarantine/{name}"
        if os.path.dirname(folder) == layout.attachments:
            return f"attachments/{name}"
        if f"{path}/".startswith(f"{layout.internal}/"):
            return None
        return f"documents/{os.path.relpath(path, layout.base)}"

    def _path_of(self, name: str) -> str:
        kind, _, rest = name.partition("/")
        if kind == "quarantine":
            return os.path.join(self._layout.quarantine, rest)
        if kind == "attachments":
            return os.path.join(self._layout.attachments, rest[:2], rest)
        return os.path.join(self._layout.base, rest)

    def fetch(self, name: str, path: str) -> None:
        """Bring a file to what the backend has of it."""
        there = self._backend.ask(self._backend.files.get(name))
        if there is None:
            self._revisions.pop(name, None)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
            return
        self._note(name, there.revision)
        make_folders(PLAIN, os.path.dirname(path))
        if read_file(PLAIN, path) != there.data:
            put_here(path, there.data)

    def fetch_folder(self, folder: str) -> None:
        """Bring the files of a folder, or those of all attachments, to what the backend has."""
        if folder == self._layout.attachments:
            for name in self._backend.ask(self._backend.files.names("attachments")):
                path = self._path_of(name)
                if not os.path.lexists(path):  # else it is the same: its name is its hash
                    self.fetch(name, path)
            return
        shared = os.path.dirname(self.name_of(os.path.join(folder, "-")) or "")
        names = self._backend.ask(self._backend.files.names(shared))
        there = {path: name for name in names if os.path.dirname(path := self._path_of(name)) == folder}
        for entry in PLAIN.entries(folder):
            # What begins with a dot, somebody is about to put in its place.
            if entry.path not in there and stat.S_ISREG(entry.status.st_mode) and entry.name[0] != ".":
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)
        for path, name in there.items():
            self.fetch(name, path)

    def let_go(self) -> None:
        """Keep no attachment and no quarantined bytes here: what is still there is fetched again."""
        folders = [self._layout.quarantine]
        folders += [entry.path for entry in PLAIN.entries(self._layout.attachments)]
        for entry in (each for folder in folders for each in PLAIN.entries(folder)):
            if entry.name[0] != ".":  # else somebody is about to put it in its place
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)

    def share(self, path: str, name: str | None = None) -> None:
        """Give the backend what a file here holds."""
        shared = name or self.name_of(path)
        assert shared is not None, f"{path} is only here"
        self.give(shared, read_whole(path))

    def give(self, name: str, data: bytes) -> None:
        """Give the backend a file of this name."""
        self._note(name, self._backend.ask(self._backend.files.put(name, data)))

    def give_anew(self, name: str, data: bytes) -> None:
        """Give the backend a file that it most likely has: a new revision is enough where it has."""
        revision = self._backend.ask(self._backend.files.touch(name))
        if revision is None:
            self.give(name, data)
        else:
            self._note(name, revision)

    def _note(self, name: str, revision: int) -> None:
        if name.startswith("attachments/"):
            self._revisions[name] = revision

    def remove(self, name: str, path: str) -> None:
        """Remove a file there and here. Raises FileNotFoundError where there was none.

        An attachment that somebody put there since it was looked at stays.
        """
        try:
            was_there = self._backend.ask(self._backend.files.remove(name, self._revisions.get(name)))
        except Moved:
            return
        self._revisions.pop(name, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if not was_there:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def put_here(path: str, data: bytes) -> None:
    """Put a whole file in the place of one that somebody may be reading."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}.tmp")
    fd = PLAIN.open(temporary, write=True, create=True, exclusive=True)
    try:
        try:
            write_whole(PLAIN, fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def add_here(fd: int, data: bytes) -> int:
    """Write bytes to the end of a file, all or none; where they begin."""
    end = os.fstat(fd).st_size
    try:
        write_whole(PLAIN, fd, data)
    except BaseException:
        os.ftruncate(fd, end)
        raise
    return end


def read_whole(path: str) -> bytes:
    """All bytes of a file, however many."""
    fd = PLAIN.open(path)
    try:
        return b"".join(chunks(PLAIN, fd, 0))
    finally:
        os.close(fd)
