"""A session's past: every record and every state, kept while it is looked at, and read on as it grows."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, overload

from journal import disk as disks
from journal.attached import attached_to
from journal.chain import Damage, fits_digest, is_erased
from journal.disk import Disk
from journal.errors import CorruptRecordError, SessionNotFoundError
from journal.history import placed
from journal.layout import Layout
from journal.log import Log
from journal.reader import beginning
from journal.record import decode_record
from journal.trail import Looks, end_of, looks_of
from journal.web.columns import Columns
from projections.activity import Activity
from projections.events import Record, SessionAdopted, SessionForked
from projections.messages import utc_now
from projections.timeline import Timeline
from projections.usage import Usage

# So much is read at a time; who waits for records that are there by then goes on.
_PIECE_BYTES: Final = 1024 * 1024
_PAUSE_SECONDS: Final = 0.0005
# No record is shorter: a last line that claims a higher number is not to be believed.
_LEAST_LINE_BYTES: Final = 150


class Replaced(Exception):
    """The file is not the one any more that a past was read from: ask anew."""


class Past(Timeline):
    """What became of a session, as far as it was read. It only grows; if its file is another one, it is void.

    Records are kept as places in the file, states as in any Timeline: memory is that of what was said once,
    and some 100 bytes a record. Damage does not raise: all before it is there, and `damage` says what it is.

    columns    what is known of each record without reading it
    figures, spending   as Activity and Usage have them
    attached   the digests of what is attached to the records
    is_foreign whether it is another program's file: it has no record yet, and one state
    """

    def __init__(
        self, disk: Disk, layout: Layout, session_id: str, adopting: Callable[[], str | None]
    ) -> None:
        super().__init__(())
        self.session_id = session_id
        self.columns = Columns()
        self.records: Sequence[Record] = _Records(self)
        self.figures, self.spending = Activity().initial(), Usage().initial()
        self.attached: set[str] = set()
        self.origin: tuple[str, int] | None = None
        self.head = ""
        self.damage: CorruptRecordError | None = None
        self.is_complete = self.is_void = False
        self.mutex = threading.RLock()
        self._disk, self._layout, self._adopting = disk, layout, adopting
        self._path = layout.journal(session_id)
        self._position = beginning(session_id)
        self._seen: Looks | None = None
        self._ends_at = 0
        self.is_foreign = False

    @property
    def last(self) -> int:
        """The number of the last record; while it is still read, what the file's last line says."""
        return self.version if self.is_complete else max(self.version, self._ends_at)

    @property
    def size_bytes(self) -> int:
        """How large the journal was when it was last looked at."""
        return self._seen.size if self._seen is not None and not self.is_foreign else 0

    def ids(self) -> Sequence[Hashable]:
        """The records' ids, hashed: without reading the records."""
        return self.columns.ids

    # Reading on

    def catch_up(self, until: int | None = None) -> bool:
        """Read what is new, all or until a record is there. False: it is void.

        Raises SessionNotFoundError, JournalError.
        """
        while True:
            with self.mutex:
                try:
                    self.is_void = self.is_void or not self._read_on(until)
                except BaseException:
                    self.is_void = True  # a piece of which some was taken in would be taken in again
                    raise
                if self.is_void or self.is_complete or (until is not None and until <= self.version):
                    return not self.is_void
            time.sleep(_PAUSE_SECONDS)  # who waits for the mutex comes in between two pieces

    def _read_on(self, until: int | None) -> bool:
        """Look at the file, and read a piece of what is new. False: it is another file."""
        seen, is_foreign = self._look()
        if seen is None:
            if self._seen is None:
                raise SessionNotFoundError(self.session_id, "`journal ls` lists those that are there")
            return False
        if seen == self._seen and (self.is_complete or (until is not None and until <= self.version)):
            return True
        if self._seen is not None and not self._may_go_on(self._seen, seen):
            return False
        self._seen, self.is_foreign = seen, is_foreign
        if is_foreign:
            self._adopt()
            return True
        log = Log(self._disk, self._path, self.session_id, durable=False)
        try:
            log.look()
            if not log.holds(self._position):
                return False
            log.start_at(self._position)
            end = end_of(log)
            if end is not None and end.version * _LEAST_LINE_BYTES <= end.offset:
                self._ends_at = end.version
            self.is_complete = self._take_in(log)
        finally:
            log.close()
        return True

    def _look(self) -> tuple[Looks | None, bool]:
        """What the session's file is, and whether that is another program's, which has no journal yet."""
        self._disk.refresh(self._path)
        status = self._disk.status(self._path)
        if status is not None and status.st_size:
            return looks_of(status), False
        status = self._disk.status(self._layout.snapshot(self.session_id))
        return (None if status is None else looks_of(status)), True

    def _may_go_on(self, before: Looks, now: Looks) -> bool:
        """Whether it may be the same file, and longer. One that was written over is read anew."""
        if self.is_foreign or now.inode != before.inode or now.size < before.size:
            return False
        return self.damage is None and (now.size > before.size or now == before)

    def _adopt(self) -> None:
        text = self._adopting()
        if text is None:
            raise SessionNotFoundError(self.session_id, "`journal ls` lists those that are there")
        event = SessionAdopted(document=text)
        record = Record(seq=0, id="", at=utc_now(), event=event, digest="", chain="")
        self.history.apply(record)
        self.figures = Activity().apply(self.figures, record)
        self.is_complete = True

    def _take_in(self, log: Log) -> bool:
        """Take in a piece of the log's records; whether they are all."""
        activity, usage = Activity(), Usage()
        try:
            for offset, line, record in placed(log, _PIECE_BYTES):
                self.history.apply(record)
                activity.apply(self.figures, record)
                usage.apply(self.spending, record)
                if record.seq == 1 and isinstance(record.event, SessionForked):
                    self.origin = record.event.origin, record.event.version
                for attachment in attached_to(line):
                    self.attached.add(attachment.digest)
                self.head = record.chain
                self.columns.add(record, line, offset)
        except CorruptRecordError as error:  # its hashes fit, and nobody can read it
            self.damage = error
            return True
        self._position = log.position
        self.damage = log.rest if isinstance(log.rest, CorruptRecordError) else None
        return log.rest is not None or log.offset >= log.size()

    # Its lines

    def line(self, seq: int) -> bytes:
        """A record's line, without its newline. Raises Replaced, CorruptRecordError, IndexError."""
        return next(self.lines(seq, seq))

    def lines(self, first: int, last: int) -> Iterator[bytes]:
        """The lines of these records, each checked. Raises Replaced, CorruptRecordError, IndexError."""
        offsets, lengths = self.columns.offsets, self.columns.lengths
        if first > last:
            return
        with self._opened() as fd:
            start = first - 1
            while start < last:
                end = start + 1
                while end < last and offsets[end] + lengths[end] - offsets[start] <= _PIECE_BYTES:
                    end += 1
                at = offsets[start]
                piece = self._disk.read(fd, offsets[end - 1] + lengths[end - 1] - at, at)
                for index in range(start, end):
                    line = piece[offsets[index] - at : offsets[index] - at + lengths[index]]
                    if not (is_erased(line) or fits_digest(line)):
                        raise self._altered(index + 1)
                    yield line
                start = end

    def damaged_line(self) -> bytes:
        """What stands where the damage is, up to the end of its line. Raises Replaced."""
        assert self.damage is not None
        with self._opened() as fd:
            found = self._disk.read(fd, _PIECE_BYTES, self.damage.offset)
        return found.partition(b"\n")[0]

    def record(self, seq: int) -> Record:
        """A record. Raises Replaced, CorruptRecordError, IndexError."""
        return self.decoded(seq, self.line(seq))

    def decoded(self, seq: int, line: bytes) -> Record:
        """The record of a line. Raises CorruptRecordError."""
        try:
            return decode_record(line)
        except Damage:
            raise self._altered(seq) from None

    def records_until(self, last: int) -> Iterator[Record]:
        """The first so many records, read one after the other. Raises Replaced, CorruptRecordError."""
        for seq, line in enumerate(self.lines(1, last), 1):
            yield self.decoded(seq, line)

    def _altered(self, seq: int) -> CorruptRecordError:
        offset = self.columns.offsets[seq - 1]
        return CorruptRecordError(self._path, offset, seq, "it is not what was written")

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            fd = self._disk.open(self._path)
        except FileNotFoundError:
            raise Replaced from None
        try:
            if self._seen is None or self._disk.status_of(fd).st_ino != self._seen.inode:
                raise Replaced
            yield fd
        finally:
            disks.close(self._disk, fd, self._path)


class _Records(Sequence[Record]):
    """The records of a past, each read when it is asked for."""

    def __init__(self, past: Past) -> None:
        self._past = past

    def __len__(self) -> int:
        return len(self._past.columns)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._past.record(range(len(self))[index] + 1)

    def __iter__(self) -> Iterator[Record]:
        return self._past.records_until(len(self))
