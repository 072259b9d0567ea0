"""Copying one session: what is there is compared, record by record, and what is not is appended."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from journal.backend import Change, Journals, Moved, Unclear
from journal.chain import (
    check_lines,
    ends_batch,
    event_bytes,
    first_chain,
    header_and_chain,
    is_erased,
)
from journal.copied import Copied, Left
from journal.copying_attachments import Payloads
from journal.rechain import chain_of
from journal.tombstones import end_of

# What is appended at once, unless a batch is longer: a server takes that in one message.
_MOST_BYTES: Final = 960 * 1024
# How often somebody else may be first, or an answer may fail to come, before this is given up.
_MOST_TRIES: Final = 8
_BEGINS: Final = b'{"v":1,"seq":'
_ADOPTED: Final = b'{"type":"session_adopted"'

Forget: TypeAlias = Callable[[str], Awaitable[None]]
"""Removes what is beside a session's journal, by its id."""


class Copying:
    """One session on its way. `take` its changes in their order, then `end`, then maybe `verify`.

    written  how many records were written
    """

    # A store may have a million sessions.
    __slots__ = (
        *("_buried_there", "_chain", "_copied", "_erased", "_forget", "_had", "_is_buried", "_is_over"),
        *("_is_readopted", "_is_unclear", "_known", "_must_rewrite", "_payloads", "_place", "_source"),
        *("_target", "_theirs", "_version", "session_id", "written"),
    )

    def __init__(
        self,
        source: Journals,
        target: Journals,
        session_id: str,
        copied: Copied,
        *,
        payloads: Payloads,
        forget: Forget,
    ) -> None:
        self.session_id = session_id
        self.written = 0
        self._source, self._target, self._copied = source, target, copied
        self._payloads, self._forget = payloads, forget
        # How far the source was read, and where that is in the target.
        self._version, self._chain = 0, first_chain(session_id)
        self._place = 0
        self._theirs: _Lines | None = _Lines(target.read(session_id, 0))
        self._had = False  # whether the target had records
        self._is_over = False  # nothing more is to be done for it
        self._must_rewrite = False
        self._is_readopted = False
        self._is_buried = False  # the source tells of deletions that the target does not know
        self._known: tuple[bytes, ...] = ()  # the tombstones that the source has
        self._buried_there: tuple[bytes, ...] = ()  # those that are there, where there is nothing else
        self._erased: list[bytes] = []  # the records that are there, and were erased in the source
        self._is_unclear = False  # what is found there may be what was written here

    async def take(self, changes: Iterable[Change]) -> None:
        """Copy these."""
        lines: list[bytes] = []
        for change in changes:
            if self._is_over:
                self._leave(change.data.split(b"\n"))
                continue
            if change.kind == "delete":
                await self._bury(change.data)
                continue
            if change.kind == "replace" and self._version:
                await self._compare_anew()
                lines = []
            if change.tombstones:
                await self._bury(change.tombstones)
            found = change.data.split(b"\n")[:-1]
            chains, _, damage = check_lines(found, self._version + 1, self._chain)
            reason = "its batch is not whole" if damage is None else damage.reason
            if damage is not None or (found and not ends_batch(found[-1])):
                await self._append(lines)
                where = f"session {self.session_id!r}, record {self._version + len(chains) + 1}"
                self.stop(f"{where}: {reason}; what stands before it was copied", is_problem=True)
                return
            self._version, self._chain = self._version + len(found), (chains or [self._chain])[-1]
            lines += found
        await self._append(lines)
        if self._theirs is not None and not self._is_over and await self._theirs.peek() is None:
            await self._have_seen_all(self._theirs)

    async def end(self) -> None:
        """Bring it to an end, when all of the source was taken."""
        theirs, has_more = self._theirs, False
        try:
            if theirs is not None and not self._is_over:
                has_more = await theirs.peek() is not None
                self._place = theirs.place
            if not self._is_over:
                await self._conclude(has_more)
        finally:
            self._is_over, self._theirs = True, None
            if theirs is not None:
                await theirs.close()

    async def _conclude(self, has_more: bool) -> None:
        copied = self._copied
        if not self._version:
            if has_more:
                self.stop("it was deleted in the source, and is still there; delete it there, too")
        elif self._must_rewrite and has_more:
            self.stop("content was erased in the source, and there it went on; erase it there, too")
        elif self._must_rewrite:
            await self._rewrite()
        elif self.written and not self._had:
            copied.created += 1
        elif self.written:
            copied.continued += 1
        elif has_more:
            copied.ahead += 1
        else:
            copied.same += 1

    async def verify(self) -> None:
        """Read back what was written: each hash, and whether the head is the source's."""
        version, chain = 0, first_chain(self.session_id)
        head = None
        async for change in self._target.read(self.session_id, 0):
            if change.kind == "delete":
                continue
            lines = change.data.split(b"\n")[:-1]
            chains, _, damage = check_lines(lines, version + 1, chain)
            if damage is not None:
                break
            if version < self._version <= version + len(lines):
                head = chains[self._version - version - 1]
            version, chain = version + len(lines), (chains or [chain])[-1]
        if head != self._chain:
            reason = f"read back, it is not what was copied up to version {self._version}; verify it there"
            self._copied.problems.append(Left(self.session_id, reason))

    # What is there

    async def _compared(self, theirs: "_Lines", lines: list[bytes]) -> list[bytes]:
        """What of these lines is not there. What is there and is something else ends it."""
        for index, ours in enumerate(lines):
            their = await theirs.next()
            if their is None:
                await self._have_seen_all(theirs)
                return lines[index:]
            if self._is_unclear and their == ours:
                self._wrote(1)
                continue
            self._had = self._had or not self.written
            is_same_place = header_and_chain(their) == header_and_chain(ours)
            if their == ours:
                await self._payloads.bring(ours)
            elif is_same_place and is_erased(ours):
                self._must_rewrite = True
                self._erased.append(their)
            elif not is_same_place and _is_adoption(ours) and event_bytes(their) == event_bytes(ours):
                self._is_readopted = True  # another program's file, taken in here and there
            else:
                self._stop_at(ours, their, is_same_place=is_same_place)
                self._leave(lines[index:])
                return []
        return []

    def _stop_at(self, ours: bytes, their: bytes, *, is_same_place: bool) -> None:
        """Leave it alone: these are not the same record."""
        if not is_same_place:
            also = "; it was deleted in the source since" if self._is_buried else ""
            self.stop(f"it is there with another history, from {_named(ours)} on{also}")
        elif is_erased(their):
            self.stop(f"the content of a record was erased there, and not in the source: {_named(ours)}")
        else:
            reason = f"{_named(ours)} was altered there: its content does not fit its hash. Verify it there"
            self.stop(reason, is_problem=True)

    def _leave(self, lines: Iterable[bytes]) -> None:
        """These are not copied."""
        for line in lines:
            self._payloads.leave(line)

    async def _is_deleted_there(self) -> bool:
        """Whether a session was deleted there that may be this one, which the source has still."""
        if self._had or self.written:
            return True  # this very moment
        graves = {end_of(each) for each in self._buried_there} - {end_of(each) for each in self._known}
        self._buried_there = ()
        if not graves:
            return False
        version = 0
        async for change in self._source.read(self.session_id, 0):
            for line in change.data.split(b"\n")[:-1] if change.kind != "delete" else ():
                version += 1
                if (version, chain_of(line).decode()) in graves:
                    return True
        # What went on there before it was deleted nobody can compare any more; what was deleted here as
        # well, and begun anew, is another session.
        return not self._known and any(each > version for each, _ in graves)

    async def _have_seen_all(self, theirs: "_Lines") -> None:
        """Nothing more is there: what comes now is appended."""
        self._place, self._theirs = theirs.place, None
        if not theirs.has_lines:
            self._buried_there = tuple(theirs.tombstones)
        await theirs.close()

    async def _compare_anew(self) -> None:
        """The source's journal was replaced meanwhile: compare from the beginning."""
        self._version, self._chain = 0, first_chain(self.session_id)
        await self._look_again(0)

    async def _look_again(self, place: int) -> None:
        """See what is there behind a place by now."""
        if self._theirs is not None:
            await self._theirs.close()
        self._theirs = _Lines(self._target.read(self.session_id, place))
        self._theirs.place = place

    # What is written

    async def _append(self, lines: list[bytes]) -> None:
        """Append what of these is not there."""
        tries = 0
        while lines and not self._is_over:
            if self._theirs is not None:
                lines = await self._compared(self._theirs, lines)
                continue
            self._must_rewrite = self._must_rewrite or self._is_readopted
            if self._must_rewrite:
                return
            if self._buried_there and await self._is_deleted_there():
                self.stop(
                    "it was deleted there, and not in the source; delete it in the source, too, or bring it "
                    "back with `journal import`"
                )
                self._leave(lines)
                return
            some, rest = _some(lines)
            for line in some:
                await self._payloads.bring(line)
            try:
                self._place = await self._target.append(self.session_id, _ended(some), self._place)
            except (Moved, Unclear) as error:
                self._is_unclear = self._is_unclear or isinstance(error, Unclear)
                tries += 1
                await self._pause(tries)
                await self._look_again(self._place)
                continue
            self._wrote(len(some))
            self._is_unclear = False
            lines = rest

    async def _bury(self, tombstones: bytes) -> None:
        """Note deletions, before anything else of the session comes."""
        if self._version:
            self.stop("it was deleted in the source meanwhile")
            return
        ours = tombstones.splitlines(keepends=True)
        self._known = (*self._known, *ours)
        tries = 0
        while (theirs := self._theirs) is not None:
            is_there = await theirs.peek() is not None
            missing = [each for each in ours if each not in theirs.tombstones]
            if not missing:
                return
            if is_there:
                self._is_buried = True
                return
            try:
                data = b"".join([*theirs.tombstones, *missing])
                theirs.place = await self._target.delete(self.session_id, data, theirs.place)
                self._copied.tombstones += 1
                return
            except (Moved, Unclear):
                tries += 1
                await self._pause(tries)
                await self._look_again(0)

    async def _rewrite(self) -> None:
        """Put the source's journal, as it is now, in the place of the one that is there."""
        tries = 0
        while True:
            lines = [
                line
                async for change in self._source.read(self.session_id, 0)
                if change.kind != "delete"
                for line in change.data.splitlines()
            ]
            chains, _, damage = check_lines(lines, 1, first_chain(self.session_id))
            # Another session may have begun under this id: it must not take the place of what is there.
            if damage is not None or chains[self._version - 1 : self._version] != [self._chain]:
                self.stop("it changed in the source meanwhile; copy again")
                return
            # First: after a crash, the journal tells that it is not done.
            await self._forget(self.session_id)
            await self._payloads.drop(self.session_id, self._erased)
            for line in lines:
                await self._payloads.bring(line)
            try:
                self._place = await self._target.replace(self.session_id, _ended(lines), self._place)
            except Moved:
                if not await self._is_there(lines):
                    self.stop("it changed there meanwhile; copy again")
                    return
            except Unclear:
                tries += 1
                await self._pause(tries)
                continue
            self._version, self._chain = len(lines), chains[-1]
            self._wrote(len(lines))
            self._copied.rewritten += 1
            return

    async def _is_there(self, lines: list[bytes]) -> bool:
        """Whether the target has exactly these."""
        theirs = _Lines(self._target.read(self.session_id, 0))
        found = [line == await theirs.next() for line in lines]
        return all(found) and await theirs.peek() is None

    def _wrote(self, records: int) -> None:
        self.written += records
        self._copied.records += records

    async def _pause(self, tries: int) -> None:
        if tries >= _MOST_TRIES:
            raise Unclear(f"session {self.session_id!r} is written by others, or its backend does not answer")
        await asyncio.sleep(0.01 * 2**tries)

    def stop(self, reason: str, *, is_problem: bool = False) -> None:
        """Leave it alone from here on, for this reason: what is there stays."""
        self._is_over = True
        left = self._copied.problems if is_problem else self._copied.conflicts
        left.append(Left(self.session_id, reason))


class _Lines:
    """The records of a session, read one by one.

    place       behind the last change that was read
    tombstones  what was read of the session's deletions
    has_lines   whether any record was read behind that
    """

    __slots__ = ("_changes", "_lines", "has_lines", "place", "tombstones")

    def __init__(self, changes: AsyncIterator[Change]) -> None:
        self._changes = changes
        self._lines: deque[bytes] = deque()
        self.place = 0
        self.tombstones: list[bytes] = []
        self.has_lines = False

    async def peek(self) -> bytes | None:
        """The next one, without its newline; None at the end."""
        while not self._lines:
            change = await anext(self._changes, None)
            if change is None:
                return None
            self.place = change.place
            if change.kind == "delete":
                self.tombstones, self.has_lines = change.data.splitlines(keepends=True), False
            else:
                self.has_lines = True
                self.tombstones += change.tombstones.splitlines(keepends=True)
                self._lines.extend(change.data.split(b"\n")[:-1])
        return self._lines[0]

    async def next(self) -> bytes | None:
        """The next one; it is not given out again."""
        line = await self.peek()
        if line is not None:
            self._lines.popleft()
        return line

    async def close(self) -> None:
        """Read no more."""
        close = getattr(self._changes, "aclose", None)
        if close is not None:
            await close()


def _some(lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """As many whole batches as are appended at once, one at least; and the rest."""
    size = end = 0
    for index, line in enumerate(lines):
        size += len(line) + 1
        if end and size > _MOST_BYTES:
            break
        if ends_batch(line):
            end = index + 1
    return lines[:end], lines[end:]


def _ended(lines: list[bytes]) -> list[bytes]:
    return [line + b"\n" for line in lines]


def _named(line: bytes) -> str:
    return f"record {int(line[len(_BEGINS) : line.index(b',', len(_BEGINS))])}"


def _is_adoption(line: bytes) -> bool:
    return line.startswith(_BEGINS + b"1,") and event_bytes(line).startswith(_ADOPTED)
