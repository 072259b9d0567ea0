"""Processes write sessions on three servers, which are killed, stopped, paused and started again.

One at a time and all at once. At the end every append that was acknowledged is there, once, at its version,
whole and in the order of real time; and nothing is there that was never begun, or that was refused. Those who
follow were given each record once. No call takes much longer than its writer asked for, and after each outage
writing goes on. See outages.py for what happens to the servers.
"""

import itertools
import tempfile
import time
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cluster import Cluster

from crash import cluster_follow, cluster_writers
from crash.campaign import Campaign
from crash.cluster_follow import Given, LeftAlone
from crash.cluster_writers import SHARED, Connect, Failure, Life, Unheard, Where, connect, own_session, write
from crash.crew import Crew, Failed, Member
from crash.outages import Outage, Outages
from crash.witness import Witness
from crash.writers import Timed, out_of_order
from journal import JournalError, SessionNotFoundError, StateStore

NODES: Final = 3
WRITERS: Final = 8
STORE: Final = "CHAOS"
SESSIONS: Final = (*SHARED, *map(own_session, range(WRITERS)))
# Followers: one of all sessions, one of a single one.
FOLLOWED: Final = (None, "one")
# Whoever was given nothing for so long, with all servers at work, will not be given what is missing.
SILENT_FOR_SECONDS: Final = 20.0
# From one outage to the next so many appends at most, and in a long campaign one in a hundred of all; now and
# then none, when the servers are still at a loss.
APPENDS_BETWEEN: Final = 50
AT_A_LOSS: Final = 0.15
# Servers that were started anew take some seconds to agree on who leads.
RECOVERS_WITHIN_SECONDS: Final = 60.0
MS: Final = 1_000_000


def run(campaign: Campaign, *, connect: Connect = connect) -> None:
    """Units are acknowledged appends."""
    with _temporary_files_in(campaign.folder), Cluster(NODES) as cluster, Crew() as crew:
        _Chaos(campaign, cluster, crew, connect).go()


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Who is killed cannot remove its replica: there it goes with the campaign."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


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
        self.ends_ns: list[int] = []  # of outages after which writing went on before the next one
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
                self.ends_ns.append(time.monotonic_ns())
                at_most = max(APPENDS_BETWEEN, (self.campaign.count or 0) // 100)
                self._await_appends(self.campaign.random.randint(1, at_most), outage)
        self.cluster.wait_until_ready(RECOVERS_WITHIN_SECONDS)
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
        end = time.monotonic() + cluster_writers.TIMEOUTS[-1] + cluster_writers.LATE_SECONDS
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
        return self.connect(self.where, timeout=cluster_writers.TIMEOUTS[-1])

    def _count(self) -> None:
        figures = self.campaign.figures
        figures["appends acknowledged"] = len(self.times)
        figures["appends whose outcome stayed unknown"] = len(self.unheard)
        figures["records that followers were given"] = sum(map(len, self.given.values()))
        waits = [(each.began_ns, each.ended_ns) for each in self.times]
        waits += [(each.began_ns, each.ended_ns) for each in self.unheard]
        figures["longest wait of a writer, ms"] = max((end - begin for begin, end in waits), default=0) // MS
        stalls = [self.outages.stall_ns(*wait) for wait in waits]
        figures["… not counting when two servers were away, ms"] = max(stalls, default=0) // MS
        figures["longest from an outage's end to the next append, ms"] = (
            max(self._recoveries(), default=0) // MS
        )

    def _recoveries(self) -> Iterator[int]:
        """How long it took, after each outage that was the last for a while, until writing went on."""
        ended = sorted(each.ended_ns for each in self.times)
        for end in self.ends_ns:
            if (next_one := bisect(ended, end)) < len(ended):
                yield ended[next_one] - end

    def _breach(self, what: str) -> None:
        self.campaign.breach(f"seed {self.campaign.seed}: {what}")
