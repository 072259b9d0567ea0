"""Comparing two sessions from where they parted: forks of one another, or of a third."""

from itertools import takewhile
from typing import NamedTuple

from projections.blame import last_turn
from projections.diff import Difference, differences
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
    between = []
    for each in differences(left[end], right[other]):
        turn = last_turn(right.history, each.path, other) or 0
        between.append(each._replace(version=turn if turn > ancestor else None))
    if not ancestor:
        return Comparison(0, [], [], between)
    return Comparison(ancestor, left.diff(ancestor, end), right.diff(ancestor, other), between)


def common_version(left: Timeline, right: Timeline) -> int:
    """The last version that two sessions have in common; 0 where they are not related."""
    pairs = zip(left.ids(), right.ids(), strict=False)
    # An id is drawn once; a fork's records have those of the records that they are copies of.
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
