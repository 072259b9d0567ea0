"""The commands for what a crash left open: unfinished, settle."""

import json
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import require
from journal.cli.app import INTEGRITY, NO, Call, command, with_actor
from journal.cli.text import preview, visible

if TYPE_CHECKING:
    from journal.live.tools import UnfinishedCall

_ARGUMENTS_WIDTH = 80


@command("unfinished")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
def unfinished_command(call: Call, session_ids: tuple[str, ...]) -> None:
    """List the tool calls whose outcome is not on record, in these sessions or in all.

    After a crash they may have run, or not; one that is running right now is among them. `settle` says what
    became of one.
    """
    from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError

    found = 0
    unreadable = []
    with call.store() as store:
        for session_id in [require(store, each) for each in session_ids] or store.session_ids():
            try:
                with store.open_session(session_id) as live:
                    calls = live.unfinished()
            except SessionNotFoundError:
                continue  # deleted this very moment
            except (CorruptRecordError, CorruptSnapshotError) as error:
                unreadable.append(str(error))
                continue
            found += len(calls)
            for each in calls:
                _print(call, session_id, each)
    for reason in unreadable:
        call.out.error(reason)
    if not found and not call.out.as_json:
        call.out.note("every call has its outcome on record")
    if unreadable or not found:
        raise click.exceptions.Exit(INTEGRITY if unreadable else NO)


def _print(call: Call, session_id: str, begun: "UnfinishedCall") -> None:
    if call.out.as_json:
        call.out.json(_object(session_id, begun))
        return
    address = visible(f"{session_id}@{begun.version}")
    arguments = preview(json.dumps(begun.arguments, ensure_ascii=False), _ARGUMENTS_WIDTH)
    named = f"{visible(begun.call_id)}  {visible(begun.name)} {arguments}"
    call.out.line(f"{address}  {begun.at:%Y-%m-%d %H:%M:%SZ}  {named}")


def _object(session_id: str, begun: "UnfinishedCall") -> dict[str, Any]:
    return {
        "session_id": session_id,
        "seq": begun.version,
        "at": f"{begun.at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "by": begun.by,
        "call_id": begun.call_id,
        "name": begun.name,
        "arguments": begun.arguments,
    }


@command("settle")
@click.argument("session_id", metavar="ID")
@click.argument("call_id", metavar="CALL")
@click.option("--result", metavar="JSON", help="It ran, and gave this.")
@click.option("--failed", metavar="TEXT", help="It failed, or never ran: why.")
@with_actor
def settle_command(
    call: Call, session_id: str, call_id: str, result: str | None, failed: str | None, by: str | None
) -> None:
    """Say what became of a tool call whose outcome is not on record. Prints the session's new version."""
    import msgspec

    if (result is None) == (failed is None):
        raise click.UsageError("say what became of it: --result JSON if it ran, --failed TEXT if not")
    try:
        value = None if result is None else msgspec.json.decode(result)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--result: {error}; a text is JSON in quotes, as '\"done\"'") from None
    with (
        call.store(writes=True) as store,
        store.acting(by=by),
        store.open_session(require(store, session_id)) as live,
    ):
        version = live.settle(call_id, value, error=failed)
    if call.out.as_json:
        call.out.json({"session_id": session_id, "version": version, "call_id": call_id})
    else:
        call.out.line(str(version))
