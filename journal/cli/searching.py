"""The command that looks for the first record of which something is true: first."""

from typing import TYPE_CHECKING

import click

from journal.cli.address import is_session, parse_address, require
from journal.cli.app import NO, Call, command
from journal.cli.matching import ExpressionType, matching
from journal.cli.output import Output
from journal.cli.reading import between, record_line
from journal.cli.text import visible

if TYPE_CHECKING:
    from projections.events import Record
    from projections.expression import Expression


@command("first")
@click.argument("address", metavar="ID[@RANGE]")
@click.argument("expression", metavar="EXPR", type=ExpressionType())
def first_command(call: Call, address: str, expression: "Expression") -> None:
    """Print the first record of which EXPR is true, and its address.

    Looks at each record, and at the session as it was right after it:
    `event.type = "tool_returned" and event.is_error`, `count(state.user_messages) > 3`.
    """
    with call.store() as store:
        where = parse_address(address, lambda each: is_session(store, each), ranges=True)
        require(store, where.session_id)
        records = between(store, where)
        found = next(matching(store, where.session_id, records, expression), None)
    if found is None:
        call.out.note("it is true of no record")
        raise click.exceptions.Exit(NO)
    if call.out.as_json:
        from journal.objects import record_object

        call.out.json(record_object(where.session_id, found))
    else:
        print_found(call.out, where.session_id, found)


def print_found(out: Output, session_id: str, record: "Record") -> None:
    """The record's line, and its address."""
    out.line(record_line(record, out))
    out.line(f"{visible(session_id)}@{record.seq}")
