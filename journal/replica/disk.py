"""A replica: a private folder, kept in step with a backend that several machines share.

The engine works on it as on any other folder. What it writes goes to the backend first, and here when the
backend has acknowledged it; what others wrote is taken in when somebody looks. It holds what was looked at,
and may be thrown away at any time.

A session's journal here is always a beginning of what the backend has, up to the place that is noted; so the
next line is written if the backend is still at that place, else the engine looks again (`Overtaken`).
"""

import contextlib
import errno
import os
import shutil
import stat
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from typing import Any, Final, Literal, TypeVar

from journal.backend import Backend, Change, Moved, Unclear, Unreachable
from journal.disk import FILE_MODE, LOCK_NB, LOCK_UN, Disk, make_folders, read_file
from journal.errors import DurabilityError, UnreachableError
from journal.layout import JOURNAL_ENDING, Layout
from journal.marks import Marks
from journal.overtaking import Overtaken
from journal.tombstones import id_of
from journal.waiting import Lock, Waiting

T = TypeVar("T")

# So many bytes are fetched before they are written down.
_TOGETHER_BYTES: Final = 4 * 1024 * 1024
# Between two tries whose outcome is not known.
_PAUSE_SECONDS: Final = 0.05
# Who listens looks so often whether anything was missed.
_LOOK_EACH_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.1

Kind = Literal["append", "replace", "delete"]


class Replica(Disk):
    """The disk of a store on a backend.

    timeout  after so many seconds without a clear answer, an outcome is reported as unknown
    """

    def __init__(
        self, backend: Backend, waiting: Waiting, base: str, *, promise: str = "", timeout: float = 30.0
    ) -> None:
        super().__init__()
        self._backend, self._waiting, self._timeout = backend, waiting, timeout
        self.waiting = waiting
        self.name, self.promise = backend.name, promise
        self.layout = self._layout = layout = Layout(base)
        self.new_lock = waiting.lock
        self.settled = self._settled = _Settled()
        self._mutex = threading.Lock()  # of the dictionaries; never held while anybody waits
        self._locks: dict[str, Lock] = {}
        self._places: dict[str, int] = {}  # up to where each session is here
        self._all = 0  # up to where all sessions are
        self._all_lock = waiting.lock()
        self._stale: set[str] = set()  # sessions of which more is known to be there, or may be
        self._cut: set[str] = set()  # sessions whose file a repair made shorter
        self._tombstones: dict[str, bytes] = {}  # of each session, all that are known
        self._noted: dict[str, bytes] = {}  # of a session that is being deleted: the new one
        self._journals: dict[int, str] = {}  # the open journals, by their descriptors
        self._locked: set[int] = set()  # those that are locked
        self._kept: dict[int, str] = {}  # the open files of the quarantine: their paths
        self._notes: set[int] = set()  # the open files of tombstones
        self._marks = Marks(self, layout.internal)
        self._is_over = False
        for folder in (layout.sessions, layout.quarantine, layout.attachments):
            make_folders(self, folder)

    # What a path stands for

    def _session_of(self, path: str) -> str | None:
        """The session of which this is the journal."""
        folder, name = os.path.split(path)
        if folder == self._layout.sessions and name.endswith(JOURNAL_ENDING) and name[0] != ".":
            return name[: -len(JOURNAL_ENDING)]
        return None

    def _shared_name(self, path: str) -> str | None:
        """The backend's name for a file that is no journal; None for one that is only here."""
        folder, name = os.path.split(path)
        layout = self._layout
        if name.startswith(".") or folder == layout.sessions:
            return None
        if folder == layout.quarantine:
            return f"quarantine/{name}"
        if os.path.dirname(folder) == layout.attachments:
            return f"attachments/{name}"
        if f"{path}/".startswith(f"{layout.internal}/"):
            return None
        return f"documents/{os.path.relpath(path, layout.base)}"

    def _path_of(self, name: str) -> str:
        kind, _, rest = name.partition("/")
        if kind == "quarantine":
            return os.path.join(self._layout.quarantine, rest)
        if kind == "attachments":
            return os.path.join(self._layout.attachments, rest[:2], rest)
        return os.path.join(self._layout.base, rest)

    # Taking in

    def refresh(self, path: str) -> None:
        """See Disk.refresh. Raises UnreachableError."""
        if (session_id := self._session_of(path)) is not None:
            if not self._settled.depth:
                self._pull(session_id)
        elif path == self._layout.sessions:
            self._pull_all()
        elif path.endswith(os.sep):
            self._fetch_folder(path[:-1])
        elif (name := self._shared_name(path)) is not None:
            self._fetch(name, path)

    def _lock_of(self, session_id: str) -> Lock:
        lock = self._locks.get(session_id)
        if lock is None:
            with self._mutex:
                lock = self._locks.setdefault(session_id, self.new_lock())
        return lock

    def _pull(self, session_id: str) -> bool:
        """Take in what others wrote to a session; True if there was anything."""
        with self._lock_of(session_id):
            if session_id in self._cut:  # and nothing was written behind the cut
                self._forget(session_id)
            place = self._places.get(session_id, 0)
            found = False
            reading = self._backend.journals.read(session_id, place)
            while changes := self._ask(_some(reading)):
                found = self._take_in(session_id, changes) or found
            self._places.setdefault(session_id, 0)
            self._stale.discard(session_id)
            return found

    def _pull_all(self) -> set[str]:
        """Take in what others wrote to any session; those that changed."""
        touched = set()
        with self._all_lock:
            reading = self._backend.journals.read(None, self._all)
            while changes := self._ask(_some(reading)):
                of: defaultdict[str, list[Change]] = defaultdict(list)
                for change in changes:
                    of[change.session_id].append(change)
                for session_id, its in of.items():
                    with self._lock_of(session_id):
                        # Of one that is not as it should be, these may not be all that is missing.
                        is_stale = session_id in self._stale
                        if self._pull(session_id) if is_stale else self._take_in(session_id, its):
                            touched.add(session_id)
                self._all = changes[-1].place
        return touched

    def _take_in(self, session_id: str, changes: Iterable[Change]) -> bool:
        """Write changes down that are not here yet; under the session's lock."""
        behind = b""
        found = False
        place = self._places.get(session_id, 0)
        for change in changes:
            if change.place <= place:
                continue
            if not found:
                self._marks.mark(session_id)
            found, place = True, change.place
            if change.kind == "append":
                behind += change.data
                continue
            behind = b""
            self._remove_here(session_id)
            if change.kind == "replace":
                behind = change.data
            else:
                self._note_deletion(session_id, change.data)
        if found:
            if behind:
                self._write_here(session_id, behind)
            self._places[session_id] = place
        return found

    def _write_here(self, session_id: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._layout.journal(session_id), flags, FILE_MODE)
        try:
            _write_whole(fd, data)
        finally:
            os.close(fd)

    def _remove_here(self, session_id: str) -> None:
        for path in (self._layout.snapshot(session_id), self._layout.journal(session_id)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _note_deletion(self, session_id: str, tombstones: bytes) -> None:
        known = self._tombstones.get(session_id, b"")
        if tombstones.startswith(known):
            new = tombstones[len(known) :]
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._layout.tombstones, flags, FILE_MODE)
            try:
                os.write(fd, new)
            finally:
                os.close(fd)
        self._tombstones[session_id] = tombstones

    def told(
        self, session_id: str | None, is_over: Callable[[], bool]
    ) -> Generator[frozenset[str] | None, None, None]:
        """See Disk.told: listens, and looks each second whether anything was missed."""
        events = self._waiting.events()
        listening = self._ask(self._backend.journals.listen(session_id, events.put))
        try:
            self._look_for(session_id)
            yield None
            look_at = time.monotonic() + _LOOK_EACH_SECONDS
            while not is_over():
                touched = set()
                change = events.get(_TICK_SECONDS)
                while change is not None:
                    touched.add(change.session_id)
                    self._hear(change)
                    change = events.get(0)
                if time.monotonic() >= look_at:
                    with contextlib.suppress(UnreachableError):  # it comes back, or the next reader tells
                        touched |= self._look_for(session_id)
                    look_at = time.monotonic() + _LOOK_EACH_SECONDS
                yield frozenset(f"{each}{JOURNAL_ENDING}" for each in touched)
        finally:
            with contextlib.suppress(UnreachableError, RuntimeError):  # there is nobody any more to tell
                self._ask(listening.close())

    def _look_for(self, session_id: str | None) -> set[str]:
        if session_id is None:
            return self._pull_all()
        return {session_id} if self._pull(session_id) else set()

    def _hear(self, change: Change) -> None:
        """Take in a change as it comes, if it is the next one."""
        session_id = change.session_id
        with self._lock_of(session_id):
            place = self._places.get(session_id, 0)
            if change.place > place and change.after == place and session_id not in self._stale:
                self._take_in(session_id, [change])
                return
        if change.place > place:
            with contextlib.suppress(UnreachableError):
                self._pull(session_id)

    @property
    def unrefreshed(self) -> Disk:
        """See Disk.unrefreshed."""
        return self._plain

    _plain: Final = Disk()

    # Writing journals

    def append(self, fd: int, data: bytes, end: int) -> int:
        """See Disk.append: to the backend, and then here. Raises DurabilityError, UnreachableError."""
        session_id = self._journals[fd]
        with self._lock_of(session_id):
            here = os.fstat(fd)
            if session_id in self._stale or here.st_size != end or not here.st_nlink:
                raise Overtaken
            if session_id in self._cut:
                self._commit(session_id, "replace", b"".join(_pieces(fd, end)) + data)
                self._cut.discard(session_id)
            else:
                self._commit(session_id, "append", data)
            try:
                _write_whole(fd, data)
            except OSError:
                self._forget(session_id)  # it is on record, and will be fetched
        return len(data)

    def _commit(self, session_id: str, kind: Kind, data: bytes) -> None:
        """Have the backend write a change, and know that it did. The local file is the caller's to change.

        Raises Overtaken, DurabilityError where that cannot be known, UnreachableError.
        """
        after = self._places.get(session_id, 0)
        try:
            self._places[session_id] = self._waiting.wait(self._write(session_id, kind, data, after))
            return
        except Moved:
            self._stale.add(session_id)
            raise Overtaken from None
        except Unreachable as error:
            raise UnreachableError(self.name, str(error), was_writing=True) from error
        except Unclear as error:
            self._stale.add(session_id)
            reason = str(error)
        except BaseException:  # whoever waited is cancelled, and it may be written all the same
            self._stale.add(session_id)
            raise
        self._clear_up(session_id, kind, data, after, reason)

    def _clear_up(self, session_id: str, kind: Kind, data: bytes, after: int, reason: str) -> None:
        """As `_commit`, after a try of which nobody knows what became: look for it, else try again."""
        until = time.monotonic() + self._timeout
        while True:
            try:
                if changes := self._waiting.wait(_some(self._backend.journals.read(session_id, after))):
                    first = changes[0]
                    if (first.kind, first.data) != (kind, data):
                        raise Overtaken
                    self._places[session_id] = first.place
                    if len(changes) == 1:
                        self._stale.discard(session_id)
                    return
                if time.monotonic() < until:
                    # The first try may still land, and then this one cannot.
                    with contextlib.suppress(Moved):
                        work = self._write(session_id, kind, data, after)
                        self._places[session_id] = self._waiting.wait(work)
                        self._stale.discard(session_id)
                        return
                    continue
            except (Unreachable, Unclear) as error:
                reason = str(error) or reason
            if time.monotonic() >= until:
                raise DurabilityError(
                    f"{self.name}, session {session_id!r}",
                    f"no clear answer in {self._timeout:g} seconds{f' ({reason})' if reason else ''}",
                    outcome_unknown=True,
                )
            self.pause(_PAUSE_SECONDS)

    def _write(self, session_id: str, kind: Kind, data: bytes, after: int) -> Coroutine[Any, Any, int]:
        journals = self._backend.journals
        if kind == "append":
            return journals.append(session_id, (data,), after)
        if kind == "replace":
            return journals.replace(session_id, (data,), after)
        return journals.delete(session_id, data, after)

    def _commit_or_forget(self, session_id: str, kind: Kind, data: bytes) -> None:
        """As `_commit`, of what takes the journal's place. The engine has retracted the old one by then."""
        try:
            if session_id in self._stale:
                raise Overtaken
            self._commit(session_id, kind, data)
        except BaseException:
            self._forget(session_id)
            raise

    def _forget(self, session_id: str) -> None:
        """What is here of a session is not what it should be: fetch it anew when it is needed."""
        self._remove_here(session_id)
        self._cut.discard(session_id)
        self._places[session_id] = 0
        self._stale.add(session_id)

    # System calls that mean more here

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        """See Disk.open; fetches what is not here yet."""
        session_id = self._session_of(path)
        name = None if session_id is not None else self._shared_name(path)
        if session_id is not None and (session_id not in self._places or session_id in self._stale):
            self._pull(session_id)
        elif name is not None and not create and not os.path.lexists(path):
            self._fetch(name, path)
        fd = super().open(path, write=write, create=create, exclusive=exclusive)
        if write:
            if session_id is not None:
                self._journals[fd] = session_id
            elif name is not None and name.startswith("quarantine/"):
                self._kept[fd] = path
            elif path == self._layout.tombstones:
                self._notes.add(fd)
        return fd

    def close(self, fd: int) -> None:
        """See Disk.close."""
        if (session_id := self._journals.pop(fd, None)) is not None:
            self._unlock(fd, session_id)
        self._kept.pop(fd, None)
        self._notes.discard(fd)
        os.close(fd)

    def write(self, fd: int, data: Any) -> int:
        """See Disk.write. A tombstone goes with the deletion that it is of."""
        if fd not in self._notes:
            return os.write(fd, data)
        self._noted[id_of(bytes(data))] = bytes(data)
        return len(data)

    def truncate(self, fd: int, size: int) -> None:
        """See Disk.truncate."""
        session_id = self._journals.get(fd)
        if session_id is not None and size < os.fstat(fd).st_size:
            self._cut.add(session_id)
        os.ftruncate(fd, size)

    def lstat(self, path: str | bytes) -> os.stat_result:  # type: ignore[override]
        """See Disk.lstat. A writer asks for it before it reads what is new."""
        if self._stale:
            session_id = self._session_of(os.fsdecode(path))
            if session_id in self._stale:
                self._pull(session_id)
        return os.lstat(path)

    def rename(self, path: str, to: str) -> None:  # type: ignore[override]
        """See Disk.rename. What takes the place of something that is shared is shared first."""
        if (session_id := self._session_of(to)) is not None:
            with self._lock_of(session_id):
                self._commit_or_forget(session_id, "replace", read_whole(self, path))
                self._cut.discard(session_id)
                os.rename(path, to)
            return
        if (name := self._shared_name(to)) is not None:
            self._ask(self._backend.files.put(name, read_whole(self, path)))
        os.rename(path, to)

    def unlink(self, path: str) -> None:  # type: ignore[override]
        """See Disk.unlink."""
        if (session_id := self._session_of(path)) is not None:
            self._delete(session_id, path)
        elif (name := self._shared_name(path)) is not None:
            was_there = self._ask(self._backend.files.remove(name))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if not was_there:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        else:
            os.unlink(path)

    def _delete(self, session_id: str, path: str) -> None:
        with self._lock_of(session_id):
            note = self._noted.pop(session_id, None)
            if note is None and os.lstat(path).st_size:
                self._forget(session_id)  # it was empty when somebody wished it away, and is not any more
                return
            if note is not None:
                tombstones = self._tombstones.get(session_id, b"") + note
                self._commit_or_forget(session_id, "delete", tombstones)
                self._note_deletion(session_id, tombstones)
            self._cut.discard(session_id)
            os.unlink(path)

    def sync(self, fd: int) -> None:  # type: ignore[override]
        """See Disk.sync. The backend keeps what is to last; this folder may go at any time."""
        path = self._kept.get(fd)
        if path is not None:
            name = self._shared_name(path)
            assert name is not None
            self._ask(self._backend.files.put(name, read_whole(self, path)))

    def sync_folder(self, path: str) -> None:
        """See Disk.sync_folder."""

    def flock(self, fd: int, operation: int) -> None:  # type: ignore[override]
        """See Disk.flock. It holds off the threads and tasks of this store; others know nothing of it.

        A journal's is the lock that whoever takes something in has, too: no writer must see half of that.
        """
        session_id = self._journals.get(fd)
        if session_id is not None and operation & LOCK_UN:
            self._unlock(fd, session_id)
        elif session_id is not None:
            lock = self._lock_of(session_id)
            if not lock.acquire(not operation & LOCK_NB):
                raise BlockingIOError
            self._unlock(fd, session_id)
            self._locked.add(fd)
        elif operation & (LOCK_NB | LOCK_UN):
            Disk.flock(fd, operation)
        else:
            self._waiting.take(lambda how: Disk.flock(fd, operation | how), LOCK_NB)

    def _unlock(self, fd: int, session_id: str) -> None:
        if fd in self._locked:
            self._locked.discard(fd)
            self._lock_of(session_id).release()

    def pause(self, seconds: float) -> None:  # type: ignore[override]
        """See Disk.pause."""
        self._waiting.pause(seconds)

    def may_write(self, path: str) -> bool:
        """See Disk.may_write."""
        return True

    def end(self) -> None:
        """See Disk.end: the folder goes, and the connection."""
        if self._is_over:
            return
        self._is_over = True
        self._marks.close()
        with contextlib.suppress(UnreachableError, RuntimeError):
            self._ask(self._backend.close())
        self._waiting.close()
        shutil.rmtree(self._layout.base, ignore_errors=True)

    # Files

    def _fetch(self, name: str, path: str) -> None:
        """Bring a file to what the backend has of it."""
        there = self._ask(self._backend.files.get(name))
        if there is None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
            return
        make_folders(self, os.path.dirname(path))
        if read_file(self._plain, path) != there.data:
            temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.urandom(8).hex()}.tmp"
            fd = Disk.open(self, temporary, write=True, create=True, exclusive=True)
            try:
                _write_whole(fd, there.data)
            finally:
                os.close(fd)
            os.rename(temporary, path)

    def _fetch_folder(self, folder: str) -> None:
        """Bring the files of a folder, or those of all attachments, to what the backend has."""
        if folder == self._layout.attachments:
            for name in self._ask(self._backend.files.names("attachments")):
                if not os.path.lexists(
                    path := self._path_of(name)
                ):  # else it is the same: it has a hash's name
                    self._fetch(name, path)
            return
        shared = os.path.dirname(self._shared_name(f"{folder}/-") or "")
        names = self._ask(self._backend.files.names(shared))
        there = {path: name for name in names if os.path.dirname(path := self._path_of(name)) == folder}
        for entry in Disk.entries(self, folder):
            if entry.path not in there and stat.S_ISREG(entry.status.st_mode):
                os.unlink(entry.path)
        for path, name in there.items():
            self._fetch(name, path)

    def _ask(self, work: Any) -> Any:
        """What the backend answers. Raises UnreachableError."""
        try:
            return self._waiting.wait(work)
        except Unreachable as error:
            raise UnreachableError(self.name, str(error)) from error


class _Settled(threading.local):
    """See Disk.settled. Each thread has its own."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


async def _some(reading: AsyncIterator[Change]) -> list[Change]:
    """The next changes, as many as are written down together; none at the end."""
    found: list[Change] = []
    size = 0
    async for change in reading:
        found.append(change)
        size += len(change.data) + 64
        if size >= _TOGETHER_BYTES:
            break
    return found


def read_whole(disk: Disk, path: str) -> bytes:
    """All bytes of a file of this folder, however many."""
    fd = Disk.open(disk, path)
    try:
        return b"".join(_pieces(fd, os.fstat(fd).st_size))
    finally:
        os.close(fd)


def _write_whole(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _pieces(fd: int, end: int) -> Generator[bytes, None, None]:
    at = 0
    while at < end and (piece := os.pread(fd, min(1 << 20, end - at), at)):
        yield piece
        at += len(piece)
