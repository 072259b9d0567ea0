"""The command that brings out what is kept beside a record: attachment."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from journal.cli.address import find_record, is_session, parse_address, require
from journal.cli.app import NO, Call, command
from journal.cli.text import visible, visible_lines
from journal.objects import event_object

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.attachment import Attachment

# Media types whose bytes a person can read.
_READABLE = ("text/", "application/json", "application/xml")


@command("attachment")
@click.argument("address", metavar="ID[@POINT]")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
@click.option("--hash", "prefix", metavar="HASH", help="Which one, of several: how its hash begins.")
@click.option("--list", "only_list", is_flag=True, help="Only say which there are.")
def attachment_command(
    call: Call, address: str, output: str | None, prefix: str | None, only_list: bool
) -> None:
    """Bring out what was too large for a record, or attached to it; without a point, of the last record.

    The bytes are checked against their hash first.
    """
    from projections.attachment import attachments_in

    with call.store() as store:
        where = parse_address(address, lambda each: is_session(store, each))
        record = find_record(store, require(store, where.session_id), where.end)
        place = f"{where.session_id}@{record.seq}"
        found = list(dict.fromkeys(attachments_in(event_object(record.event))))
        if prefix is not None:
            found = [each for each in found if each.digest.startswith(prefix.lower())]
        if not found:
            of_that = f" with a hash that begins with {prefix}" if prefix is not None else ""
            call.out.note(f"nothing is attached to {place}{of_that}")
            raise click.exceptions.Exit(NO)
        if only_list or (call.out.as_json and output is None):
            _list(call, place, found)
            return
        _bring_out(call, store, place, found, output)


def _bring_out(
    call: Call, store: "StateStore", place: str, found: "list[Attachment]", output: str | None
) -> None:
    from journal.export import whole_file

    if len(found) > 1:
        _list(call, place, found)
        raise click.UsageError(f"{len(found)} are attached to {place}; say which one with --hash")
    (attachment,) = found
    if output is not None and output != "-":
        if os.path.isdir(output):
            raise click.UsageError(f"{output!r} is a folder")
        data = store.attachment(attachment.to_json())
        with whole_file(output) as file:
            file.write(data)
        if call.out.as_json:
            call.out.json(_object(place, attachment) | {"path": output})
        else:
            call.out.note(f"wrote {output}, {len(data):,} bytes")
        return
    is_readable = attachment.media_type.startswith(_READABLE)
    if call.out.is_terminal and not is_readable:
        kind = visible(attachment.media_type)
        raise click.UsageError(f"{kind} is not for a terminal; write it with -o FILE, or into a pipe")
    data = store.attachment(attachment.to_json())
    if call.out.is_terminal:
        click.echo(visible_lines(data.decode(errors="replace")))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def write_beside(
    call: Call, store: "StateStore", session_id: str | None, folder: str | None, *, left_out: str
) -> bool:
    """Write what is attached to a session, or to all, into a folder; without one, say why it is `left_out`.

    Whether all of it could be written. Damage of a journal is for the export to tell.
    """
    from journal.errors import AttachmentError, CorruptRecordError
    from journal.export import export_attachments

    if folder is None and not store._attachments.are_there():
        return True
    ids = store.session_ids() if session_id is None else [session_id]
    found = {each: digests for each in ids if (digests := store._attachments.of_session(each))}
    if folder is None:
        if found:
            number = len(set[str]().union(*found.values()))
            call.out.note(f"left out {_count(number)}: {left_out}")
        return True
    written: dict[str, int] = {}
    is_whole = True
    for each in found:
        try:
            export_attachments(store, each, folder, written)
        except AttachmentError as error:
            call.out.error(f"{each}: {error}")
            is_whole = False
        except CorruptRecordError:
            pass
    call.out.note(f"wrote {_count(len(written))} into {folder}, {sum(written.values()):,} bytes")
    return is_whole


def _count(number: int) -> str:
    return f"{number:,} attachment{'s' * (number != 1)}"


def _list(call: Call, place: str, found: "list[Attachment]") -> None:
    if call.out.as_json:
        call.out.json({"address": place, "attachments": [_object(place, each) for each in found]})
        return
    for each in found:
        call.out.line(f"{each.digest}  {each.size_bytes:>12,}  {visible(each.media_type)}")


def _object(place: str, attachment: "Attachment") -> dict[str, Any]:
    return {
        "address": place,
        "hash": attachment.digest,
        "size_bytes": attachment.size_bytes,
        "media_type": attachment.media_type,
        "is_value": attachment.is_value,
    }
