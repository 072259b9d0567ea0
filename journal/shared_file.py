"""Sharing a file: between the threads of a process by a mutex, between processes by the file's own lock."""

import contextlib
from abc import ABC, abstractmethod
from types import TracebackType

from journal.disk import LOCK_UN, Disk
from journal.errors import DurabilityError, JournalError, unreadable


class Busy(Exception):
    """Another thread or process has the session at this moment."""


class SharedFile(ABC):
    """A file that threads and processes take turns with: `using`, `exclusive`, `existing`, `at_once`."""

    disk: Disk
    path: str
    fd: int | None
    _is_new: bool  # the file was created here, and nothing was written yet

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.mutex = disk.new_lock()
        self.using = _Using(self)
        self.exclusive = _Exclusive(self, create=True)
        self.existing = _Exclusive(self, create=False)
        self.at_once = _Exclusive(self, create=True, wait=False)
        # How deep the thread that has `mutex` is in `with` blocks: of `using`, and of those with the lock.
        self._users = self._held = 0
        self.is_retired = False  # whoever works with it now is the last, and closes it

    def retire(self) -> None:
        """Close the file as soon as nobody works with it."""
        self.is_retired = True
        if self.mutex.acquire(blocking=False):
            try:
                if not self._users and not self._held:
                    self.close()
            finally:
                self.mutex.release()

    def refusal(self, error: BaseException | None, *, was_writing: bool) -> JournalError | None:
        """What the system refused, as an error of ours that names the file; None for any other error."""
        if not isinstance(error, OSError) or isinstance(error, JournalError):
            return None
        if was_writing:
            return DurabilityError(self.path, f"the disk refused: {error.strerror}", outcome_unknown=True)
        return unreadable(self.path, error)

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _lock(self, create: bool, wait: bool) -> None:
        """Open the file and take its lock, or raise Busy."""

    @abstractmethod
    def _uncreate(self) -> None:
        """Nothing was written: the empty file that was created here goes again."""


class _Using:
    """`with log.using:` — no other thread of this process touches the log meanwhile."""

    __slots__ = ("_log",)

    def __init__(self, log: SharedFile) -> None:
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
        if error is not None and (refused := log.refusal(error, was_writing=False)):
            raise refused from error


class _Exclusive:
    """`with log.exclusive:` — and no other process writes this session meanwhile.

    `log.existing` is the same for a file that is there; where there is none, `log.fd` stays None.
    `log.at_once` does not wait for others: it raises Busy.
    """

    __slots__ = ("_create", "_log", "_wait")

    def __init__(self, log: SharedFile, *, create: bool, wait: bool = True) -> None:
        self._log, self._create, self._wait = log, create, wait

    def __enter__(self) -> None:
        log = self._log
        if not log.mutex.acquire(self._wait):
            raise Busy
        if log._held == 0:
            try:
                log._lock(self._create, self._wait)
            except BaseException as error:
                self._unlock(log)
                if refused := log.refusal(error, was_writing=True):
                    raise refused from error
                raise
        log._held += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log = self._log
        log._held -= 1
        if error is None and not (log._held or log._is_new or log.is_retired or log.fd is None):
            try:
                log.disk.flock(log.fd, LOCK_UN)
            except OSError:
                log.close()  # a lock that stayed would stop everybody
            finally:
                log.mutex.release()
            return
        if log._is_new and not log._held:
            log._uncreate()
        self._unlock(log)
        if error is not None and (refused := log.refusal(error, was_writing=True)):
            raise refused from error

    @staticmethod
    def _unlock(log: SharedFile) -> None:
        """Give back whatever is held. What goes wrong here must not hide what went wrong before."""
        with contextlib.suppress(OSError):
            if log._held == 0 and log.fd is not None:
                log.disk.flock(log.fd, LOCK_UN)
        try:
            if log.is_retired and not log._held and not log._users:
                log.close()
        finally:
            log.mutex.release()
