"""Processes write sessions on three servers, which are killed, stopped, paused and started again.

One at a time and all at once. At the end every append that was acknowledged is there, once, at its version,
whole and in the order of real time; and nothing is there that was never begun, or that was refused. Those who
follow were given each record once. No call takes longer than its writer asked for, and after each outage
writing goes on. See outages.py for what happens to the servers.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple, Protocol, cast

from cluster import Cluster

from crash import cluster_follow
from crash.awaited import Awaited
from crash.campaign import Campaign
from crash.cluster_follow import Given, LeftAlone
from crash.crew import Crew, Failed, Member
from crash.outages import Outage, Outages
from crash.told import Batch, Began, Broken
from crash.witness import Witness
from crash.writers import Hand, Timed, out_of_order
from journal import (
    AsyncStateStore,
    DurabilityError,
    JournalError,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)

NODES: Final = 3
WRITERS: Final = 8
STORE: Final = "CHAOS"
# Ids that a server's subjects, or a file's name, would not take as they are.
SHARED: Final = ("one", "ONE", "zwei.zwei", "drei * > drei")
# Followers: one of all sessions, one of a single one.
FOLLOWED: Final = (None, "one")
# Whoever was given nothing for so long, with all servers at work, will not be given what is missing.
SILENT_FOR_SECONDS: Final = 20.0
OWN_SHARE: Final = 0.8
# What a writer asks for: so long, and then an outcome may be unknown. Some have more patience than an outage.
TIMEOUTS: Final = (2.0, 5.0, 30.0)
# A call that takes so much longer than was asked for hangs.
LATE_SECONDS: Final = 5.0
# After so many appends a writer goes, and comes back as a new machine does, with nothing.
APPENDS_OF_A_LIFE: Final = 2_000
TELLS_EACH_SECONDS: Final = 0.1
RESTS_AFTER_FAILURE_SECONDS: Final = 0.05
# From one outage to the next so many appends at most, and in a long campaign one in a hundred of all; now and
# then none, when the servers are still at a loss.
APPENDS_BETWEEN: Final = 100
AT_A_LOSS: Final = 0.15
# Servers that were started anew take some seconds to agree on who leads.
RECOVERS_WITHIN_SECONDS: Final = 60.0
MS: Final = 1_000_000


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


SESSIONS: Final = (*SHARED, *map(own_session, range(WRITERS)))


def run(campaign: Campaign, *, connect: Connect = connect) -> None:
    """Units are acknowledged appends."""
    with Cluster(NODES) as cluster, Crew() as crew:
        _Chaos(campaign, cluster, crew, connect).go()


class _Chaos:
    def __init__(self, campaign: Campaign, cluster: Cluster, crew: Crew, connect: Connect) -> None:
        self.campaign, self.cluster, self.crew, self.connect = campaign, cluster, crew, connect
        self.where = Where(cluster.url(STORE), ",".join(cluster.monitors))
        self.outages = Outages(cluster, STORE, campaign.random, self.wait)
        self.witness = Witness()
        for session_id in SESSIONS:
            self.witness.expect(session_id)
        self.writers: list[Member] = []
        self.followers: dict[str | None, Member] = {}
        self.given: dict[str | None, list[Given]] = {each: [] for each in FOLLOWED}
        self.times: list[Timed] = []
        self.unheard: list[Unheard] = []

    def go(self) -> None:
        """Write until there is enough; look at what is there."""
        self._come().close()  # so that there is something to be led
        start = time.monotonic()
        for writer in range(WRITERS):
            life = Life(self.where, writer, self.campaign.random.getrandbits(32), self.connect)
            self.writers.append(self.crew.start(write, self.crew.over, life))
        for session_id in FOLLOWED:
            self.followers[session_id] = self.crew.start(cluster_follow.follow, session_id, self._come)
        while not self._has_enough and self._writers_are_at_work:
            outage = self.outages.happen()
            self.campaign.figures[f"times: {outage}"] += 1
            if self.campaign.random.random() >= AT_A_LOSS:
                at_most = max(APPENDS_BETWEEN, (self.campaign.count or 0) // 100)
                self._await_appends(self.campaign.random.randint(1, at_most), outage)
        self.cluster.wait_until_ready()
        self._end_writing()
        self.campaign.figures["seconds of writing"] = round(time.monotonic() - start)
        self._check()
        self._count()

    def _await_appends(self, appends: int, outage: Outage) -> None:
        """Wait until so many more were acknowledged; that there is none for long is a breach."""
        goal, deadline = len(self.times) + appends, time.monotonic() + RECOVERS_WITHIN_SECONDS
        while len(self.times) < goal and not self._has_enough and self._writers_are_at_work:
            before = len(self.times)
            self.wait(0.1)
            if len(self.times) > before:
                deadline = time.monotonic() + RECOVERS_WITHIN_SECONDS
            elif time.monotonic() > deadline:
                self._breach(f"for {RECOVERS_WITHIN_SECONDS:.0f} s nothing could be written, after: {outage}")
                return

    @property
    def _writers_are_at_work(self) -> bool:
        return not all(member.has_ended for member in self.writers)

    @property
    def _has_enough(self) -> bool:
        count = self.campaign.count
        return self.campaign.is_over or (count is not None and len(self.times) >= count)

    def wait(self, seconds: float) -> None:
        """Hear the writers for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.crew.wait(left):
                time.sleep(max(0.0, end - time.monotonic()))  # they have all ended
            self._hear()

    def _hear(self) -> None:
        for session_id, member in self.followers.items():
            for told in member.heard():
                if isinstance(told, Failed):
                    self._breach(f"the follower of {session_id or 'all'} failed: {told.trace}")
                else:
                    self.given[session_id] += [each for each in told if each != LeftAlone()]
                    self.campaign.figures["times a follower lost the servers"] += LeftAlone() in told
        for told in (each for member in self.writers for each in member.heard()):
            if isinstance(told, Failed):
                self._breach(f"a writer failed: {told.trace}")
                continue
            for each in told:
                match each:
                    case Timed(done=done):
                        self.times.append(each)
                        self.witness.hear(done)
                    case Unheard(began=began):
                        self.unheard.append(each)
                        self.witness.hear(began)
                    case Failure():
                        self.campaign.figures[f"calls that ended in {each}"] += 1
                    case other:
                        self.witness.hear(other)

    def _end_writing(self) -> None:
        self.crew.over.set()
        end = time.monotonic() + TIMEOUTS[-1] + LATE_SECONDS
        while self._writers_are_at_work and time.monotonic() < end:
            self.crew.wait(1.0)
            self._hear()
        if self._writers_are_at_work:
            self._breach("a writer hangs: all servers are there, and it does not come to its end")

    def _check(self) -> None:
        """What a machine sees that comes anew; and what those were given who were there all the time."""
        with self._come() as store:
            problems = self.witness.check(store, another=self._come)
            there = {each: self._records(store, each) for each in SESSIONS}
        for problem in itertools.chain(problems, out_of_order(self.times)):
            self._breach(problem)
        for session_id in FOLLOWED:
            of = there if session_id is None else {session_id: there[session_id]}
            self._hear_out(session_id, [each for records in of.values() for each in records])
            for problem in cluster_follow.problems(self.given[session_id], of):
                self._breach(f"the follower of {session_id or 'all'}: {problem}")

    def _records(self, store: StateStore, session_id: str) -> list[Given]:
        try:
            return [Given(session_id, each.seq, each.id) for each in store.records(session_id)]
        except SessionNotFoundError:  # or lost: the witness knows
            return []
        except JournalError as error:
            self._breach(f"{session_id} cannot be read: {error!r}")
            return []

    def _hear_out(self, session_id: str | None, there: list[Given]) -> None:
        """Hear a follower until it was given everything, or nothing more for long."""
        since = time.monotonic()
        while time.monotonic() < since + SILENT_FOR_SECONDS and not self.followers[session_id].has_ended:
            given = self.given[session_id]
            if not cluster_follow.missing(given, there):
                return
            before = len(given)
            self.wait(0.5)
            if len(given) > before:
                since = time.monotonic()

    def _come(self) -> StateStore:
        return self.connect(self.where, timeout=TIMEOUTS[-1])

    def _count(self) -> None:
        figures = self.campaign.figures
        figures["appends acknowledged"] = len(self.times)
        figures["appends whose outcome stayed unknown"] = len(self.unheard)
        figures["records that followers were given"] = sum(map(len, self.given.values()))
        waits = [(each.began_ns, each.ended_ns) for each in self.times]
        waits += [(each.began_ns, each.ended_ns) for each in self.unheard]
        figures["longest wait of a writer, ms"] = max((end - begin for begin, end in waits), default=0) // MS
        stalls = [self.outages.stall_ns(*wait) for wait in waits]
        figures["longest stall while two servers were at work, ms"] = max(stalls, default=0) // MS

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}: {what}")


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
                hand = _PatientHand(store, random, sessions, timeout)
                _work(tell, over, life.writer, hand, itertools.islice(numbers, APPENDS_OF_A_LIFE))
            finally:
                store.close()
        except JournalError as error:  # it could not be opened, or closed: no server was there
            tell([Failure.of(error)])
            time.sleep(RESTS_AFTER_FAILURE_SECONDS)


def _work(
    tell: Callable[[Any], None], over: Any, writer: int, hand: "_PatientHand", numbers: Iterator[int]
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


class _PatientHand(Hand):
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
            if ended - tried > (self.timeout + LATE_SECONDS) * 1e9:
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
