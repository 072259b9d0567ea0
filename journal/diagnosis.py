"""Diagnosis: what is wrong with a session, and what would mend it. Changes nothing."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from journal.errors import CorruptSnapshotError
from journal.event_json import event_type
from journal.examination import Found, Wishes, examine
from journal.faults import MOST_TOLD, records_text
from journal.faults import Kind as JournalKind
from journal.folded import Setting
from journal.log import Log
from journal.pieces import is_nul
from journal.reader import TornTail
from journal.salvage import Salvage
from journal.snapshot import Snapshot
from projections.difference import difference
from projections.events import Change
from projections.messages import utc_now

SnapshotKind: TypeAlias = Literal[
    "foreign_snapshot", "broken_snapshot", "altered_snapshot", "unreadable_snapshot"
]
StoreKind: TypeAlias = Literal[
    "broken_catalog",
    "broken_search_index",
    "outdated_search_index",
    "stray_attachments",
    "stray_temporaries",
]
Kind: TypeAlias = JournalKind | Literal["erased_record"] | SnapshotKind | StoreKind


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that is wrong, and what would mend it. docs/reference/cli.md explains each kind.

    kind        what it is; where a journal has several bad places, what the first one is
    findings    what is wrong, in sentences with file, byte and record
    remedy      what `repair` does about it
    size_bytes  how much of a file goes to quarantine
    """

    kind: Kind
    findings: list[str]
    remedy: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is wrong with a session: steps that mend it, in their order, and what nothing here can mend.

    Of what is around the sessions, `session_id` is None.
    """

    session_id: str | None
    steps: list[Step] = field(default_factory=list)
    hopeless: list[str] = field(default_factory=list)


def diagnose(setting: Setting, session_id: str, wishes: Wishes) -> Diagnosis:
    """Look for damage under the session's lock; change nothing. Raises SessionNotFoundError."""
    log = Log(setting.disk, setting.layout.journal(session_id), session_id, durable=False)
    try:
        with log.existing:
            found = examine(setting, log, wishes)
            if found.hopeless:
                return Diagnosis(session_id=session_id, hopeless=found.hopeless)
            steps = (_journal_step(log, found), _erased_step(log, found), _snapshot_step(setting, found))
            return Diagnosis(session_id=session_id, steps=[step for step in steps if step is not None])
    finally:
        log.close()


def _journal_step(log: Log, found: Found) -> Step | None:
    problem, size = found.problem, found.size_bytes - found.good.offset
    if isinstance(problem, TornTail):
        assert log.fd is not None
        told = ", and the repair goes on record" if found.has_journal else ""
        only_nul = is_nul(log.disk, log.fd, problem.offset)
        reason = "NUL bytes stand at its end" if only_nul else problem.reason
        finding = f"{log.path}, byte {problem.offset}: {reason}; its {size:,} bytes were never acknowledged."
        return Step(
            kind="nul_run" if only_nul else "torn_tail",
            findings=[finding],
            remedy=f"move them to quarantine; {what_stays(found)}{told}.",
            size_bytes=size,
        )
    if found.salvage is None:
        return None
    faults = found.salvage.faults
    findings = [fault.sentence(log.path) for fault in faults[:MOST_TOLD]]
    if len(faults) > MOST_TOLD:
        findings.append(f"{log.path}: {len(faults) - MOST_TOLD:,} more bad places behind these.")
    kept = f"keep its {size:,} bytes from byte {found.good.offset:,} on in quarantine"
    remedy = f"{kept}; {what_stays(found)}{'; the repair goes on record' * found.has_journal}."
    return Step(kind=faults[0].kind, findings=findings, remedy=remedy, size_bytes=size)


def what_stays(found: Found) -> str:
    """What is left of the session behind a torn tail, or when its damage is mended; and what is lost."""
    salvage = found.salvage
    if not found.has_journal:
        if salvage is None and found.heir is not None:
            return "no record stays, and the session goes on from its snapshot, which nothing proves"
        return "no record stays, and the session ends"
    version = found.good.version if salvage is None else salvage.end.version
    said = []
    if version:
        said.append(f"records 1 to {version} stay" if version > 1 else "record 1 stays")
    return "; ".join([*said, *(_outcome(found, salvage) if salvage is not None else ())])


def _outcome(found: Found, salvage: Salvage) -> Iterator[str]:
    if salvage.erased:
        yield f"of {records_text(salvage.erased)} only the hashes stay"
    if salvage.first is not None:
        yield "record 1 begins the session anew"
    elif found.begins == "created":
        yield f"the session begins anew, as that of {found.state.user_id!r}"
    elif found.begins == "adopted":
        yield "the session goes on from its snapshot, which nothing proves"
    if salvage.again:
        behind = records_text(kept.piece.seq for kept in salvage.again)
        yield f"{behind} from behind the damage appended anew, proven by the hash of the content alone"
    elif salvage.readable and not found.known:
        yield f"{salvage.readable:,} behind the damage that can be read, but not proven, given up"
    if found.known:
        events = ", ".join(event_type(change.event) for change in found.known)
        yield f"what the snapshot knows of the rest is appended ({events}), which nothing proves"
    if salvage.lost:
        yield f"lost: {records_text(salvage.lost)}"
    elif not salvage.erased:
        yield "nothing that was acknowledged is lost"


def _erased_step(log: Log, found: Found) -> Step | None:
    untold = found.erasures.untold
    if not untold:
        return None
    findings = [
        f"{log.path}, byte {each.offset}, record {each.seq}: {each.reason}."
        for each in itertools.islice(untold.values(), MOST_TOLD)
    ]
    if len(untold) > MOST_TOLD:
        findings.append(f"{log.path}: {len(untold) - MOST_TOLD:,} more such records.")
    remedy = "put on record that it is gone: it cannot come back."
    return Step(kind="erased_record", findings=findings, remedy=remedy, size_bytes=0)


def _snapshot_step(setting: Setting, found: Found) -> Step | None:
    """A snapshot that stands for no point of the journal needs no repair: it is ignored, and rebuilt."""
    snapshot, path = found.snapshot, found.snapshot_path
    if isinstance(snapshot, CorruptSnapshotError) and not found.good.version and found.salvage is None:
        remedy = "keep it in quarantine; nothing can go on from it, and the session ends."
        return Step(
            kind="unreadable_snapshot",
            findings=[str(snapshot)],
            remedy=remedy,
            size_bytes=_size(setting, path),
        )
    if snapshot is None or not found.has_journal or found.begins == "adopted":
        return None
    if isinstance(snapshot, CorruptSnapshotError):
        return _rebuilt("broken_snapshot", f"{path}: {snapshot.reason}.", _size(setting, path))
    if found.is_foreign:
        events = [event_type(change.event) for change in taken_in(found, snapshot)]
        taken = f"append its difference ({', '.join(events)}), " if events else ""
        return Step(
            kind="foreign_snapshot",
            findings=[f"{path}: rewritten by another program; the journal is the truth."],
            remedy=f"{taken}keep it in quarantine, and rebuild it from the journal.",
            size_bytes=snapshot.size_bytes,
        )
    if found.is_altered:
        finding = f"{path}: it does not say what the journal says at the version that it names."
        return _rebuilt("altered_snapshot", finding, snapshot.size_bytes)
    return None


def _size(setting: Setting, path: str) -> int:
    status = setting.disk.status(path)
    return status.st_size if status is not None else 0


def _rebuilt(kind: Kind, finding: str, size: int) -> Step:
    remedy = "keep it in quarantine, and rebuild it from the journal."
    return Step(kind=kind, findings=[finding], remedy=remedy, size_bytes=size)


def taken_in(found: Found, snapshot: Snapshot) -> list[Change]:
    """The changes that lead from the journal's session to that of another program's file."""
    return difference(found.state, snapshot.session, now=utc_now())
