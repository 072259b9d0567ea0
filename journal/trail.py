"""One session's records as they come, whatever becomes of its file: none is missed, none comes twice."""

import contextlib
import os
import sys
from array import array
from typing import Final, Literal, NamedTuple, TypeAlias

from journal.chain import Damage, check_lines, outline
from journal.disk import CHUNK_BYTES, Disk
from journal.errors import CorruptRecordError, JournalError, unreadable
from journal.history import decoded
from journal.log import Log
from journal.news import Added
from journal.reader import Position, beginning
from journal.record import decode_record
from projections.events import Record

After: TypeAlias = int | Record | Literal["now"]
"""What a reader has handled: all up to a version, all up to a record, or all that is there now."""

_EVERYTHING: Final = sys.maxsize  # more than any version: what is there now


class Followed(Record, frozen=True, kw_only=True):
    """A Record with the `session_id` of its session, as `follow` gives it out."""

    session_id: str


class Trail:
    """How far one session was read; `step` reads on.

    Where its file is no longer the one that was read (erased, repaired, restored, deleted and begun anew),
    all of it is read again, and what was not read before is new. Records are known by their ids: a repair may
    give them other numbers.

    is_behind  whether there may be more to read at once
    error      why the session cannot be read on, until its file changes
    added      what was added to the file since the last step, where somebody told
    """

    def __init__(self, disk: Disk, path: str, session_id: str, after: After) -> None:
        self.session_id = session_id
        self.is_behind = True
        self.error: JournalError | None = None
        self.added: Added | None = None
        self._disk, self._path = disk, path
        self._position = beginning(session_id)
        # Nothing up to this number is given out, as long as that record has this chain, where it is known.
        self._after, self._proof = 0, ""
        if isinstance(after, Record):
            self._after, self._proof = after.seq, after.chain
            self._position = Position(after.seq, after.chain.encode(), -1)  # a place yet to be found
        else:
            self._after = _EVERYTHING if after == "now" else after
        self._read = array("q")  # the ids of all that was read, hashed
        self._known: set[int] | None = None  # the same, while some of it is read again
        self._seen: Looks | None = None  # what the file was when it was last read

    def skip(self) -> None:
        """Leave unread what is there, if its last record is the one that `after` names."""
        seen = self._look()
        log = self._log()
        try:
            log.look()
            end = end_of(log)
            if end is None:
                return  # what a crash or damage left there is for `step` to judge
            chain = end.chain.decode()
            if self._proof == chain if self._proof else self._after in (end.version, _EVERYTHING):
                self._seen, self._position, self._after, self._proof = seen, end, end.version, chain
                self.is_behind = False
        except (JournalError, OSError):
            pass  # `step` meets it, too, and tells
        finally:
            log.close()

    def step(self) -> list[Followed]:
        """Read on, for some 256 KiB or a batch; what of it is new."""
        found: list[Followed] = []
        self.error = None
        added, self.added = self.added, None
        if added is not None and (taken := self._take(added)) is not None:
            return taken
        log = self._log()
        try:
            seen = self._look()
            if seen == self._seen and not self.is_behind:
                return found
            self._seen, self.is_behind = seen, False
            log.look()
            if log.size():
                self._read_on(log, found)
        except (JournalError, OSError) as error:
            self._stop(log, error)
        finally:
            log.close()
        if self._after == _EVERYTHING and not self.is_behind:
            self._after, chain, _ = self._position
            self._proof = chain.decode()
        return found

    def _take(self, added: Added) -> list[Followed] | None:
        """What is new, without a look at the file; None where only the file can tell."""
        size, data = added
        version, chain, offset = self._position
        if self.is_behind or self._known is not None or offset + len(data) != size or self._after > version:
            return None
        lines = data.split(b"\n")[:-1]
        chains, places, damage = check_lines(lines, version + 1, chain)
        if damage is not None or not lines or not version or (places[-1] is not None and places[-1][0]):
            return None
        try:
            records = [decode_record(line) for line in lines]
        except Damage:
            return None
        self._read.extend(hash(record.id) for record in records)
        self._position = Position(version + len(lines), chains[-1], size)
        return [_followed(self.session_id, record) for record in records]

    def _read_on(self, log: Log, found: list[Followed]) -> None:
        self._stand(log)
        for record in decoded(log, CHUNK_BYTES):
            key = hash(record.id)
            if self._known is not None and key in self._known:
                continue
            self._read.append(key)
            if record.seq > self._after:
                found.append(_followed(self.session_id, record))
            elif record.seq == self._after:
                self._proof = record.chain
        self._position = log.position
        if isinstance(log.rest, CorruptRecordError):
            raise log.rest
        self.is_behind = log.rest is None and log.offset < log.size()
        if not self.is_behind:
            self._known = None

    def _stand(self, log: Log) -> None:
        """Put the log where the reading goes on."""
        if log.holds(self._position):
            log.start_at(self._position)
            return
        self._known = set(self._read)
        if self._proof and not _has(log, self._after, self._proof):
            self._after, self._proof = 0, ""  # its numbers say nothing of the records that were handled
        log.start_at(beginning(self.session_id))

    def _stop(self, log: Log, error: JournalError | OSError) -> None:
        """Keep what hinders the reading, unless it is the end of a file that was replaced meanwhile."""
        self._known = set(self._read)  # of a damaged batch the good records were read, and will be again
        now = seen = self._seen
        with contextlib.suppress(OSError):
            now = self._look()
        if seen is not None and (now is None or now.inode != seen.inode):
            self.is_behind = True
        elif isinstance(error, JournalError):
            self.error = error
        else:
            self.error = unreadable(self._path, error)

    def has_seen(self, status: os.stat_result) -> bool:
        """Whether the file is what it was when it was last read."""
        return self._seen == looks_of(status)

    def _look(self) -> "Looks | None":
        status = self._disk.status(self._path)
        return None if status is None else looks_of(status)

    def _log(self) -> Log:
        # Opened for each step: a store has more sessions than a process may have open files.
        return Log(self._disk, self._path, self.session_id, durable=False)


class Looks(NamedTuple):
    """What tells a file from another one, and from itself when it has changed."""

    inode: int
    size: int
    mtime_ns: int


def looks_of(status: os.stat_result) -> Looks:
    """What it looks like now."""
    return Looks(status.st_ino, status.st_size, status.st_mtime_ns)


def _followed(session_id: str, record: Record) -> Followed:
    # Name by name: a loop over the names takes eight times as long.
    return Followed(
        session_id=session_id,
        seq=record.seq,
        id=record.id,
        at=record.at,
        event=record.event,
        digest=record.digest,
        chain=record.chain,
        by=record.by,
        cause=record.cause,
        key=record.key,
    )


def end_of(log: Log) -> Position | None:
    """The place behind the last record, by that record's own word; None where its batch is not whole."""
    size = log.size()
    line = log._last_line_before(size) if size else b""
    found = outline(line[:-1]) if line.endswith(b"\n") else None
    return None if found is None or found.more else Position(found.seq, found.chain.encode(), size)


def _has(log: Log, seq: int, chain: str) -> bool:
    """Whether a journal's record of this number is the one with this chain."""
    log.start_at(beginning(log.session_id))
    number, proof = b'{"v":1,"seq":%d,' % seq, b',"chain":"%b","salt":' % chain.encode()
    return any(proof in line for _, line in log.read_new() if line.startswith(number))
