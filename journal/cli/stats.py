"""The command that shows a store at a glance: stats."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Moment
from journal.cli.app import INTEGRITY, NO, Call, command
from journal.cli.drawing import MOST_WIDE, bars, title_line
from journal.cli.drawing import field as field_lines
from journal.cli.figures import (
    TOOL_HEADINGS,
    USAGE_HEADINGS,
    answers_text,
    attachments_text,
    tool_rows,
    usage_rows,
    usage_text,
)
from journal.cli.listing import size_text
from journal.cli.output import Output
from journal.cli.progress import Progress
from journal.cli.table import Rows, table
from journal.cli.text import visible
from journal.objects import attachments_object, totals_object, usage_object

if TYPE_CHECKING:
    from journal.catalog import SessionPage
    from journal.store import StateStore
    from projections.overview import Overview
    from projections.totals import Totals
    from projections.usage import Spending

_MOST_SHOWN, _MOST_TOOLS = 5, 12
# Periods for a program, which has no width.
_JSON_PERIODS = 366
_PERIOD_WORDS = {1: "1 day", 7: "1 week", 28: "4 weeks", 91: "13 weeks", 364: "52 weeks"}


@dataclass(kw_only=True)
class _Deep:
    """What all journals say together, and which sessions have errors, or damage."""

    totals: "Totals"
    spending: "Spending"
    errors: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


@command("stats")
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--since", type=Moment(), help="Only sessions that changed at or after this time.")
@click.option("--deep", is_flag=True, help="Read every journal, too: turns, tools, errors, damage.")
def stats_command(call: Call, user: str | None, since: datetime | None, deep: bool) -> None:
    """Show a store at a glance: how many sessions, of whom, how large, when they changed.

    It goes by the catalog; what only the journals know needs --deep.
    """
    from projections.overview import overview

    with call.store() as store, Progress("reading") as progress:
        page = store.list_sessions(user, since=since)
        read = _read(store, page, progress) if deep else None
        files = None if user or since else [each.status.st_size for each in store._attachments.entries()]
    found = overview(page)
    if call.out.as_json:
        call.out.json(_object(page, found, read, files))
    else:
        call.out.lines(_page(page, found, read, files, call.out))
    if read is not None and read.damaged:
        raise click.exceptions.Exit(INTEGRITY)
    if not page and (user or since):
        raise click.exceptions.Exit(NO)


def _read(store: "StateStore", page: "SessionPage", progress: Progress) -> _Deep:
    """Read the journals, on every core; of a damaged one what comes before the damage."""
    from projections.totals import Totals
    from projections.usage import Spending

    deep = _Deep(totals=Totals(), spending=Spending())
    sizes = {each.id: each.size_bytes for each in page} | {each.id: 0 for each in page.unreadable}
    done, total = 0, sum(sizes.values())
    for session_id, measured in store._questions.measure_each(sizes):
        deep.totals.add(measured.totals)
        deep.spending.add(measured.spending)
        if measured.totals.failed:
            deep.errors[session_id] = measured.totals.failed
        if measured.damage is not None:
            deep.damaged[session_id] = measured.damage
        done += sizes[session_id]
        progress(session_id, done, total)
    # They came as they were done.
    deep.errors = {each: deep.errors[each] for each in sizes if each in deep.errors}
    deep.damaged = {each: deep.damaged[each] for each in sizes if each in deep.damaged}
    return deep


# For people


def _page(
    page: "SessionPage", found: "Overview", deep: _Deep | None, files: list[int] | None, out: Output
) -> Iterator[str]:
    width = min(out.width, MOST_WIDE)
    for name, text in _fields(page, found, deep, files):
        yield from field_lines(name, text, out, width)
    if page:
        yield from _changes(page, out, width)
    for title, headings, rows, total in _tables(page, found, deep):
        if rows:
            yield ""
            some = f"{len(rows)} of {total:,}" if total > len(rows) else ""
            yield title_line(title, some, out, width)
            gives_way = headings.index("REASON") if "REASON" in headings else 0
            yield from table(headings, rows, out, width=width, gives_way=gives_way)


def _fields(
    page: "SessionPage", found: "Overview", deep: _Deep | None, files: list[int] | None
) -> Iterator[tuple[str, str]]:
    total = found.total
    yield "sessions", f"{total.sessions:,}, of {_count(len(found.users), 'user')}"
    if page.unreadable and deep is None:
        share = len(page.unreadable) / (len(page) + len(page.unreadable))
        number = _count(len(page.unreadable), "session")
        yield "damage", f"{number} of any user could not be read ({share:.1%}); `journal doctor` says more"
    yield (
        "records",
        f"{total.records:,}: {_count(total.messages, 'message')}, {_count(total.replies, 'reply')}",
    )
    yield "size", size_text(total.size_bytes)
    if files:
        yield "attached", attachments_text(files)
    if page:
        yield "changed", f"{page[-1].updated_at:%Y-%m-%d %H:%M}Z to {page[0].updated_at:%Y-%m-%d %H:%M}Z"
    if deep is None:
        return
    read = len(page) + len(page.unreadable) or 1
    for name, what, ids in (
        ("errors", "have a tool's error", deep.errors),
        ("damage", "are damaged", deep.damaged),
    ):
        yield name, f"{len(ids):,} of {read:,} sessions {what} ({len(ids) / read:.1%})"
    yield "turns", ", ".join(filter(None, (f"{deep.totals.turns:,}", answers_text(deep.totals))))
    if spent := usage_text(deep.spending):
        yield "spent", spent


def _changes(page: "SessionPage", out: Output, width: int) -> Iterator[str]:
    """A bar for each day, or week, or more: how many sessions changed last in it."""
    from projections.overview import per_period

    days, periods = per_period(page, width)
    counts = [count for _, count in periods]
    word = _PERIOD_WORDS.get(days, f"{days:,} days")
    yield ""
    yield title_line("Changed", f"{word} a column, up to {max(counts):,}", out, width)
    yield out.style(bars(counts), fg="cyan")
    first, last = periods[0][0].isoformat(), periods[-1][0].isoformat()
    if len(periods) >= len(first) + len(last) + 1:
        yield out.style(first + last.rjust(len(periods) - len(first)), dim=True)
    else:
        yield out.style(f"from {first}" + (f" to {last}" if len(periods) > 1 else ""), dim=True)


_Table = tuple[str, tuple[str, ...], Rows, int]


def _tables(page: "SessionPage", found: "Overview", deep: _Deep | None) -> Iterator[_Table]:
    largest = sorted(page, key=lambda each: -each.size_bytes)[:_MOST_SHOWN]
    rows: Rows = [
        (visible(each.user_id), visible(each.id), f"{each.version:,}", size_text(each.size_bytes))
        for each in largest
    ]
    yield "Largest sessions", ("USER", "SESSION", " RECORDS", " SIZE"), rows, len(page)
    users = sorted(found.users.items(), key=lambda each: (-each[1].records, each[0]))[:_MOST_SHOWN]
    rows = [
        (visible(user), f"{each.sessions:,}", f"{each.records:,}", size_text(each.size_bytes))
        for user, each in users
    ]
    yield "Most active users", ("USER", " SESSIONS", " RECORDS", " SIZE"), rows, len(found.users)
    if deep is None:
        return
    tools = tool_rows(deep.totals)
    yield "Tools", TOOL_HEADINGS, tools[:_MOST_TOOLS], len(tools)
    models = usage_rows(deep.spending)
    yield "Usage", USAGE_HEADINGS, models[:_MOST_TOOLS], len(models)
    errors = sorted(deep.errors.items(), key=lambda each: -each[1])[:_MOST_SHOWN]
    rows = [(visible(session_id), f"{count:,}") for session_id, count in errors]
    yield "Most errors", ("SESSION", " ERRORS"), rows, len(deep.errors)
    rows = [(visible(session_id), visible(reason)) for session_id, reason in deep.damaged.items()][
        :_MOST_SHOWN
    ]
    yield "Damage", ("SESSION", "REASON"), rows, len(deep.damaged)


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


# For programs


def _object(
    page: "SessionPage", found: "Overview", deep: _Deep | None, files: list[int] | None
) -> dict[str, Any]:
    import msgspec

    from projections.overview import per_period

    days, periods = per_period(page, _JSON_PERIODS)
    users = sorted(found.users.items(), key=lambda each: (-each[1].records, each[0]))
    largest = sorted(page, key=lambda each: -each.size_bytes)[:_MOST_SHOWN]
    return {
        "total": msgspec.to_builtins(found.total),
        "users": [{"user_id": user, **msgspec.to_builtins(each)} for user, each in users],
        "unreadable": [{"id": each.id, "reason": each.reason} for each in page.unreadable],
        "changes": {
            "days": days,
            "periods": [{"from": start.isoformat(), "sessions": count} for start, count in periods],
        },
        "largest": [msgspec.to_builtins(each) for each in largest],
        "attachments": attachments_object(files),
        "deep": None if deep is None else _deep_object(deep),
    }


def _deep_object(deep: _Deep) -> dict[str, Any]:
    return {
        **totals_object(deep.totals),
        "usage": usage_object(deep.spending),
        "with_errors": [{"id": each, "errors": count} for each, count in deep.errors.items()],
        "damaged": [{"id": each, "reason": reason} for each, reason in deep.damaged.items()],
    }
