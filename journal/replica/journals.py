"""Sessions' journals of a replica: what others wrote is taken in, what is written is committed first.

A journal here is always what the backend has up to the place that is noted, whole changes of it. So the next
change is written if the backend is at that place still; else the engine must look again (`Overtaken`).
Whoever changes a file here has the session's lock, and so has each writer of the engine.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

from journal.backend import Change, Moved, Unclear, Unreachable
from journal.disk import chunks
from journal.errors import DurabilityError, JournalClosedError, UnreachableError
from journal.layout import Layout
from journal.marks import OwnMarks
from journal.names import is_session_id
from journal.news import Added
from journal.overtaking import Overtaken
from journal.replica.asking import Asking
from journal.replica.files import PLAIN, add_here, put_here, read_whole
from journal.replica.snapshots import SharedSnapshots
from journal.replica.spool import Spool
from journal.waiting import Lock

# So many bytes are fetched before they are written down.
TOGETHER_BYTES: Final = 1024 * 1024
# Between two tries whose outcome is not known.
PAUSE_SECONDS: Final = 0.05

# What is left for finding out what became of a write, however long that took.
_LAST_LOOK_SECONDS: Final = 1.0

Kind = Literal["append", "replace", "delete"]
T = TypeVar("T")


class ReplicatedJournals:
    """The journals that are here, and up to where.

    timeout  after so many seconds without a clear answer, an outcome is reported as unknown
    is_void  is called where somebody erased or deleted something: files that are here may be void, too
    stale    sessions of which more is known to be there, or may be
    is_followed  whether somebody reads the files as they are: from now on all are here from the beginning
    """

    def __init__(
        self,
        backend: Asking,
        layout: Layout,
        marks: OwnMarks,
        timeout: float,
        is_void: Callable[[], object],
    ) -> None:
        self._is_void = is_void
        self._backend, self._layout, self._marks, self._timeout = backend, layout, marks, timeout
        self._snapshots = SharedSnapshots(backend, layout)
        self._mutex = threading.Lock()  # of the locks; never held while anybody waits
        self._locks: dict[str, Lock] = {}
        self._places: dict[str, int] = {}  # up to where each session is here
        self._sizes: dict[str, int] = {}  # how long its file was left
        self._all = 0  # up to where all sessions are
        self._all_lock = backend.waiting.lock()
        self.stale: set[str] = set()
        self._cut: set[str] = set()  # sessions whose file a repair made shorter
        self.holes: dict[str, int] = {}  # sessions that are not here from the beginning: from which byte on
        self._tombstones: dict[str, bytes] = {}  # of each session, all that are known
        self._spool = Spool(layout.internal)
        self._opens_all = False  # whether each session that is heard of gets a file
        self.is_followed = False

    def lock_of(self, session_id: str) -> Lock:
        """What whoever changes the session's file holds."""
        lock = self._locks.get(session_id)
        if lock is None:
            with self._mutex:
                lock = self._locks.setdefault(session_id, self._backend.waiting.lock())
        return lock

    # Taking in

    def is_known(self, session_id: str) -> bool:
        """Whether the session was looked at, and is as it was then or further."""
        return session_id in self._places and session_id not in self.stale

    def pull(self, session_id: str) -> bool:
        """Take in what others wrote to a session; True if there was anything. Raises UnreachableError."""
        with self.lock_of(session_id):
            self.unspool(session_id)
            # What a repair cut off here is no news when it comes again: whoever cut it would for ever.
            known = self._places[session_id] if session_id in self._cut else None
            if self._is_off(session_id):
                self.forget(session_id)
            is_new = session_id not in self._places
            self._places.setdefault(session_id, 0)
            try:
                found = self._read_on(session_id)
            except BaseException:
                if is_new and not self._places[session_id]:
                    del self._places[session_id]  # nobody knows whether it is there
                raise
            self.stale.discard(session_id)
            return found and self._places[session_id] != known

    def _is_off(self, session_id: str) -> bool:
        """Whether a session's file is not as it was left.

        A repair cut it, and nothing was written behind the cut; or somebody tidied up the temporary folder.
        """
        try:
            size = os.lstat(self._layout.journal(session_id)).st_size
        except FileNotFoundError:
            size = 0
        return size != self._sizes.get(session_id, 0)

    def _read_on(self, session_id: str) -> bool:
        found = False
        reading = self._backend.journals.read(session_id, self._places.get(session_id, 0))
        may_begin_late = not self._places.get(session_id) and not self.is_followed
        while changes := self._backend.ask(_some(reading)):
            is_long = may_begin_late and not found and _size(changes) >= TOGETHER_BYTES
            if is_long and self._begin_at_snapshot(session_id, changes):
                return True
            found = self._take_in(session_id, changes) or found
        return found

    def _begin_at_snapshot(self, session_id: str, first: Sequence[Change]) -> bool:
        """Of a long journal, take what is behind a snapshot; the rest comes when somebody asks for it.

        `first`: the journal's first changes, which alone tell of the session's deletions.
        """
        if (begun := self._snapshots.begin(session_id)) is None:
            return False
        self._remove_here(session_id)
        self._marks.mark(session_id)
        try:
            for change in first:
                self._note_deletions_in(change)
            put_here(self._layout.snapshot(session_id), begun.data)
            fd = PLAIN.open(self._layout.journal(session_id), write=True, create=True)
            try:
                os.ftruncate(fd, begun.offset)
                self._sizes[session_id] = add_here(fd, begun.tail) + len(begun.tail)
            finally:
                os.close(fd)
        except BaseException:
            self.forget(session_id)  # a snapshot alone would be another program's session
            raise
        self.holes[session_id] = begun.offset
        self._places[session_id] = begun.place
        self._read_on(session_id)
        return True

    def fill(self, session_id: str) -> None:
        """Fetch what is not here of a session's journal. Raises UnreachableError."""
        with self.lock_of(session_id):
            if (end := self.holes.get(session_id)) is None:
                return
            fd = os.open(self._layout.journal(session_id), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                at, is_replaced, place = 0, False, 0
                known = self._places.get(session_id, 0)
                reading = self._backend.journals.read(session_id, 0)
                # Up to what is known: what is void by then may still come before it, and be as long.
                while (at < end or place < known) and (changes := self._backend.ask(_some(reading))):
                    place = changes[-1].place
                    for change in changes:
                        if change.kind != "append":
                            # Up to where it is known that is its beginning; behind that, another one's.
                            is_replaced = is_replaced or change.place > known
                            at = 0
                        data = b"" if change.kind == "delete" else change.data[: end - at]
                        while data:
                            written = os.pwrite(fd, data, at)
                            at, data = at + written, data[written:]
            finally:
                os.close(fd)
            if is_replaced or at < end:
                self.forget(session_id)
                reason = f"session {session_id!r} was rewritten while it was read; read it again"
                raise UnreachableError(self._backend.name, reason)
            del self.holes[session_id]

    def unspool(self, session_id: str) -> None:
        """Give a session a file of its own, if it has none yet."""
        if session_id not in self._spool or not is_session_id(session_id):
            return
        with self.lock_of(session_id):
            if session_id in self._spool:
                place, data = self._spool.place(session_id), self._spool.read(session_id)
                self._spool.drop(session_id)
                if data:
                    self._add_here(session_id, data)
                self._places[session_id] = place

    def unopened_ids(self) -> list[str]:
        """The sessions that have no file here."""
        return self._spool.ids()

    def unopened(self, session_id: str) -> bytes | None:
        """The journal of a session that has no file here; None of any other one."""
        if session_id not in self._spool:
            return None
        with self.lock_of(session_id):
            return self._spool.read(session_id) if session_id in self._spool else None

    def open_all(self, *, forever: bool = False) -> None:
        """Give each session a file; `forever`: those that come, too.

        But for one whose id is none: no store writes that, it has no path, and whoever opens it is told so.
        """
        self._opens_all = self._opens_all or forever
        for session_id in self._spool.ids():
            self.unspool(session_id)

    def pull_all(self) -> set[str]:
        """Take in what others wrote to any session; those that changed. Raises UnreachableError."""
        touched = set()
        with self._all_lock:
            reading = self._backend.journals.read(None, self._all)
            while changes := self._backend.ask(_some(reading)):
                of: defaultdict[str, list[Change]] = defaultdict(list)
                for change in changes:
                    of[change.session_id].append(change)
                for session_id, its in of.items():
                    with self.lock_of(session_id):
                        # Of one that is not as it should be, these may not be all that is missing.
                        has_more = self._may_lack(session_id)
                        if self.pull(session_id) if has_more else self._take_in(session_id, its):
                            touched.add(session_id)
                self._all = changes[-1].place
        return touched

    def hear(self, change: Change) -> Added | None:
        """Take in a change as it comes, if it is the next one; else look. Raises UnreachableError.

        What was added to the session's file, where it is no more than that.
        """
        session_id = change.session_id
        with self.lock_of(session_id):
            place = self._place_of(session_id)
            if change.place <= place:
                return None
            if change.after != place or self._may_lack(session_id):
                self.pull(session_id)
                return None
            self._take_in(session_id, [change])
            if change.kind != "append" or session_id in self._spool:
                return None
            return Added(self._sizes[session_id], change.data)

    def _may_lack(self, session_id: str) -> bool:
        """Whether more than the changes behind its place may be missing of a session."""
        return session_id in self.stale or (session_id in self._places and self._is_off(session_id))

    def _take_in(self, session_id: str, changes: Iterable[Change]) -> bool:
        """Write changes down that are not here yet; under the session's lock."""
        if self._opens_all:
            self.unspool(session_id)
        behind: list[bytes] = []
        before = place = self._place_of(session_id)
        for change in changes:
            if change.place <= place:
                continue
            if place == before:
                self._marks.mark(session_id)
            place = change.place
            if change.kind == "append":
                behind.append(change.data)
                continue
            behind.clear()
            if is_session_id(session_id):
                self._remove_here(session_id)
            self._spool.drop(session_id)
            self._is_void()
            self._note_deletions_in(change)
            if change.kind == "replace":
                behind.append(change.data)
        if place == before:
            return False
        data = b"".join(behind)
        if session_id not in self._places and not (self._opens_all and is_session_id(session_id)):
            self._spool.add(session_id, data, place)
            return True
        if data:
            self._add_here(session_id, data)
        self._places[session_id] = place
        return True

    def _place_of(self, session_id: str) -> int:
        if session_id in self._spool:
            return self._spool.place(session_id)
        return self._places.get(session_id, 0)

    def close(self) -> None:
        """Nobody needs them any more."""
        self._spool.close()

    def _add_here(self, session_id: str, data: bytes) -> None:
        try:
            fd = PLAIN.open(self._layout.journal(session_id), write=True, create=True)
            try:
                self._sizes[session_id] = add_here(fd, data) + len(data)
            finally:
                os.close(fd)
        except OSError:
            self.forget(session_id)
            raise

    def _remove_here(self, session_id: str) -> None:
        self.holes.pop(session_id, None)
        self._sizes.pop(session_id, None)
        snapshot, journal = self._layout.snapshot(session_id), self._layout.journal(session_id)
        with contextlib.suppress(FileNotFoundError):
            os.truncate(journal, os.lstat(journal).st_size + 1)  # see Log.retract
        for path in (snapshot, journal):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def forget(self, session_id: str) -> None:
        """What is here of a session is not what it should be: fetch it anew when it is needed."""
        self._marks.mark(session_id)
        self._cut.discard(session_id)
        self._places[session_id] = 0
        self.stale.add(session_id)
        self._remove_here(session_id)

    def _note_deletions_in(self, change: Change) -> None:
        """Note the tombstones that a change tells of."""
        if told := change.data if change.kind == "delete" else change.tombstones:
            self._note_deletion(change.session_id, told)

    def _note_deletion(self, session_id: str, tombstones: bytes) -> None:
        known = self._tombstones.get(session_id, b"")
        if tombstones.startswith(known):
            fd = PLAIN.open(self._layout.tombstones, write=True, create=True)
            try:
                add_here(fd, tombstones[len(known) :])
            finally:
                os.close(fd)
        self._tombstones[session_id] = tombstones

    # Writing: under the session's lock. What was written is on record when this returns.

    def append(self, session_id: str, fd: int, data: bytes, end: int) -> None:
        """Write to the end of a journal, which is `end` for whoever read it. Raises as `_commit`."""
        here = os.fstat(fd)
        if session_id in self.stale or here.st_size != end or not here.st_nlink:
            raise Overtaken
        if session_id in self._cut:
            self._commit(session_id, "replace", b"".join(chunks(PLAIN, fd, 0, end)) + data)
            self._cut.discard(session_id)
        elif end != self._sizes.get(session_id, 0):
            self.forget(session_id)  # whoever looked at it saw something else
            raise Overtaken
        else:
            self._commit(session_id, "append", data)
        try:
            self._sizes[session_id] = add_here(fd, data) + len(data)
        except OSError:
            self.forget(session_id)  # it is on record, and will be fetched

    def replace(self, session_id: str, path: str) -> None:
        """Put a file in the place of a journal. Raises as `_commit`."""
        with self.lock_of(session_id):
            data = read_whole(path)
            self._commit_or_forget(session_id, "replace", data)
            self._snapshots.remove_later(session_id)
            try:
                os.rename(path, self._layout.journal(session_id))
            except OSError:
                self.forget(session_id)  # it is on record, and will be fetched
                return
            self._cut.discard(session_id)
            self.holes.pop(session_id, None)
            self._sizes[session_id] = len(data)

    def delete(self, session_id: str, tombstone: bytes | None) -> None:
        """Remove a journal; without a tombstone, an empty file that stands for none. Raises as `_commit`."""
        path = self._layout.journal(session_id)
        with self.lock_of(session_id):
            self._marks.mark(session_id)
            if tombstone is None and os.lstat(path).st_size:
                self.forget(session_id)  # it was empty when somebody wished it away, and is not any more
                return
            if tombstone is None:
                os.unlink(path)
                return
            tombstones = self._tombstones.get(session_id, b"") + tombstone
            self._commit_or_forget(session_id, "delete", tombstones)
            self._snapshots.remove_later(session_id)
            try:
                self._note_deletion(session_id, tombstones)
            except OSError:
                self.forget(session_id)  # it is on record, and will be fetched
                return
            self._cut.discard(session_id)
            self._remove_here(session_id)

    def cut(self, session_id: str) -> None:
        """A repair makes the file shorter: the next append replaces all that is there.

        So all of it must be here. Raises UnreachableError.
        """
        self.fill(session_id)
        self._cut.add(session_id)

    def share_snapshot(self, session_id: str) -> None:
        """Give the others the snapshot that was written, if it saves them much. Waits for nobody."""
        with self.lock_of(session_id):
            if session_id not in self.stale:
                self._snapshots.share(session_id, self._places.get(session_id, 0))

    def remove_snapshot(self, session_id: str) -> None:
        """What snapshots of a session say is about to be void. Raises UnreachableError."""
        self._snapshots.remove(session_id)

    def _commit(self, session_id: str, kind: Kind, data: bytes) -> None:
        """Have the backend write a change, and know that it did. The file here is the caller's to change.

        Raises Overtaken, DurabilityError where that cannot be known, UnreachableError.
        """
        after, until = self._places.get(session_id, 0), time.monotonic() + self._timeout
        try:
            self._places[session_id] = self._backend.wait(self._write(session_id, kind, data, after))
            return
        except Moved:
            self.stale.add(session_id)
            raise Overtaken from None
        except Unreachable as error:
            raise UnreachableError(self._backend.name, str(error), was_writing=True) from error
        except Unclear as error:
            self.stale.add(session_id)
            reason = str(error)
        except BaseException:  # whoever waited is cancelled, and it may be written all the same
            self.stale.add(session_id)
            raise
        self._clear_up(session_id, kind, data, after, reason, until)

    def _clear_up(
        self, session_id: str, kind: Kind, data: bytes, after: int, reason: str, until: float
    ) -> None:
        """As `_commit`, after a try of which nobody knows what became: look for it, else try again."""
        while True:
            try:
                if changes := self._within(until, _some(self._backend.journals.read(session_id, after))):
                    first = changes[0]
                    if kind == "append" and first.kind == "replace" and data in first.data:
                        return  # it was written, and then somebody else replaced all; it stays stale
                    if (first.kind, first.data) != (kind, data):
                        raise Overtaken
                    self._places[session_id] = first.place
                    if len(changes) == 1:
                        self.stale.discard(session_id)
                    return
                if time.monotonic() < until:
                    # The first try may still land, and then this one cannot.
                    with contextlib.suppress(Moved):
                        work = self._write(session_id, kind, data, after)
                        self._places[session_id] = self._within(until, work)
                        self.stale.discard(session_id)
                        return
                    continue
            except (Unreachable, Unclear, TimeoutError) as error:
                reason = str(error) or reason
            except JournalClosedError:  # meanwhile
                until, reason = 0, "the store was closed"
            if time.monotonic() >= until:
                raise DurabilityError(
                    f"{self._backend.name}, session {session_id!r}",
                    f"no clear answer in {self._timeout:g} seconds{f' ({reason})' if reason else ''}",
                    outcome_unknown=True,
                )
            self._backend.waiting.pause(PAUSE_SECONDS)

    def _within(self, until: float, work: Coroutine[Any, Any, T]) -> T:
        """What the backend answers, while there is time, or in a last look. Raises TimeoutError."""
        seconds = max(until - time.monotonic(), _LAST_LOOK_SECONDS)
        try:
            return self._backend.wait(_in_time(work, seconds))
        except JournalClosedError:
            work.close()  # nobody has begun with it
            raise

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
            if session_id in self.stale:
                raise Overtaken
            self._commit(session_id, kind, data)
        except BaseException:
            self.forget(session_id)
            raise


async def _in_time(work: Coroutine[Any, Any, T], seconds: float) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # what never waits needs no loop, and no time
        return await work
    async with asyncio.timeout(seconds):
        return await work


async def _some(reading: AsyncIterator[Change]) -> list[Change]:
    """The next changes, as many as are written down together; none at the end."""
    found: list[Change] = []
    size = 0
    async for change in reading:
        found.append(change)
        size += len(change.data)
        if size >= TOGETHER_BYTES or len(found) >= TOGETHER_BYTES:
            break
    return found


def _size(changes: Iterable[Change]) -> int:
    return sum(len(change.data) for change in changes)
