"""Drawing numbers with characters: bars over time with its axis, durations, fields that wrap."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from journal.cli.output import Output
from journal.cli.text import cells, cut
from projections.activity import to_moment
from projections.strip import Column, Strip

_BARS: Final = " ▁▂▃▄▅▆▇█"
_BREAK: Final = "┊"
# A label for about so many columns.
_COLUMNS_PER_LABEL: Final = 16
# From such a column on, labels are dates; minutes; seconds.
_DAY_STEP_US: Final = 86_400_000_000 / _COLUMNS_PER_LABEL
_MINUTE_STEP_US: Final = 30_000_000
_SECOND_STEP_US: Final = 1_000_000 / _COLUMNS_PER_LABEL
# What is wider is read with difficulty, and what goes to no terminal has no width.
MOST_WIDE: Final = 120


def bars(numbers: Sequence[int]) -> str:
    """A bar for each number, the highest of full height; what is not zero can be seen."""
    highest = max(numbers, default=0) or 1
    return "".join(_BARS[-(-8 * number // highest)] for number in numbers)


def strip_bars(columns: Sequence[Column], roles: Sequence[int]) -> str:
    """The bars of some roles together, and the breaks."""
    drawn = bars([sum(column.counts[role] for role in roles) for column in columns])
    return "".join(
        _BREAK if column.is_break else bar for column, bar in zip(columns, drawn, strict=True)
    ).rstrip()


def axis(strip: Strip, width: int) -> list[str]:
    """The lines below a strip: the times, and the dates where they change; or the records' numbers.

    A label stands at its column. It is left out where it would run into another, or beyond `width`.
    """
    labels, dates = _Labels(width), _Labels(width)
    date = ""
    for place in _label_places(strip.columns):
        start = strip.columns[place].start
        if not strip.is_by_time:
            labels.point(place, str(start))
            continue
        day, time = f"{to_moment(start):%Y-%m-%d %H:%M:%S.%f}".split(" ")
        if strip.step >= _DAY_STEP_US:
            labels.point(place, day)
            continue
        # As exact as labels must be to differ: 12:05, 12:05:30, 12:05:30.250.
        exact = 5 if strip.step >= _MINUTE_STEP_US else 8 if strip.step >= _SECOND_STEP_US else 12
        at = labels.point(place, time[:exact])
        if at is not None and day != date and dates.put(min(at, width - len(day)), day):
            date = day
    return [line.text for line in (labels, dates) if line.text]


class _Labels:
    """A line of labels that do not touch."""

    def __init__(self, width: int) -> None:
        self.text, self._width = "", width

    def put(self, place: int, label: str) -> bool:
        """Put a label there, if there is room."""
        if place < (len(self.text) + 1 if self.text else 0) or place + len(label) > self._width:
            return False
        self.text = self.text.ljust(place) + label
        return True

    def point(self, place: int, label: str) -> int | None:
        """Put a label that points to a place from its right, or from its left; where it begins, if it did."""
        if self.put(place, f"└{label}"):
            return place + 1
        return place - len(label) if self.put(place - len(label), f"{label}┘") else None


def _label_places(columns: Sequence[Column]) -> list[int]:
    """Where labels belong: behind each break, and now and then in between, where none of those is near."""
    firsts = [n for n in range(len(columns)) if n == 0 or columns[n - 1].is_break]
    places = list(firsts)
    for first, end in zip(firsts, [*firsts[1:], len(columns)], strict=True):
        last = end - (_COLUMNS_PER_LABEL if end < len(columns) else 0)
        places += range(first + _COLUMNS_PER_LABEL, last, _COLUMNS_PER_LABEL)
    return sorted(places)


_NAME_CELLS: Final = 10
_BETWEEN_WORDS: Final = re.compile(r"(?<![0-9]) ")


def field(name: str, text: str, out: Output, width: int) -> Iterator[str]:
    """A name and its text, which wraps between words, and not behind a number: its unit stays with it.

    A word that is too long for a line is left whole: it is there to be copied.
    """
    lines = [""]
    for word in _BETWEEN_WORDS.split(text):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _NAME_CELLS + cells(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    yield out.style(name.ljust(_NAME_CELLS), dim=True) + lines[0]
    yield from (" " * _NAME_CELLS + line for line in lines[1:])


def title_line(title: str, about: str, out: Output, width: int) -> str:
    """A section's title, and what is to be said about it as far as there is room."""
    about = cut(f"   {about}", width - cells(title)) if about else ""
    return out.style(title, bold=True) + out.style(about, dim=True)
