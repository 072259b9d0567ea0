"""The command that shows a session at a glance: info."""

from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import is_session, locate, parse_address, require
from journal.cli.app import Call, command
from journal.cli.figures import (
    attachments_object,
    figures_object,
    moment_text,
    timeline_object,
    usage_object,
)
from journal.cli.info_page import page_lines
from journal.cli.progress import Progress
from journal.cli.seen import Seen, read_session

if TYPE_CHECKING:
    from projections.strip import Gap


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
        call.out.json(_object(seen, silences))
    else:
        call.out.lines(page_lines(seen, silences, call.out))
    if seen.damage is not None:
        raise seen.damage


def _object(seen: Seen, silences: "list[Gap]") -> dict[str, Any]:
    import msgspec

    session, snapshot = seen.session, seen.snapshot
    return {
        "session_id": seen.session_id,
        "user_id": session.user_id,
        "version": session.version,
        "created_at": msgspec.to_builtins(session.created_at),
        "updated_at": msgspec.to_builtins(session.updated_at),
        "size_bytes": seen.journal_bytes,
        "attachments": attachments_object(seen.attached),
        "snapshot": {"state": snapshot.state, "version": snapshot.version, "size_bytes": snapshot.size_bytes},
        "head": seen.head or None,
        "origin": None if seen.origin is None else {"session_id": seen.origin[0], "version": seen.origin[1]},
        **figures_object(seen.figures),
        "usage": usage_object(seen.spending),
        "gaps": [
            {"before": each.before, "after": each.after, "seconds": each.length_us / 1e6, **_bounds(each)}
            for each in silences
        ],
        "timeline": timeline_object(seen.figures),
        "damage": None if seen.damage is None else str(seen.damage),
    }


def _bounds(gap: "Gap") -> dict[str, Any]:
    from projections.activity import to_moment

    return {"from": moment_text(to_moment(gap.start_us)), "to": moment_text(to_moment(gap.end_us))}
