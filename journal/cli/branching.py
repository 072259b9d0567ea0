"""The commands that go on from an earlier state: fork, rewind."""

import click

from journal.cli.address import is_session, locate, parse_address, require
from journal.cli.app import Call, command, with_actor
from journal.cli.text import visible


@command("fork")
@click.argument("address", metavar="ID[@POINT]")
@click.option("--id", "new_id", metavar="NEW", help="The fork's id; else one is drawn.")
@with_actor
def fork_command(call: Call, address: str, new_id: str | None, by: str | None) -> None:
    """Begin a new session with the history of another one, up to a point. Prints its id.

    The other session stays as it is. `verify` proves where the fork is from.
    """
    with call.store(writes=True, actor=by) as store:
        where = parse_address(address, lambda each: is_session(store, each))
        require(store, where.session_id)
        at = None if where.end is None else locate(store, where.session_id, where.end)
        session = store.fork(where.session_id, at, new_id=new_id)
    if call.out.as_json:
        origin = {"origin": where.session_id, "version": session.version}
        call.out.json({"session_id": session.id, **origin})
    else:
        call.out.line(visible(session.id))


@command("rewind")
@click.argument("address", metavar="ID@POINT")
@click.option(
    "--expect", type=click.IntRange(min=0), metavar="VERSION", help="Only if the session is at this version."
)
@with_actor
def rewind_command(call: Call, address: str, expect: int | None, by: str | None) -> None:
    """Make a session again what it was at a point. Prints its new version.

    It is one more record: the history stays, and the rewind can be rewound.
    """
    from journal.handle import ANY

    with call.store(writes=True, actor=by) as store:
        where = parse_address(address, lambda each: is_session(store, each))
        require(store, where.session_id)
        if where.end is None:
            raise click.UsageError(f"rewind it to what? Name a point: {where.session_id}@7")
        to = locate(store, where.session_id, where.end)
        version = store.rewind(where.session_id, to, expected_version=ANY if expect is None else expect)
    if call.out.as_json:
        call.out.json({"session_id": where.session_id, "version": version, "to": to})
    else:
        call.out.line(str(version))
