"""A session's records, decoded: all that follow a point of its log, or up to a moment."""

from collections.abc import Callable, Iterator
from datetime import datetime

from journal.chain import Damage
from journal.errors import CorruptRecordError, SessionNotFoundError
from journal.log import Log
from journal.record import decode_record
from projections.document import parse_document
from projections.events import (
    Erased,
    Event,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
)
from projections.messages import utc_now

_BEGINNING_TYPES = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (SessionCreated, SessionAdopted, SessionReplaced, SessionForked)
)


def decoded(log: Log, enough: int | None = None) -> Iterator[Record]:
    """The records behind `log.position`. Raises CorruptRecordError for one that no reader understands.

    Other damage is not raised: see `log.rest` when the iteration ends. `enough`: as `log.read_new`.
    """
    for _, _, record in placed(log, enough):
        yield record


def placed(log: Log, enough: int | None = None) -> Iterator[tuple[int, bytes, Record]]:
    """As `decoded`, each record with its byte and its line."""
    seq = log.version
    for offset, line in log.read_new(enough):
        seq += 1
        yield offset, line, read_record(log, offset, seq, line)


def read_record(log: Log, offset: int, seq: int, line: bytes) -> Record:
    """The record of a log's checked line. Raises CorruptRecordError where no writer wrote it, or not here."""
    try:
        record = decode_record(line)
    except Damage as damage:
        raise CorruptRecordError(log.path, offset, seq, damage.reason) from None
    if not belongs(record, log.session_id):
        raise CorruptRecordError(log.path, offset, seq, "it does not begin this session")
    return record


def begun_by(event: Event) -> str:
    """The id of the session that an event begins; nothing where it begins none."""
    match event:
        case SessionCreated() | SessionForked():
            return event.session_id
        case SessionReplaced():
            return event.session.id
        case SessionAdopted():
            return parse_document(event.document).id
        case _:
            return ""


def belongs(record: Record, session_id: str) -> bool:
    """Whether a record may stand in a session's journal: the first one begins it.

    A later beginning changes what the session says, and not which one it is: a fork's copies are verbatim.
    """
    if record.seq > 1:
        return True
    if isinstance(record.event, Erased):
        return record.event.was in _BEGINNING_TYPES
    return begun_by(record.event) == session_id


def records_after(log: Log, version: int) -> Iterator[Record]:
    """The records with a higher number than `version`; the log was looked at.

    Raises CorruptRecordError at the damage, when everything before it was given out.
    """
    for record in decoded(log):
        if record.seq > version:
            yield record
    if isinstance(log.rest, CorruptRecordError):
        raise log.rest


def all_records(log: Log, after: int, adopting: Callable[[], str | None]) -> Iterator[Record]:
    """The records of a session with a higher number than `after`; then the log is closed.

    `adopting`: the text of another program's file, if that is all there is. It is given out as what the first
    change will put on record, as record 0. Raises SessionNotFoundError, CorruptRecordError.
    """
    try:
        log.look()
        if log.size():
            yield from records_after(log, after)
            return
        text = adopting()
        if text is None:
            raise SessionNotFoundError(log.session_id)
        yield Record(seq=0, id="", at=utc_now(), event=SessionAdopted(document=text), digest="", chain="")
    except OSError as error:
        raise (log.refusal(error, was_writing=False) or error) from error
    finally:
        log.close()


def version_at(records: Iterator[Record], moment: datetime) -> int:
    """The version at a moment: the last record that is not later. Clocks go back, so all are looked at."""
    version = 0
    for record in records:
        if record.at <= moment:
            version = record.seq
    return version
