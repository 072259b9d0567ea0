"""Which records stand: those that no rewind took back, or that a rewind of the rewind brought back."""

from bisect import bisect_left
from typing import NamedTuple


class _Span(NamedTuple):
    """The records from `first` to `last`, both included."""

    first: int
    last: int


class Standing:
    """Told of each rewind in order, says of each record whether it is part of the history that stands now.

    A rewind to version 3 leaves the records up to 3, as they stood then; what follows it stands again.
    """

    def __init__(self) -> None:
        self._rewinds: list[int] = []  # their versions
        # What stood just before each of them, the last one's end left open.
        self._before: list[tuple[_Span, ...]] = []
        self._now: tuple[_Span, ...] = (_Span(1, 1),)

    def rewind(self, version: int, to: int) -> None:
        """Record `version` is a rewind to version `to`."""
        self._before.append(self._now)
        self._rewinds.append(version)
        to = min(to, version - 1)  # it may name a version that was not reached yet
        # What stood at `to` is what stood before the first rewind behind it, cut there.
        then = self._before[bisect_left(self._rewinds, to + 1)]
        kept = [_Span(span.first, min(span.last, to)) for span in then[:-1] if span.first <= to]
        if then[-1].first <= to:
            kept.append(_Span(then[-1].first, to))
        self._now = (*kept, _Span(version + 1, version + 1))

    @property
    def is_all(self) -> bool:
        """Whether every record stands: nothing was rewound."""
        return not self._rewinds

    def stands(self, version: int) -> bool:
        """Whether the record of this number stands now."""
        spans = self._now
        if version >= spans[-1].first:
            return True
        return any(span.first <= version <= span.last for span in spans[:-1])
