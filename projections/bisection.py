"""Bisection: the first version at which something is true that stays true, in log₂ n questions."""

from collections.abc import Callable
from itertools import pairwise


def bisect(good: int, bad: int, ask: Callable[[int], bool | None]) -> range:
    """The versions of which one is the first bad one: a single one, unless others could not be told.

    `good` is before it, `bad` is not; neither is asked about. `ask` says whether a version is bad, or None
    where that cannot be told: then others are asked about, at a distance that doubles.
    """
    skipped: set[int] = set()
    while (version := _next(good, bad, sorted(each for each in skipped if good < each < bad))) is not None:
        match ask(version):
            case True:
                bad = version
            case False:
                good = version
            case None:
                skipped.add(version)
    return range(good + 1, bad + 1)


def _next(good: int, bad: int, skipped: list[int]) -> int | None:
    """The version to ask about, None where none is left."""
    middle = (good + bad) // 2
    if not skipped or not skipped[0] <= middle <= skipped[-1]:
        return middle if good < middle else None
    # What lies between two that cannot be told is likely to be of the same kind: first what is around.
    low, high = skipped[0], skipped[-1]
    below, above = low - good, bad - high
    if max(below, above) > 1:
        distance = min(high - low + 1, max(below, above) // 2)
        return low - distance if below > above else high + distance
    low, high = max(pairwise(skipped), key=lambda gap: gap[1] - gap[0], default=(0, 0))
    return (low + high) // 2 if high - low > 1 else None
