"""`log -f`: what is on record, then each new record as it comes, until interrupted."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import parse_address, require
from journal.cli.app import Call
from journal.cli.output import Output
from journal.cli.reading import before, beginning_at, known, record_id, record_line, wanted

if TYPE_CHECKING:
    from journal.errors import JournalError
    from journal.store import StateStore
    from journal.trail import Followed
    from projections.expression import Expression


def follow_log(
    call: Call,
    address: str | None,
    count: int | None,
    reverse: bool,
    expression: "Expression | None",
    filters: dict[str, Any],
) -> None:
    """Print records as they come; of all sessions without an address. Ends by Ctrl-C."""
    if reverse or filters["until"] is not None:
        raise click.UsageError(f"-f has no end, and {'-r' if reverse else '--until'} needs one")
    if address is None and count:
        raise click.UsageError("-n needs a session; of all of them only what is new is printed")
    if expression is not None and expression.uses_state:
        raise click.UsageError("-f has no states at hand: with it, --where may ask of event.* alone")
    tell = _Teller(call.out)
    with call.store() as store:
        if address is not None:
            session_id = parse_address(address, known(store), ranges=True).session_id
            filters["cause"] = record_id(store, session_id, filters["cause"])
        keep = wanted(**filters)

        def matches(record: "Followed") -> bool:
            return keep(record) and (expression is None or expression.matches(record, None))

        if address is None:
            records: Iterable[Followed] = store.follow(after="now", on_error=tell)
        else:
            records = _of_one(store, address, count, matches, tell)
        for record in filter(matches, records):
            _print(record, call.out, of_all=address is None)


def _of_one(
    store: "StateStore",
    address: str,
    count: int | None,
    matches: "Callable[[Followed], bool]",
    tell: "_Teller",
) -> "Iterator[Followed]":
    """The records of a session from its range's start on; of those that are there, the last `count`."""
    where = parse_address(address, known(store), ranges=True)
    if where.end is not None:
        raise click.UsageError(f"-f has no end: write {where.session_id} or {where.session_id}@3..")
    require(store, where.session_id)
    after = before(store, where)
    if count is None:
        yield from beginning_at(where.start, store.follow(where.session_id, after=after, on_error=tell))
        return
    last: int | Followed = after
    kept: deque[Followed] = deque(maxlen=count)
    for last in store.follow(where.session_id, after=after, timeout=0, on_error=tell):
        if matches(last):
            kept.append(last)
    yield from beginning_at(where.start, kept)
    yield from store.follow(where.session_id, after=last, on_error=tell)


def _print(record: "Followed", out: Output, *, of_all: bool) -> None:
    from journal.objects import record_object

    if out.as_json:
        out.json(record_object(record.session_id, record))
    else:
        out.line(record_line(record, out, session_id=record.session_id if of_all else ""))
    sys.stdout.flush()


class _Teller:
    """Says once what keeps a session from being followed; it goes on when somebody mends it."""

    def __init__(self, out: Output) -> None:
        self._out, self._said = out, set[str]()

    def __call__(self, session_id: str, error: "JournalError") -> None:
        if (text := f"{error} Waiting for its repair.") not in self._said:
            self._said.add(text)
            self._out.warning(text)
