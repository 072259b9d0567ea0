"""The commands that look into a session: log, show, state."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from journal.cli.address import (
    Address,
    Moment,
    Point,
    find_record,
    is_session,
    locate,
    parse_address,
    require,
)
from journal.cli.app import NO, Call, command
from journal.cli.matching import ExpressionType, matching
from journal.cli.output import Output
from journal.cli.text import cells, cut, pad, preview, visible

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.events import Record
    from projections.expression import Expression

AnyRecord = TypeVar("AnyRecord", bound="Record")


@command("log")
@click.argument("address", metavar="ID[@RANGE]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Then print each new record, until interrupted.")
@click.option("-n", "--number", "count", type=click.IntRange(min=0), help="Only the last so many.")
@click.option("-r", "--reverse", is_flag=True, help="The newest first.")
@click.option("--since", type=Moment(), help="Only records at or after this time.")
@click.option("--until", type=Moment(), help="Only records before this time.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only such events; may be repeated.")
@click.option("--by", metavar="ACTOR", help="Only what this actor wrote.")
@click.option("--cause", metavar="RECORD", help="Only what this record led to: its number, or its id.")
@click.option(
    "--where", "expression", type=ExpressionType(), metavar="EXPR", help="Only those of which it is true."
)
def log_command(
    call: Call,
    address: str | None,
    follow: bool,
    count: int | None,
    reverse: bool,
    expression: "Expression | None",
    **filters: Any,
) -> None:
    """Print a session's records, one a line, the oldest first.

    ID@7 ends with record 7; ID@3..7, ID@3.. and ID@..7 are ranges, ends included. With -f, new records are
    printed as they come; without an ID, those of all sessions.
    """
    if follow:
        from journal.cli.following import follow_log

        follow_log(call, address, count, reverse, expression, filters)
        return
    if address is None:
        raise click.UsageError("which session? Name one, or follow all of them with -f")
    with call.store() as store:
        where = parse_address(address, known(store), ranges=True)
        require(store, where.session_id)
        filters["cause"] = record_id(store, where.session_id, filters["cause"])
        keep = wanted(**filters)
        numbers: dict[str, int] = {}
        numbered = _numbered(between(store, where), numbers)
        records = matching(store, where.session_id, numbered, expression, keep)
        if count is not None or reverse:
            kept = deque(records, maxlen=count)
            records = reversed(kept) if reverse else iter(kept)
        seen = _print_records(call.out, where.session_id, records, numbers)
    if not seen:
        call.out.note("no record matches")
        raise click.exceptions.Exit(NO)


def known(store: "StateStore") -> Callable[[str], bool]:
    """What tells an id that holds an "@" from an address."""
    return lambda session_id: is_session(store, session_id)


def between(store: "StateStore", where: Address) -> "Iterator[Record]":
    """The records from a range's start to its end. A number past the last record ends nothing."""
    last = None if where.end is None else locate(store, where.session_id, where.end)
    records = store.records(where.session_id, after=before(store, where))
    for record in beginning_at(where.start, records):
        if last is not None and record.seq > last:
            return
        yield record


def before(store: "StateStore", where: Address) -> int:
    """The version before a range's start, where that is a number; else 0."""
    if not isinstance(where.start, int):
        return 0
    return max(locate(store, where.session_id, where.start) - 1, 0)


def beginning_at(start: Point, records: "Iterable[AnyRecord]") -> "Iterator[AnyRecord]":
    """The records from the first that is not before a moment; all, where the start is none."""
    for record in records:
        if isinstance(start, datetime):
            if record.at < start:
                continue
            start = None  # from there on it is the order that counts: clocks go back
        yield record


# A cause is told by its number where it stands no further back.
_MOST_NUMBERED = 10_000


def _numbered(records: "Iterable[Record]", numbers: dict[str, int]) -> "Iterator[Record]":
    """The same records; `numbers` then knows those of the last ids."""
    for record in records:
        numbers[record.id] = record.seq
        if len(numbers) > _MOST_NUMBERED:
            del numbers[next(iter(numbers))]
        yield record


def record_id(store: "StateStore", session_id: str, cause: str | None) -> str | None:
    """The id of a record that is given by its number or by its id."""
    if cause is None or not cause.isdecimal() or len(cause) > 18:
        return cause
    return find_record(store, session_id, int(cause)).id


def wanted(
    since: datetime | None,
    until: datetime | None,
    types: tuple[str, ...],
    by: str | None,
    cause: str | None,
) -> "Callable[[Record], bool]":
    """Whether a record is one that the options ask for."""
    from journal.event_json import event_type

    return lambda record: (
        (since is None or record.at >= since)
        and (until is None or record.at < until)
        and (not types or event_type(record.event) in types)
        and (by is None or record.by == by)
        and (cause is None or record.cause == cause)
    )


def _print_records(out: Output, session_id: str, records: "Iterable[Record]", numbers: dict[str, int]) -> int:
    from journal.objects import record_object

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
        out.lines(record_line(record, out, numbers) for record in counted())
    return seen


def record_line(
    record: "Record",
    out: Output,
    numbers: dict[str, int] | None = None,
    *,
    session_id: str = "",
    text: str | None = None,
) -> str:
    """A record in one line: number, time, type, actor, cause, and the beginning of what it says.

    `numbers`: of the records whose ids a cause may name. Before them the session, if given; at their end
    another text, if given.
    """
    from journal.cli.events import color_of
    from journal.event_json import event_type
    from journal.gist import gist

    head = pad(cut(visible(session_id), 20), 20) + "  " if session_id else ""
    head += f"{record.seq:>5}  {record.at:%Y-%m-%d %H:%M:%SZ}  "
    kind = pad(cut(visible(event_type(record.event)), 20), 20)
    actor = preview(record.by, 24) if record.by else ""
    if record.cause:
        cause = (numbers or {}).get(record.cause)
        actor = f"{actor} ← {cause or preview(record.cause, 36)}".lstrip()
    actor = f"  [{actor}]" if actor else ""
    text = gist(record.event) if text is None else text
    text = preview(text, max(out.width - cells(head) - 22 - cells(actor), 10))
    line = out.style(head, dim=True) + out.style(kind, fg=color_of(record)) + out.style(actor, dim=True)
    return f"{line}  {text}".rstrip()


@command("show")
@click.argument("address", metavar="ID[@POINT]")
def show_command(call: Call, address: str) -> None:
    """Print one record in full; without a point, the last."""
    from journal.cli.events import page
    from journal.objects import record_object

    with call.store() as store:
        where = parse_address(address, known(store))
        record = find_record(store, require(store, where.session_id), where.end)
    if call.out.as_json:
        call.out.json(record_object(where.session_id, record))
    else:
        call.out.lines(_laid_out(page(where.session_id, record), call.out))


def _laid_out(fields: Iterable[tuple[str, str]], out: Output) -> Iterator[str]:
    for name, text in fields:
        if not name:
            yield ""
        elif "\n" in text or cells(text) > max(out.width - 14, 20):
            yield out.style(f"{name}:", bold=True)
            yield from (f"    {line}".rstrip() for line in text.split("\n"))
        else:
            yield f"{out.style(pad(f'{name}:', 13), bold=True)} {text}".rstrip()


@command("state")
@click.argument("address", metavar="ID[@POINT]")
@click.option(
    "--path", metavar="PATH", help="Only a part: metadata.plan.0, or the JSON pointer /metadata/plan/0."
)
def state_command(call: Call, address: str, path: str | None) -> None:
    """Print the session as it is now, or as it was at a point, as JSON."""
    from journal.cli.document import part_of, session_json

    with call.store() as store:
        where = parse_address(address, known(store))
        require(store, where.session_id)
        text = session_json(store, where)
    import json

    value = json.loads(text)
    if path is not None:
        value = part_of(value, path)
        text = json.dumps(value, ensure_ascii=False, indent=2)
    if call.out.as_json:
        call.out.json(value)
    else:
        call.out.pretty_json(text)
