"""Commits for asyncio: one thread writes all that has gathered, several then wait for the disk, in turns.

A thread for each save, or one that writes on while others sync, would spend its time on handing the
interpreter's lock around. What comes in meanwhile is the next turn's. Whoever finds a session held by
somebody else waits in a thread of its own, so that the other sessions go on.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from journal.acting import Act
from journal.errors import JournalClosedError
from journal.handle import Handle, lend
from journal.handles import Handles
from journal.log import Log
from journal.native_loop import NativeLoop
from journal.shared_file import Busy
from projections.session import Session, apply_event

# Syncs that run at once: a file system makes one write of several.
SYNCERS: Final = 16
# Saves of one turn: the first of them waits for the last.
MOST_TOGETHER: Final = 256


class Commit:
    """One save, on its way from its task to the disk and back."""

    __slots__ = ("act", "error", "future", "log", "loop", "result", "session_id", "then")

    def __init__(self, session_id: str, act: Callable[[Handle], int], then: Callable[[bool], None]) -> None:
        self.session_id, self.act, self.then = session_id, act, then
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[int] = self.loop.create_future()
        self.log: Log | None = None
        self.result = 0
        self.error: BaseException | None = None

    def end(self) -> None:
        """In its own loop: tell the task that waits."""
        self.then(self.error is None)
        if self.future.done():  # cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Commits:
    """What the tasks of one store have to save. Its threads start with the first save."""

    def __init__(
        self, handles: Handles, threads: ThreadPoolExecutor, native: NativeLoop | None = None
    ) -> None:
        self._handles, self._threads, self._native = handles, threads, native
        self._under_way = 0
        self._is_idle = asyncio.Event() if native else None
        self._queue: deque[Commit | None] = deque()
        self._has_work = threading.Event()
        self._mutex = threading.Lock()
        self._is_closed = False
        self._writer: threading.Thread | None = None
        self._syncers = ThreadPoolExecutor(SYNCERS, thread_name_prefix="journal-sync")

    async def save(self, session: Session, expected: int | None, act: Act) -> int:
        """Save a session as it is now; it may be changed further while this waits. See Handle.save."""
        version = session.version if expected is None else expected
        captured = _Captured(session)
        by, cause = act
        return await self._commit(
            session.id,
            lambda handle: handle.save(captured.twin, version, by=by, cause=cause),
            captured.end,
        )

    async def append(self, session_id: str, append: Callable[[Handle], int]) -> int:
        """Append to a session. See Handle.append."""
        return await self._commit(session_id, append, lambda is_saved: None)

    async def _commit(
        self, session_id: str, act: Callable[[Handle], int], then: Callable[[bool], None]
    ) -> int:
        if self._native is not None:
            return await self._commit_natively(self._native, session_id, act, then)
        try:
            self._handles.check_usable()  # after a fork there is no thread that would do it
            commit = Commit(session_id, act, then)
            self._take(commit)
        except JournalClosedError:
            then(False)
            raise
        return await commit.future

    async def _commit_natively(
        self, native: NativeLoop, session_id: str, act: Callable[[Handle], int], then: Callable[[bool], None]
    ) -> int:
        """The backend takes many at once: each save waits for its own answer, and no thread is needed."""
        is_saved = False
        self._under_way += 1
        try:
            self.check_usable()
            result = await native.run(act, self._handles.of(session_id))
            is_saved = True
            return result
        finally:
            then(is_saved)
            self._under_way -= 1
            if self._is_closed and not self._under_way and self._is_idle is not None:
                self._is_idle.set()

    def check_usable(self) -> None:
        """Raise JournalClosedError if the store was closed, or is being closed, or the process forked."""
        if self._is_closed:
            raise JournalClosedError("this store is closed")
        self._handles.check_usable()

    async def finish(self) -> None:
        """As `close`, of native ones."""
        self.let_go()
        if self._under_way and self._is_idle is not None:
            await self._is_idle.wait()

    def _take(self, commit: Commit) -> None:
        with self._mutex:
            if self._is_closed:
                raise JournalClosedError("this store is closed")
            self._queue.append(commit)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="journal-write", daemon=True)
                self._writer.start()
        if not self._has_work.is_set():
            self._has_work.set()

    def close(self) -> None:
        """Finish what was asked for; then end the threads."""
        self.let_go()
        if self._writer is not None:
            self._writer.join()
        self._syncers.shutdown()

    def let_go(self) -> None:
        """Take nothing more, and let the threads end in their own time."""
        with self._mutex:
            self._is_closed = True
            self._queue.append(None)
        self._has_work.set()

    # In the writing thread

    def _write_all(self) -> None:
        while True:
            self._has_work.wait()
            self._has_work.clear()
            while self._queue:
                turn = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_TOGETHER))]
                self._take_turn([commit for commit in turn if commit is not None])
                if None in turn:
                    return

    def _take_turn(self, commits: list[Commit]) -> None:
        written = [commit for commit in commits if self._write(commit)]
        count = min(SYNCERS, len(written))
        if count > 1 and any(commit.log is not None and commit.log.durable for commit in written):
            list(self._syncers.map(_sync_all, (written[n::count] for n in range(count))))
        else:
            _sync_all(written)  # one is synced here, at once
        _end_all(written)

    def _write(self, commit: Commit) -> bool:
        """Write one commit, and leave the sync for later; False where somebody else has the session."""
        try:
            if commit.future.cancelled():
                raise asyncio.CancelledError
            handle = self._handles.of(commit.session_id)
            log = handle.log
            if not log.is_synced:
                raise Busy  # the save before is still on its way, and this one would have to wait for it
            with log.at_once:
                log.defers = True
                try:
                    commit.result = commit.act(handle)
                finally:
                    log.defers = False
            commit.log = log
        except Busy:
            self._threads.submit(self._run_alone, commit)
            return False
        except BaseException as error:
            commit.error = error
        return True

    # In other threads

    def _run_alone(self, commit: Commit) -> None:
        try:
            commit.result = commit.act(self._handles.of(commit.session_id))
        except BaseException as error:
            commit.error = error
        _end_all([commit])


def _sync_all(commits: list[Commit]) -> None:
    for commit in commits:
        if commit.log is not None:
            try:
                commit.log.sync()
            except BaseException as error:
                commit.error = error


def _end_all(commits: Sequence[Commit]) -> None:
    """Wake each loop once."""
    loops: dict[Any, list[Commit]] = {}
    for commit in commits:
        loops.setdefault(commit.loop, []).append(commit)
    for loop, its in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_end_each, its)


def _end_each(commits: list[Commit]) -> None:
    for commit in commits:
        commit.end()


class _Captured:
    """What a session says now. It may be changed further while this is saved, in its own loop alone."""

    def __init__(self, session: Session) -> None:
        self._session, self._base = session, session.version
        messages, responses = session._user_messages, session._agent_responses
        self._edited = messages.edited, responses.edited
        # Lists that nobody edited are not read, and need no copy.
        self.twin = session.copy() if any(self._edited) else lend(session)
        # The changes themselves are the same: a retry is known by the id that its first try drew.
        self._changes = list(session._unsaved or ())
        self.twin._unsaved = None if session._unsaved is None else list(self._changes)
        self._messages = self.twin._user_messages
        messages.edited = responses.edited = False

    def end(self, is_saved: bool) -> None:
        """Bring the session up to date after the save; after a failed one it is as before."""
        session, twin = self._session, self.twin
        if not is_saved:
            session._user_messages.edited |= self._edited[0]
            session._agent_responses.edited |= self._edited[1]
            return
        known = {id(change) for change in self._changes}
        rest = [change for change in session._unsaved or () if id(change) not in known]
        session._unsaved = rest
        if twin._user_messages is not self._messages:  # it went on top of what others wrote
            session._become(twin.to_document())
            for change in rest:
                apply_event(session, change.event, change.at)
        elif not rest:
            session.updated_at = twin.updated_at
        # Two saves of one session may end in any order.
        if session.version == self._base or twin.version > session.version:
            session.version, session._chain = twin.version, twin._chain
