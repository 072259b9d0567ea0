"""Comparing two sessions from where they parted: forks of one another, or of a third."""

from itertools import takewhile
from typing import NamedTuple

from projections.diff import Difference, differences
from projections.events import Record, SessionForked
from projections.timeline import Timeline


class Comparison(NamedTuple):
    """What became of two sessions.

    ancestor     the last version that both have in common; 0 where they are not related
    left, right  what each of them changed since then, with the records that did
    between      what leads from the left one's state to the right one's; a version is a record of the right
                 one behind the ancestor, None where only the left one changed it
    """

    ancestor: int
    left: list[Difference]
    right: list[Difference]
    between: list[Difference]


def compare(left: Timeline, right: Timeline, left_at: int = -1, right_at: int = -1) -> Comparison:
    """Compare a state of one session with one of another. Raises IndexError for a version that is none."""
    end, other = left.resolve(left_at), right.resolve(right_at)
    ancestor = min(common_version(left, right), end, other)
    ours = right.diff(ancestor, other) if ancestor else []
    versions = {each.path: each.version for each in ours}
    between = [
        each._replace(version=versions.get(each.path)) for each in differences(left[end], right[other])
    ]
    return Comparison(ancestor, left.diff(ancestor, end) if ancestor else [], ours, between)


def common_version(left: Timeline, right: Timeline) -> int:
    """The last version that two sessions have in common; 0 where they are not related."""
    if not left.records or not right.records or not _begin_alike(left.records[0], right.records[0]):
        return 0
    pairs = zip(left.records[1:], right.records[1:], strict=False)
    # An id is drawn once; a fork's copies have those of the records that they are copies of.
    return 1 + sum(1 for _ in takewhile(lambda pair: pair[0].id == pair[1].id, pairs))


def _begin_alike(one: Record, other: Record) -> bool:
    """Whether two first records are the same, or stand for the same: a fork's stands for its origin's."""
    if one.id == other.id:
        return True
    chains = [
        record.event.first_chain if isinstance(record.event, SessionForked) else record.chain
        for record in (one, other)
    ]
    return chains[0] == chains[1]
