"""A table in a terminal: columns as wide as what is in them, one of which gives way."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from journal.cli.output import Output
from journal.cli.text import cells, cut, pad

_LEAST = 8

Rows: TypeAlias = Sequence[Sequence[str]]


def table(headings: Sequence[str], rows: Rows, out: Output, *, width: int, gives_way: int) -> Iterator[str]:
    """The headings and the rows, in lines of `width`. A heading that begins with a space is of numbers.

    Where that does not do, the column `gives_way` is cut, and no other: the rest is there to be copied. The
    texts must be visible already.
    """
    columns = range(len(headings))
    heads = [heading.lstrip() for heading in headings]
    widths = [max(cells(row[column]) for row in (heads, *rows)) for column in columns]
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    if excess > 0:
        widths[gives_way] = max(widths[gives_way] - excess, min(widths[gives_way], _LEAST))

    def line(row: Sequence[str]) -> str:
        fields = [
            pad(
                cut(row[column], widths[column]) if column == gives_way else row[column],
                widths[column],
                right=headings[column].startswith(" "),
            )
            for column in columns
        ]
        return "  ".join(fields).rstrip()

    yield out.style(line(heads), bold=True)
    yield from map(line, rows)
