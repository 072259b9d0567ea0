"""Examination: what stands in a session's files, and what of it can be saved. Changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from journal.chain import Damage, first_chain
from journal.erasures import Erasures
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.faults import Fault
from journal.folded import Setting
from journal.foreign import is_foreign
from journal.history import begun_by, belongs
from journal.log import Log
from journal.pieces import fits
from journal.reader import Position, Reader, TornTail, beginning, lines
from journal.record import decode_record
from journal.salvage import Salvage
from journal.snapshot import FOLD, Snapshot, read_snapshot
from projections.difference import difference, is_same
from projections.events import Change, Record, SessionCreated
from projections.messages import utc_now
from projections.session import Session, SessionProjection, apply_event


class Wishes(NamedTuple):
    """What a person decides about a repair.

    only_proven  keep no record that nothing but its own hash speaks for
    user_id      whose the session is, where the record that said so is lost
    """

    only_proven: bool = False
    user_id: str | None = None


@dataclass(kw_only=True)
class Found:
    """What stands in a session's files.

    good      behind the last batch that can be trusted; everything is there, or `problem` says what follows
    state     the session as it will be when its journal is mended
    salvage   what can be read behind `good`, where a batch that was acknowledged is damaged
    begins    how the session begins anew, where its first record is lost
    known     what the snapshot knows of the records that are lost, as changes
    erasures  the records without content that no record names
    """

    state: Session
    good: Position
    size_bytes: int
    problem: TornTail | CorruptRecordError | None = None
    salvage: Salvage | None = None
    begins: Literal["", "created", "adopted"] = ""
    snapshot_path: str
    snapshot: Snapshot | CorruptSnapshotError | None
    is_foreign: bool = False  # the snapshot is another program's, and says what the journal does not
    is_altered: bool = False  # the snapshot, though it names a point of this journal
    known: list[Change] = field(default_factory=list)
    erasures: Erasures = field(default_factory=Erasures)
    hopeless: list[str] = field(default_factory=list)

    @property
    def has_journal(self) -> bool:
        """Whether there will be a journal when it is mended."""
        salvage = self.salvage
        if salvage is None:
            return self.good.version > 0
        return salvage.end.version > 0 or salvage.first is not None or bool(self.begins)

    @property
    def heir(self) -> Snapshot | None:
        """The snapshot, where a session can go on from it without its journal."""
        snapshot = self.snapshot
        return snapshot if isinstance(snapshot, Snapshot) and snapshot.session.id else None


def examine(setting: Setting, log: Log, wishes: Wishes) -> Found:
    """Read everything there is of a session, under its lock. Raises SessionNotFoundError."""
    path = setting.layout.snapshot(log.session_id)
    found = Found(
        state=SessionProjection().initial(),
        good=beginning(log.session_id),
        size_bytes=log.size(),
        snapshot_path=path,
        snapshot=_snapshot(setting, path, log.session_id),
    )
    if log.fd is None or not found.size_bytes:
        if found.snapshot is None:
            raise SessionNotFoundError(log.session_id)
        return found
    reader = Reader(setting.disk, log.fd, log.path, found.good)
    try:
        _fold(reader, log.session_id, found)
        found.problem = reader.rest
    except CorruptRecordError as error:
        found.problem = error
    if isinstance(found.problem, TornTail) and _stands_for_more(log, found):
        # What a snapshot of ours stands for was acknowledged.
        tail = found.problem
        found.problem = CorruptRecordError(log.path, tail.offset, found.good.version + 1, tail.reason)
    if isinstance(found.problem, CorruptRecordError):
        _salvage(setting, log, found, wishes)
    if isinstance(found.snapshot, Snapshot):
        found.is_foreign = is_foreign(setting.disk, log, found.snapshot)
    return found


def _stands_for_more(log: Log, found: Found) -> bool:
    marker = found.snapshot.marker if isinstance(found.snapshot, Snapshot) else None
    return marker is not None and marker.stands_for_more(found.good.offset) and log.holds(marker.position())


def _snapshot(setting: Setting, path: str, session_id: str) -> Snapshot | CorruptSnapshotError | None:
    try:
        snapshot = read_snapshot(setting.disk, path)
    except CorruptSnapshotError as error:
        return error
    if snapshot is not None and snapshot.session.id != session_id:
        return CorruptSnapshotError(path, f"it holds the session {snapshot.session.id!r}")
    return snapshot


def _fold(reader: Reader, session_id: str, found: Found) -> None:
    """Fold batch by batch; raises CorruptRecordError for an event that this library does not understand."""
    batch: list[tuple[int, Record]] = []
    for seq, (offset, line) in enumerate(reader, 1):
        try:
            record = decode_record(line)
        except Damage as damage:
            raise CorruptRecordError(reader.path, offset, seq, damage.reason) from None
        if not belongs(record, session_id):
            raise CorruptRecordError(reader.path, offset, seq, "it does not begin this session")
        batch.append((offset, record))
        if seq == reader.position.version:  # the last of its batch
            for at, record in batch:
                SessionProjection().apply(found.state, record)
                found.erasures.see(record, at)
            found.good, batch = reader.position, []
            _compare_snapshot(found)


def _compare_snapshot(found: Found) -> None:
    marker = found.snapshot.marker if isinstance(found.snapshot, Snapshot) else None
    # One of another fold or another journal is only out of date: it is ignored, and rebuilt.
    if marker is not None and marker.fold == FOLD and marker.position() == found.good:
        assert isinstance(found.snapshot, Snapshot)
        found.is_altered = not is_same(found.state, found.snapshot.session)


def _salvage(setting: Setting, log: Log, found: Found, wishes: Wishes) -> None:
    """See what can be saved behind the damage, and whether the session still knows whose it is."""
    assert log.fd is not None
    assert isinstance(found.problem, CorruptRecordError)
    state, heir = found.state, found.heir
    position = heir.marker.position() if heir is not None and heir.marker is not None else None
    salvage = Salvage(setting.disk, log.fd, state, log.session_id, found.good, position)
    found.salvage = salvage
    keep, after = not wishes.only_proven, 0
    if not salvage.end.version and salvage.first is None:
        if keep and wishes.user_id is not None:
            found.begins = "created"
            apply_event(state, SessionCreated(session_id=log.session_id, user_id=wishes.user_id), utc_now())
        elif heir is not None:
            found.begins = "adopted"
            state._become(heir.session.to_document())
            # What the snapshot holds must not be told twice.
            after, keep = salvage.known, keep and salvage.known > 0
        else:
            keep = False
    salvage.gather(keep=keep, after=after)
    if not salvage.faults:
        problem = found.problem
        salvage.faults.append(Fault("bad_batch", problem.offset, 0, problem.seq, problem.reason))
    if keep and heir is not None and not found.begins and salvage.last <= salvage.known:
        found.known = _known(state, heir.session)
        for change in found.known:
            apply_event(state, change.event, change.at)
    found.hopeless.extend(_beyond_repair(setting, log, found, wishes))


def _known(state: Session, session: Session) -> list[Change]:
    """What a snapshot's session says more than the state that is left; that it is younger is nothing."""
    twin = session.copy()
    twin.updated_at = state.updated_at
    return [] if is_same(state, twin) else difference(state, session, now=utc_now())


def _beyond_repair(setting: Setting, log: Log, found: Found, wishes: Wishes) -> Iterator[str]:
    """Why this journal is not for us to mend."""
    salvage = found.salvage
    assert salvage is not None
    for fault in salvage.faults:
        if fault.kind == "newer_format":
            yield fault.sentence(log.path)
            return
    if found.has_journal:
        return
    owner = _real_session(setting, log)
    if owner is not None:
        yield f"{log.path}: this is the journal of the session {owner!r}; give the file its name back."
    elif salvage.readable and not wishes.only_proven:
        yield (
            f"{salvage.faults[0].sentence(log.path)} The record that said whose the session is is lost; "
            f"{salvage.readable:,} records behind it can be read. Say whose it is with --user, and they are "
            "kept; or give them up with --only-proven."
        )


def _real_session(setting: Setting, log: Log) -> str | None:
    """The session that a journal is of, where that is not the one that its name says."""
    assert log.fd is not None
    _, line = next(lines(setting.disk, log.fd, 0), (0, b""))
    try:
        said = begun_by(decode_record(line).event)
    except (Damage, UnicodeDecodeError):  # it is not checked yet: it may be anything
        return None
    return said if said != log.session_id and fits(line, 1, first_chain(said)) else None
