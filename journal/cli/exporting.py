"""The command that brings sessions out: export."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import Address, is_session, locate, parse_address, require
from journal.cli.app import INTEGRITY, NO, SYSTEM, Call, command
from journal.cli.attaching import write_beside
from journal.cli.place import check_path
from journal.cli.progress import Progress
from journal.cli.text import visible, visible_lines

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.redaction import Redaction

# What holds every reference that a session's records do.
_REFERRING = ("lines", "markdown")
_ENDINGS = {"lines": ".jsonl", "json": ".json", "markdown": ".md"}


@command("export")
@click.argument("address", metavar="[ID[@POINT]]", required=False)
@click.option(
    "--all", "every", is_flag=True, help="All sessions: a file each into the folder -o, or one table."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["lines", "json", "markdown", "parquet"]),
    help="lines: the journal itself (the default); json: the session; markdown: a transcript; "
    "parquet: a table, a row a record.",
)
@click.option(
    "-o", "--output", metavar="FILE", help="Write there instead of to stdout; with --all, a folder."
)
@click.option(
    "--html", "page", metavar="FILE", help="Write the session as a page to look at, which needs no server."
)
@click.option(
    "--redact/--no-redact",
    default=None,
    help="Hide keys, tokens, passwords and e-mail addresses; with --html, unless --no-redact is said.",
)
@click.option(
    "--redact-pattern",
    "patterns",
    metavar="REGEX",
    multiple=True,
    help="Hide what this matches, too; may be repeated.",
)
@click.option("--preview", is_flag=True, help="Write nothing, list what --redact would hide.")
@click.option(
    "--attachments", "beside", metavar="FOLDER", help="Write what is attached to the records there, too."
)
def export_command(
    call: Call,
    address: str | None,
    every: bool,
    file_format: str | None,
    output: str | None,
    page: str | None,
    redact: bool | None,
    patterns: tuple[str, ...],
    preview: bool,
    beside: str | None,
) -> None:
    """Write sessions out: one, whole, or as json or markdown as it was at a point, or as a page; or all.

    What is hidden is gone from the copy, not from the store. Redacted lines have no hashes: they prove
    nothing, and are no journal. Attachments are not redacted: they are left out then.
    """
    if (address is None) != every:
        raise click.UsageError("name the session to export, or say --all" + (", not both" if every else ""))
    if page is not None:
        _check_page(every, file_format, output, beside)
    redact = page is not None if redact is None else redact
    if patterns and not redact and page is not None:
        raise click.UsageError("--redact-pattern says what to hide, and --no-redact to hide nothing")
    redaction = _redaction(patterns) if redact or patterns else None
    if preview and redaction is None:
        raise click.UsageError("--preview lists what --redact would hide; say --redact, too")
    form = file_format or ("json" if call.out.as_json and not output else "lines")
    if beside is not None and (redaction is not None or preview):
        raise click.UsageError("attachments are not redacted: leave --attachments out, or --redact")
    if beside is not None and form not in _REFERRING:
        raise click.UsageError("--attachments goes with --format lines or markdown")
    for path in (output, beside, page):
        check_path(path, advice="export writes files and folders, `journal copy` takes a store there")
    with call.store() as store:
        where = None
        if address is not None:
            where = parse_address(address, lambda each: is_session(store, each))
            require(store, where.session_id)
            if where.end is not None and (form in ("lines", "parquet") or preview):
                form = "a page" if page is not None else form
                raise click.UsageError(
                    f"{form} is the whole journal; a point needs --format json or markdown"
                )
        if preview and redaction is not None:
            _preview(call, store, where, redaction)
            return
        for path in (output, beside, page):
            if path not in (None, "-"):
                _check_outside(store, str(path))
        if page is not None and where is not None:
            _page(call, store, where.session_id, page, redaction)
            return
        try:
            if form == "parquet":
                _table(call, store, where, output, redaction)
            elif where is None:
                _folder(call, store, output, form, redaction)
            else:
                _one(call, store, where, output, form, redaction)
        except click.exceptions.Exit as told:  # not all of it could be written
            code = told.exit_code
        else:
            code = 0
        one = None if where is None else where.session_id
        if form in _REFERRING and not write_beside(call, store, one, beside, left_out=_why_not(redaction)):
            code = INTEGRITY
    if code:
        raise click.exceptions.Exit(code)


def _why_not(redaction: "Redaction | None") -> str:
    if redaction is not None:
        return "they are not redacted"
    return "--attachments FOLDER writes them beside"


def _redaction(patterns: tuple[str, ...]) -> "Redaction":
    from projections.redaction import Redaction

    try:
        return Redaction(patterns)
    except ValueError as error:
        raise click.UsageError(f"--redact-pattern: {error}") from None


def _check_outside(store: "StateStore", path: str) -> None:
    """What is written where the store keeps its own files would take their place."""
    place = os.path.realpath(path)
    for name in ("sessions", ".journal"):
        own = os.path.realpath(os.path.join(store.base_path, name))
        if os.path.commonpath([place, own]) == own:
            raise click.UsageError(f"{path!r} lies in the store itself; choose a place outside of {own!r}")


# One session


def _one(
    call: Call,
    store: "StateStore",
    where: Address,
    output: str | None,
    form: str,
    redaction: "Redaction | None",
) -> None:
    if output is None or output == "-":
        _to_stdout(store, where, form, redaction, is_terminal=call.out.is_terminal)
        return
    if os.path.isdir(output):
        raise click.UsageError(f"{output!r} is a folder")
    size = _to_file(store, where, form, output, redaction)
    if call.out.as_json:
        facts = {"session_id": where.session_id, "format": form, "path": output, "size_bytes": size}
        call.out.json(facts)
    else:
        call.out.note(f"wrote {output}, {size:,} bytes")


def _export(
    store: "StateStore",
    where: Address,
    form: str,
    write: Callable[[bytes], object],
    redaction: "Redaction | None",
) -> None:
    from journal.export import export_json, export_lines, export_markdown

    at = None if where.end is None else locate(store, where.session_id, where.end)
    if form == "lines":
        export_lines(store, where.session_id, write, redaction=redaction)
    elif form == "json":
        write(export_json(store, where.session_id, at, redaction=redaction))
    else:
        write(export_markdown(store, where.session_id, at, redaction=redaction).encode())


def _to_stdout(
    store: "StateStore", where: Address, form: str, redaction: "Redaction | None", *, is_terminal: bool
) -> None:
    if not is_terminal:
        sys.stdout.flush()
        _export(store, where, form, sys.stdout.buffer.write, redaction)
        sys.stdout.buffer.flush()
        return

    def show(data: bytes) -> None:
        click.echo(visible_lines(data.decode(errors="replace")), nl=not data.endswith(b"\n"))

    _export(store, where, form, show, redaction)


def _to_file(store: "StateStore", where: Address, form: str, path: str, redaction: "Redaction | None") -> int:
    """Write a whole file or none: an export that fails leaves what was there before."""
    from journal.export import whole_file

    with whole_file(path) as file:
        _export(store, where, form, file.write, redaction)
        return int(file.tell())


# All of them


def _folder(
    call: Call, store: "StateStore", output: str | None, form: str, redaction: "Redaction | None"
) -> None:
    """A file a session, each whole or not at all. Of a damaged one, what stands before the damage."""
    from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError

    if output is None or output == "-":
        raise click.UsageError(f"--all writes a file a session: give a folder with -o ({form})")
    if os.path.lexists(output) and not os.path.isdir(output):
        raise click.UsageError(f"{output!r} is a file; --all writes a file a session into a folder")
    os.makedirs(output, mode=0o700, exist_ok=True)
    total, written, failed = 0, 0, []
    code = 0
    with Progress("exporting") as progress:
        ids = store.session_ids()
        for done, session_id in enumerate(ids):
            progress(session_id, done, len(ids))
            path = os.path.join(output, session_id + _ENDINGS[form])
            try:
                total += _to_file(store, Address(session_id), form, path, redaction)
                written += 1
            except (CorruptRecordError, CorruptSnapshotError) as error:
                code = INTEGRITY
                size = _before_damage(store, session_id, error, form, path, redaction)
                total, written = total + size, written + (size > 0)
                failed.append({"id": session_id, "reason": str(error)})
            except SessionNotFoundError as error:  # deleted this very moment, or no journal to give lines of
                code = code or (NO if is_session(store, session_id) else 0)
                if is_session(store, session_id):
                    failed.append({"id": session_id, "reason": str(error)})
    facts = {"format": form, "path": output, "sessions": written, "size_bytes": total, "failed": failed}
    _end(call, facts, f"wrote {_count(written, 'session')} into {output}, {total:,} bytes", code)


def _before_damage(
    store: "StateStore",
    session_id: str,
    error: Exception,
    form: str,
    path: str,
    redaction: "Redaction | None",
) -> int:
    """Write what can be read of a damaged session; how many bytes that is."""
    from journal.errors import CorruptRecordError
    from journal.export import export_lines, whole_file

    last = error.seq - 1 if isinstance(error, CorruptRecordError) else 0
    if last < 1:
        return 0
    if form != "lines":
        return _to_file(store, Address(session_id, end=last), form, path, redaction)
    with whole_file(path) as file:
        with contextlib.suppress(CorruptRecordError):
            export_lines(store, session_id, file.write, redaction=redaction)
        return int(file.tell())


def _table(
    call: Call, store: "StateStore", where: Address | None, output: str | None, redaction: "Redaction | None"
) -> None:
    from journal.parquet import export_parquet

    if output is None or output == "-":
        raise click.UsageError("a table is a file: say which with -o FILE")
    if os.path.isdir(output):
        raise click.UsageError(f"{output!r} is a folder; a table is one file")
    try:
        with Progress("exporting") as progress:
            ids = None if where is None else [where.session_id]
            done = export_parquet(store, output, ids, redaction=redaction, progress=progress)
    except ModuleNotFoundError as error:
        call.out.error(str(error))
        raise click.exceptions.Exit(SYSTEM) from None
    size = os.path.getsize(output)
    failed = [{"id": each.id, "reason": each.reason} for each in done.unreadable]
    counts = {"sessions": done.sessions, "records": done.records, "size_bytes": size}
    facts = {"format": "parquet", "path": output} | counts | {"failed": failed}
    text = f"wrote {output}: {_count(done.records, 'record')} of {_count(done.sessions, 'session')}"
    _end(call, facts, f"{text}, {size:,} bytes", INTEGRITY if failed else 0)


# A page


def _check_page(every: bool, file_format: str | None, output: str | None, beside: str | None) -> None:
    others = {"--all": every, "--format": file_format, "-o": output, "--attachments": beside}
    if given := [name for name, value in others.items() if value]:
        raise click.UsageError(f"--html FILE says what is written, and where: leave {given[0]} out")


def _page(call: Call, store: "StateStore", session_id: str, path: str, redaction: "Redaction | None") -> None:
    from journal.export import whole_file
    from journal.web.embedding import export_page

    if os.path.isdir(path):
        raise click.UsageError(f"{path!r} is a folder; a page is one file")
    with Progress("exporting") as progress, whole_file(path) as file:
        done = export_page(store, session_id, file.write, redaction=redaction, progress=progress)
        size = file.tell()
    hidden = sum(done.hidden.values())
    facts = {"session_id": session_id, "format": "html", "path": path, "size_bytes": size}
    failed = [] if done.damage is None else [{"id": session_id, "reason": str(done.damage)}]
    facts |= {"records": done.records, "redacted": redaction is not None, "hidden": dict(done.hidden)}
    text = f"wrote {path}: {_count(done.records, 'record')}, {size:,} bytes"
    if redaction is not None:
        text += f"; {_count(hidden, 'place')} hidden (--preview lists them, --no-redact hides nothing)"
    _end(call, facts | {"failed": failed}, text, INTEGRITY if failed else 0)


def _end(call: Call, facts: dict[str, Any], text: str, code: int) -> None:
    for each in facts["failed"]:
        call.out.error(each["reason"])
    if call.out.as_json:
        call.out.json(facts)
    else:
        call.out.note(text + (f"; {_count(len(facts['failed']), 'session')} not whole" if code else ""))
    if code:
        raise click.exceptions.Exit(code)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


# What would be hidden


def _preview(call: Call, store: "StateStore", where: Address | None, redaction: "Redaction") -> None:
    """A line for each secret of each record, as grep would: found is a yes."""
    from collections import Counter

    from journal.errors import CorruptRecordError, CorruptSnapshotError

    total, code = 0, 0
    for session_id in store.session_ids() if where is None else [where.session_id]:
        try:
            for record in store.records(session_id):
                _, found = redaction.redact_record(record)
                total += len(found)
                for (kind, excerpt), count in Counter((each.kind, each.excerpt) for each in found).items():
                    _say_found(call, f"{session_id}@{record.seq}", kind, count, excerpt)
        except (CorruptRecordError, CorruptSnapshotError) as error:
            call.out.error(str(error))
            code = INTEGRITY
    if not call.out.as_json:
        call.out.note(f"{_count(total, 'place')} would be hidden" if total else "nothing to hide was found")
    if code or not total:
        raise click.exceptions.Exit(code or NO)


def _say_found(call: Call, address: str, kind: str, count: int, excerpt: str) -> None:
    if call.out.as_json:
        call.out.json({"address": address, "kind": kind, "count": count, "excerpt": excerpt})
    else:
        times = f"  {count} times" if count > 1 else ""
        call.out.line(f"{visible(address)}  {kind}  {visible(excerpt)}{times}")
