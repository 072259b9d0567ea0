"""Copying attachments: each once, before what refers to it, and not to where it was erased."""

import asyncio
import contextlib
from collections.abc import Iterable
from hashlib import sha256

from journal.attached import attached_to
from journal.backend import Backend, Files, Moved
from journal.copied import Copied, Left
from journal.copying_files import Refused, guarded, put, read
from journal.folder_files import ATTACHMENTS, QUARANTINE
from journal.folder_journals import Damaged
from journal.references import references_in


class Payloads:
    """The attachments of a store on their way. Those of records that are left alone stay where they are.

    checks  whether those that are there are read, too: somebody may have altered one
    """

    def __init__(self, source: Backend, target: Backend, copied: Copied, *, checks: bool) -> None:
        self._source, self._target, self._copied, self._checks = source.files, target.files, copied, checks
        self._target_journals = target.journals
        self._there: set[str] = set()
        self._done: set[str] = set()
        self._under_way: dict[str, asyncio.Lock] = {}
        self._written: list[str] = []
        # What the records refer to that are copied, and those that are left alone.
        self._wanted: set[str] = set()
        self._left: set[str] = set()
        # What records referred to that were erased in the source; and who there refers to what.
        self._erased: set[str] = set()
        self._referring: dict[str, set[str]] = {}
        self._revisions: dict[str, int] = {}
        self._is_looking = asyncio.Lock()

    async def begin(self) -> None:
        """See which are there."""
        self._there = await _digests(self._target)

    async def bring(self, line: bytes) -> None:
        """Copy what a record refers to, if it is not there."""
        self._wanted |= references_in(line)
        for attachment in attached_to(line):
            await self._bring(attachment.digest)

    def leave(self, line: bytes) -> None:
        """Nothing is copied on account of this record: what it refers to may have been erased there."""
        self._left |= references_in(line)

    async def drop(self, session_id: str, lines: list[bytes]) -> None:
        """Remove what these records of a session refer to, and nothing else does: the source erased them."""
        digests = set[str]().union(*map(references_in, lines))
        if not digests:
            return
        self._erased |= digests
        async with self._is_looking:  # all that is there is read once, however many sessions are rewritten
            if not self._referring:
                with contextlib.suppress(Damaged, Refused):  # `rest` tells
                    self._referring = await self._references()
        await self._remove(each for each in digests if self._referring.get(each) == {session_id})

    async def rest(self) -> None:
        """Copy those to which no record refers, too: one may be on its way. Drop what was not yet."""
        if self._erased:
            await self._drop_shared()
        for digest in sorted(await _digests(self._source) - (self._left - self._wanted)):
            await self._bring(digest)

    async def verify(self) -> None:
        """Read back those that were written."""
        for digest in self._written:
            await guarded(_name(digest), self._verify(digest), self._copied)

    async def _verify(self, digest: str) -> None:
        if not await self._is_whole(digest):
            self._tell(digest, "read back, the attachment is not what was copied")

    async def _bring(self, digest: str) -> None:
        if digest in self._done:
            return
        async with self._under_way.setdefault(digest, asyncio.Lock()):
            if digest not in self._done:
                await guarded(_name(digest), self._bring_one(digest), self._copied)
                self._done.add(digest)  # only now: others wait for it
        self._under_way.pop(digest, None)

    async def _bring_one(self, digest: str) -> None:
        is_there = digest in self._there
        if is_there and not (self._checks and not await self._is_whole(digest)):
            return
        found = await read(self._source, _name(digest))
        if found is not None and sha256(found.data).hexdigest() == digest:
            await put(self._target, _name(digest), found.data, None)
            self._copied.attachments += 1
            self._written.append(digest)
            if is_there:
                self._tell(digest, "the attachment there was altered; the source's was put in its place")
        elif is_there:
            self._tell(digest, "the attachment there was altered, and the source has none that is whole")
        elif found is None:
            self._tell(digest, "the attachment is not in the source; what refers to it was copied")
        else:
            self._tell(digest, "the attachment was altered in the source, and was not copied")

    async def _is_whole(self, digest: str) -> bool:
        found = await read(self._target, _name(digest))
        return found is not None and sha256(found.data).hexdigest() == digest

    async def _drop_shared(self) -> None:
        """Two sessions that were rewritten may have shared one."""
        try:
            referring = await self._references()
        except (Damaged, Refused) as error:
            there = await _digests(self._target) - await _digests(self._source)
            for digest in sorted(self._erased & there):
                self._tell(digest, f"erased in the source, it stays there: what else needs it? {error}")
            return
        await self._remove(each for each in self._erased if referring.get(each) == set())

    async def _references(self) -> dict[str, set[str]]:
        """Which sessions there refer to those that are not in the source; "" is what is no session.

        Raises Damaged, Refused where it cannot be told.
        """
        found: dict[str, set[str]] = {
            digest: set() for digest in await _digests(self._target) - await _digests(self._source)
        }
        if not found.keys() & self._erased:
            return {}
        for digest in found:
            there = await read(self._target, _name(digest))
            self._revisions[digest] = there.revision if there else 0
        async for change in self._target_journals.read(None, 0):
            for digest in references_in(change.data) & found.keys():
                found[digest].add(change.session_id)
        for name in await self._target.names(QUARANTINE):
            kept = await read(self._target, name)
            for digest in references_in(kept.data if kept else b"") & found.keys():
                found[digest].add("")
        return found

    async def _remove(self, digests: Iterable[str]) -> None:
        for digest in sorted(digests):
            with contextlib.suppress(Moved):  # somebody put it anew meanwhile
                await self._target.remove(_name(digest), self._revisions[digest])
            self._there.discard(digest)
            self._done.discard(digest)

    def _tell(self, digest: str, reason: str) -> None:
        self._copied.problems.append(Left(_name(digest), reason))


async def _digests(files: Files) -> set[str]:
    return {name.rpartition("/")[2] for name in await files.names(ATTACHMENTS)}


def _name(digest: str) -> str:
    return f"{ATTACHMENTS}/{digest}"
