"""The format "journal": this library's own lines, taken over byte for byte, with what is attached to them."""

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from journal import disk as disks
from journal.attached import attached_to
from journal.chain import Damage
from journal.disk import Disk
from journal.errors import CorruptRecordError, InvalidEventError, OwnerMismatchError
from journal.handle import Handle
from journal.history import begun_by
from journal.importers.ingest import SESSION_ERRORS, Run
from journal.overtaking import until_current
from journal.reader import Reader, beginning, lines
from journal.record import decode_record
from projections.attachment import Attachment
from projections.session import SessionProjection

NAME: Final = "journal"
LOOKS: Final = "lines with `seq`, `digest`, `chain` and `event`"
_KEYS: Final = frozenset(("v", "seq", "digest", "chain", "salt", "event"))


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return keys.keys() >= _KEYS


def import_file(run: Run, path: str) -> None:
    """Take a whole journal over, or what it has more than the store; nothing of one that is damaged.

    The session keeps its id, its hashes and its times. Where the store has another history under that id,
    that is a Problem.
    """
    try:
        with open(path, "rb") as file:
            _take_over(run, path, file.fileno())
        run.advance(path, os.path.getsize(path))
    except (*SESSION_ERRORS, InvalidEventError) as error:
        run.problem(path, None, error)
    except Damage as damage:
        run.problem(path, None, damage.reason)
    except OSError as error:
        run.problem(path, None, f"cannot be read: {error.strerror}")


def _take_over(run: Run, path: str, source: int) -> None:
    setting = run.store._setting
    session_id = _session_of(run, source)
    if setting.redact is not None:
        raise InvalidEventError("a journal cannot be redacted: its hashes would not fit")
    reader = Reader(Disk(), source, path, beginning(session_id))
    attached: dict[Attachment, int] = {}
    for seq, (_, line) in enumerate(reader, 1):
        decode_record(line)
        attached |= {each: seq for each in attached_to(line) if each not in attached}
    if isinstance(reader.rest, CorruptRecordError):
        raise reader.rest
    version, _, end = reader.position
    if not version:
        raise InvalidEventError("it has no whole record")
    run.store._handles.check_usable()
    before, missing = _take_place(run, path, source, session_id, version, end, list(attached))
    for attachment in missing:
        where = "beside it" if run.attachments is None else f"in {run.attachments}"
        what = f"record {attached[attachment]}: the attachment {attachment.digest}"
        advice = "say where with --attachments, and import again"
        run.problem(path, None, f"{what} is not {where}, or not whole; {advice}")
    run.found(session_id)
    run.outcome.created += not before
    run.outcome.appended += max(version - before, 0)


def _session_of(run: Run, source: int) -> str:
    """Whose journal it is, by its first record. Raises OwnerMismatchError, InvalidEventError, Damage."""
    line = next((line for _, line in lines(Disk(), source, 0)), b"")
    record = decode_record(line)
    session_id = begun_by(record.event)
    if not session_id:
        raise InvalidEventError("its first record does not say which session it is")
    if run.session_id not in (None, session_id):
        raise InvalidEventError(f"it is the journal of session {session_id!r}, which cannot have another id")
    owner = SessionProjection().apply(SessionProjection().initial(), record).user_id
    if run.user_id not in (None, owner):
        raise OwnerMismatchError(session_id, str(run.user_id))
    return session_id


@until_current
def _take_place(
    run: Run, path: str, source: int, session_id: str, version: int, end: int, attached: Sequence[Attachment]
) -> tuple[int, list[Attachment]]:
    """Put a journal in the place of what the store has of it, if it goes on from there.

    Returns the version that the store had, and the attachments that are nowhere.
    """
    setting, attachments = run.store._setting, run.store._attachments
    handle = Handle(setting, session_id)
    log = handle.log
    setting.disk.refresh(log.path)
    try:
        with log.exclusive:
            state, _ = handle._begin()
            before = log.version
            if (state.id and not before) or not _goes_on(handle, source, end):
                raise InvalidEventError(
                    f"session {session_id!r} is there with another history; import it into another store"
                )
            with attachments.held_if(bool(attached)):
                missing = [each for each in attached if not _attach(run, path, each)]
                if version > before:
                    setting.mark(session_id)
                    log.replace(disks.chunks(Disk(), source, 0, end), durable=setting.durable)
            return before, missing
    finally:
        log.close()


def _goes_on(handle: Handle, source: int, end: int) -> bool:
    """Whether the store's journal and the source are the same as far as both go."""
    log = handle.log
    common = min(log.offset, end)
    if log.fd is None or not common:
        return True
    pairs = zip(
        disks.chunks(log.disk, log.fd, 0, common), disks.chunks(Disk(), source, 0, common), strict=False
    )
    return all(one == other for one, other in pairs)


def _attach(run: Run, path: str, attachment: Attachment) -> bool:
    """Put an attachment into the store, from beside the file; False where neither has it."""
    attachments = run.store._attachments
    for place in _places(run, path, attachment.digest):
        data = disks.read_file(Disk(), place)
        if data is not None and sha256(data).hexdigest() == attachment.digest:
            attachments.put(data, attachment.media_type)
            return True
    return attachments.problem(attachment.digest) is None


def _places(run: Run, path: str, digest: str) -> Iterator[str]:
    folder = os.path.dirname(os.path.abspath(path))
    beside = [os.path.join(folder, "attachments"), os.path.join(folder, "..", ".journal", "attachments")]
    for each in beside if run.attachments is None else [run.attachments]:
        yield os.path.join(each, digest)
        yield os.path.join(each, digest[:2], digest)
