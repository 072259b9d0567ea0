"""The command that takes content out for good: erase."""

import dataclasses
from typing import TYPE_CHECKING

import click

from journal.cli.address import Address, is_session, locate, parse_address, require
from journal.cli.app import NO, Call, command, with_actor
from journal.cli.place import user_name
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.erase import Erasure
    from journal.store import StateStore


@command("erase")
@click.argument("addresses", metavar="[ID@RANGE...]", nargs=-1)
@click.option("--user", metavar="USER", help="All content of all sessions of this user.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; goes on record.")
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would go.")
@with_actor
def erase_command(
    call: Call, addresses: tuple[str, ...], user: str | None, reason: str, yes: bool, by: str | None
) -> None:
    """Take the content of records out, for good; without --yes only say what would go.

    ID@7 is one record, ID@3..5 are three, ID@1.. all but those that must stay. Whatever repeats the content
    goes with it: forks, snapshots, quarantine, the search index. That the records were there, when and by
    whom, stays, and is proven.
    """
    if bool(addresses) == (user is not None):
        raise click.UsageError("name the records to erase, ID@7 or ID@3..5, or say --user USER")
    with call.store(writes=True, actor=by or user_name()) as store:
        wanted = _wanted(call, store, addresses)
        found: list[Erasure] = []
        if user is not None:
            found = store.erase_user(user, reason=reason, dry_run=not yes)
        for session_id, versions in wanted.items():
            found += store.erase(session_id, versions, reason=reason, dry_run=not yes)
    if call.out.as_json:
        call.out.json({"erased": yes, "sessions": [dataclasses.asdict(each) for each in found]})
    else:
        _print(call, found, yes=yes)
    if found and not yes:
        raise click.exceptions.Exit(NO)


def _wanted(call: Call, store: "StateStore", addresses: tuple[str, ...]) -> dict[str, set[int]]:
    """Of each session the records that are meant; all must be there before anything goes."""
    wanted: dict[str, set[int]] = {}
    for address in addresses:
        where = parse_address(address, lambda each: is_session(store, each), ranges=True)
        require(store, where.session_id)
        wanted.setdefault(where.session_id, set()).update(_versions(call, store, where))
    return wanted


def _versions(call: Call, store: "StateStore", where: Address) -> set[int]:
    """One record as it was named; of a range, those that may go, and a note of those that stay."""
    from journal.faults import records_text
    from projections.erasure import why_kept

    session_id = where.session_id
    if where.start is None and where.end is None:
        raise click.UsageError(f"which records of it? Name one, {session_id}@7, or all: {session_id}@1..")
    end = locate(store, session_id, where.end)
    if not where.is_range:
        return {end}
    start = locate(store, session_id, where.start or 1)
    kept: dict[str, list[int]] = {}
    for record in store.records(session_id, after=max(start - 1, 0)):
        if record.seq <= end and (why := why_kept(record.event)) is not None:
            kept.setdefault(why, []).append(record.seq)
    for why, versions in kept.items():
        call.out.note(f"{session_id}: without {records_text(versions)}, as {why}")
    return set(range(start, end + 1)).difference(*kept.values())


def _print(call: Call, found: "list[Erasure]", *, yes: bool) -> None:
    from journal.faults import records_text

    verb = "erased" if yes else "would erase"
    for each in found:
        types = ", ".join(sorted({visible(kind) for kind in each.types}))
        call.out.line(f"{verb} {records_text(each.versions)} of {visible(each.session_id)} ({types})")
        for name in each.quarantine:
            call.out.line(f"    and {visible(name)} in quarantine")
        for digest in each.attachments:
            call.out.line(f"    and the attachment {digest}")
    if not found:
        call.out.note("there is nothing to erase")
    elif not yes:
        call.out.note("nothing was changed; --yes does it, and nothing brings it back")
