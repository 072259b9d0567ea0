"""Verifying a session: every hash, link and number of its journal, and its snapshot against it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Self, TypeAlias, get_args

from journal.attached import attached_to
from journal.attachment_files import ProblemKind, ProblemOf, problems
from journal.chain import Damage
from journal.disk import Disk
from journal.erasures import Erasures
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.faults import describe, records_text
from journal.foreign import is_foreign
from journal.history import belongs
from journal.layout import Layout
from journal.lineage import Lineage
from journal.log import Log
from journal.reader import TornTail, lines
from journal.record import decode_record
from journal.snapshot import FOLD, Marker, Snapshot, read_marker, read_snapshot
from projections.difference import is_same
from projections.events import (
    AgentResponseAdded,
    ContentErased,
    Erased,
    JournalRepaired,
    SessionAdopted,
    SessionForked,
    SessionRewound,
    UserMessageAdded,
)
from projections.session import SessionProjection, apply_event

# A larger snapshot is compared by its marker alone, so that memory stays flat.
MAX_COMPARED_BYTES = 8 * 1024 * 1024
_SAID: Final = (UserMessageAdded, AgentResponseAdded)


Kind: TypeAlias = (
    Literal["damage", "newer_format", "erased_record", "false_origin"]
    | ProblemKind
    | Literal["foreign_snapshot", "altered_snapshot", "unreadable_snapshot", "broken_snapshot", "torn_tail"]
)


class Finding(NamedTuple):
    """Something that is wrong: in a word, in a sentence, and where, if it is of one place."""

    kind: Kind
    sentence: str
    seq: int | None = None
    offset: int | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What verifying found.

    ok        nothing that was acknowledged is damaged, altered or missing in between
    findings  what is wrong, in sentences with file, byte and record
    notes     what is worth knowing and no damage: a torn tail, a repair, an adopted session
    kinds     what there is to repair, in a word each, the gravest first
    places    the findings once more, with where they are
    head      the last chain hash (of one session), to compare with one that was kept elsewhere
    sealed    the version up to which it was found to be what a seal says; 0: not compared, or it is not
    """

    ok: bool
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    places: list[Finding] = field(default_factory=list)
    head: str | None = None
    version: int = 0
    sessions: int = 1
    size_bytes: int = 0
    sealed: int = 0

    @classmethod
    def of_all(cls, reports: Iterable[Self]) -> Self:
        """One report of many sessions."""
        found = list(reports)
        return cls(
            ok=all(report.ok for report in found),
            findings=[finding for report in found for finding in report.findings],
            notes=[note for report in found for note in report.notes],
            kinds=sorted({kind for report in found for kind in report.kinds}, key=_GRAVITY.index),
            places=[place for report in found for place in report.places],
            sessions=len(found),
            version=sum(report.version for report in found),
            size_bytes=sum(report.size_bytes for report in found),
        )


_GRAVITY: Final[tuple[Kind, ...]] = tuple(each for kinds in get_args(Kind) for each in get_args(kinds))


class _Verdict:
    """What was found so far."""

    def __init__(self) -> None:
        self.places: list[Finding] = []
        self.notes: list[str] = []
        self.kinds: set[Kind] = set()

    @property
    def findings(self) -> list[str]:
        """What is wrong, in sentences."""
        return [place.sentence for place in self.places]

    def wrong(self, kind: Kind, sentence: str, seq: int | None = None, offset: int | None = None) -> None:
        """Note damage, and where."""
        self.kinds.add(kind)
        self.places.append(Finding(kind, sentence, seq, offset))

    def note(self, text: str, kind: Kind | None = None) -> None:
        """Note what is no damage; with a kind, it can be mended all the same."""
        self.kinds.update([kind] if kind else [])
        self.notes.append(text)


def verify_session(
    disk: Disk, layout: Layout, session_id: str, problem_of: ProblemOf | None = None
) -> Report:
    """Check one session, without a lock and without writing. Memory stays flat however long the journal is.

    `problem_of`: of an attachment, where it was looked at already. Raises SessionNotFoundError.
    """
    log = Log(disk, layout.journal(session_id), session_id, durable=False)
    try:
        log.look()
        verdict = _Verdict()
        path = layout.snapshot(session_id)
        status = disk.status(path)
        if status is None and log.size() == 0:
            raise SessionNotFoundError(session_id)
        if status is not None and status.st_size > MAX_COMPARED_BYTES and log.size():
            _check_marker(log, read_marker(disk, path), path, verdict)
            snapshot = None
        else:
            snapshot = _snapshot(disk, log, path, verdict)
        version = _check_journal(log, snapshot, verdict, problem_of or problems(disk, layout))
        return Report(
            ok=not verdict.findings,
            findings=verdict.findings,
            notes=verdict.notes,
            kinds=sorted(verdict.kinds, key=_GRAVITY.index),
            places=verdict.places,
            head=log.chain.decode() if log.version else None,
            version=version,
            size_bytes=log.size(),
        )
    finally:
        log.close()


def _snapshot(disk: Disk, log: Log, path: str, verdict: _Verdict) -> Snapshot | None:
    has_journal = log.size() > 0
    try:
        snapshot = read_snapshot(disk, path)
    except CorruptSnapshotError as error:
        if has_journal:
            text = f"{path}: {error.reason}. It is rebuilt from the journal at the next load."
            verdict.note(text, "broken_snapshot")
        else:
            verdict.wrong("unreadable_snapshot", str(error))
        return None
    if snapshot is not None and snapshot.session.id != log.session_id:
        text = f"{path}: it holds the session {snapshot.session.id!r}, not {log.session_id!r}."
        verdict.wrong("broken_snapshot" if has_journal else "unreadable_snapshot", text)
    elif snapshot is not None and not has_journal:
        verdict.note(f"{path}: another program's session file. It has no journal yet: nothing proves it.")
    elif snapshot is not None and is_foreign(disk, log, snapshot):
        verdict.wrong("foreign_snapshot", _rewritten(path))
    return snapshot


def _rewritten(path: str) -> str:
    return (
        f"{path}: rewritten by another program. The journal is the truth; "
        "`journal repair` can take the difference in."
    )


def _check_marker(log: Log, marker: Marker | None, path: str, verdict: _Verdict) -> None:
    """Of a large snapshot, look at its place in the journal alone."""
    if marker is None:
        verdict.wrong("foreign_snapshot", _rewritten(path))
    elif not log.holds(marker.position()):
        verdict.note(f"{path}: a snapshot of another journal; it is rebuilt at the next load.")
    else:
        verdict.note(f"{path}: a large snapshot; its place in the journal was checked, not its content.")


def _check_journal(log: Log, snapshot: Snapshot | None, verdict: _Verdict, problem_of: ProblemOf) -> int:
    """Check every record; return the number of the last good one."""
    marker = snapshot.marker if snapshot is not None else None
    folded = None
    if snapshot is not None and marker is not None and marker.fold == FOLD:
        if log.holds(marker.position()):
            folded = SessionProjection().initial()
        else:
            verdict.note(f"the snapshot of {log.session_id!r} is of another journal and will be rebuilt.")
    erasures = Erasures()
    lineage: Lineage | None = None
    beside: list[Finding] = []
    seq = good = offset = 0
    compared = marker.version if marker is not None and folded is not None else 0
    try:
        for offset, line in log.read_new():
            seq += 1
            record = decode_record(line)
            event = record.event
            if seq <= compared and folded is not None:
                apply_event(folded, event, record.at)
            match event:
                case UserMessageAdded() | AgentResponseAdded() if seq > 1:
                    pass  # the commonest
                case _ if not belongs(record, log.session_id):
                    raise Damage("it does not begin this session", altered=True)
                case JournalRepaired() | SessionAdopted() | ContentErased() | SessionRewound():
                    verdict.note(f"{log.path}, byte {offset}, record {seq}: {_remark(event)}")
                    erasures.see(record, offset)
                    if lineage is not None and isinstance(event, JournalRepaired):
                        lineage.is_broken = lineage.is_broken or seq <= lineage.forked.version
                case Erased():
                    erasures.see(record, offset)
                case SessionForked() if seq == 1:
                    lineage = Lineage(event)
                    erasures.see(record, offset)
            if lineage is not None:
                lineage.see(seq, line)
            # Of what was said it is known without a look at the line.
            for attachment in () if isinstance(event, _SAID) and event.extra is None else attached_to(line):
                if (problem := problem_of(attachment.digest)) is not None:
                    text = f"the attachment {attachment.digest} {problem.text}."
                    text = f"{log.path}, byte {offset}, record {seq}: {text}"
                    beside.append(Finding(problem.kind, text, seq, offset))
            good = seq
    except Damage as damage:
        text = f"{log.path}, byte {offset}, record {seq}: {damage.reason}."
        verdict.wrong("damage", text, seq, offset)
    for each in erasures.untold.values():
        text = f"{log.path}, byte {each.offset}, record {each.seq}: {each.reason}."
        verdict.wrong("erased_record", text, each.seq, each.offset)
    if lineage is not None:
        _check_lineage(log, lineage, seq, verdict)
    if isinstance(log.rest, CorruptRecordError):
        error = log.rest
        trusted = (
            f"Records 1 to {error.seq - 1} can be trusted, what follows cannot."
            if error.seq > 1
            else "Nothing of it can be trusted."
        )
        verdict.wrong(
            _kind_of_damage(log, error.offset),
            f"{error.path}, byte {error.offset}, record {error.seq}: {error.reason}. {trusted}",
            error.seq,
            error.offset,
        )
    elif (
        isinstance(log.rest, TornTail)
        and marker is not None
        and marker.stands_for_more(log.offset)
        and log.holds(marker.position())
    ):
        verdict.wrong(
            "damage",
            f"{log.path}, byte {log.rest.offset}, record {log.version + 1}: {log.rest.reason}; its snapshot "
            f"stands for version {marker.version}, so it was acknowledged.",
            log.version + 1,
            log.rest.offset,
        )
    elif isinstance(log.rest, TornTail):
        verdict.note(
            f"{log.path}, byte {log.rest.offset}: {log.rest.reason}; its {log.rest.size_bytes} bytes were "
            "never acknowledged. The next save, or `journal repair`, moves them to quarantine.",
            "torn_tail",
        )
    if (
        folded is not None
        and snapshot is not None
        and not verdict.findings
        and not is_same(folded, snapshot.session)
    ):
        text = (
            f"the snapshot of {log.session_id!r} does not say what its journal says at version "
            f"{marker.version if marker else 0}: it was altered. `journal repair` rebuilds it."
        )
        verdict.wrong("altered_snapshot", text)
    for place in beside:  # the journal itself is none the worse for it
        verdict.wrong(*place)
    return good


def _check_lineage(log: Log, lineage: Lineage, read: int, verdict: _Verdict) -> None:
    forked = lineage.forked
    about = f"forked from session {forked.origin!r} at version {forked.version}"
    if not forked.version:
        verdict.note(f"{log.path}: {about}, another program's file: what came before is not provable.")
    elif lineage.is_broken:
        verdict.note(f"{log.path}: {about}; a repair among its copies leaves no proof of that.")
    elif read < forked.version:
        pass  # damage, which is told, stands among the copies
    elif lineage.is_true:
        verdict.note(
            f"{log.path}: {about}; its records 2 to {forked.version} are that session's, if the chain of "
            f"record {forked.version} there is {forked.chain}."
        )
    else:
        verdict.wrong(
            "false_origin",
            f"{log.path}: it says that it was {about}, with chain {forked.chain}, and its records do not "
            "lead to that chain: they are not that session's.",
        )


def _kind_of_damage(log: Log, offset: int) -> Kind:
    assert log.fd is not None
    _, line = next(lines(log.disk, log.fd, offset), (0, b""))
    return "newer_format" if describe(line)[0] == "newer_format" else "damage"


def _remark(event: JournalRepaired | SessionAdopted | ContentErased | SessionRewound) -> str:
    match event:
        case JournalRepaired():
            kept = f"; {event.size_bytes} bytes are kept in {event.quarantine}" if event.quarantine else ""
            return f"repaired: {event.reason}{kept}."
        case ContentErased():
            return f"the content of {records_text(event.versions)} was erased: {event.reason}."
        case SessionRewound():
            return f"rewound to version {event.to}; what came between is in the history."
        case SessionAdopted():
            return "adopted from another program's file; what came before is not provable."
