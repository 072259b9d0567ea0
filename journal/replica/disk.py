"""The disk of a store on a backend: the system calls of the engine that mean more there."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Final

from journal.backend import Backend, Unclear, Unreachable
from journal.disk import LOCK_NB, LOCK_UN, Disk, make_folders
from journal.errors import JournalError, UnreachableError, unreadable
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout
from journal.marks import OwnMarks
from journal.names import is_session_id
from journal.news import Added, Names
from journal.replica.asking import Asking
from journal.replica.files import PLAIN, ReplicatedFiles
from journal.replica.journals import ReplicatedJournals
from journal.tombstones import id_of
from journal.waiting import Waiting

# Who listens looks so often whether anything was missed.
LOOK_EACH_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.1
# So long a store that is closed waits for what it began.
_FINISH_SECONDS: Final = 2.0


class Replica(Disk):
    """A private folder.

    timeout  after so many seconds without a clear answer, an outcome is reported as unknown
    at_end   is called when nobody needs it any more
    """

    def __init__(
        self,
        backend: Backend,
        waiting: Waiting,
        base: str,
        *,
        promise: str = "",
        timeout: float = 30.0,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._backend, self._waiting = backend, waiting
        self.name, self.promise, self._at_end = backend.name, promise, at_end
        self.layout = layout = Layout(base)
        self.new_lock = waiting.lock
        self.settled = self._settled = _Settled()
        make_folders(PLAIN, layout.sessions)
        self.marks = OwnMarks()
        self._asking = asking = Asking(backend, waiting)
        self._files = ReplicatedFiles(asking, layout)
        self._journals = ReplicatedJournals(asking, layout, self.marks, timeout, self._files.let_go)
        self._open_journals: dict[int, str] = {}  # by their descriptors
        self._readers: dict[int, str] = {}  # the same, of those that may have a hole
        self._locked: set[int] = set()
        self._kept: dict[int, str] = {}  # the open files of the quarantine: their paths
        self._notes: set[int] = set()  # the open files of tombstones
        self._noted: dict[str, bytes] = {}  # of a session that is being deleted: its tombstone
        self._is_over = False

    def _session_of(self, path: str, ending: str = JOURNAL_ENDING) -> str | None:
        """The session of which this is the journal, or the snapshot."""
        folder, name = os.path.split(path)
        if folder == self.layout.sessions and name.endswith(ending) and name[0] != ".":
            return name[: -len(ending)]
        return None

    # What a replica does more

    def refresh(self, path: str) -> None:
        """See Elsewhere.refresh. Raises UnreachableError."""
        with self._our_errors():
            if (session_id := self._session_of(path)) is not None:
                self._look_at(session_id)
            elif path == self.layout.sessions:
                self._journals.pull_all()
                self._journals.open_all()
            elif path.endswith(os.sep):
                self._files.fetch_folder(path[:-1])
            elif (name := self._files.name_of(path)) is not None:
                self._files.fetch(name, path)

    @contextlib.contextmanager
    def _our_errors(self) -> Generator[None, None, None]:
        """What this folder refuses, as an error of ours: whoever asks for more does not ask the system."""
        try:
            yield
        except JournalError:
            raise
        except OSError as error:
            raise unreadable(error.filename or self.layout.base, error) from error

    def _look_at(self, session_id: str) -> None:
        """See that a session's file is here, as the backend has it or had it a moment ago."""
        if self._settled.depth and session_id not in self._journals.stale:
            self._journals.unspool(session_id)
        else:
            self._journals.pull(session_id)

    def hear_all(self) -> None:
        """See Elsewhere.hear_all. Raises UnreachableError."""
        if not self._settled.depth:  # whoever settled it heard all a moment ago
            with self._our_errors():
                self._journals.pull_all()

    def unopened_ids(self) -> Iterable[str]:
        """See Elsewhere.unopened_ids."""
        return self._journals.unopened_ids()

    def unopened(self, session_id: str) -> bytes | None:
        """See Elsewhere.unopened."""
        return self._journals.unopened(session_id)

    def has_news(self, path: str) -> bool:
        """See Elsewhere.has_news. Raises UnreachableError."""
        session_id = self._session_of(path)
        with self._our_errors():
            return session_id is not None and self._journals.pull(session_id)

    def keeps(self, path: str, data: bytes) -> Callable[[], None] | None:
        """See Elsewhere.keeps. It raises UnreachableError, DurabilityError."""
        name = self._files.name_of(path)
        return None if name is None else partial(self._files.give_anew, name, data)

    def append(self, fd: int, data: bytes, end: int) -> int:
        """See Elsewhere.append: to the backend, and then here. Raises DurabilityError, UnreachableError."""
        self._journals.append(self._open_journals[fd], fd, data, end)
        return len(data)

    def told(
        self, session_id: str | None, is_over: Callable[[], bool]
    ) -> Generator[Names | None, None, None]:
        """See Elsewhere.told: listens, and looks each second whether anything was missed."""
        ask, journals = self._asking.ask, self._journals
        events = self._waiting.events()
        listening = ask(self._backend.journals.listen(session_id, events.put))
        try:
            journals.is_followed = True
            with self._our_errors():
                self._look_for(session_id)
                if session_id is None:
                    journals.open_all(forever=True)
                for each in list(journals.holes) if session_id is None else [session_id]:
                    journals.fill(each)
            yield None
            look_at = time.monotonic() + LOOK_EACH_SECONDS
            while not is_over():
                touched: dict[str, Added | None] = {}
                change = events.get(_TICK_SECONDS)
                # It comes back, or the next reader tells.
                with contextlib.suppress(UnreachableError), self._our_errors():
                    while change is not None:
                        name = f"{change.session_id}{JOURNAL_ENDING}"
                        added = journals.hear(change)
                        if is_session_id(change.session_id):
                            touched[name] = added if name not in touched else None
                        change = events.get(0)
                    if time.monotonic() >= look_at:
                        look_at = time.monotonic() + LOOK_EACH_SECONDS
                        found = self._look_for(session_id)
                        touched |= dict.fromkeys(f"{each}{JOURNAL_ENDING}" for each in found)
                yield touched
        finally:
            with contextlib.suppress(JournalError, RuntimeError):  # there is nobody any more to tell
                ask(listening.close())

    def _look_for(self, session_id: str | None) -> set[str]:
        if session_id is None:
            found = self._journals.pull_all()
            self._journals.open_all()  # one that was on its way into the spool when it was to get a file
            return set(filter(is_session_id, found))
        return {session_id} if self._journals.pull(session_id) else set()

    @property
    def unrefreshed(self) -> Disk:  # type: ignore[override]
        """See Elsewhere.unrefreshed."""
        return PLAIN

    def pause(self, seconds: float) -> None:  # type: ignore[override]
        """See Elsewhere.pause."""
        self._waiting.pause(seconds)

    def end(self) -> None:
        """See Elsewhere.end: the folder goes, and the connection."""
        if self._is_over:
            return
        self._is_over = True
        self._journals.close()
        if not self._asking.is_anothers:  # else it is the other process that is connected
            self._disconnect()
        self._at_end()

    def _disconnect(self) -> None:
        try:
            self._waiting.finish(_FINISH_SECONDS)
            self._asking.is_over = True
            with contextlib.suppress(Unreachable, Unclear):
                self._waiting.wait(self._backend.close())
        except RuntimeError:  # nobody closed it, and where it was forgotten nobody may wait
            self._asking.is_over = True
            closing = self._backend.close()
            try:
                self._waiting.later(closing)
            except RuntimeError:  # there is no loop any more, and no connection
                closing.close()
        self._waiting.close()

    # System calls

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        """See Disk.open; fetches what is not here yet."""
        session_id = self._session_of(path)
        name = None if session_id is not None else self._files.name_of(path)
        if session_id is not None and not self._journals.is_known(session_id):
            self._look_at(session_id)
        elif name is not None and not create and not os.path.lexists(path):
            self._files.fetch(name, path)
        fd = super().open(path, write=write, create=create, exclusive=exclusive)
        if session_id is not None:
            self._readers[fd] = session_id
        if write:
            if session_id is not None:
                self._open_journals[fd] = session_id
            elif name is not None and name.startswith("quarantine/"):
                self._kept[fd] = path
            elif path == self.layout.tombstones:
                self._notes.add(fd)
        return fd

    def close(self, fd: int) -> None:
        """See Disk.close."""
        self._readers.pop(fd, None)
        if (session_id := self._open_journals.pop(fd, None)) is not None:
            self._unlock(fd, session_id)
        self._kept.pop(fd, None)
        self._notes.discard(fd)
        os.close(fd)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """See Disk.read; fetches the beginning of a journal of which only the end is here."""
        if self._journals.holes and fd in self._readers:
            session_id = self._readers[fd]
            if offset < self._journals.holes.get(session_id, 0):
                self._journals.fill(session_id)
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: Any) -> int:
        """See Disk.write. A tombstone goes with the deletion that it is of."""
        if fd not in self._notes:
            return os.write(fd, data)
        self._noted[id_of(bytes(data))] = bytes(data)
        return len(data)

    def truncate(self, fd: int, size: int) -> None:
        """See Disk.truncate."""
        session_id = self._open_journals.get(fd)
        if session_id is not None and size < os.fstat(fd).st_size:
            self._journals.cut(session_id)
        os.ftruncate(fd, size)

    def lstat(self, path: str | bytes) -> os.stat_result:  # type: ignore[override]
        """See Disk.lstat. A writer asks for it before it reads what is new."""
        if self._journals.stale:
            session_id = self._session_of(os.fsdecode(path))
            if session_id is not None and session_id in self._journals.stale:
                self._journals.pull(session_id)
        return os.lstat(path)

    def rename(self, path: str, to: str) -> None:  # type: ignore[override]
        """See Disk.rename. What takes the place of something that is shared is shared first."""
        if (session_id := self._session_of(to)) is not None:
            self._journals.replace(session_id, path)
            return
        if (name := self._files.name_of(to)) is not None:
            self._files.share(path, name)
        os.rename(path, to)
        if (session_id := self._session_of(to, SNAPSHOT_ENDING)) is not None:
            self._journals.share_snapshot(session_id)

    def unlink(self, path: str) -> None:  # type: ignore[override]
        """See Disk.unlink."""
        if (session_id := self._session_of(path)) is not None:
            self._journals.delete(session_id, self._noted.pop(session_id, None))
        elif (name := self._files.name_of(path)) is not None:
            self._files.remove(name, path)
        else:
            if (session_id := self._session_of(path, SNAPSHOT_ENDING)) is not None:
                self._journals.remove_snapshot(session_id)
            os.unlink(path)

    def sync(self, fd: int) -> None:  # type: ignore[override]
        """See Disk.sync. The backend keeps what is to last; this folder may go at any time."""
        if (path := self._kept.get(fd)) is not None:
            self._files.share(path)

    def sync_folder(self, path: str) -> None:
        """See Disk.sync_folder."""

    def flock(self, fd: int, operation: int) -> None:  # type: ignore[override]
        """See Disk.flock. It holds off the threads and tasks of this store; others know nothing of it.

        A journal's is the lock that whoever takes something in has, too: no writer must see half of that.
        """
        session_id = self._open_journals.get(fd)
        if session_id is not None and operation & LOCK_UN:
            self._unlock(fd, session_id)
        elif session_id is not None:
            if not self._journals.lock_of(session_id).acquire(not operation & LOCK_NB):
                raise BlockingIOError
            self._unlock(fd, session_id)
            self._locked.add(fd)
        elif operation & (LOCK_NB | LOCK_UN):
            Disk.flock(fd, operation)
        else:
            self._waiting.take(lambda how: Disk.flock(fd, operation | how), LOCK_NB)

    def _unlock(self, fd: int, session_id: str) -> None:
        if fd in self._locked:
            self._noted.pop(session_id, None)  # of a deletion that did not come to pass
            self._locked.discard(fd)
            self._journals.lock_of(session_id).release()

    def may_write(self, path: str) -> bool:
        """See Disk.may_write."""
        return True


class _Settled(threading.local):
    """See Elsewhere.settled. Each thread has its own."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
