"""One session's file: append, read, cut a torn tail. Knows no event type: an event is raw JSON to it."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Final, NoReturn

from journal import disk as disks
from journal.chain import MAX_LINE_BYTES
from journal.disk import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, Disk
from journal.errors import (
    CorruptRecordError,
    DurabilityError,
    InvalidEventError,
    JournalClosedError,
    JournalError,
    UnsafePathError,
)
from journal.quarantine import keep
from journal.reader import MAX_BATCH_BYTES, Position, Reader, TornTail, beginning, lines
from journal.record import Pending, encode_batch
from journal.shared_file import Busy, SharedFile

# Our own programs lock a journal, and retract it, before they remove it or replace it. One that locks nothing
# may do so at any time, between a look at the path and the write behind it, too: looking can only bound how
# long that stays unnoticed. Where a save waits for the disk it looks each time; else this often.
LOOK_AFTER_SECONDS: Final = 0.001


class Log(SharedFile):
    """The journal of one session, open. Threads share it; `exclusive` lets one writer in, machine-wide.

    `position` is where this process has read to. `incarnation` changes when the file turned out to be
    another one (deleted, restored, erased): what was folded from the old one is void.
    """

    def __init__(self, disk: Disk, path: str, session_id: str, *, durable: bool) -> None:
        super().__init__(disk)
        self.path, self.session_id, self.durable = path, session_id, durable
        self._path = os.fsencode(path)  # for the one call of every save that takes a path
        self.version, self.chain, self.offset = beginning(session_id)
        self.incarnation = 0
        self.fd: int | None = None
        self.rest: TornTail | CorruptRecordError | None = None
        self._inode = 0
        self.is_current = True  # whether it was read to its end when the lock was taken
        self.is_dead = False  # a failed sync ended it; a new log reads the truth from the file
        self._size = 0  # what the file held when it was last looked at
        self._is_new = False
        self._looked_until = 0.0  # until when the path is taken to lead to the open file
        # What was written here, and what of it is on disk; whoever has the mutex may put the waiting off.
        self._writes = self._synced = 0
        self._sync_mutex = threading.Lock()
        self.defers = False
        self._is_unsure = False  # whether others wrote what they may not have synced
        self._reason = ""
        self._fork_generation = disks.fork_generation

    @property
    def position(self) -> Position:
        """Where this process has read to."""
        return Position(self.version, self.chain, self.offset)

    # Reading

    def look(self) -> bool:
        """Look at the file again, without a lock; True if it is where `position` says, to the byte."""
        self._check_alive()
        self.disk.refresh(self.path)
        status = self.disk.status(self.path)
        if status is None:
            self._check_folder()
            self._let_go()
            return True
        if self.fd is None or status.st_ino != self._inode:
            self._let_go()
            self._open(create=False)
            return self.fd is None
        self._size = status.st_size
        self._check_continuity()
        return self._size == self.offset

    def read_new(self, enough: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The checked lines of complete batches behind `position`, with their offsets.

        `position` moves on with them. Damage is not raised: afterwards `rest` says what follows. The good
        lines of a damaged batch come last, and `position` stays before them. `enough`: so many bytes are
        enough for now, or a few more.
        """
        if self.fd is None:
            return
        reader = Reader(self.disk, self.fd, self.path, self.position, enough)
        yield from reader
        self._stand_behind(reader)
        if isinstance(self.rest, CorruptRecordError) and not self._held:
            # It may have been a repair at work: look once more while no writer is.
            self.disk.flock(self.fd, LOCK_SH)
            try:
                reader = Reader(self.disk, self.fd, self.path, self.position)
                found = list(reader)
            finally:
                self.disk.flock(self.fd, LOCK_UN)
            self._stand_behind(reader)
            yield from found
        if isinstance(self.rest, CorruptRecordError):
            yield from reader.salvaged

    def _stand_behind(self, reader: Reader) -> None:
        if reader.position.offset != self.offset:
            self._is_unsure = True
        self.start_at(reader.position)
        self.rest = reader.rest

    def size(self) -> int:
        """How many bytes the journal holds now; 0 where there is none."""
        return 0 if self.fd is None else self.disk.status_of(self.fd).st_size

    def start_at(self, position: Position) -> None:
        """Go on from here: a snapshot stands for what was before."""
        self.version, self.chain, self.offset = position
        self.rest = None

    def holds(self, position: Position) -> bool:
        """Whether the record that ends at this position is the one that it names."""
        if self.fd is None or not 0 <= position.offset <= self.disk.status_of(self.fd).st_size:
            return False
        if position.offset == 0:
            return position == beginning(self.session_id)
        line = self._last_line_before(position.offset)
        return (
            line.startswith(b'{"v":1,"seq":%d,"id":"' % position.version)
            and b',"chain":"%b","salt":' % position.chain in line
            and line.endswith(b"}\n")
        )

    def first_line(self) -> bytes:
        """The first record's line, unchecked; of a long one the beginning, where that is no fork's."""
        assert self.fd is not None
        start = self.disk.read(self.fd, 1024, 0)
        if b'"event":{"type":"session_created"' not in start:
            start = next((line for _, line in lines(self.disk, self.fd, 0)), b"")
        return start.partition(b"\n")[0]

    def _last_line_before(self, end: int) -> bytes:
        assert self.fd is not None
        step = 4096
        while True:
            start = max(end - step, 0)
            tail = self.disk.read(self.fd, end - start, start)
            at = tail.rfind(b"\n", 0, len(tail) - 1)
            if at >= 0 or start == 0 or step > MAX_LINE_BYTES:
                return tail[at + 1 :]
            step *= 8

    def lines_after(self, version: int) -> list[bytes]:
        """The lines of the records after a version, up to where this log has read, which checked them.

        Read from the end: the cost is that of these records, whatever came before.
        """
        if self.fd is None or version >= self.version:
            return []
        step = 8192
        while True:
            start = max(self.offset - step, 0)
            found = self.disk.read(self.fd, self.offset - start, start).split(b"\n")
            found.pop()
            # What stands before the first newline is the end of a record, unless the journal begins there.
            found = found[1:] if start else found
            first = b'{"v":1,"seq":%d,' % (version + 1)
            for index, line in enumerate(found):
                if line.startswith(first):
                    return found[index:]
            if start == 0:
                return []
            step *= 8

    # Writing: only inside `with log.exclusive`, and read up to the end.

    def append(self, batch: Sequence[Pending]) -> int:
        """Add records as one batch, all or none; return the new version.

        One write and one sync, whatever the number of records. Where the log `defers`, the sync is left to
        the caller. Raises DurabilityError.
        """
        fd, offset = self.fd, self.offset
        assert fd is not None
        assert offset == self._size, "append only at the end that was read"
        data, version, chain = encode_batch(batch, self.version, self.chain)
        if len(data) > MAX_BATCH_BYTES:
            raise InvalidEventError(
                f"a batch of {len(data):,} bytes, over the {MAX_BATCH_BYTES:,} that one may have; "
                "append it in parts"
            )
        if self.durable and (self._is_unsure or not self.is_synced):
            # Behind what may be lost nothing may stand: a crash would leave a gap, and that is damage.
            self.sync()
        try:
            if (written := self.disk.append(fd, data, offset)) != len(data):
                disks.write_whole(self.disk, fd, data[written:])
        except OSError as error:
            self._undo(offset, error)
        self._is_new = False
        if self.durable:
            try:
                self.settle()
            except DurabilityError:
                with contextlib.suppress(OSError):  # what may not be on disk must not be read as if it were
                    self.disk.truncate(fd, offset)
                raise
        self._size = self.offset = offset + len(data)
        self.version, self.chain = version, chain
        return version

    def settle(self) -> None:
        """See that what stands in the file now is on disk before anybody is told so."""
        if self.durable:
            self._writes += 1
            if not self.defers:
                self.sync()

    @property
    def is_synced(self) -> bool:
        """Whether somebody waits for this log's `sync`."""
        return self._synced == self._writes

    def sync(self, *, anyway: bool = False) -> None:
        """Return when all that stands in the file now is on disk, with the file's name.

        A log that is not durable does nothing, unless it is to be `anyway`.
        Needs no lock: whoever appends meanwhile syncs this, too. One at a time: of two syncs of one open file
        only the first is told of an error. Raises DurabilityError.
        """
        with self._sync_mutex:
            self._check_alive()
            writes = self._writes
            is_needed = self.durable and (self._synced != writes or self._is_unsure)
            if self.fd is None or not (is_needed or anyway):
                return
            self._is_unsure = False
            try:
                self.disk.sync(self.fd)
                disks.sync_names(self.disk, self.path, self._inode)
            except OSError as error:
                # Never retried: the kernel may have dropped the pages and call the next sync a success.
                with contextlib.suppress(OSError):  # whoever opens the file next must read what the disk has
                    self.disk.drop_cache(self.fd)
                self._die(f"syncing failed: {error.strerror}", error)
            self._synced = writes

    def _undo(self, offset: int, error: OSError) -> None:
        """Cut a part of a batch off again, so that the session is as before; always raises."""
        assert self.fd is not None
        reason = f"writing failed: {error.strerror}"
        try:
            self.disk.truncate(self.fd, offset)
            if self.durable:  # before something else stands there: a crash could mix the two
                self.disk.sync(self.fd)
        except OSError as second:
            self._die(f"{reason}, and so did cutting the rest off: {second.strerror}", error)
        raise DurabilityError(self.path, reason, outcome_unknown=False) from error

    def _die(self, reason: str, error: OSError) -> NoReturn:
        self.is_dead, self._reason = True, reason
        raise DurabilityError(self.path, reason, outcome_unknown=True) from error

    def cut(self, end: int, folder: str) -> str:
        """Move what stands from byte `end` on into the quarantine; return where it is kept.

        The copy is on disk before the journal is cut, and the cut before anything takes the place of what was
        there: a crash could mix the two, and a mixture looks like damage.
        """
        assert self.fd is not None
        path = keep(self.disk, folder, f"{self.session_id}.{end}", self.fd, end)
        self.disk.truncate(self.fd, end)
        self.disk.sync(self.fd)
        self._size, self.rest = end, None
        return path

    def replace(self, pieces: Iterable[bytes], *, durable: bool, temporary_of: str | None = None) -> None:
        """Put a whole new journal in the place of this one: after a crash there is the one or the other.

        A new file, not the old one written over: whoever had read it must notice that what it read is void.
        """

        def each() -> Iterator[bytes]:
            yield from pieces
            if self.size():
                self.retract()

        self._is_new = False  # what is at the path from now on is not the empty file that was made here
        disks.replace_file(self.disk, self.path, each(), durable=durable, temporary_of=temporary_of)

    def remove(self) -> None:
        """Remove the file; for good when this returns, if the log is durable."""
        if self.size():
            self.retract()
        self._is_new = False  # another process may create the next one from now on
        disks.remove_file(self.disk, self.path, durable=self.durable)

    def retract(self) -> None:
        """Before the file is removed or replaced: make all that have it open look at the path again.

        They look when its size is not what they saw. It grows by a byte, which nobody acknowledged: should
        the removal not come to pass, that is a torn tail.
        """
        assert self.fd is not None
        self.disk.truncate(self.fd, self.size() + 1)

    # The file and its lock

    def close(self) -> None:
        """Close the file. The log opens it again when it is needed."""
        with self.mutex:
            if not self.is_synced:
                with contextlib.suppress(JournalError):  # whoever waits for it is told
                    self.sync()
            with self._sync_mutex:
                if self.fd is not None:
                    fd, self.fd = self.fd, None
                    self._inode, self._looked_until = 0, 0.0
                    self._forget()
                    disks.close(self.disk, fd, self.path)

    def _open(self, *, create: bool) -> None:
        self._check_folder()
        try:
            fd = self._open_or_create() if create else self.disk.open(self.path, write=True)
        except FileNotFoundError:
            return
        except UnsafePathError:
            raise
        except OSError as error:
            if create:
                reason = f"opening the journal failed: {error.strerror}"
                raise DurabilityError(self.path, reason, outcome_unknown=False) from error
            if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise
            fd = self.disk.open(self.path)  # a store that may only be read
        try:
            status = self.disk.status_of(fd)
        except BaseException:
            disks.close(self.disk, fd, self.path)
            raise
        self.fd, self._inode, self._size = fd, status.st_ino, status.st_size
        self._is_unsure = status.st_size > 0

    def _check_folder(self) -> None:
        folder = os.path.dirname(self.path)
        disks.check_folders(self.disk, os.path.dirname(folder), folder)

    def _open_or_create(self) -> int:
        try:
            return self.disk.open(self.path, write=True)
        except FileNotFoundError:
            pass
        disks.make_folders(self.disk, os.path.dirname(self.path))
        self._is_new = True
        return self.disk.open(self.path, write=True, create=True)

    def _uncreate(self) -> None:
        """Nothing was written: the empty file that this log created goes again."""
        self._is_new = False
        with contextlib.suppress(OSError):  # an empty file does no harm
            if self.fd is not None and self.disk.status_of(self.fd).st_size == 0:
                disks.remove_file(self.disk, self.path, durable=False)

    def _let_go(self) -> None:
        """Forget a file that is no longer at the path, and everything read from it."""
        self.disk.durable_names.discard((self.path, self._inode))
        self._synced = self._writes  # what was written was there until somebody removed it
        if self.fd is not None:
            # To close it is not enough: a process that was forked from this one has it open, too.
            self.disk.flock(self.fd, LOCK_UN)
        self.close()
        self._forget()
        self._size = 0

    def _check_continuity(self) -> None:
        """Start over where the file was cut, and perhaps grew again, behind what was read of it."""
        if self._size != self.offset and not self.holds(self.position):
            self._forget()

    def _forget(self) -> None:
        """What was read is no longer known to be what the file holds."""
        if self.version:
            self.incarnation += 1
        self.start_at(beginning(self.session_id))

    def _check_alive(self) -> None:
        if self._fork_generation != disks.fork_generation:
            raise JournalClosedError("this store was opened before the process forked")
        if self.is_dead:
            raise DurabilityError(self.path, self._reason, outcome_unknown=True)

    def _lock(self, create: bool, wait: bool) -> None:
        """Take the file's lock, on the file that is at the path."""
        if self._fork_generation != disks.fork_generation or self.is_dead:
            self._check_alive()
        disk = self.disk
        while True:
            if self.fd is None:
                self._open(create=create)
                if self.fd is None:
                    return
            try:
                disk.flock(self.fd, LOCK_EX if wait else LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise Busy from None
            if monotonic() < self._looked_until and disk.seek(self.fd, 0, os.SEEK_END) == self.offset:
                self._size, self.is_current = self.offset, True
                return
            try:
                status = disk.lstat(self._path)
                if status.st_ino == self._inode:
                    break
            except FileNotFoundError:
                pass
            # Deleted, restored or erased while we waited: this lock holds a file that nobody sees.
            self._let_go()
        # An empty file tells nobody that it was removed.
        if not self.durable and status.st_size:
            self._looked_until = monotonic() + LOOK_AFTER_SECONDS
        self._size = size = status.st_size
        self.is_current = is_current = size == self.offset
        if not is_current:
            self._check_continuity()
