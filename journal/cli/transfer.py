"""The command that brings sessions in: import."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, TypedDict

import click

from journal.cli.app import NO, NOT_FOUND, Call, command, with_actor
from journal.cli.place import check_path
from journal.cli.progress import Progress
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.importers import Outcome
    from journal.store import StateStore

_STDIN: Final = "-"


class PathMissing(click.ClickException):
    """There is no file to import."""

    exit_code = NOT_FOUND


@command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--format", "file_format", metavar="FORMAT", help="What the files are; else it is recognised.")
@click.option("--user", metavar="USER", help="Whose the sessions are, where the files do not say.")
@click.option("--session", metavar="ID", help="The session's id; for a file of one conversation.")
@click.option("--watch", is_flag=True, help="Then take in what comes, as it comes, until Ctrl-C.")
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
    watch: bool,
    attachments: str | None,
    by: str | None,
    durability: Literal["disk", "os"],
) -> None:
    """Take conversations in from files, folders or, as -, a pipe; again, only what is new."""
    from journal.importers import Outcome

    _check(paths, file_format, watch)
    if attachments is not None and not os.path.isdir(attachments):
        raise PathMissing(f"{attachments}: there is no such folder")
    options: Options = {
        "format": file_format,
        "user_id": user,
        "session_id": session,
        "attachments": attachments,
    }
    total = Outcome()
    with call.store(create=True, durability=durability) as store, store.acting(by=by):
        try:
            for path, outcome in (_watched if watch else _imported)(store, paths, options):
                total.add(outcome)
                if watch:
                    _tell_step(call, path, outcome)
        except ValueError as error:  # options that do not go together
            raise click.UsageError(str(error)) from None
    _tell(call, total, with_problems=call.out.as_json or not watch)


class Options(TypedDict):
    """What was asked for of all files."""

    format: str | None
    user_id: str | None
    session_id: str | None
    attachments: str | None


def _check(paths: tuple[str, ...], file_format: str | None, watch: bool) -> None:
    from journal.importers import FORMATS

    if file_format is not None and file_format not in FORMATS:
        raise click.UsageError(f"there is no format {file_format!r}; there are {', '.join(FORMATS)}")
    if watch and _STDIN in paths:
        raise click.UsageError("a pipe cannot be watched: - is read up to its end")
    for path in paths:
        check_path(path, advice="import takes files and folders, `journal copy` takes a store from there")
        if path != _STDIN and not os.path.exists(path):
            raise PathMissing(f"{path}: there is no such file or folder")


def _imported(
    store: "StateStore", paths: tuple[str, ...], options: Options
) -> "Iterator[tuple[str, Outcome]]":
    from journal.importers import import_path, import_stream

    with Progress("importing") as progress:
        for path in paths:
            if path == _STDIN:
                yield path, import_stream(store, sys.stdin.buffer, progress=progress, **options)
            else:
                yield path, import_path(store, path, progress=progress, **options)


def _watched(
    store: "StateStore", paths: tuple[str, ...], options: Options
) -> "Iterator[tuple[str, Outcome]]":
    from journal.importers.watch import Watch

    with _until_interrupted() as is_over:
        yield from Watch(store, paths, **options).follow(is_over)


@contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and a kind kill end the watch when what is under way is done."""
    over = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: over.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield over.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_step(call: Call, path: str, outcome: "Outcome") -> None:
    """What came of one file, if anything did."""
    if not outcome.appended and not outcome.problems:
        return
    if call.out.as_json:
        call.out.json({"path": path, **_object(outcome)})
    else:
        for problem in outcome.problems:
            call.out.error(str(problem))
        if outcome.appended:
            call.out.line(f"{visible(path)}: {_sentence(outcome)}")
    sys.stdout.flush()


def _tell(call: Call, total: "Outcome", *, with_problems: bool) -> None:
    if call.out.as_json:
        call.out.json(_object(total))
    else:
        for problem in total.problems if with_problems else ():
            call.out.error(str(problem))
        problems = f"; {_count(len(total.problems), 'problem')}" if total.problems else ""
        call.out.line(_sentence(total) + problems)
    if total.problems:
        raise click.exceptions.Exit(NO)


def _object(outcome: "Outcome") -> dict[str, object]:
    problems = [{"path": each.path, "line": each.line, "reason": each.reason} for each in outcome.problems]
    counts = {"session_ids": outcome.session_ids, "created": outcome.created, "appended": outcome.appended}
    return counts | {"problems": problems}


def _sentence(outcome: "Outcome") -> str:
    sessions = _count(len(outcome.session_ids), "session")
    return f"{sessions}, {outcome.created} new; {_count(outcome.appended, 'record')} appended"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
