"""Indexing: bringing the search index up to date with the journals.

Journals are read while nobody waits for the index; what was read of them is added in one transaction a
chunk, and only if the file that was read is still the session's. So whoever takes content out of a journal,
and then makes the index forget it, can rely on that.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from journal import disk as disks
from journal import search_index as index
from journal.catalog import Catalog, Known, file_identity
from journal.chain import ends_batch
from journal.derived import Transaction
from journal.disk import LOCK_EX, Disk
from journal.errors import CorruptRecordError, CorruptSnapshotError, InvalidNameError, JournalError
from journal.history import placed
from journal.layout import Layout
from journal.log import Log
from journal.lookup import adopted, record_at
from journal.reader import Position, beginning
from journal.search_index import Head, Row
from journal.snapshot import read_snapshot
from journal.words import spaced
from projections.events import Event, Record
from projections.searchable import texts_of

# Called with the session at work, and how many bytes of how many are read.
Progress = Callable[[str, int, int], object]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# What a session's own file is to blame for; a disk that refuses may think better of it.
_LASTING: Final = (CorruptRecordError, CorruptSnapshotError, InvalidNameError)


def microseconds(moment: datetime) -> int:
    """A moment as the index keeps it."""
    return (moment - _EPOCH) // _MICROSECOND


def text_for(event: Event) -> str:
    """All that can be searched for in an event, as one text."""
    return "\n".join(text for _, text in texts_of(event))


class Indexer:
    """Brings an open index up to date, once."""

    def __init__(
        self,
        disk: Disk,
        layout: Layout,
        catalog: Catalog,
        database: sqlite3.Connection,
        progress: Progress | None,
    ) -> None:
        self._disk, self._layout, self._catalog, self._database = disk, layout, catalog, database
        self._progress = progress or (lambda name, done, total: None)
        self._done = self._total = 0
        self._stale: dict[str, Known] = {}
        self._heads: dict[str, tuple[Head | None, Head]] = {}  # of this chunk: what they were, and are
        self._rows: list[Row] = []
        self._held = 0
        self._again: set[str] = set()  # what was not added: it is another file by now

    def run(self, *, is_shared: bool) -> None:
        """Index what is new. Costs two questions where nothing is."""
        if self._is_behind():
            with self._alone() if is_shared else contextlib.nullcontext():
                self._catch_up()

    def _is_behind(self) -> bool:
        changes = self._catalog.changes(index.seen(self._database))
        return bool(
            changes.sessions
            or index.count(self._database) != changes.total
            or index.lost_parts(self._database)
            or index.unsettled(self._database)
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process indexes meanwhile: it would do the same work."""
        path = os.path.join(self._layout.internal, "search.lock")
        fd = self._disk.open(path, write=True, create=True)
        try:
            self._disk.flock(fd, LOCK_EX)
            yield
        finally:
            disks.close(self._disk, fd, path)

    def _catch_up(self) -> None:
        changes = self._catalog.changes(index.seen(self._database))
        self._stale = {each.id: each for each in changes.sessions}
        for session_id in index.unsettled(self._database):
            self._read_again(session_id)
        new = sum(index.head_of(self._database, each) is None for each in self._stale)
        self._drop(self._gone() if index.count(self._database) + new != changes.total else set())
        while self._stale:
            self._drop({each for each in self._stale if self._is_void(self._stale[each])})
            self._total = self._done + sum(map(self._size_of, self._stale))
            for known in self._stale.values():
                self._index(known)
                if self._is_full():
                    self._flush()
            self._flush()
            self._stale = {each: self._stale[each] for each in self._again}
            self._again.clear()
        index.see(self._database, changes.until)

    def _read_again(self, session_id: str) -> None:
        """Take a session for changed, though the catalog does not say so."""
        head = index.head_of(self._database, session_id)
        self._stale.setdefault(session_id, Known(session_id, head and head.user_id, None))

    # What is there no more

    def _gone(self) -> set[str]:
        """The sessions that it knows and that have no file. What it should know and does not is stale."""
        there = {each.id: each for each in self._catalog.changes((0, 0)).sessions}
        known = index.session_ids(self._database)
        self._stale |= {each: there[each] for each in there.keys() - known}
        # One that came to be just now is not in that list, and has a file.
        return {each for each in known - there.keys() if self._file_of(each) is None}

    def _is_void(self, known: Known) -> bool:
        """Whether what is indexed of a session is no longer what its file begins with."""
        head = index.head_of(self._database, known.id)
        if head is None or self._is_current(head, known):
            return False
        if head.problem is not None:
            return True  # more may be indexed than was whole
        try:
            with contextlib.closing(self._log(known.id)) as log:
                log.look()
                # A record without its content is shorter: where the same chain stands, the same was said.
                return not log.holds(head.position)
        except (JournalError, OSError):
            return True

    def _is_current(self, head: Head, known: Known) -> bool:
        """Whether nothing was written since it was read.

        The catalog's word for the file is no help: it may be older than what the catalog has seen of it.
        """
        is_well = head.problem is None and known.problem is None
        return is_well and head.file == self._identity(known.id) != ""

    def _drop(self, session_ids: set[str]) -> None:
        """Take sessions out, and refill what held them, too."""
        while session_ids or index.lost_parts(self._database):
            with Transaction(self._database):
                index.drop(self._database, session_ids)
            session_ids = set()
            for part in index.lost_parts(self._database):
                session_ids |= self._refill(part)
            for each in session_ids:
                self._read_again(each)
            index.wipe_log(self._database)

    def _refill(self, part: int) -> set[str]:
        """Make a lost part anew; return the sessions of which not all can be found any more."""
        texts: dict[int, str] = {}
        unfit: set[str] = set()
        for kept in index.kept_in(self._database, part):
            record = record_at(self._disk, self._layout, *kept[1:])
            if record is None:
                unfit.add(kept.session_id)
            else:
                texts[kept.row] = spaced(text_for(record.event))
        if not unfit:
            with Transaction(self._database):
                index.refill(self._database, part, texts)
        return unfit

    # What is new

    def _index(self, known: Known) -> None:
        """Read what is new of a session into the chunk; write chunks out as they fill."""
        before = index.head_of(self._database, known.id)
        if before is not None and self._is_current(before, known):
            return
        self._progress(known.id, self._done, self._total)
        file = self._identity(known.id)
        # It is not read yet: whoever stops here goes on the next time.
        head = Head(known.id, known.user_id, "", 0, Position(0, b"", 0), known.problem)
        try:
            with contextlib.closing(self._log(known.id)) as log:
                log.look()
                if log.size():
                    self._index_log(log, before, head)
                else:
                    self._index_foreign(before, head)
            self._settle(known.id, file, known.problem)
        except (JournalError, OSError) as error:
            self._heads.setdefault(known.id, (before, head))
            file = (file or "none") if isinstance(error, _LASTING) else ""
            self._settle(known.id, file, str(error))

    def _settle(self, session_id: str, file: str, problem: str | None) -> None:
        """Note what came of a session; nothing of one that has no file, or another one by now."""
        if session_id in self._heads:
            before, head = self._heads[session_id]
            self._heads[session_id] = before, head._replace(file=file, problem=problem)

    def _index_log(self, log: Log, before: Head | None, head: Head) -> None:
        position = before.position if before is not None else beginning(head.id)
        log.start_at(position)
        head = head._replace(inode=_inode_of(self._disk, log), position=position)
        self._heads[head.id] = before, head
        for offset, line, record in placed(log):
            self._hold(record, head.id, offset, len(line))
            if ends_batch(line):
                end = offset + len(line) + 1
                self._done += end - head.position.offset
                head = head._replace(position=Position(record.seq, record.chain.encode(), end))
                self._heads[head.id] = self._heads[head.id][0], head
                if self._is_full():
                    self._flush()
                    self._progress(head.id, self._done, self._total)
                    if head.id in self._again:
                        return
                    self._heads[head.id] = head, head
        if isinstance(log.rest, CorruptRecordError):
            raise log.rest

    def _index_foreign(self, before: Head | None, head: Head) -> None:
        """Another program's file is as good as a record, as long as there is none."""
        path = self._layout.snapshot(head.id)
        status = self._disk.status(path)
        snapshot = read_snapshot(self._disk, path) if status and head.problem is None else None
        if status is None:
            return  # deleted this very moment
        if snapshot is not None:
            self._hold(adopted(snapshot), head.id, 0, snapshot.size_bytes)
        self._heads[head.id] = before, head._replace(inode=status.st_ino)

    def _hold(self, record: Record, session_id: str, offset: int, size_bytes: int) -> None:
        if text := text_for(record.event):
            text = spaced(text)
            self._rows.append(Row(session_id, record.seq, offset, size_bytes, microseconds(record.at), text))
            self._held += len(text)

    def _is_full(self) -> bool:
        return self._held >= index.PART_BYTES or len(self._rows) >= index.PART_ROWS

    def _flush(self) -> None:
        """Add the chunk, but for the sessions that others have changed behind its back."""
        with Transaction(self._database):
            moved = {each for each, (before, head) in self._heads.items() if self._has_moved(before, head)}
            heads = [head for each, (_, head) in self._heads.items() if each not in moved]
            index.add(self._database, heads, [row for row in self._rows if row.session_id not in moved])
        self._again |= moved
        self._heads, self._rows, self._held = {}, [], 0

    def _has_moved(self, before: Head | None, head: Head) -> bool:
        """Whether the index forgot the session meanwhile, or its file is another one."""
        now = index.head_of(self._database, head.id)
        if (now and (now.position, now.inode)) != (before and (before.position, before.inode)):
            return True
        status = self._file_of(head.id)
        return head.inode != 0 and (status is None or status.st_ino != head.inode)

    # The files

    def _log(self, session_id: str) -> Log:
        return Log(self._disk, self._layout.journal(session_id), session_id, durable=False)

    def _file_of(self, session_id: str) -> os.stat_result | None:
        """The status of the file that a session is read from."""
        try:
            status = self._disk.status(self._layout.journal(session_id))
            if status is None or not status.st_size:
                status = self._disk.status(self._layout.snapshot(session_id))
        except (InvalidNameError, OSError):  # no id at all, or more than a name may be
            return None
        return status

    def _identity(self, session_id: str) -> str:
        status = self._file_of(session_id)
        return "" if status is None else file_identity(status)

    def _size_of(self, session_id: str) -> int:
        """How much there is to read of a session."""
        status, head = self._file_of(session_id), index.head_of(self._database, session_id)
        size = 0 if status is None else status.st_size
        return max(size - (0 if head is None else head.position.offset), 0)


def _inode_of(disk: Disk, log: Log) -> int:
    return 0 if log.fd is None else disk.status_of(log.fd).st_ino
