"""The command that brings sessions in: import."""

import os
from typing import TYPE_CHECKING, Literal

import click

from journal.cli.app import NO, NOT_FOUND, Call, command, with_actor
from journal.cli.progress import Progress

if TYPE_CHECKING:
    from journal.importers import Outcome


class PathMissing(click.ClickException):
    """There is no file to import."""

    exit_code = NOT_FOUND


@command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--format", "file_format", metavar="FORMAT", help="What the files are; else it is recognised.")
@click.option("--user", metavar="USER", help="Whose the sessions are, where the files do not say.")
@click.option("--session", metavar="ID", help="The session's id; for a file of one conversation.")
@click.option(
    "--attachments",
    metavar="FOLDER",
    help="Where what is attached to journals is; else beside them, in `attachments`.",
)
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
    attachments: str | None,
    by: str | None,
    durability: Literal["disk", "os"],
) -> None:
    """Take conversations in from files or folders; again, or from grown files, only what is new."""
    from journal.importers import import_path

    _check_format(file_format)
    for path in paths:
        if not os.path.exists(path):
            raise PathMissing(f"{path}: there is no such file or folder")
    if attachments is not None and not os.path.isdir(attachments):
        raise PathMissing(f"{attachments}: there is no such folder")
    outcomes = []
    with (
        call.store(create=True, durability=durability) as store,
        store.acting(by=by),
        Progress("importing") as progress,
    ):
        for path in paths:
            try:
                outcome = import_path(
                    store,
                    path,
                    format=file_format,
                    user_id=user,
                    session_id=session,
                    progress=progress,
                    attachments=attachments,
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
