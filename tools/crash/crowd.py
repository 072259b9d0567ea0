"""Those who use one store all at once: they write, read, follow and compact until it is over."""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, TypeAlias

from crash.told import Batch, Broken, Done
from journal import ANY, Session, StateStore, VersionConflictError
from journal.handles import MAX_OPEN

SESSIONS: Final = [f"session-{number}" for number in range(1000)]
WRITER_PROCESSES, WRITER_THREADS, READER_THREADS = 4, 4, 2
_TOLD_AT_ONCE: Final = 50
_PAGE: Final = 100

Tell: TypeAlias = Callable[[Any], None]
MakeStore: TypeAlias = Callable[..., StateStore]


class Timed(NamedTuple):
    """An acknowledged call, and how long it took."""

    done: Done
    duration_us: int


class Counted(NamedTuple):
    """What somebody counted, told at the end."""

    what: str
    number: int


class Followed(NamedTuple):
    """How far a follower came in each session: number and chain of the last record."""

    ends: dict[str, tuple[int, str]]


def write(tell: Tell, over: Any, folder: Path, process: int, seed: int, make_store: MakeStore) -> None:
    """Append in several threads, half of the processes durably."""
    with make_store(folder, durability=("disk", "os")[process % 2]) as store:
        _open_its_share(store)

        def work(tell: Tell, thread: int) -> None:
            writer = process * WRITER_THREADS + thread
            _Writer(store, writer, Random(seed + thread)).work(tell, over)

        _in_threads(tell, WRITER_THREADS, work)


def read(tell: Tell, over: Any, folder: Path, seed: int, make_store: MakeStore) -> None:
    """Load, list and read records, in several threads: versions never go back, and nothing is half there."""
    with make_store(folder) as store:
        _open_its_share(store)

        def work(tell: Tell, thread: int) -> None:
            _Reader(store, Random(seed + thread)).work(tell, over)

        _in_threads(tell, READER_THREADS, work)


def _open_its_share(store: StateStore) -> None:
    """Hold as many sessions open as a store does: whatever comes on top of that later is a leak.

    By chance alone a short run on a busy machine would still be opening its first ones at the end.
    """
    for session_id in SESSIONS[:MAX_OPEN]:
        store.load_session(session_id)


def follow(tell: Tell, over: Any, folder: Path, make_store: MakeStore) -> None:
    """Ask for what is new in each session, again and again, and once more when it is over."""
    ends = dict.fromkeys(SESSIONS, (0, ""))
    with make_store(folder) as store:
        is_last = False
        while not is_last:
            is_last = over.is_set()
            for session_id, (seq, _) in ends.items():
                for record in store.records(session_id, after=seq):
                    if record.seq != seq + 1:
                        tell(Broken(f"{session_id}: record {record.seq} followed record {seq}"))
                    seq = record.seq
                    ends[session_id] = seq, record.chain
    tell(Followed(ends))


def compact(tell: Tell, over: Any, folder: Path, make_store: MakeStore) -> None:
    """Bring all snapshots up to date, again and again."""
    compactions = snapshots = 0
    with make_store(folder, durability="os") as store:
        while not over.is_set():
            snapshots += store.compact()
            compactions += 1
    tell(Counted("compactions of all sessions", compactions))
    tell(Counted("snapshots that they wrote", snapshots))


def _in_threads(tell: Tell, threads: int, work: Callable[[Tell, int], None]) -> None:
    one_at_a_time = threading.Lock()

    def say(told: Any) -> None:
        with one_at_a_time:
            tell(told)

    with ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(work, say, thread) for thread in range(threads)]:
            each.result()


class _Writer:
    def __init__(self, store: StateStore, writer: int, random: Random) -> None:
        self.store, self.writer, self.random = store, writer, random
        # As this writer last saw them: the others go on meanwhile, and so there are conflicts.
        self.versions = dict.fromkeys(SESSIONS, 1)
        self.conflicts = 0
        self.ways = [self._expecting] * 4 + [self._anyhow] * 2 + [self._update] * 2 + [self._save] * 2

    def work(self, tell: Tell, over: Any) -> None:
        told: list[Timed] = []
        try:
            for number in itertools.count():
                if over.is_set():
                    break
                batch = Batch(
                    self.writer, number, self.random.choice((1, 1, 2)), self.random.choice((0, 100))
                )
                told.append(self._append(self.random.choice(SESSIONS), batch))
                if len(told) >= _TOLD_AT_ONCE:
                    tell(told)
                    told = []
        finally:
            tell(told)
            tell(Counted("conflicts", self.conflicts))

    def _append(self, session_id: str, batch: Batch) -> Timed:
        way = self.random.choice(self.ways)
        while True:
            start = time.perf_counter_ns()
            try:
                version = way(session_id, batch)
            except VersionConflictError as conflict:
                self.conflicts += 1
                self.versions[session_id] = conflict.version
            else:
                self.versions[session_id] = version
                return Timed(Done(session_id, batch, version), (time.perf_counter_ns() - start) // 1000)

    def _expecting(self, session_id: str, batch: Batch) -> int:
        return self.store.append(session_id, batch.events(), expected_version=self.versions[session_id])

    def _anyhow(self, session_id: str, batch: Batch) -> int:
        return self.store.append(session_id, batch.events(), expected_version=ANY)

    def _update(self, session_id: str, batch: Batch) -> int:
        def change(session: Session) -> None:
            for text in batch.texts():
                session.add_user_message(text)

        return self.store.update_session_with(session_id, change)

    def _save(self, session_id: str, batch: Batch) -> int:
        session = self.store.load_session(session_id)
        assert session is not None
        for text in batch.texts():
            session.add_agent_response(text)
        return self.store.save_session(session)


class _Reader:
    def __init__(self, store: StateStore, random: Random) -> None:
        self.store, self.random = store, random
        self.versions = dict.fromkeys(SESSIONS, 1)
        # To turn all pages takes long, where so much is written meanwhile.
        self.ways = [self._load] * 100 + [self._read_records] * 50 + [self._list]

    def work(self, tell: Tell, over: Any) -> None:
        reads = 0
        while not over.is_set():
            if (problem := self.random.choice(self.ways)()) is not None:
                tell(Broken(problem))
            reads += 1
        tell(Counted("reads", reads))

    def _load(self) -> str | None:
        session_id = self.random.choice(SESSIONS)
        session = self.store.load_session(session_id)
        if session is None:
            return f"{session_id} is not there"
        # The first record is that it was created, each other one a message.
        messages = len(session.user_messages) + len(session.agent_responses)
        if messages != session.version - 1:
            return f"{session_id} has {messages} messages at version {session.version}"
        return self._went_back(session_id, session.version)

    def _read_records(self) -> str | None:
        session_id = self.random.choice(SESSIONS)
        numbers = [record.seq for record in self.store.records(session_id)]
        if numbers != list(range(1, len(numbers) + 1)):
            return f"{session_id} has the records {numbers}"
        return self._went_back(session_id, len(numbers))

    def _list(self) -> str | None:
        """Turn all pages: whoever is written meanwhile goes to the front, so nobody is met twice."""
        met: set[str] = set()
        page: str | None = None
        while True:
            sessions = self.store.list_sessions(limit=_PAGE, page=page)
            if sessions.unreadable:
                return f"listed as unreadable: {sessions.unreadable}"
            for summary in sessions:
                if summary.id in met:
                    return f"{summary.id} is listed twice"
                met.add(summary.id)
                if problem := self._went_back(summary.id, summary.version):
                    return problem
            if (page := sessions.next_page) is None:
                return None

    def _went_back(self, session_id: str, version: int) -> str | None:
        before, self.versions[session_id] = self.versions[session_id], version
        return f"{session_id} was at version {before}, is at {version}" if version < before else None
