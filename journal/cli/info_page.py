"""The page that `journal info` shows a person."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from journal.cli.drawing import MOST_WIDE, axis, field, strip_bars, title_line
from journal.cli.figures import (
    TOOL_HEADINGS,
    TYPE_HEADINGS,
    USAGE_HEADINGS,
    answers_text,
    attachments_text,
    tool_rows,
    type_rows,
    usage_rows,
    usage_text,
)
from journal.cli.listing import size_text
from journal.cli.output import Output
from journal.cli.table import Rows, table
from journal.cli.text import preview, visible
from journal.durations import duration_text
from journal.glance import Seen

if TYPE_CHECKING:
    from projections.activity import Figures
    from projections.strip import Gap

# Of tools, errors and the like so many are shown; --json has more of them.
_MOST_TOOLS, _MOST_SHOWN = 12, 5

_SNAPSHOT_WORDS = {
    "none": "no snapshot",
    "foreign": "beside it another program's file",
    "adopted": "another program's file; the first save begins a journal",
    "outdated": "a snapshot that is ignored and made anew",
    "current": "snapshot current",
    "behind": "snapshot of version",
    "ahead": "snapshot of version",
}


def page_lines(seen: Seen, silences: "list[Gap]", out: Output) -> Iterator[str]:
    """The whole page, in lines no wider than the terminal."""
    width = min(out.width, MOST_WIDE)
    for name, text in _fields(seen):
        yield from field(name, text, out, width)
    for title, about, lines in _sections(seen, silences, out, width):
        if lines:
            yield ""
            yield title_line(title, about, out, width)
            yield from lines


def _fields(seen: Seen) -> Iterator[tuple[str, str]]:
    session, figures = seen.session, seen.figures
    yield "session", visible(seen.session_id)
    yield "owner", visible(session.user_id)
    if seen.origin is not None:
        yield "fork of", f"{visible(seen.origin[0])}@{seen.origin[1]}"
    yield "version", f"{session.version:,}" + (", then damage" if seen.damage else "")
    yield "created", f"{session.created_at:%Y-%m-%d %H:%M:%SZ}"
    lasted = (session.updated_at - session.created_at).total_seconds()
    after = f", {duration_text(lasted)} later" if lasted >= 1 else ""
    yield "changed", f"{session.updated_at:%Y-%m-%d %H:%M:%SZ}{after}"
    yield "size", _size(seen)
    if seen.attached:
        yield "attached", attachments_text(seen.attached)
    if seen.head:
        yield "head", seen.head
    by = sorted(figures.by.items(), key=lambda each: -each[1])
    if by and by != [("", figures.records)]:
        names = [f"{preview(name, 24) if name else 'nobody named'} {count:,}" for name, count in by]
        yield "by", _some(names)
    yield "turns", ", ".join(filter(None, (f"{figures.turns:,}", answers_text(figures))))
    if number := figures.open_calls:
        yield "open", f"{number:,} call{'s' * (number != 1)} without a result"
    if figures.landmarks:
        yield "history", _some([f"{each.type} @{each.seq}" for each in figures.landmarks])


def _size(seen: Seen) -> str:
    snapshot = seen.snapshot
    words = _SNAPSHOT_WORDS[snapshot.state]
    if snapshot.state in ("behind", "ahead"):
        words += f" {snapshot.version:,}"
    about = f"{words}, {size_text(snapshot.size_bytes)}" if snapshot.size_bytes else words
    return f"{size_text(seen.journal_bytes)}; {about}" if seen.journal_bytes else about


def _sections(
    seen: Seen, silences: "list[Gap]", out: Output, width: int
) -> Iterator[tuple[str, str, list[str]]]:
    """Each with its title, a remark on it, and its lines."""
    from projections.activity import to_moment

    figures, show = seen.figures, f"journal show {visible(seen.session_id)}@N"
    yield _timeline(figures, out, width)

    def section(
        title: str, headings: tuple[str, ...], rows: Rows, total: int, about: str = ""
    ) -> tuple[str, str, list[str]]:
        some = f"{len(rows):,} of {total:,}" if total > len(rows) else ""
        gives_way = 0 if headings in (TOOL_HEADINGS, USAGE_HEADINGS, TYPE_HEADINGS) else len(headings) - 1
        lines = list(table(headings, rows, out, width=width, gives_way=gives_way)) if rows else []
        return title, "; ".join(filter(None, (some, about))), lines

    failures: Rows = [
        (f"@{each.seq}", preview(each.tool, 24), preview(each.text, width))
        for each in figures.failures[:_MOST_SHOWN]
    ]
    yield section("Errors", ("RECORD", "TOOL", "SAID"), failures, figures.failed, show)
    tools, types, models = tool_rows(figures), type_rows(figures), usage_rows(seen.spending)
    yield section("Tools", TOOL_HEADINGS, tools[:_MOST_TOOLS], len(tools))
    yield section("Usage", USAGE_HEADINGS, models[:_MOST_TOOLS], len(models), usage_text(seen.spending))
    longest: Rows = [
        (duration_text(gap.length_us / 1e6), f"@{gap.after}", f"{to_moment(gap.start_us):%Y-%m-%d %H:%M:%S}")
        for gap in sorted(silences, key=lambda gap: -gap.length_us)[:_MOST_SHOWN]
    ]
    yield section("Silences", (" LENGTH", "BEFORE", "SINCE (UTC)"), longest, len(silences))
    yield section("Records", TYPE_HEADINGS, types[:_MOST_TOOLS], len(types))
    largest: Rows = [
        (f"@{each.seq}", size_text(each.size_bytes), visible(each.type))
        for each in figures.largest[:_MOST_SHOWN]
    ]
    yield section("Largest", ("RECORD", " SIZE", "TYPE"), largest, len(largest), show)


def _timeline(figures: "Figures", out: Output, width: int) -> tuple[str, str, list[str]]:
    from projections.strip import strip

    numbers = [sum(figures.counts[role] for role in roles) for _, roles, _ in _ROWS]
    digits = max(len(f"{number:,}") for number in numbers)
    label_cells = 8 + digits + 2
    drawn = strip(figures, max(width - label_cells, 1))
    if not drawn.columns:
        return "Timeline", "", []
    lines = []
    for (name, roles, color), number in zip(_ROWS, numbers, strict=True):
        bars = strip_bars(drawn.columns, roles)
        lines.append(f"{name:<8}{number:>{digits},}  {out.style(bars, fg=color)}".rstrip())
    below = axis(drawn, width - label_cells)
    lines += [out.style(" " * label_cells + line, dim=True) for line in below]
    if drawn.is_by_time:
        about = f"UTC, {duration_text(drawn.step / 1e6)} a column"
    else:
        about = "by record: the times tell nothing"
    return "Timeline", about, lines


# What a row is called, which roles are in it, and its colour.
_ROWS = (
    ("user", (0,), "cyan"),
    ("agent", (1,), "green"),
    ("tools", (3,), "yellow"),
    ("errors", (5,), "red"),
)


def _some(names: list[str]) -> str:
    more = f", {len(names) - _MOST_SHOWN:,} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
