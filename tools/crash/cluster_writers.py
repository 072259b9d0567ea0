"""The writers of a cluster's sessions, who go on while its servers come and go.

They try again where nothing was written, and with a key also where nobody knows; and tell what became of each
append, and of each call that took longer than was asked for.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple, Protocol, cast

from crash.awaited import Awaited
from crash.told import Batch, Began, Broken
from crash.writers import Hand, Timed
from journal import AsyncStateStore, DurabilityError, JournalError, StateStore, VersionConflictError

# Ids that a server's subjects, or a file's name, would not take as they are.
SHARED: Final = ("one", "ONE", "zwei.zwei", "drei * > drei")
OWN_SHARE: Final = 0.8
# What a writer asks for: so long, and then an outcome may be unknown. Some have more patience than an outage.
TIMEOUTS: Final = (2.0, 5.0, 30.0)
# A call asks for up to two things, each as long: what is there, and to write. Whatever takes so much longer
# than both hangs.
ASKS: Final = 2
LATE_SECONDS: Final = 5.0
# After so many appends a writer goes, and comes back as a new machine does, with nothing.
APPENDS_OF_A_LIFE: Final = 2_000
TELLS_EACH_SECONDS: Final = 0.1
RESTS_AFTER_FAILURE_SECONDS: Final = 0.05


class Connect(Protocol):
    """How a writer opens the store; `is_async`: by the other face."""

    def __call__(self, where: "Where", *, timeout: float, is_async: bool = False) -> StateStore: ...


@dataclass(frozen=True)
class Where:
    """A store in a cluster."""

    url: str
    monitor: str


class Unheard(NamedTuple):
    """A call that ended without an answer, and between which moments it was made."""

    began: Began
    began_ns: int
    ended_ns: int


class Failure(NamedTuple):
    """How a call ended that was not acknowledged."""

    error: str
    is_unknown: bool

    @staticmethod
    def of(error: JournalError) -> "Failure":
        """What a writer was told."""
        return Failure(type(error).__name__, isinstance(error, DurabilityError) and error.outcome_unknown)

    def __str__(self) -> str:
        return f"{self.error}{', outcome unknown' if self.is_unknown else ''}"


def connect(where: Where, *, timeout: float, is_async: bool = False) -> StateStore:
    """As users do."""
    if is_async:
        opened = Awaited(lambda: AsyncStateStore.connect(where.url, timeout=timeout, monitor=where.monitor))
        return cast(StateStore, opened)
    return StateStore.connect(where.url, timeout=timeout, monitor=where.monitor)


def own_session(writer: int) -> str:
    """The session that one writer alone writes."""
    return f"of writer {writer}"


@dataclass(frozen=True)
class Life:
    """What a writer is born with."""

    where: Where
    writer: int
    seed: int
    connect: Connect


def write(tell: Callable[[Any], None], over: Any, life: Life) -> None:
    """Append until it is over; every second writer by the face for asyncio."""
    random = Random(life.seed)
    numbers = itertools.count()
    sessions = (*SHARED, own_session(life.writer))
    while not over.is_set():
        timeout = random.choice(TIMEOUTS)
        try:
            store = life.connect(life.where, timeout=timeout, is_async=bool(life.writer % 2))
            try:
                hand = PatientHand(store, random, sessions, timeout)
                _work(tell, over, life.writer, hand, itertools.islice(numbers, APPENDS_OF_A_LIFE))
            finally:
                store.close()
        except JournalError as error:  # it could not be opened, or closed: no server was there
            tell([Failure.of(error)])
            time.sleep(RESTS_AFTER_FAILURE_SECONDS)


def _work(
    tell: Callable[[Any], None], over: Any, writer: int, hand: "PatientHand", numbers: Iterator[int]
) -> None:
    told: list[Any] = []
    next_time = 0.0
    own = own_session(writer)
    try:
        while not over.is_set() and (number := next(numbers, None)) is not None:
            session_id = own if hand.random.random() < OWN_SHARE else hand.random.choice(SHARED)
            size = hand.random.choice((1, 1, 1, 2, 3))
            told += hand.append(session_id, Batch(writer, number, size, hand.random.choice((0, 100))))
            if time.monotonic() > next_time:
                tell(told)
                told, next_time = [], time.monotonic() + TELLS_EACH_SECONDS
    finally:
        tell(told)


class PatientHand(Hand):
    """Tries again where nothing was written; with a key, also where nobody knows."""

    def __init__(self, store: StateStore, random: Random, sessions: tuple[str, ...], timeout: float) -> None:
        super().__init__(store, random, sessions)
        self.timeout = timeout

    def append(self, session_id: str, batch: Batch) -> Iterator[Any]:
        """Append, again on conflict and refusal; yield what is to be told of it."""
        way = self.random.choice(self.ways)
        began = time.monotonic_ns()
        while True:
            tried = time.monotonic_ns()
            done, failure = None, None
            try:
                done = way(session_id, batch)
                end = "was acknowledged"
            except VersionConflictError as conflict:
                self.versions[session_id] = conflict.version
                end = "met a conflict"
            except JournalError as error:
                failure = Failure.of(error)
                yield failure
                end = f"ended in {failure}"
            ended = time.monotonic_ns()
            if ended - tried > (ASKS * self.timeout + LATE_SECONDS) * 1e9:
                took = f"{(ended - tried) / 1e9:.1f} s, where {self.timeout} s were asked for"
                yield Broken(f"{way.__name__.strip('_')} took {took}, and {end}")
            if done is not None:
                self.versions[session_id] = done.version
                yield Timed(done, began, ended)
                return
            if failure is not None:
                if failure.is_unknown and way != self._with_key:
                    yield Unheard(Began(session_id, batch), began, ended)
                    return
                time.sleep(RESTS_AFTER_FAILURE_SECONDS)
