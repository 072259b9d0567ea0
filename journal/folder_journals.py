"""The journals of a store's folder, as changes. Under the engine's locks: others may use the store meanwhile.

What is written is the engine's from then on, so it must be what the engine writes: whole records that go on
from those that are there. Anything else is refused.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from journal import disk as disks
from journal.adoption import adopted
from journal.backend import Change, Heard, Moved, Unreachable
from journal.chain import check_lines, ends_batch, outline
from journal.disk import Disk
from journal.doctor import session_ids
from journal.errors import CorruptRecordError, CorruptSnapshotError, DurabilityError, JournalError
from journal.foreign import is_foreign
from journal.graves import Graves
from journal.layout import Layout
from journal.log import Log
from journal.marks import Marks
from journal.reader import Position, TornTail, beginning
from journal.rechain import chain_of
from journal.search_index import forget
from journal.snapshot import read_marker, read_snapshot
from journal.trail import end_of, looks_of

# What a thread reads before it hands it over: a hop costs as much as reading some kilobytes.
_HAND_OVER_BYTES: Final = 1024 * 1024
_POLL_SECONDS: Final = 0.05
# A place is a generation, which a deletion and a replacement begin; a byte of the file; and a mark that tells
# the record before it, and the file, from any other.
_GENERATION_BITS: Final = 112
_OFFSET_BITS: Final = 64
_OFFSETS: Final = (1 << (_GENERATION_BITS - _OFFSET_BITS)) - 1
_MARKS: Final = (1 << _OFFSET_BITS) - 1


# By folder and session: the generations that no tombstone tells of.
_begun: Final[dict[str, dict[str, int]]] = {}


class Damage(NamedTuple):
    """What could not be read, in words; None for what is no session's."""

    session_id: str | None
    reason: str


class Damaged(Unreachable):
    """Some of what was asked for could not be read. All that can be was given out before this was raised."""

    def __init__(self, damages: list[Damage]) -> None:
        super().__init__("; ".join(each.reason for each in damages))
        self.damages = damages


class FolderJournals:
    """The journals below a folder. Raises what the engine raises, where the disk refuses.

    A session's changes are in order; between sessions a folder knows none: of all, those of one session come
    after those of another one, and only all there are can be asked for. Places are this process's, not to be
    kept. A session of another program, which has no journal yet, is given out as the record with which one
    would begin.
    """

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk, self._layout = disk, layout
        self._marks = Marks(disk, layout.internal)
        self._graves = Graves(disk, layout.tombstones)
        self._begun = _begun.setdefault(layout.base, {})
        self._adopted: dict[str, tuple[object, bytes]] = {}  # by session: which file, and its record

    def close(self) -> None:
        """Close what is open."""
        self._marks.close()

    # The seam

    async def head(self, session_id: str) -> int:
        """See Journals.head."""
        return await asyncio.to_thread(self._head, session_id)

    async def read(self, session_id: str | None, after: int) -> AsyncIterator[Change]:
        """See Journals.read. Raises ValueError for all sessions' changes behind a place. Raises Damaged."""
        if session_id is None and after:
            raise ValueError("the sessions of a folder have no common order: read all of it, after 0")
        changes = self._all() if session_id is None else self._of(session_id, after)
        async for change in _handed_over(changes):
            yield change

    async def append(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.append."""
        return await asyncio.to_thread(self._append, session_id, b"".join(lines), after)

    async def replace(self, session_id: str, lines: Sequence[bytes], after: int) -> int:
        """See Journals.replace. What is derived from what was there goes, too."""
        return await asyncio.to_thread(self._replace, session_id, b"".join(lines), after)

    async def delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        """See Journals.delete."""
        return await asyncio.to_thread(self._delete, session_id, tombstones, after)

    async def listen(self, session_id: str | None, heard: Heard) -> "_Listening":
        """See Journals.listen. It looks at the files now and then."""
        listening = _Listening(self, session_id, heard)
        await asyncio.to_thread(listening.news)
        listening.begin()
        return listening

    # Reading

    def _all(self) -> Iterator[Change]:
        damages: list[Damage] = []
        ids = session_ids(self._disk, self._layout)
        for session_id in dict.fromkeys((*self._graves.session_ids(), *ids)):
            try:
                yield from self._of(session_id, 0)
            except Damaged as damaged:
                damages += damaged.damages
            except JournalError as error:
                damages.append(Damage(session_id, str(error)))
            else:
                damages += self._beside(session_id)
        for number in self._graves.unreadable:
            where = f"{self._layout.tombstones}, line {number}"
            damages.append(Damage(None, f"{where}: it is no tombstone; it was passed over"))
        if damages:
            raise Damaged(damages)

    def _beside(self, session_id: str) -> Iterator[Damage]:
        """What another program wrote beside a journal, which nothing of the session's changes tells."""
        path = self._layout.snapshot(session_id)
        try:
            if self._disk.status(path) is None or read_marker(self._disk, path) is not None:
                return
            with self._reading(session_id) as log:
                snapshot = read_snapshot(self._disk, path)
                if snapshot is None or not is_foreign(self._disk, log, snapshot):
                    return
        except (Damaged, OSError, CorruptSnapshotError):
            return  # what does not parse, a load ignores
        reason = f"{path}: rewritten by another program, and not copied; `journal repair` takes it in"
        yield Damage(session_id, reason)

    def _of(self, session_id: str, after: int) -> Iterator[Change]:
        """A session's changes behind a place. Raises Damaged."""
        with self._reading(session_id) as log:
            if (start := self._standing(log, after)) is not None:
                yield from self._batches(log, start, after, "append")
                return
            base = self._base(session_id)
            # A place of this generation that leads nowhere: what was there is not there any more.
            is_void = after > base
            if is_void:
                self._begun[session_id] = (after >> _GENERATION_BITS) + 1
                base = self._base(session_id)
            foreign = None if log.size() else self._foreign(session_id)
            is_there = log.size() > 0 or foreign is not None
            graves = self._graves.of(session_id)
            was_deleted = after < base and (not is_there if is_void else bool(graves))
            if was_deleted:
                yield Change(session_id, base, after, "delete", b"".join(graves))
            # Whoever has read something must let it go.
            goes_on = was_deleted or after in (0, base)
            kind: Literal["append", "replace"] = "append" if goes_on else "replace"
            if foreign is not None:
                yield Change(session_id, base | foreign[0], base, kind, foreign[1])
            else:
                yield from self._batches(log, beginning(session_id), base, kind)

    def _batches(
        self, log: Log, start: Position, before: int, kind: Literal["append", "replace"]
    ) -> Iterator[Change]:
        """The batches behind a position, each a change; the first of them is of this kind."""
        if log.fd is None:
            return
        base, inode = self._base(log.session_id), self._disk.status_of(log.fd).st_ino
        log.start_at(start)
        batch: list[bytes] = []
        for offset, line in log.read_new():
            batch.append(line)
            if not ends_batch(line):
                continue
            place = base | _place(offset + len(line) + 1, inode, chain_of(line))
            batch.append(b"")
            yield Change(log.session_id, place, before, kind, b"\n".join(batch))
            before, kind, batch = place, "append", []
        if isinstance(log.rest, CorruptRecordError):
            raise Damaged([Damage(log.session_id, str(log.rest))])

    def _head(self, session_id: str) -> int:
        with self._reading(session_id) as log:
            if log.fd is None or not log.size():
                return self._empty_head(session_id)
            end = end_of(log)
            if end is None:
                log.start_at(beginning(session_id))
                for _ in log.read_new():
                    pass
                if isinstance(log.rest, CorruptRecordError):
                    raise Damaged([Damage(session_id, str(log.rest))])
                end = log.position
            if not end.offset:
                return self._empty_head(session_id)
            inode = self._disk.status_of(log.fd).st_ino
            return self._base(session_id) | _place(end.offset, inode, end.chain)

    def _empty_head(self, session_id: str) -> int:
        """The place of a session that has no journal."""
        found = self._foreign(session_id)
        return self._base(session_id) | (0 if found is None else found[0])

    def _standing(self, log: Log, place: int) -> Position | None:
        """The position that a place names in this file; None where it is of another one, or before all."""
        offset = place >> _OFFSET_BITS & _OFFSETS
        if log.fd is None or not offset or offset > log.size():
            return None
        line = log._last_line_before(offset)
        found = outline(line[:-1]) if line.endswith(b"\n") else None
        if found is None:
            return None
        chain = found.chain.encode()
        is_same = (place ^ _place(offset, self._disk.status_of(log.fd).st_ino, chain)) & _MARKS == 0
        return Position(found.seq, chain, offset) if is_same else None

    def _base(self, session_id: str) -> int:
        """The place before the first record there is."""
        generation = max(len(self._graves.of(session_id)), self._begun.get(session_id, 0))
        return generation << _GENERATION_BITS

    def _foreign(self, session_id: str) -> tuple[int, bytes] | None:
        """The mark and the record of a session that another program wrote; None where there is none.

        Asked for where there is no journal. Raises CorruptSnapshotError.
        """
        path = self._layout.snapshot(session_id)
        status = self._disk.status(path)
        snapshot = None if status is None else read_snapshot(self._disk, path)
        if status is None or snapshot is None:
            return None
        if snapshot.session.id != session_id:
            raise CorruptSnapshotError(path, f"it holds the session {snapshot.session.id!r}")
        looks = looks_of(status)
        known, record = self._adopted.get(session_id, (None, b""))
        if known != looks:
            record = adopted(snapshot)
            self._adopted[session_id] = looks, record
        return _mark(looks.inode, chain_of(record.splitlines()[-1])), record

    @contextlib.contextmanager
    def _reading(self, session_id: str) -> Iterator[Log]:
        """A session's log. Raises Damaged for whatever the disk does not give of its files."""
        log = self._log(session_id)
        try:
            with log.using:
                log.look()
            yield log
        except Damaged:
            raise
        except JournalError as error:
            raise Damaged([Damage(session_id, str(error))]) from error
        except OSError as error:
            reason = f"{error.filename or log.path} could not be read: {error.strerror}"
            raise Damaged([Damage(session_id, reason)]) from error
        finally:
            log.close()

    # Writing

    @contextlib.contextmanager
    def _writing(self, session_id: str, after: int) -> Iterator[Log]:
        """The session's lock, and its log where this place is its head; else Moved.

        A torn tail goes to the quarantine: nobody acknowledged it.
        """
        log = self._log(session_id)
        try:
            with log.exclusive:
                start = self._standing(log, after)
                log.start_at(start or beginning(session_id))
                is_moved = any(True for _ in log.read_new())
                if is_moved or (start is None and after != self._empty_head(session_id)):
                    raise Moved
                if isinstance(log.rest, CorruptRecordError):
                    raise Damaged([Damage(session_id, str(log.rest))])
                if isinstance(log.rest, TornTail):
                    log.cut(log.rest.offset, self._layout.quarantine)
                self._marks.mark(session_id)
                yield log
        finally:
            log.close()

    def _append(self, session_id: str, data: bytes, after: int) -> int:
        with self._writing(session_id, after) as log:
            if not log.version and (found := self._foreign(session_id)) is not None:
                data = found[1] + data
            chain = _check(session_id, data, log.version, log.chain)
            assert log.fd is not None
            end = log.offset + len(data)
            _put(log, data)
            inode = self._disk.status_of(log.fd).st_ino
            return self._base(session_id) | _place(end, inode, chain)

    def _replace(self, session_id: str, data: bytes, after: int) -> int:
        with self._writing(session_id, after) as log:
            start = beginning(session_id)
            chain = _check(session_id, data, start.version, start.chain)
            snapshot = self._layout.snapshot(session_id)
            # Another program's file is no copy of the journal: it stays.
            if log.version and self._disk.status(snapshot) and read_marker(self._disk, snapshot) is not None:
                disks.remove_file(self._disk, snapshot, durable=True)
            log.replace([data], durable=True)
            forget(self._disk, self._layout.search, [session_id])
            self._begun[session_id] = (after >> _GENERATION_BITS) + 1
            status = self._disk.status(log.path)
            assert status is not None, "nobody else may remove it under the lock"
            return self._base(session_id) | _place(len(data), status.st_ino, chain)

    def _delete(self, session_id: str, tombstones: bytes, after: int) -> int:
        with self._writing(session_id, after) as log:
            self._graves.add(session_id, tombstones)
            # The snapshot first: alone it would be a session that another program wrote.
            disks.remove_file(self._disk, self._layout.snapshot(session_id), durable=True)
            log.remove()
            self._begun[session_id] = (after >> _GENERATION_BITS) + 1
            return self._base(session_id)

    def _log(self, session_id: str) -> Log:
        return Log(self._disk, self._layout.journal(session_id), session_id, durable=True)


def _place(offset: int, inode: int, chain: bytes) -> int:
    """The place behind a record, but for the generation."""
    return offset << _OFFSET_BITS | _mark(inode, chain)


def _mark(inode: int, chain: bytes) -> int:
    return int.from_bytes(sha256(b"%d %b" % (inode, chain)).digest()[:8])


def _check(session_id: str, data: bytes, version: int, chain: bytes) -> bytes:
    """The chain behind these lines, if they are whole batches that go on from there. Raises Unreachable."""
    found = data.split(b"\n")
    rest = found.pop()
    chains, _, damage = check_lines(found, version + 1, chain)
    if damage is None and (rest or not found or not ends_batch(found[-1])):
        reason = "the last batch is not whole"
    elif damage is not None:
        reason = f"record {version + len(chains) + 1}: {damage.reason}"
    else:
        return chains[-1]
    raise Unreachable(
        f"session {session_id!r}: what is to be written does not go on from version {version} of its journal "
        f"({reason}); nothing was written. Verify it where it is from"
    )


def _put(log: Log, data: bytes) -> None:
    """Write lines to the end of a journal, all or none, on disk when this returns. Raises DurabilityError."""
    assert log.fd is not None
    offset = log.offset
    if offset:
        log.sync(anyway=True)  # behind what may be lost nothing may stand
    try:
        disks.write_whole(log.disk, log.fd, data)
    except OSError as error:
        reason = f"writing failed: {error.strerror}"
        try:
            log.disk.truncate(log.fd, offset)
        except OSError:
            raise DurabilityError(log.path, reason, outcome_unknown=True) from error
        raise DurabilityError(log.path, reason, outcome_unknown=False) from error
    try:
        log.sync(anyway=True)
    except DurabilityError:
        with contextlib.suppress(OSError):  # what may not be on disk must not be read as if it were
            log.disk.truncate(log.fd, offset)
        raise


async def _handed_over(changes: Iterator[Change]) -> AsyncIterator[Change]:
    """What is read in threads, some of it at a time."""

    def some() -> tuple[list[Change], Exception | None]:
        found: list[Change] = []
        size = 0
        try:
            for change in changes:
                found.append(change)
                size += len(change.data)
                if size >= _HAND_OVER_BYTES:
                    break
        except Exception as error:
            return found, error
        return found, None

    try:
        while True:
            found, error = await asyncio.to_thread(some)
            for change in found:
                yield change
            if error is not None:
                raise error
            if not found:
                return
    finally:
        if isinstance(changes, Generator):
            changes.close()


class _Listening:
    """Looks at the files that changed since the last look, and tells what came."""

    def __init__(self, journals: FolderJournals, session_id: str | None, heard: Heard) -> None:
        self._journals, self._session_id, self._heard = journals, session_id, heard
        self._places: dict[str, int] = {}
        self._looks: dict[str, object] = {}
        self._is_begun = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """From here on, tell."""
        self._is_begun = True
        self._task = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for change in await asyncio.to_thread(self.news):
                self._heard(change)

    def news(self) -> list[Change]:
        """What came since the last look; the first one tells nothing."""
        journals, found = self._journals, []
        if self._session_id is None:
            ids = {*session_ids(journals._disk, journals._layout), *self._places}
        else:
            ids = {self._session_id}
        for session_id in sorted(ids):
            paths = journals._layout.journal(session_id), journals._layout.snapshot(session_id)
            looks = tuple(
                status and looks_of(status) for path in paths for status in [journals._disk.status(path)]
            )
            if looks == self._looks.get(session_id):
                continue
            self._looks[session_id] = looks
            # What cannot be read is for whoever reads to be told.
            with contextlib.suppress(Unreachable, JournalError):
                if not self._is_begun:
                    self._places[session_id] = journals._head(session_id)
                    continue
                for change in journals._of(session_id, self._places.get(session_id, 0)):
                    self._places[session_id] = change.place
                    found.append(change)
        return found
