"""Copying what stands beside the journals: attachments by their hashes, documents by their names."""

import asyncio
import re
from hashlib import sha256
from typing import Final

from journal.backend import Files, Moved, Unclear
from journal.copied import Copied, Left
from journal.folder_files import ATTACHMENTS, DOCUMENTS, QUARANTINE

# How often an answer may fail to come.
_MOST_TRIES: Final = 8
# What stores share of a long session, so that nobody need fetch all of it.
SNAPSHOTS: Final = "snapshots"
# The session of which a file in quarantine is.
_QUARANTINED: Final = re.compile(r"(.+)\.(?:\d+|json)\.[0-9a-f]{8}")


class Payloads:
    """The attachments. Each goes once, before the first record that refers to it."""

    def __init__(self, source: Files, target: Files, copied: Copied) -> None:
        self._source, self._target, self._copied = source, target, copied
        self._there: set[str] = set()
        self._under_way: dict[str, asyncio.Lock] = {}
        self._written: list[str] = []

    async def begin(self) -> None:
        """See which are there."""
        names = await self._target.names(ATTACHMENTS)
        self._there = {name.rpartition("/")[2] for name in names}

    async def bring(self, digest: str) -> None:
        """Copy one, if it is not there."""
        if digest in self._there:
            return
        async with self._under_way.setdefault(digest, asyncio.Lock()):
            if digest in self._there:
                return
            found = await self._source.get(_name(digest))
            if found is None:
                self._tell(digest, "the attachment is not in the source; what refers to it was copied")
            elif sha256(found.data).hexdigest() != digest:
                self._tell(digest, "the attachment was altered in the source, and was not copied")
            else:
                await _put(self._target, _name(digest), found.data, None)
                self._copied.attachments += 1
                self._written.append(digest)
            self._there.add(digest)  # only now: others wait for it
        self._under_way.pop(digest, None)

    async def rest(self) -> None:
        """Copy those to which no record refers, too: one may be on its way."""
        for name in await self._source.names(ATTACHMENTS):
            await self.bring(name.rpartition("/")[2])

    async def verify(self) -> None:
        """Read back those that were written."""
        for digest in self._written:
            found = await self._target.get(_name(digest))
            if found is None or sha256(found.data).hexdigest() != digest:
                self._tell(digest, "read back, the attachment is not what was copied")

    def _tell(self, digest: str, reason: str) -> None:
        self._copied.problems.append(Left(_name(digest), reason))


async def _put(files: Files, name: str, data: bytes, revision: int | None) -> None:
    """Put a file; where no answer comes, see whether it is there, and else again. Raises Moved, Unclear."""
    for _ in range(_MOST_TRIES):
        try:
            await files.put(name, data, revision)
            return
        except Unclear as error:
            unclear = error
        there = await files.get(name)
        if there is not None and there.data == data:
            return
    raise unclear


def _name(digest: str) -> str:
    return f"{ATTACHMENTS}/{digest}"


class Documents:
    """What has a name: documents, and the bytes that are in quarantine."""

    def __init__(self, source: Files, target: Files, copied: Copied) -> None:
        self._source, self._target, self._copied = source, target, copied

    async def all(self) -> None:
        """Copy what is not there; what is there and says something else is a conflict."""
        for folder in (QUARANTINE, DOCUMENTS):
            for name in await self._source.names(folder):
                await self._bring(name)

    async def forget(self, session_id: str) -> None:
        """Remove what may hold what was erased of a session: the snapshot that is shared, the quarantine.

        What of the content stands in damaged bytes nobody can say.
        """
        snapshot = f"{SNAPSHOTS}/{session_id}"
        if snapshot in await self._target.names(SNAPSHOTS):
            await self._target.remove(snapshot)
        there = await self._target.names(QUARANTINE)
        ours = await self._source.names(QUARANTINE) if there else []
        for name in there:
            found = _QUARANTINED.fullmatch(name.removeprefix(f"{QUARANTINE}/"))
            if found is not None and found[1] == session_id and name not in ours:
                await self._target.remove(name)

    async def _bring(self, name: str) -> None:
        found = await self._source.get(name)
        if found is None:
            return  # removed this very moment
        there = await self._target.get(name)
        try:
            if there is None:
                await _put(self._target, name, found.data, 0)
                self._copied.documents += name.startswith(DOCUMENTS)
                return
        except Moved:
            there = await self._target.get(name)
        if there is None or there.data != found.data:
            self._copied.conflicts.append(Left(name, "it is there, and says something else"))
