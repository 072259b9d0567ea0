"""The command that deletes what is old: prune."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from journal.cli.app import NO, Call, command
from journal.cli.duration import Duration
from journal.cli.place import user_name
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.retention import Pruned


@command("prune")
@click.option("--older-than", type=Duration(), help="Whose last change is longer ago: 90d, 12h, 2w, 30m.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="The newest N of each user stay.")
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--yes", is_flag=True, help="Delete them; else they are only listed.")
def prune_command(
    call: Call, older_than: timedelta | None, keep: int | None, user: str | None, yes: bool
) -> None:
    """Say which sessions are old enough to go; with --yes, delete them. Each leaves a tombstone.

    A session that changes meanwhile stays, and so does one that cannot be read.
    """
    if older_than is None and not keep:
        raise click.UsageError("say which sessions may go: --older-than DURATION, or --keep N of each user")
    with call.store(writes=True, actor=user_name()) as store:
        pruned = store.prune(older_than, keep, user, dry_run=not yes)
    if call.out.as_json:
        call.out.json(_object(pruned, yes=yes))
    else:
        _print(call, pruned, yes=yes)
    if pruned.sessions and not yes:
        raise click.exceptions.Exit(NO)


def _object(pruned: "Pruned", *, yes: bool) -> dict[str, object]:
    import msgspec

    return {
        "deleted": yes,
        "sessions": [msgspec.to_builtins(summary) for summary in pruned.sessions],
        "changed": pruned.changed,
        "unreadable": [{"id": each.id, "reason": each.reason} for each in pruned.unreadable],
    }


def _print(call: Call, pruned: "Pruned", *, yes: bool) -> None:
    verb = "deleted" if yes else "would delete"
    for each in pruned.sessions:
        about = f"of {visible(each.user_id)}, version {each.version}"
        changed = f"{each.updated_at:%Y-%m-%d %H:%M:%SZ}"
        call.out.line(f"{verb} {visible(each.id)}  {about}, last change {changed}")
    for session_id in pruned.changed:
        call.out.note(f"kept {session_id}: it changed meanwhile")
    for problem in pruned.unreadable:
        call.out.note(f"kept {problem.id}: it cannot be read; `journal verify {problem.id}` says more")
    if not pruned.sessions:
        call.out.note("no session is old enough to go")
    elif not yes:
        call.out.note("nothing was deleted; --yes does it")
