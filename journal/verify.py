"""Verifying a session: every hash, link and number of its journal, and its snapshot against it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from journal.disk import Disk
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.layout import Layout
from journal.log import Log
from journal.reader import TornTail
from journal.record import Damage, decode_record, is_erased
from journal.snapshot import FOLD, Snapshot, read_snapshot
from projections.difference import is_same
from projections.events import Event, JournalRepaired, SessionAdopted
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
        snapshot = _snapshot(disk, layout.snapshot(session_id), findings, notes, has_journal=log.size() > 0)
        if snapshot is None and log.size() == 0 and not findings:
            raise SessionNotFoundError(session_id)
        _check_journal(log, snapshot, findings, notes)
        version, chain, _ = log.position
        return Report(
            ok=not findings,
            findings=findings,
            notes=notes,
            head=chain.decode() if version else None,
            version=version,
            size_bytes=log.size(),
        )
    finally:
        log.close()


def _snapshot(
    disk: Disk, path: str, findings: list[str], notes: list[str], *, has_journal: bool
) -> Snapshot | None:
    try:
        snapshot = read_snapshot(disk, path)
    except CorruptSnapshotError as error:
        if has_journal:
            notes.append(f"{path}: {error.reason}. It is rebuilt from the journal at the next load.")
        else:
            findings.append(str(error))
        return None
    if snapshot is not None and not has_journal:
        notes.append(f"{path}: another program's session file. It has no journal yet: nothing proves it.")
    elif snapshot is not None and snapshot.marker is None:
        findings.append(
            f"{path}: rewritten by another program. The journal is the truth; "
            "`journal repair` can take the difference in."
        )
    return snapshot


def _check_journal(log: Log, snapshot: Snapshot | None, findings: list[str], notes: list[str]) -> None:
    marker = snapshot.marker if snapshot is not None else None
    folded = None
    if snapshot is not None and marker is not None and marker.fold == FOLD:
        if not log.holds(marker.position()):
            notes.append(f"the snapshot of {log.session_id!r} is of another journal and will be rebuilt.")
        elif snapshot.size_bytes <= MAX_COMPARED_BYTES:
            folded = SessionProjection().initial()
        else:
            notes.append(
                f"the snapshot of {log.session_id!r} is large: its place was checked, not its content."
            )
    seq = 0
    try:
        for offset, line in log.read_new():
            seq += 1
            record = decode_record(line)
            if folded is not None and marker is not None and seq <= marker.version:
                apply_event(folded, record.event, record.at)
            if isinstance(record.event, _NOTEWORTHY):
                notes.append(f"{log.path}, byte {offset}, record {seq}: {_remark(record.event)}")
            elif is_erased(line):
                findings.append(f"{log.path}, byte {offset}, record {seq}: its content was taken out.")
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


_NOTEWORTHY = (JournalRepaired, SessionAdopted)


def _remark(event: Event) -> str:
    if isinstance(event, JournalRepaired):
        return f"repaired: {event.size_bytes} bytes ({event.reason}) are kept in {event.quarantine}."
    return "adopted from another program's file; what came before is not provable."
