"""The commands that look: ls, log, show, state."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Address, Moment, is_session, locate, parse_address, require
from journal.cli.app import NO, Call, command
from journal.cli.output import Output
from journal.cli.text import cells, cut, pad, preview, visible

if TYPE_CHECKING:
    from journal.catalog import SessionPage
    from journal.store import StateStore
    from projections.events import Record


@command("ls")
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--since", type=Moment(), help="Only sessions that changed at or after this time.")
@click.option("--until", type=Moment(), help="Only sessions that last changed before this time.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many; the rest is the next page.")
@click.option("--page", metavar="PAGE", help="Go on where a page ended.")
def list_command(
    call: Call,
    user: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    page: str | None,
) -> None:
    """List sessions, the latest change first."""
    with call.store() as store:
        found = store.list_sessions(user, limit, since=since, until=until, page=page)
    if call.out.as_json:
        call.out.json(_page_object(found))
    else:
        call.out.lines(_table(found, call.out))
        _notes(found, call.out, limit)
    if not found and (user or since or until):
        raise click.exceptions.Exit(NO)


def _page_object(found: "SessionPage") -> dict[str, Any]:
    import msgspec

    return {
        "sessions": [msgspec.to_builtins(summary) for summary in found],
        "unreadable": [{"id": each.id, "reason": each.reason} for each in found.unreadable],
        "next_page": found.next_page,
    }


_HEADINGS = ("SESSION", "USER", "MESSAGES", "REPLIES", "VERSION", "SIZE", "CHANGED")


def _table(found: "SessionPage", out: Output) -> Iterator[str]:
    rows = [
        (
            *(visible(each.id), visible(each.user_id), str(each.message_count), str(each.response_count)),
            *(str(each.version), size_text(each.size_bytes), f"{each.updated_at:%Y-%m-%d %H:%M:%SZ}"),
        )
        for each in found
    ]
    if not rows and not found.unreadable:
        return
    widths = [max(cells(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    excess = sum(widths) + 2 * (len(widths) - 1) - out.width
    if excess > 0:  # the id is there to be copied, and is never cut
        widths[1] = max(widths[1] - excess, min(widths[1], 8))

    def line(row: tuple[str, ...]) -> str:
        fields = [
            pad(cut(text, width) if column == 1 else text, width, right=2 <= column <= 5)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(fields).rstrip()

    yield out.style(line(_HEADINGS), bold=True)
    yield from map(line, rows)
    for each in found.unreadable:
        yield out.style(cut(f"{visible(each.id)}  UNREADABLE: {visible(each.reason)}", out.width), fg="red")


def _notes(found: "SessionPage", out: Output, limit: int | None) -> None:
    if not found and not found.unreadable:
        out.note("no sessions")
    if found.unreadable:
        count = len(found.unreadable)
        out.note(f"{count} session{'s' * (count > 1)} could not be read; `journal verify ID` says more")
    if found.next_page:
        import shlex

        out.note(f"there are more: journal ls --limit {limit} --page {shlex.quote(found.next_page)}")


def size_text(size: float) -> str:
    """A size that a person compares at a glance."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5:
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


@command("log")
@click.argument("address", metavar="ID[@RANGE]")
@click.option("-n", "--number", "count", type=click.IntRange(min=1), help="Only the last so many.")
@click.option("-r", "--reverse", is_flag=True, help="The newest first.")
@click.option("--since", type=Moment(), help="Only records at or after this time.")
@click.option("--until", type=Moment(), help="Only records before this time.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only such events; may be repeated.")
@click.option("--by", metavar="ACTOR", help="Only what this actor wrote.")
def log_command(call: Call, address: str, count: int | None, reverse: bool, **filters: Any) -> None:
    """Print a session's records, one a line, the oldest first.

    ID@7 ends with record 7; ID@3..7, ID@3.. and ID@..7 are ranges, ends included.
    """
    with call.store() as store:
        where = parse_address(address, _known(store), ranges=True)
        require(store, where.session_id)
        records = filter(_filter(**filters), _between(store, where))
        if count is not None or reverse:
            kept = deque(records, maxlen=count)
            records = reversed(kept) if reverse else iter(kept)
        seen = _print_records(call.out, where.session_id, records)
    if not seen:
        call.out.note("no record matches")
        raise click.exceptions.Exit(NO)


def _known(store: "StateStore") -> Callable[[str], bool]:
    return lambda session_id: is_session(store, session_id)


def _between(store: "StateStore", where: Address) -> "Iterator[Record]":
    """The records from a range's start to its end. A number past the last record ends nothing."""
    start = 0 if where.start is None else _from(store, where)
    last = None if where.end is None else locate(store, where.session_id, where.end)
    for record in store.records(where.session_id, after=max(start - 1, 0)):
        if last is not None and record.seq > last:
            return
        yield record


def _from(store: "StateStore", where: Address) -> int:
    version = locate(store, where.session_id, where.start)
    if not isinstance(where.start, datetime):
        return version
    # From a moment on: what happened at that very moment is part of it, what was there before is not.
    for record in store.records(where.session_id, after=max(version - 1, 0)):
        return record.seq if record.at == where.start else record.seq + 1
    return version


def _filter(
    since: datetime | None, until: datetime | None, types: tuple[str, ...], by: str | None
) -> "Callable[[Record], bool]":
    from journal.record import event_type

    return lambda record: (
        (since is None or record.at >= since)
        and (until is None or record.at < until)
        and (not types or event_type(record.event) in types)
        and (by is None or record.by == by)
    )


def _print_records(out: Output, session_id: str, records: "Iterable[Record]") -> int:
    from journal.cli.events import record_object

    seen = 0

    def counted() -> "Iterator[Record]":
        nonlocal seen
        for record in records:
            seen += 1
            yield record

    if out.as_json:
        for record in counted():
            out.json(record_object(session_id, record))
    else:
        out.lines(record_line(record, out) for record in counted())
    return seen


def record_line(record: "Record", out: Output) -> str:
    """A record in one line: number, time, type, actor, and the beginning of what it says."""
    from journal.cli.events import color_of, gist
    from journal.record import event_type

    head = f"{record.seq:>5}  {record.at:%Y-%m-%d %H:%M:%S}.{record.at.microsecond // 1000:03}Z  "
    kind = pad(cut(visible(event_type(record.event)), 20), 20)
    actor = f"  [{preview(record.by, 24)}]" if record.by else ""
    text = preview(gist(record.event), max(out.width - cells(head) - 22 - cells(actor), 10))
    line = out.style(head, dim=True) + out.style(kind, fg=color_of(record)) + out.style(actor, dim=True)
    return f"{line}  {text}".rstrip()


@command("show")
@click.argument("address", metavar="ID[@POINT]")
def show_command(call: Call, address: str) -> None:
    """Print one record in full; without a point, the last."""
    from journal.cli.events import page, record_object

    with call.store() as store:
        where = parse_address(address, _known(store))
        record = _record_at(store, where)
    if call.out.as_json:
        call.out.json(record_object(where.session_id, record))
    else:
        call.out.lines(_laid_out(page(where.session_id, record), call.out))


def _record_at(store: "StateStore", where: Address) -> "Record":
    from journal.errors import SessionNotFoundError

    session_id = require(store, where.session_id)
    version = locate(store, session_id, where.end)
    last = 0
    for record in store.records(session_id, after=max(version - 1, 0)):
        if record.seq == version:
            return record
        last = record.seq
    last = last or locate(store, session_id, -1)
    raise SessionNotFoundError(session_id, f"its records are 1 to {last}, there is no record {version}")


def _laid_out(fields: Iterable[tuple[str, str]], out: Output) -> Iterator[str]:
    for name, text in fields:
        if "\n" in text or cells(text) > max(out.width - 14, 20):
            yield out.style(f"{name}:", bold=True)
            yield from (f"    {line}".rstrip() for line in text.split("\n"))
        else:
            yield f"{out.style(pad(f'{name}:', 13), bold=True)} {text}".rstrip()


@command("state")
@click.argument("address", metavar="ID[@POINT]")
@click.option("--path", metavar="PATH", help="Only a part: metadata.plan.0, or the JSON pointer /metadata/plan/0.")
def state_command(call: Call, address: str, path: str | None) -> None:
    """Print the session as it is now, or as it was at a point, as JSON."""
    from journal.cli.document import part_of, session_json

    with call.store() as store:
        where = parse_address(address, _known(store))
        require(store, where.session_id)
        text = session_json(store, where, locate)
    import json

    value = json.loads(text)
    if path is not None:
        value = part_of(value, path)
        text = json.dumps(value, ensure_ascii=False, indent=2)
    if call.out.as_json:
        call.out.json(value)
    else:
        call.out.pretty_json(text)
