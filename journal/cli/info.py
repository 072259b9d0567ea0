"""The command that shows a session at a glance: info."""

import click

from journal.cli.address import is_session, locate, parse_address, require
from journal.cli.app import Call, command
from journal.cli.info_page import page_lines
from journal.cli.progress import Progress
from journal.glance import read_session
from journal.objects import info_object


@command("info")
@click.argument("address", metavar="ID[@POINT]")
@click.option(
    "--gap",
    type=click.FloatRange(min=0),
    default=60.0,
    metavar="SECONDS",
    help="A silence longer than this is told; 60 unless given.",
)
def info_command(call: Call, address: str, gap: float) -> None:
    """Show a session at a glance: who, how much, when, which tools, what failed, where it was silent.

    With a point, as it was there: all up to that record. Of a damaged session what can be read, then the
    damage.
    """
    from projections.strip import gaps

    with call.store() as store, Progress("reading") as progress:
        where = parse_address(address, lambda each: is_session(store, each))
        require(store, where.session_id)
        until = None if where.end is None else locate(store, where.session_id, where.end)
        seen = read_session(store, where.session_id, until, progress)
    silences = gaps(seen.figures, longer_than_us=round(gap * 1e6))
    if call.out.as_json:
        call.out.json(info_object(seen, silences))
    else:
        call.out.lines(page_lines(seen, silences, call.out))
    if seen.damage is not None:
        raise seen.damage
