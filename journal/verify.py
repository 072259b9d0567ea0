"""Verifying a session: every hash, link and number of its journal, and its snapshot against it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from journal.chain import Damage, is_erased
from journal.disk import Disk
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.foreign import is_foreign
from journal.layout import Layout
from journal.log import Log
from journal.reader import TornTail
from journal.record import decode_record
from journal.snapshot import FOLD, Marker, Snapshot, read_marker, read_snapshot
from projections.difference import is_same
from projections.events import Event, JournalRepaired, SessionAdopted, UnknownEvent
from projections.session import SessionProjection, apply_event

# A larger snapshot is compared by its marker alone, so that memory stays flat.
MAX_COMPARED_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Report:
    """What verifying found.

    ok        nothing that was acknowledged is damaged, altered or missing in between
    findings  what is wrong, in sentences with file, byte and record
    notes     what is worth knowing and no damage: a torn tail, a repair, an adopted session
    head      the last chain hash (of one session), to compare with one that was kept elsewhere
    """

    ok: bool
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    head: str | None = None
    version: int = 0
    sessions: int = 1
    size_bytes: int = 0

    @classmethod
    def of_all(cls, reports: Iterable[Self]) -> Self:
        """One report of many sessions."""
        found = list(reports)
        return cls(
            ok=all(report.ok for report in found),
            findings=[finding for report in found for finding in report.findings],
            notes=[note for report in found for note in report.notes],
            sessions=len(found),
            version=sum(report.version for report in found),
            size_bytes=sum(report.size_bytes for report in found),
        )


def verify_session(disk: Disk, layout: Layout, session_id: str) -> Report:
    """Check one session, without a lock and without writing. Memory stays flat however long the journal is.

    Raises SessionNotFoundError.
    """
    log = Log(disk, layout.journal(session_id), session_id, durable=False)
    try:
        log.look()
        findings: list[str] = []
        notes: list[str] = []
        path = layout.snapshot(session_id)
        status = disk.status(path)
        if status is None and log.size() == 0:
            raise SessionNotFoundError(session_id)
        if status is not None and status.st_size > MAX_COMPARED_BYTES and log.size():
            _check_marker(log, read_marker(disk, path), path, findings, notes)
            snapshot = None
        else:
            snapshot = _snapshot(disk, log, path, findings, notes)
        version = _check_journal(log, snapshot, findings, notes)
        return Report(
            ok=not findings,
            findings=findings,
            notes=notes,
            head=log.chain.decode() if log.version else None,
            version=version,
            size_bytes=log.size(),
        )
    finally:
        log.close()


def _snapshot(disk: Disk, log: Log, path: str, findings: list[str], notes: list[str]) -> Snapshot | None:
    has_journal = log.size() > 0
    try:
        snapshot = read_snapshot(disk, path)
    except CorruptSnapshotError as error:
        if has_journal:
            notes.append(f"{path}: {error.reason}. It is rebuilt from the journal at the next load.")
        else:
            findings.append(str(error))
        return None
    if snapshot is not None and snapshot.session.id != log.session_id:
        findings.append(f"{path}: it holds the session {snapshot.session.id!r}, not {log.session_id!r}.")
    elif snapshot is not None and not has_journal:
        notes.append(f"{path}: another program's session file. It has no journal yet: nothing proves it.")
    elif snapshot is not None and is_foreign(disk, log, snapshot):
        findings.append(_rewritten(path))
    return snapshot


def _rewritten(path: str) -> str:
    return (
        f"{path}: rewritten by another program. The journal is the truth; "
        "`journal repair` can take the difference in."
    )


def _check_marker(log: Log, marker: Marker | None, path: str, findings: list[str], notes: list[str]) -> None:
    """Of a large snapshot, look at its place in the journal alone."""
    if marker is None:
        findings.append(_rewritten(path))
    elif not log.holds(marker.position()):
        notes.append(f"{path}: a snapshot of another journal; it is rebuilt at the next load.")
    else:
        notes.append(f"{path}: a large snapshot; its place in the journal was checked, not its content.")


def _check_journal(log: Log, snapshot: Snapshot | None, findings: list[str], notes: list[str]) -> int:
    """Check every record; return the number of the last good one."""
    marker = snapshot.marker if snapshot is not None else None
    folded = None
    if snapshot is not None and marker is not None and marker.fold == FOLD:
        if log.holds(marker.position()):
            folded = SessionProjection().initial()
        else:
            notes.append(f"the snapshot of {log.session_id!r} is of another journal and will be rebuilt.")
    seq = offset = 0
    good = 0
    try:
        for offset, line in log.read_new():
            seq += 1
            record = decode_record(line)
            if folded is not None and marker is not None and seq <= marker.version:
                apply_event(folded, record.event, record.at)
            kind = type(record.event)
            if kind is JournalRepaired or kind is SessionAdopted:
                notes.append(f"{log.path}, byte {offset}, record {seq}: {_remark(record.event)}")
            elif kind is UnknownEvent and is_erased(line):
                findings.append(f"{log.path}, byte {offset}, record {seq}: its content was taken out.")
            good = seq
    except Damage as damage:
        findings.append(f"{log.path}, byte {offset}, record {seq}: {damage.reason}.")
    if isinstance(log.rest, CorruptRecordError):
        error = log.rest
        findings.append(
            f"{error.path}, byte {error.offset}, record {error.seq}: {error.reason}. "
            f"Records 1 to {error.seq - 1} can be trusted, what follows cannot."
        )
    elif isinstance(log.rest, TornTail):
        notes.append(
            f"{log.path}, byte {log.rest.offset}: {log.rest.reason}; its {log.rest.size_bytes} bytes were "
            "never acknowledged. The next save, or `journal repair`, moves them to quarantine."
        )
    if folded is not None and snapshot is not None and not findings and not is_same(folded, snapshot.session):
        findings.append(
            f"the snapshot of {log.session_id!r} does not say what its journal says at version "
            f"{marker.version if marker else 0}: it was altered. Delete it; it is rebuilt from the journal."
        )
    return good


def _remark(event: Event) -> str:
    if isinstance(event, JournalRepaired):
        return f"repaired: {event.size_bytes} bytes ({event.reason}) are kept in {event.quarantine}."
    return "adopted from another program's file; what came before is not provable."
