"""Strip: a history's time cut into columns of one length, without its long silences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from projections.activity import Figures
from projections.totals import ROLES

# A shorter silence than this is never cut out, and what took less altogether has no times worth telling.
LONG_US: Final = 300_000_000
_SHORT_US: Final = 1_000_000
# A silence is long where it would take such a part of the strip, and is so many times the usual one.
_PART: Final = 0.2
_TIMES: Final = 5
# At most one silence is cut out for so many columns: each needs one, and room for what stands between.
_COLUMNS_PER_BREAK: Final = 12


class Gap(NamedTuple):
    """A silence: from when to when, and between which two records."""

    start_us: int
    end_us: int
    before: int
    after: int

    @property
    def length_us(self) -> int:
        """How long it was."""
        return self.end_us - self.start_us


class Column(NamedTuple):
    """A column: where it begins, and how many of each of ROLES are in it; `is_break`: a silence cut out.

    `start` is in microseconds since 1970, or a record's number where the strip is by records.
    """

    start: int
    counts: list[int]
    is_break: bool = False


@dataclass(frozen=True)
class Strip:
    """The columns, and how long one is; `is_by_time`: in microseconds, else in records."""

    columns: list[Column]
    step: float
    is_by_time: bool


def gaps(figures: Figures, *, longer_than_us: int) -> list[Gap]:
    """The silences that are longer, in the order of time. Clocks go back: the journal's order is another."""
    moments, seqs = figures.moments_us, figures.seqs
    return [
        Gap(moments[one], moments[other], seqs[one], seqs[other])
        for one, other in pairwise(_in_order(moments))
        if moments[other] - moments[one] > longer_than_us
    ]


def strip(figures: Figures, width: int) -> Strip:
    """The history in at most `width` columns; by its records' numbers where it has no times to tell."""
    if width < 1:
        raise ValueError(f"a strip has at least one column, not {width}")
    places: Sequence[int] = figures.moments_us
    is_by_time = len(places) > 0 and max(places) - min(places) >= _SHORT_US
    if not is_by_time:
        places = figures.seqs
    order = _in_order(places)
    cuts = _cuts([places[each] for each in order], width // _COLUMNS_PER_BREAK) if is_by_time else []
    stretches = [order[start:end] for start, end in pairwise([0, *cuts, len(order)])] if order else []
    lengths = [places[stretch[-1]] - places[stretch[0]] for stretch in stretches]
    if not is_by_time:
        lengths = [length + 1 for length in lengths]  # a record takes a place, a moment none
        width = min(width, sum(lengths))
    shares = _shared(width - 2 * len(lengths) + 1, lengths)
    columns: list[Column] = []
    for stretch, length, share in zip(stretches, lengths, shares, strict=True):
        if columns:
            columns.append(Column(columns[-1].start, [0] * len(ROLES), is_break=True))
        columns += _columns(figures.roles, places, stretch, length, share + 1)
    step = sum(lengths) / (sum(shares) + len(shares)) if shares else 0.0
    return Strip(columns, step, is_by_time)


def _in_order(places: Sequence[int]) -> list[int]:
    return sorted(range(len(places)), key=places.__getitem__)


def _cuts(moments: list[int], most: int) -> list[int]:
    """Behind how many moments a long silence is, in their order."""
    silences = sorted(((b - a, n) for n, (a, b) in enumerate(pairwise(moments), 1)), reverse=True)
    rest = sum(length for length, _ in silences)
    cuts = []
    for taken, (length, behind) in enumerate(silences[:most], 1):
        others = len(silences) - taken
        usual = (rest - length) / others if others else length
        if length < max(LONG_US, _PART * rest, _TIMES * usual):
            break
        cuts.append(behind)
        rest -= length
    return sorted(cuts)


def _shared(columns: int, lengths: list[int]) -> list[int]:
    """The columns, shared out by length; what is left over goes to those that were cut short most."""
    total = sum(lengths)
    if not total:
        return [0] * len(lengths)
    shares = [columns * length // total for length in lengths]
    short = sorted(range(len(lengths)), key=lambda n: -(columns * lengths[n] % total))
    for n in short[: columns - sum(shares)]:
        shares[n] += 1
    return shares


def _columns(
    roles: bytearray, places: Sequence[int], stretch: list[int], length: int, count: int
) -> list[Column]:
    start = places[stretch[0]]
    columns = [Column(start + length * n // count, [0] * len(ROLES)) for n in range(count)]
    for each in stretch:
        n = min((places[each] - start) * count // length, count - 1) if length else 0
        columns[n].counts[roles[each]] += 1
    return columns
