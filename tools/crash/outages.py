"""Outages: nodes of a cluster are killed, stopped and paused, one at a time and all at once, and come back.

When a majority of them was at work is noted, so that how long writers waited can be held against it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Final, Literal, NamedTuple, TypeAlias

from cluster import Cluster

Blow: TypeAlias = Literal["kill", "stop", "pause"]
Reach: TypeAlias = Literal["the leader", "a follower", "two", "all at once", "one after the other"]
BLOWS: Final[tuple[Blow, ...]] = ("kill", "stop", "pause")
REACHES: Final[tuple[Reach, ...]] = ("the leader", "a follower", "two", "all at once", "one after the other")
# How long nodes are away: mostly shorter than it takes to notice, now and then longer.
SHORT_SECONDS, LONG_SECONDS = (0.05, 1.5), (2.0, 5.0)
LONG_ONES: Final = 0.2


class Outage(NamedTuple):
    """What happens, and to whom."""

    blow: Blow
    reach: Reach

    def __str__(self) -> str:
        return f"{self.blow} {self.reach}"


class Outages:
    """What happens to a cluster. `wait` lets so many seconds pass, and does meanwhile what must be done."""

    def __init__(self, cluster: Cluster, stream: str, random: Random, wait: Callable[[float], None]) -> None:
        self.cluster, self.stream, self.random, self.wait = cluster, stream, random, wait
        self._deck: list[Outage] = []
        self._gaps: list[tuple[int, int]] = []
        self._gap_since: int | None = None

    def happen(self) -> Outage:
        """One outage; at its end all servers are at work. Each sort comes before any comes again."""
        if not self._deck:
            self._deck = [Outage(blow, reach) for blow in BLOWS for reach in REACHES]
            self.random.shuffle(self._deck)
        outage = self._deck.pop()
        hit = self._hit(outage.reach)
        for nodes in [[each] for each in hit] if outage.reach == "one after the other" else [hit]:
            self._strike(outage.blow, nodes)
            self.wait(self.random.uniform(*self._length()))
            self._mend(nodes)
        return outage

    def _hit(self, reach: Reach) -> list[int]:
        nodes = list(range(len(self.cluster.servers)))
        self.random.shuffle(nodes)
        leader = self.cluster.leader(self.stream)
        if reach == "the leader":
            return nodes[:1] if leader is None else [leader]
        if reach == "a follower":
            return [node for node in nodes if node != leader][:1]
        return nodes[:2] if reach == "two" else nodes

    def _length(self) -> tuple[float, float]:
        return LONG_SECONDS if self.random.random() < LONG_ONES else SHORT_SECONDS

    def _strike(self, blow: Blow, nodes: list[int]) -> None:
        # What is needed for a majority is gone with the last of them, or a moment before.
        if self._at_work - len(nodes) <= len(self.cluster.servers) // 2 and self._gap_since is None:
            self._gap_since = time.monotonic_ns()
        strike = {"kill": self.cluster.kill, "stop": self.cluster.stop, "pause": self.cluster.pause}[blow]
        strike(*nodes)

    def _mend(self, nodes: Iterable[int]) -> None:
        self.cluster.restart(*nodes)
        if self._gap_since is not None and self._at_work > len(self.cluster.servers) // 2:
            self._gaps.append((self._gap_since, time.monotonic_ns()))
            self._gap_since = None

    @property
    def _at_work(self) -> int:
        return sum(server.is_running and not server.is_paused for server in self.cluster.servers)

    def stall_ns(self, began_ns: int, ended_ns: int) -> int:
        """How long somebody waited between two moments, not counting when no majority was at work."""
        return ended_ns - began_ns - sum(_overlaps(began_ns, ended_ns, self._gaps))


def _overlaps(began_ns: int, ended_ns: int, gaps: Iterable[tuple[int, int]]) -> Iterator[int]:
    for begin, end in gaps:
        yield max(0, min(end, ended_ns) - max(begin, began_ns))
