"""What a store's folder holds beside its journals, by name: documents, attachments, the quarantine."""

import asyncio
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Final

from journal import disk as disks
from journal.attachment_files import AttachmentFiles
from journal.backend import File, Moved
from journal.disk import LOCK_EX, LOCK_UN, Disk
from journal.documents import JSON, MARKDOWN
from journal.errors import DurabilityError, InvalidNameError, UnsafePathError
from journal.layout import Layout
from journal.names import SESSIONS, check_category, check_name

ATTACHMENTS: Final = "attachments"
DOCUMENTS: Final = "documents"
QUARANTINE: Final = "quarantine"
# How the quarantine's names end: from which byte on, or of which file, and which of several.
_CUT: Final = re.compile(r"\.(?:\d{1,18}|json)\.[0-9a-f]{8}\Z")


class FolderFiles:
    """`documents/<category>/<name>.md` or `.json`, `attachments/<hash>`, `quarantine/<name>`.

    Snapshots are not among them: each store makes its own. A revision is that of the content: the same bytes
    have the same one. `put` with a revision keeps those apart who use the folder as a backend; a store in it
    asks for none, and replaces. Raises InvalidNameError for what no store would keep under that name.
    """

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk, self._layout = disk, layout
        self._attachments = AttachmentFiles(disk, layout)

    async def get(self, name: str) -> File | None:
        """See Files.get."""
        return await asyncio.to_thread(self._get, name)

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        """See Files.put."""
        return await asyncio.to_thread(self._put, name, data, revision)

    async def touch(self, name: str) -> int | None:
        """See Files.touch. The revision is the same: so is the content."""
        there = await self.get(name)
        return None if there is None else there.revision

    async def remove(self, name: str, revision: int | None = None) -> bool:
        """See Files.remove."""
        return await asyncio.to_thread(self._remove, name, revision)

    async def names(self, folder: str) -> list[str]:
        """See Files.names."""
        found = await asyncio.to_thread(lambda: sorted(self._names(folder.partition("/")[0])))
        return [name for name in found if not folder or name.startswith(f"{folder}/")]

    def _get(self, name: str) -> File | None:
        path = self._path(name)
        disks.check_folders(self._disk, self._layout.base, os.path.dirname(path))
        data = disks.read_file(self._disk, path)
        return None if data is None else File(data, _revision_of(data))

    def _put(self, name: str, data: bytes, revision: int | None) -> int:
        path = self._path(name)
        if name.startswith(f"{ATTACHMENTS}/"):
            if sha256(data).hexdigest() != os.path.basename(name):
                raise InvalidNameError("attachment", name, "is not the hash of these bytes")
            self._attachments.add(data, "application/octet-stream")
            return _revision_of(data)
        disks.check_folders(self._disk, self._layout.base, os.path.dirname(path))
        with self._alone():
            there = self._get(name)
            if revision is not None and revision != (there.revision if there else 0):
                raise Moved
            self._replace(path, data)
        return _revision_of(data)

    def _remove(self, name: str, revision: int | None) -> bool:
        path = self._path(name)
        with self._alone():
            there = self._get(name) if revision is not None else None
            if there is not None and there.revision != revision:
                raise Moved
            return disks.remove_file(self._disk, path, durable=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else who uses the folder as a backend changes a file inside the `with`."""
        lock = os.path.join(self._layout.internal, "files.lock")
        disks.make_folders(self._disk, self._layout.internal)
        fd = self._disk.open(lock, write=True, create=True)
        try:
            self._disk.flock(fd, LOCK_EX)
            yield
        finally:
            self._disk.flock(fd, LOCK_UN)
            disks.close(self._disk, fd, lock)

    def _replace(self, path: str, data: bytes) -> None:
        try:
            disks.replace_file(self._disk, path, [data], durable=True)
        except UnsafePathError:
            raise
        except OSError as error:
            reason = f"writing failed: {error.strerror}"
            raise DurabilityError(path, reason, outcome_unknown=False) from error

    def _path(self, name: str) -> str:
        """Where a file is. Raises InvalidNameError, AttachmentError."""
        kind, _, rest = name.partition("/")
        if kind == ATTACHMENTS:
            return self._attachments.path(rest)
        if kind == QUARANTINE:
            check_name(_quarantined(rest))
            return os.path.join(self._layout.quarantine, rest)
        category, _, document = rest.rpartition("/")
        stem, ending = os.path.splitext(document)
        if kind != DOCUMENTS or ending not in (MARKDOWN, JSON):
            raise InvalidNameError("file", name, "is no document, attachment or quarantined file")
        if check_category(category).split("/")[0] == SESSIONS:
            raise InvalidNameError("category", category, "is the store's own")
        return self._layout.document(category, check_name(stem), ending)

    def _names(self, kind: str) -> Iterator[str]:
        """Of one kind, or with "" of all: a store may lie in a folder of many other things."""
        for entry in self._attachments.entries() if kind in ("", ATTACHMENTS) else ():
            yield f"{ATTACHMENTS}/{entry.name}"
        for entry in self._disk.entries(self._layout.quarantine) if kind in ("", QUARANTINE) else ():
            if stat.S_ISREG(entry.status.st_mode) and _is_name(_quarantined(entry.name)):
                yield f"{QUARANTINE}/{entry.name}"
        for entry in self._disk.entries(self._layout.base) if kind in ("", DOCUMENTS) else ():
            if stat.S_ISDIR(entry.status.st_mode) and entry.name != SESSIONS:
                yield from self._documents(entry.path, entry.name)

    def _documents(self, path: str, category: str) -> Iterator[str]:
        """The documents of a category and of those nested in it; what no store would have made is none.

        Nor is what another store has that lies in this folder: a copy, maybe this one's target.
        """
        try:
            check_category(category)
        except InvalidNameError:
            return
        if self._disk.status(Layout(path).internal) is not None:
            return
        for entry in self._disk.entries(path):
            name = f"{category}/{entry.name}"
            stem, ending = os.path.splitext(entry.name)
            if stat.S_ISDIR(entry.status.st_mode):
                yield from self._documents(entry.path, name)
            elif stat.S_ISREG(entry.status.st_mode) and ending in (MARKDOWN, JSON) and _is_name(stem):
                yield f"{DOCUMENTS}/{name}"


def _quarantined(name: str) -> str:
    """What of a file's name in quarantine a session's id may be, which is as long as a name may be."""
    return _CUT.sub("", name)


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except InvalidNameError:
        return False
    return True


def _revision_of(data: bytes) -> int:
    """A number that another content has not."""
    return int.from_bytes(sha256(data).digest()[:8]) | 1  # 0 is none
