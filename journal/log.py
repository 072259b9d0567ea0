"""One session's file: append, read, cut a torn tail. Knows no event type: an event is raw JSON to it."""

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NoReturn

from journal import disk as disks
from journal.disk import LOCK_EX, LOCK_SH, LOCK_UN, Disk
from journal.errors import CorruptRecordError, DurabilityError, JournalClosedError
from journal.quarantine import keep
from journal.reader import Position, Reader, TornTail, beginning
from journal.record import Pending, encode_batch


class Log:
    """The journal of one session, open. Threads share it; `exclusive` lets one writer in, machine-wide.

    `position` is where this process has read to. `incarnation` changes when the file turned out to be
    another one (deleted, restored, erased): what was folded from the old one is void.
    """

    def __init__(self, disk: Disk, path: str, session_id: str, *, durable: bool) -> None:
        self.disk, self.path, self.session_id, self.durable = disk, path, session_id, durable
        self._path = os.fsencode(path)  # for the one call of every save that takes a path
        self.mutex = threading.RLock()
        self.using = _Using(self)
        self.exclusive = _Exclusive(self, create=True)
        self.existing = _Exclusive(self, create=False)
        self.version, self.chain, self.offset = beginning(session_id)
        self.incarnation = 0
        self.fd: int | None = None
        self.rest: TornTail | CorruptRecordError | None = None
        # How deep the thread that has `mutex` is in `with` blocks: of `using`, and of those with the lock.
        self._users = self._held = 0
        self._inode = 0
        self.is_current = True  # whether it was read to its end when the lock was taken
        self.is_dead = False  # a failed sync ended it; a new log reads the truth from the file
        self._size = 0  # what the file held when it was last looked at
        self.is_retired = False  # whoever works with it now is the last, and closes it
        self._new_names = False  # the file was created here, and its name is not durable yet
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
        status = self.disk.status(self.path)
        if status is None:
            self._let_go()
            return True
        if self.fd is None or status.st_ino != self._inode:
            self._let_go()
            self._open(create=False)
            return self.fd is None
        self._size = status.st_size
        self._check_continuity()
        return self._size == self.offset

    def read_new(self) -> Iterator[tuple[int, bytes]]:
        """The checked lines of complete batches behind `position`, with their offsets.

        `position` moves on with them. Damage is not raised: afterwards `rest` says what follows. The good
        lines of a damaged batch come last, and `position` stays before them.
        """
        if self.fd is None:
            return
        reader = Reader(self.disk, self.fd, self.path, self.position)
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

    def _last_line_before(self, end: int) -> bytes:
        assert self.fd is not None
        step = 4096
        while True:
            start = max(end - step, 0)
            tail = self.disk.read(self.fd, end - start, start)
            at = tail.rfind(b"\n", 0, len(tail) - 1)
            if at >= 0 or start == 0:
                return tail[at + 1 :]
            step *= 8

    # Writing: only inside `with log.exclusive`, and read up to the end.

    def append(self, batch: Sequence[Pending]) -> int:
        """Add records as one batch, all or none; return the new version.

        One write and one sync, whatever the number of records. Raises DurabilityError.
        """
        fd, offset = self.fd, self.offset
        assert fd is not None
        assert offset == self._size, "append only at the end that was read"
        data, version, chain = encode_batch(batch, self.version, self.chain)
        try:
            if (written := self.disk.write(fd, data)) != len(data):
                disks.write_whole(self.disk, fd, data[written:])
        except OSError as error:
            self._undo(offset, error)
        if self.durable:
            self._sync()
        self._new_names = False
        self._size = self.offset = offset + len(data)
        self.version, self.chain = version, chain
        return version

    def _sync(self) -> None:
        assert self.fd is not None
        try:
            self.disk.sync(self.fd)
            if self._new_names:
                self.disk.sync_folder(os.path.dirname(self.path))
        except OSError as error:
            # Never retried: the kernel may have dropped the pages and call the next sync a success.
            self._die(f"syncing failed: {error.strerror}", error)

    def _undo(self, offset: int, error: OSError) -> None:
        """Cut a part of a batch off again, so that the session is as before; always raises."""
        assert self.fd is not None
        reason = f"writing failed: {error.strerror}"
        try:
            self.disk.truncate(self.fd, offset)
            if self.durable:
                self.disk.sync(self.fd)
        except OSError as second:
            self._die(f"{reason}, and so did cutting the rest off: {second.strerror}", error)
        raise DurabilityError(self.path, reason, outcome_unknown=False) from error

    def _die(self, reason: str, error: OSError) -> NoReturn:
        self.is_dead, self._reason = True, reason
        raise DurabilityError(self.path, reason, outcome_unknown=True) from error

    def cut(self, end: int, folder: str) -> str:
        """Move what stands from byte `end` on into the quarantine; return where it is kept.

        The copy is on disk before the journal is cut.
        """
        assert self.fd is not None
        path = keep(self.disk, folder, f"{self.session_id}.{end}", self.fd, end)
        self.disk.truncate(self.fd, end)
        self.disk.sync(self.fd)
        self._size, self.rest = end, None
        return path

    # The file and its lock

    def retire(self) -> None:
        """Close the file as soon as nobody works with it."""
        self.is_retired = True
        if self.mutex.acquire(blocking=False):
            try:
                if not self._users and not self._held:
                    self.close()
            finally:
                self.mutex.release()

    def close(self) -> None:
        """Close the file. The log opens it again when it is needed."""
        with self.mutex:
            if self.fd is not None:
                self.disk.close(self.fd)
                self.fd = None
                self._inode = 0
                self._forget()

    def _open(self, *, create: bool) -> None:
        try:
            fd = self._open_or_create() if create else self.disk.open(self.path, write=True)
        except FileNotFoundError:
            return
        except OSError as error:
            if create:
                reason = f"opening the journal failed: {error.strerror}"
                raise DurabilityError(self.path, reason, outcome_unknown=False) from error
            if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise
            fd = self.disk.open(self.path)  # a store that may only be read
        status = self.disk.status_of(fd)
        self.fd, self._inode, self._size = fd, status.st_ino, status.st_size

    def _open_or_create(self) -> int:
        try:
            return self.disk.open(self.path, write=True)
        except FileNotFoundError:
            pass
        disks.make_folders(self.disk, os.path.dirname(self.path), durable=self.durable)
        self._new_names = True
        return self.disk.open(self.path, write=True, create=True)

    def _uncreate(self) -> None:
        """Nothing was written: the empty file that this log created goes again."""
        self._new_names = False
        if self.fd is not None and self.disk.status_of(self.fd).st_size == 0:
            disks.remove_file(self.disk, self.path, durable=False)

    def _let_go(self) -> None:
        """Forget a file that is no longer at the path, and everything read from it."""
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

    def _lock(self, create: bool) -> None:
        """Take the file's lock, on the file that is at the path."""
        if self._fork_generation != disks.fork_generation or self.is_dead:
            self._check_alive()
        while True:
            if self.fd is None:
                self._open(create=create)
                if self.fd is None:
                    return
            self.disk.flock(self.fd, LOCK_EX)
            try:
                status = self.disk.lstat(self._path)
                if status.st_ino == self._inode:
                    break
            except FileNotFoundError:
                pass
            # Deleted, restored or erased while we waited: this lock holds a file that nobody sees.
            self._let_go()
        self._size = size = status.st_size
        self.is_current = is_current = size == self.offset
        if not is_current:
            self._check_continuity()


class _Using:
    """`with log.using:` — no other thread of this process touches the log meanwhile."""

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        self._log = log

    def __enter__(self) -> None:
        self._log.mutex.acquire()
        self._log._users += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log = self._log
        log._users -= 1
        if log.is_retired and not log._users and not log._held:
            log.close()
        log.mutex.release()


class _Exclusive:
    """`with log.exclusive:` — and no other process writes this session meanwhile.

    `log.existing` is the same for a file that is there; where there is none, `log.fd` stays None.
    """

    __slots__ = ("_create", "_log")

    def __init__(self, log: Log, *, create: bool) -> None:
        self._log, self._create = log, create

    def __enter__(self) -> None:
        log = self._log
        log.mutex.acquire()
        if log._held == 0:
            try:
                log._lock(self._create)
            except BaseException:
                self._unlock(log)
                raise
        log._held += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log = self._log
        log._held -= 1
        if log._held or log._new_names or log.is_retired or log.fd is None:
            if log._new_names and not log._held:
                log._uncreate()
            self._unlock(log)
            return
        try:
            log.disk.flock(log.fd, LOCK_UN)
        finally:
            log.mutex.release()

    @staticmethod
    def _unlock(log: Log) -> None:
        try:
            if log._held == 0 and log.fd is not None:
                log.disk.flock(log.fd, LOCK_UN)
            if log.is_retired and not log._held and not log._users:
                log.close()
        finally:
            log.mutex.release()
