"""The commands that change a session: say, reply, rm."""

import sys
from typing import TYPE_CHECKING

import click

from journal.cli.address import is_session, require
from journal.cli.app import NO, Call, command, with_actor
from journal.cli.place import user_name

if TYPE_CHECKING:
    from journal.store import StateStore

_EXPECT = click.option(
    "--expect", type=click.IntRange(min=0), metavar="VERSION", help="Only if the session is at this version."
)


@command("say")
@click.argument("session_id", metavar="ID")
@click.argument("text", metavar="TEXT")
@click.option("--user", metavar="USER", help="Whose session it is; for a new one, you unless given.")
@with_actor
@_EXPECT
def say_command(
    call: Call, session_id: str, text: str, user: str | None, by: str | None, expect: int | None
) -> None:
    """Add what a user said, and begin the session if it is new; TEXT may be - for stdin.

    Prints the session's new version.
    """
    content = _text(text)
    with call.store(create=True) as store, store.acting(by=by):
        version = _say(store, session_id, content, user, expect)
    _print_version(call, session_id, version)


def _say(store: "StateStore", session_id: str, content: str, user: str | None, expect: int | None) -> int:
    from journal.errors import OwnerMismatchError, VersionConflictError
    from projections.session import Session

    def change(session: Session) -> None:
        if user is not None and session.user_id != user:
            raise OwnerMismatchError(session_id, user)
        if expect is not None and session.version != expect:
            raise VersionConflictError(session_id, session.version, expect)
        session.add_user_message(content)

    while True:
        if is_session(store, session_id):
            return store.update_session_with(session_id, change)
        created = Session.with_id(_owner(user), session_id)
        created.add_user_message(content)
        try:
            return store.save_session(created, expected_version=expect or 0)
        except VersionConflictError:
            if expect is not None:
                raise  # else another writer created it meanwhile: it is there now


def _owner(user: str | None) -> str:
    owner = user or user_name()
    if owner is None:
        raise click.UsageError("the session is new: say whose it is with --user")
    return owner


@command("reply")
@click.argument("session_id", metavar="ID")
@click.argument("text", metavar="TEXT")
@with_actor
@_EXPECT
def reply_command(call: Call, session_id: str, text: str, by: str | None, expect: int | None) -> None:
    """Add what the agent answered; TEXT may be - for stdin. Prints the session's new version."""
    from journal.errors import VersionConflictError
    from projections.session import Session

    content = _text(text)

    def change(session: Session) -> None:
        if expect is not None and session.version != expect:
            raise VersionConflictError(session_id, session.version, expect)
        session.add_agent_response(content)

    with call.store(writes=True) as store, store.acting(by=by):
        version = store.update_session_with(require(store, session_id), change)
    _print_version(call, session_id, version)


def _text(text: str) -> str:
    """What was given, or for `-` all of stdin without the last newline, which the shell adds."""
    if text != "-":
        return text
    data = sys.stdin.buffer.read()
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"stdin is not UTF-8: byte {error.start}") from None


def _print_version(call: Call, session_id: str, version: int) -> None:
    if call.out.as_json:
        call.out.json({"session_id": session_id, "version": version})
    else:
        call.out.line(str(version))


@command("rm")
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--why", metavar="TEXT", help="The reason, for the tombstone.")
@with_actor
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm_command(call: Call, session_ids: tuple[str, ...], why: str | None, by: str | None, yes: bool) -> None:
    """Delete sessions; a tombstone keeps their id, version and last hash.

    All of them must be there, else none is deleted.
    """
    unique = list(dict.fromkeys(session_ids))
    with call.store(writes=True, actor=user_name()) as store, store.acting(by=by):
        for session_id in unique:
            require(store, session_id)
        if not yes:
            _confirm(call, unique)
        deleted = [session_id for session_id in unique if store.delete_session(session_id, why=why)]
    if call.out.as_json:
        call.out.json({"deleted": deleted})
    else:
        call.out.note(f"deleted {_named(deleted)}")


def _confirm(call: Call, session_ids: list[str]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"this deletes {_named(session_ids)}; say --yes, there is nobody to ask here")
    if not click.confirm(f"Delete {_named(session_ids)} for good?", err=True):
        call.out.note("nothing was deleted")
        raise click.exceptions.Exit(NO)


def _named(session_ids: list[str]) -> str:
    if len(session_ids) > 5:
        return f"{len(session_ids)} sessions"
    return ", ".join(map(repr, session_ids))
