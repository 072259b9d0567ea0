"""The command that lists sessions: ls."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Moment
from journal.cli.app import NO, Call, command
from journal.cli.output import Output
from journal.cli.table import table
from journal.cli.text import cut, visible

if TYPE_CHECKING:
    from journal.catalog import SessionPage
    from projections.summary import SessionSummary


@command("ls")
@click.option("--user", metavar="USER", help="Only this user's sessions.")
@click.option("--since", type=Moment(), help="Only sessions that changed at or after this time.")
@click.option("--until", type=Moment(), help="Only sessions that last changed before this time.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many; the rest is the next page.")
@click.option("--page", metavar="PAGE", help="Go on where a page ended.")
@click.option("--tree", is_flag=True, help="Forks below their origins.")
@click.option("--deleted", is_flag=True, help="The deleted sessions instead, by their tombstones.")
def list_command(
    call: Call,
    user: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    page: str | None,
    tree: bool,
    deleted: bool,
) -> None:
    """List sessions, the latest change first."""
    if deleted:
        if user or limit or page or tree:
            raise click.UsageError(
                "a tombstone names no user and has no page: --deleted takes --since, --until"
            )
        _list_deleted(call, since, until)
        return
    with call.store() as store:
        found = store.list_sessions(user, limit, since=since, until=until, page=page)
    if call.out.as_json:
        call.out.json(_page_object(found))
    else:
        call.out.lines(_table(found, call.out, tree=tree))
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


def _list_deleted(call: Call, since: datetime | None, until: datetime | None) -> None:
    """A line for each tombstone, the latest first."""
    import msgspec

    with call.store() as store:
        found = [
            each
            for each in reversed(store.tombstones())
            if (since is None or each.at >= since) and (until is None or each.at < until)
        ]
    if call.out.as_json:
        call.out.json({"tombstones": [msgspec.to_builtins(each) for each in found]})
    else:
        call.out.lines(
            f"{each.at:%Y-%m-%d %H:%M:%SZ}  {visible(each.id)}  version {each.version}"
            + (f"  [{visible(each.by)}]" if each.by else "")
            + (f"  {visible(each.why)}" if each.why else "")
            for each in found
        )
    if not found:
        call.out.note("no deleted sessions")
        if since or until:
            raise click.exceptions.Exit(NO)


_HEADINGS = ("SESSION", "USER", " MESSAGES", " REPLIES", " VERSION", " SIZE", "CHANGED")


def _table(found: "SessionPage", out: Output, *, tree: bool) -> Iterator[str]:
    rows = [
        (
            *(
                branch + visible(each.id),
                visible(each.user_id),
                str(each.message_count),
                str(each.response_count),
            ),
            *(str(each.version), size_text(each.size_bytes), f"{each.updated_at:%Y-%m-%d %H:%M:%SZ}"),
        )
        for branch, each in (_in_families(found) if tree else (("", each) for each in found))
    ]
    if not rows and not found.unreadable:
        return
    yield from table(_HEADINGS, rows, out, width=out.width, gives_way=1)
    for each in found.unreadable:
        yield out.style(cut(f"{visible(each.id)}  UNREADABLE: {visible(each.reason)}", out.width), fg="red")


def _in_families(found: "SessionPage") -> "Iterator[tuple[str, SessionSummary]]":
    """Each session with the branch that leads to it: forks stand below their origins, where those are listed.

    No recursion: a fork of a fork of a fork may go on for long.
    """
    forks: dict[str, list[SessionSummary]] = {}
    listed = {each.id for each in found}
    for each in found:
        if each.origin in listed:
            forks.setdefault(each.origin, []).append(each)
    waiting = [("", "", each) for each in reversed(found) if each.origin not in listed]
    while waiting:
        branch, below, summary = waiting.pop()
        yield branch, summary
        own = forks.get(summary.id, [])
        for index, fork in reversed(list(enumerate(own))):
            is_last = index == len(own) - 1
            at = f"@{fork.origin_version} "
            waiting.append(
                (f"{below}{'└' if is_last else '├'}{at}", below + ("  " if is_last else "│ "), fork)
            )


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
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
