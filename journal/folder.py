"""A store's folder as a backend: what `journal copy` reads and writes, while others use the store."""

import os
from typing import Final

from journal import disk as disks
from journal.backend import Backend, Promise, Unreachable
from journal.disk import Disk
from journal.errors import JournalError
from journal.folder_files import FolderFiles
from journal.folder_journals import FolderJournals
from journal.layout import Layout
from journal.mounts import refuse_network

_PROMISE: Final = "its files are synced to the disk of this machine"


class FolderBackend:
    """The journals and files of the store in a folder. Nothing is written but what the caller writes.

    create  whether there may be no store yet; the first write makes one
    """

    def __init__(self, path: str, *, create: bool = True, allow_network: bool = False) -> None:
        self._disk, self._layout = Disk(), Layout(path)
        self._create, self._allow_network = create, allow_network
        self.name = self._layout.base
        self.journals = FolderJournals(self._disk, self._layout)
        self.files = FolderFiles(self._disk, self._layout)

    async def open(self) -> Promise:
        """See that there is a store, or may be one. Raises Unreachable."""
        base = self._layout.base
        is_store = any(self._disk.status(path) for path in (self._layout.sessions, self._layout.internal))
        if not is_store and not self._create:
            state = "holds no sessions" if self._disk.status(base) else "does not exist"
            raise Unreachable(f"the store {base!r} {state}; say where one is")
        try:
            if not self._allow_network:
                refuse_network(self._disk, base)
            disks.check_folders(self._disk, base, self._layout.sessions)
        except JournalError as error:
            raise Unreachable(str(error)) from error
        return Promise("disk", 1, f"{base}: {_PROMISE}")

    async def close(self) -> None:
        """Let go of the marks that tell the store's catalog what changed."""
        self.journals.close()

    def __repr__(self) -> str:
        return f"FolderBackend({self.name!r})"


def is_same(one: Backend, other: Backend) -> bool:
    """Whether both are one folder, whichever links lead there."""
    folders = [os.path.realpath(each.name) for each in (one, other) if isinstance(each, FolderBackend)]
    return len(folders) == 2 and folders[0] == folders[1]
