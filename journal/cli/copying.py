"""The command that moves a store: copy."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from journal.cli.app import CONFLICT, INTEGRITY, Call, command
from journal.cli.place import check_store_folder, folder_in, read_url, without_secrets
from journal.cli.progress import Progress
from journal.cli.text import visible

if TYPE_CHECKING:
    from journal.backend import Backend
    from journal.copied import Copied, Left


@command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--verify/--no-verify", default=True, help="Read back what was written, and check it.")
@click.option("--documents/--no-documents", default=True, help="Copy documents and the quarantine, too.")
def copy_command(call: Call, source: str, target: str, verify: bool, documents: bool) -> None:
    """Copy a store, from a folder or a URL to another one: all of it, byte for byte; again, what is new.

    FROM is only read. What grew is continued, what was erased since is erased there, too; what is there and
    says something else is left alone, and told. After an interruption, copy again.
    """
    if call.place is not None:
        raise click.UsageError("copy goes FROM one store TO another; --store says nothing here")
    from journal.copying import copy

    stores = _backend(source, is_source=True), _backend(target, is_source=False)
    asked = None if folder_in(target) else read_url(target).durability
    with Progress("copying") as progress:
        copied = asyncio.run(copy(*stores, progress=progress, verify=verify, documents=documents))
    if call.out.as_json:
        call.out.json(_object(copied))
    else:
        _print(call, copied, source, target, asked=asked)
    if copied.problems:
        raise click.exceptions.Exit(INTEGRITY)
    if copied.conflicts:
        raise click.exceptions.Exit(CONFLICT)


def _backend(place: str, *, is_source: bool) -> "Backend":
    from journal.connecting import backend_of

    if not place:  # a variable that is not set, and no order to copy into the current folder
        raise click.UsageError(f"{'FROM' if is_source else 'TO'} is empty; name a folder or a URL")
    create = False if is_source else None
    folder = folder_in(place)
    if folder is not None:
        return backend_of(check_store_folder(folder, create=not is_source), create=create)
    asked = read_url(place)
    try:
        return backend_of(asked.url, timeout=asked.timeout, create=create)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _print(call: Call, copied: "Copied", source: str, target: str, *, asked: str | None) -> None:
    out = call.out
    for left in copied.problems:
        out.error(_sentence(left))
    for left in copied.conflicts:
        out.warning(f"{_sentence(left)}; it was left alone")
    promise = copied.promise
    if promise is not None and promise.survives != "disk" and asked != "os":
        out.warning(promise.text)
    lines = [
        f"{_count(copied.created, 'session')} copied" if copied.created else "",
        f"{copied.continued:,} continued" if copied.continued else "",
        f"{copied.rewritten:,} rewritten, where content was erased" if copied.rewritten else "",
        f"{copied.same:,} unchanged" if copied.same else "",
        f"{copied.ahead:,} ahead: they went on there" if copied.ahead else "",
    ]
    out.line(", ".join(filter(None, lines)) or "no session copied")
    more = [
        (copied.records, "record"),
        (copied.tombstones, "deletion"),
        (copied.documents, "document"),
        (copied.attachments, "attachment"),
    ]
    if written := [_count(number, noun) for number, noun in more if number]:
        out.line(f"wrote {', '.join(written)}")
    number = len(copied.conflicts) + len(copied.problems)
    told = f"not all of it; {_count(number, 'thing')} to look after" if number else "all of it"
    out.note(f"{visible(without_secrets(source))} to {visible(without_secrets(target))}: {told}")


def _sentence(left: "Left") -> str:
    return f"{visible(left.name)}: {left.reason}" if left.name else left.reason


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _object(copied: "Copied") -> dict[str, Any]:
    found: dict[str, Any] = {name: value for name, value in vars(copied).items() if isinstance(value, int)}
    for name in ("conflicts", "problems"):
        found[name] = [left._asdict() for left in getattr(copied, name)]
    promise = copied.promise
    return found | {"survives": promise.survives if promise else None, "ok": copied.ok}
