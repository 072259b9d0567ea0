"""A session's records, decoded: all that follow a point of its log, or up to a moment."""

from collections.abc import Iterator
from datetime import datetime

from journal.chain import Damage
from journal.errors import CorruptRecordError
from journal.log import Log
from journal.record import decode_record
from projections.events import Erased, Record, SessionAdopted, SessionCreated, SessionForked, SessionReplaced
from projections.session import SessionProjection

_BEGINNINGS = (SessionCreated, SessionAdopted, SessionReplaced, SessionForked)
_BEGINNING_TYPES = frozenset(str(kind.__struct_config__.tag) for kind in _BEGINNINGS)


def decoded(log: Log) -> Iterator[Record]:
    """The records behind `log.position`. Raises CorruptRecordError for one that no reader understands.

    Other damage is not raised: see `log.rest` when the iteration ends.
    """
    for _, _, record in placed(log):
        yield record


def placed(log: Log) -> Iterator[tuple[int, bytes, Record]]:
    """As `decoded`, each record with its byte and its line."""
    seq = log.version
    for offset, line in log.read_new():
        seq += 1
        try:
            record = decode_record(line)
        except Damage as damage:
            raise CorruptRecordError(log.path, offset, seq, damage.reason) from None
        if not belongs(record, log.session_id):
            raise CorruptRecordError(log.path, offset, seq, "it does not begin this session")
        yield offset, line, record


def begun_by(record: Record) -> str:
    """The id of the session that a record begins; nothing where it begins none."""
    if type(record.event) not in _BEGINNINGS:
        return ""
    return SessionProjection().apply(SessionProjection().initial(), record).id


def belongs(record: Record, session_id: str) -> bool:
    """Whether a record may stand in a session's journal: the first begins it, and none begins another.

    A replacement behind the first may name another session: a fork's copies are verbatim.
    """
    event = record.event
    if record.seq > 1:
        return type(event) not in _BEGINNINGS or type(event) is SessionReplaced or _begins(record, session_id)
    if type(event) is Erased:
        return event.was in _BEGINNING_TYPES
    return type(event) in _BEGINNINGS and _begins(record, session_id)


def _begins(record: Record, session_id: str) -> bool:
    return begun_by(record) == session_id


def records_after(log: Log, version: int) -> Iterator[Record]:
    """The records with a higher number than `version`; the log was looked at.

    Raises CorruptRecordError at the damage, when everything before it was given out.
    """
    for record in decoded(log):
        if record.seq > version:
            yield record
    if isinstance(log.rest, CorruptRecordError):
        raise log.rest


def version_at(records: Iterator[Record], moment: datetime) -> int:
    """The version at a moment: the last record that is not later. Clocks go back, so all are looked at."""
    version = 0
    for record in records:
        if record.at <= moment:
            version = record.seq
    return version
