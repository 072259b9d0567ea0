"""Diagnosis: what is wrong with a session, and what would mend it. Changes nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from journal.chain import FORMAT_VERSION, Damage, is_erased
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.event_json import event_type
from journal.folded import Setting
from journal.foreign import is_foreign
from journal.log import Log
from journal.reader import Position, Reader, TornTail, beginning, lines
from journal.record import decode_record
from journal.snapshot import FOLD, Snapshot, read_snapshot
from projections.difference import difference, is_same
from projections.events import Change
from projections.messages import utc_now
from projections.session import Session, SessionProjection, apply_event

Kind = Literal["torn_tail", "damage", "foreign_snapshot", "broken_snapshot", "altered_snapshot"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that is wrong, and what would mend it.

    kind        torn_tail: a crash left half a batch · damage: bytes that were acknowledged are bad
                foreign_snapshot: another program rewrote it · broken_snapshot: it is no session file
                altered_snapshot: it does not say what its journal says
    finding     what is wrong, with file, byte and record
    remedy      what `repair` does about it
    size_bytes  how much of a file goes to quarantine
    """

    kind: Kind
    finding: str
    remedy: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is wrong with a session: steps that mend it, in their order, and what nothing here can mend."""

    session_id: str
    steps: list[Step] = field(default_factory=list)
    hopeless: list[str] = field(default_factory=list)


def diagnose(setting: Setting, session_id: str) -> Diagnosis:
    """Look for damage under the session's lock; change nothing. Raises SessionNotFoundError."""
    log = Log(setting.disk, setting.layout.journal(session_id), session_id, durable=False)
    try:
        with log.existing:
            found = examine(setting, log)
    finally:
        log.close()
    result = Diagnosis(session_id=session_id)
    if not found.has_journal and isinstance(found.snapshot, CorruptSnapshotError):
        result.hopeless.append(str(found.snapshot))
    elif not found.has_journal and found.snapshot is None and found.problem is None:
        raise SessionNotFoundError(session_id)
    for seq in found.erased:
        result.hopeless.append(f"{log.path}, record {seq}: its content was taken out; it cannot come back.")
    if found.is_newer and isinstance(found.problem, CorruptRecordError):
        result.hopeless.append(f"{log.path}, record {found.problem.seq}: {found.problem.reason}.")
        return result
    result.steps.extend(step for step in (_journal_step(log, found), _snapshot_step(found)) if step)
    return result


# Looking


@dataclass(kw_only=True)
class Found:
    """What stands in a session's files.

    `good` is behind the last batch that can be trusted, and `state` is folded to there.
    """

    state: Session
    good: Position
    size_bytes: int
    problem: TornTail | CorruptRecordError | None
    snapshot_path: str
    snapshot: Snapshot | CorruptSnapshotError | None
    is_foreign: bool = False  # the snapshot is another program's, and says what the journal does not
    is_altered: bool = False  # the snapshot, though it names a point of this journal
    is_newer: bool = False  # the problem is a record of a later format, which is no damage
    erased: list[int] = field(default_factory=list)

    @property
    def has_journal(self) -> bool:
        """Whether there is a record that can be trusted."""
        return self.good.version > 0

    @property
    def heir(self) -> Snapshot | None:
        """The snapshot, where a session can go on from it without its journal."""
        snapshot = self.snapshot
        return snapshot if isinstance(snapshot, Snapshot) and snapshot.session.id else None


def examine(setting: Setting, log: Log) -> Found:
    """Read everything there is of a session, under its lock."""
    path = setting.layout.snapshot(log.session_id)
    found = Found(
        state=SessionProjection().initial(),
        good=beginning(log.session_id),
        size_bytes=log.size(),
        problem=None,
        snapshot_path=path,
        snapshot=_snapshot(setting, path, log.session_id),
    )
    if log.fd is None:
        return found
    reader = Reader(setting.disk, log.fd, log.path, found.good)
    try:
        for _ in _fold(reader, found):
            pass
        found.good, found.problem = reader.position, reader.rest
        if found.state.version != found.good.version:
            _fold_again(setting, log, found)
    except CorruptRecordError as error:
        found.problem = error
        _fold_again(setting, log, found)
    found.is_newer = _is_newer(setting, log, found.problem)
    if isinstance(found.snapshot, Snapshot):
        found.is_foreign = is_foreign(setting.disk, log, found.snapshot)
    return found


def _snapshot(setting: Setting, path: str, session_id: str) -> Snapshot | CorruptSnapshotError | None:
    try:
        snapshot = read_snapshot(setting.disk, path)
    except CorruptSnapshotError as error:
        return error
    if snapshot is not None and snapshot.session.id != session_id:
        return CorruptSnapshotError(path, f"it holds the session {snapshot.session.id!r}")
    return snapshot


def _fold(reader: Reader, found: Found) -> Iterator[int]:
    """Fold record by record; raises CorruptRecordError for one that no reader understands.

    `found.good` then stands before the batch of that record.
    """
    behind = reader.position
    for offset, line in reader:
        if reader.position != behind:
            found.good, behind = behind, reader.position
        seq = found.state.version + 1
        try:
            record = decode_record(line)
            apply_event(found.state, record.event, record.at)
        except Damage as damage:
            raise CorruptRecordError(reader.path, offset, seq, damage.reason) from None
        except ValueError as error:
            raise CorruptRecordError(
                reader.path, offset, seq, f"its event cannot be folded: {error}"
            ) from None
        found.state.version = seq
        if is_erased(line):
            found.erased.append(seq)
        if seq == reader.position.version:
            _compare_snapshot(found, reader.position)
        yield seq


def _fold_again(setting: Setting, log: Log, found: Found) -> None:
    """The state at `good`: the fold went on into a batch that cannot be trusted."""
    assert log.fd is not None
    problem, found.state, found.erased = found.problem, SessionProjection().initial(), []
    until, found.good = found.good, beginning(log.session_id)
    for seq in _fold(Reader(setting.disk, log.fd, log.path, found.good), found) if until.version else ():
        if seq == until.version:
            break
    found.good, found.problem = until, problem


def _compare_snapshot(found: Found, position: Position) -> None:
    marker = found.snapshot.marker if isinstance(found.snapshot, Snapshot) else None
    # One of another fold or another journal is only out of date: it is ignored, and rebuilt.
    if marker is not None and marker.fold == FOLD and marker.position() == position:
        assert isinstance(found.snapshot, Snapshot)
        found.is_altered = not is_same(found.state, found.snapshot.session)


def _is_newer(setting: Setting, log: Log, problem: TornTail | CorruptRecordError | None) -> bool:
    if not isinstance(problem, CorruptRecordError) or log.fd is None:
        return False
    _, line = next(lines(setting.disk, log.fd, problem.offset), (0, b""))
    try:
        version = msgspec.json.decode(line, type=dict[str, object]).get("v")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(version, int) and version > FORMAT_VERSION


# Saying


def _journal_step(log: Log, found: Found) -> Step | None:
    problem, size = found.problem, found.size_bytes - found.good.offset
    match problem:
        case TornTail():
            return Step(
                kind="torn_tail",
                finding=f"{log.path}, byte {problem.offset}: {problem.reason}; "
                f"its {size:,} bytes were never acknowledged.",
                remedy=f"move them to quarantine; {what_stays(found)}.",
                size_bytes=size,
            )
        case CorruptRecordError():
            return Step(
                kind="damage",
                finding=f"{log.path}, byte {problem.offset}, record {problem.seq}: {problem.reason}.",
                remedy=f"move everything from byte {found.good.offset:,} on, {size:,} bytes, to quarantine; "
                f"{what_stays(found)}.",
                size_bytes=size,
            )
        case None:
            return None


def what_stays(found: Found) -> str:
    """What is left of the session when everything behind `good` is cut off."""
    if found.has_journal:
        return f"records 1 to {found.good.version} stay, and the repair goes on record"
    if found.heir is not None:
        return "no record stays, and the session goes on from its snapshot, which nothing proves"
    return "no record stays, and the session ends"


def _snapshot_step(found: Found) -> Step | None:
    """A snapshot that stands for no point of the journal needs no repair: it is ignored, and rebuilt."""
    snapshot, path = found.snapshot, found.snapshot_path
    if snapshot is None or not found.has_journal:
        return None
    if isinstance(snapshot, CorruptSnapshotError):
        return _rebuilt("broken_snapshot", f"{path}: {snapshot.reason}.", _size(path))
    if found.is_foreign:
        events = [event_type(change.event) for change in taken_in(found, snapshot)]
        taken = f"append its difference ({', '.join(events)}), " if events else ""
        return Step(
            kind="foreign_snapshot",
            finding=f"{path}: rewritten by another program; its journal is at version {found.good.version}.",
            remedy=f"{taken}keep it in quarantine, and rebuild it from the journal.",
            size_bytes=snapshot.size_bytes,
        )
    if found.is_altered:
        finding = f"{path}: it does not say what the journal says at the version that it names."
        return _rebuilt("altered_snapshot", finding, snapshot.size_bytes)
    return None


def _rebuilt(kind: Kind, finding: str, size: int) -> Step:
    remedy = "keep it in quarantine, and rebuild it from the journal."
    return Step(kind=kind, finding=finding, remedy=remedy, size_bytes=size)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def taken_in(found: Found, snapshot: Snapshot) -> list[Change]:
    """The changes that lead from the journal's session to that of another program's file."""
    return difference(found.state, snapshot.session, now=utc_now())
