"""The commands that bring sessions in and out: import, export."""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import click

from journal.cli.address import Address, is_session, locate, parse_address, require
from journal.cli.app import NO, NOT_FOUND, Call, command, with_actor
from journal.cli.progress import Progress
from journal.cli.text import visible_lines

if TYPE_CHECKING:
    from journal.importers import Outcome
    from journal.store import StateStore


class PathMissing(click.ClickException):
    """There is no file to import."""

    exit_code = NOT_FOUND


@command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--format", "file_format", metavar="FORMAT", help="What the files are; else it is recognised.")
@click.option("--user", metavar="USER", help="Whose the sessions are, where the files do not say.")
@click.option("--session", metavar="ID", help="The session's id; for a file of one conversation.")
@with_actor
@click.option(
    "--durability",
    type=click.Choice(["disk", "os"]),
    default="disk",
    help="os: faster; what was imported survives this process, not a power cut.",
)
def import_command(
    call: Call,
    paths: tuple[str, ...],
    file_format: str | None,
    user: str | None,
    session: str | None,
    by: str | None,
    durability: Literal["disk", "os"],
) -> None:
    """Take conversations in from files or folders; again, or from grown files, only what is new."""
    from journal.importers import import_path

    _check_format(file_format)
    for path in paths:
        if not os.path.exists(path):
            raise PathMissing(f"{path}: there is no such file or folder")
    outcomes = []
    with (
        call.store(create=True, durability=durability) as store,
        store.acting(by=by),
        Progress("importing") as progress,
    ):
        for path in paths:
            try:
                outcome = import_path(
                    store, path, format=file_format, user_id=user, session_id=session, progress=progress
                )
            except ValueError as error:  # options that do not go together
                raise click.UsageError(str(error)) from None
            outcomes.append(outcome)
    _tell(call, outcomes)


def _check_format(given: str | None) -> None:
    from journal.importers import FORMATS

    if given is not None and given not in FORMATS:
        raise click.UsageError(f"there is no format {given!r}; there are {', '.join(FORMATS)}")


def _tell(call: Call, outcomes: "list[Outcome]") -> None:
    session_ids = list(dict.fromkeys(each for outcome in outcomes for each in outcome.session_ids))
    created = sum(outcome.created for outcome in outcomes)
    appended = sum(outcome.appended for outcome in outcomes)
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    if call.out.as_json:
        found = [{"path": str(each.path), "line": each.line, "reason": each.reason} for each in problems]
        counts = {"session_ids": session_ids, "created": created, "appended": appended}
        call.out.json(counts | {"problems": found})
    else:
        for problem in problems:
            call.out.error(str(problem))
        text = f"{_count(len(session_ids), 'session')}, {created} new; {_count(appended, 'record')} appended"
        call.out.line(text + (f"; {_count(len(problems), 'problem')}" if problems else ""))
    if problems:
        raise click.exceptions.Exit(NO)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


@command("export")
@click.argument("address", metavar="ID[@POINT]")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["lines", "json", "markdown"]),
    help="lines: the journal itself (the default); json: the session; markdown: a transcript.",
)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def export_command(call: Call, address: str, file_format: str | None, output: str | None) -> None:
    """Write a session out, whole, or as json or markdown as it was at a point."""
    form = file_format or ("json" if call.out.as_json and not output else "lines")
    with call.store() as store:
        where = parse_address(address, lambda each: is_session(store, each))
        require(store, where.session_id)
        if form == "lines" and where.end is not None:
            raise click.UsageError("lines are the whole journal; a point needs --format json or markdown")
        if output is None or output == "-":
            _to_stdout(store, where, form, is_terminal=call.out.is_terminal)
            return
        size = _to_file(store, where, form, output)
    if call.out.as_json:
        facts = {"session_id": where.session_id, "format": form, "path": output, "size_bytes": size}
        call.out.json(facts)
    else:
        call.out.note(f"wrote {output}, {size:,} bytes")


def _export(store: "StateStore", where: Address, form: str, write: Callable[[bytes], object]) -> None:
    from journal.export import export_json, export_lines, export_markdown

    at = None if where.end is None else locate(store, where.session_id, where.end)
    if form == "lines":
        export_lines(store, where.session_id, write)
    elif form == "json":
        write(export_json(store, where.session_id, at))
    else:
        write(export_markdown(store, where.session_id, at).encode())


def _to_stdout(store: "StateStore", where: Address, form: str, *, is_terminal: bool) -> None:
    if not is_terminal:
        sys.stdout.flush()
        _export(store, where, form, sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
        return

    def show(data: bytes) -> None:
        click.echo(visible_lines(data.decode(errors="replace")), nl=not data.endswith(b"\n"))

    _export(store, where, form, show)


def _to_file(store: "StateStore", where: Address, form: str, path: str) -> int:
    """Write a whole file or none: an export that fails leaves what was there before."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise click.UsageError(f"{path!r} is a folder")
    descriptor, temporary = tempfile.mkstemp(prefix=".export-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _export(store, where, form, file.write)
            size: Any = file.tell()
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return int(size)
