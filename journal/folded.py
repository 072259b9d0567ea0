"""A session's log and the state folded from it, moving together; the snapshot is where the fold may begin."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from journal.disk import Disk
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    DurabilityError,
    JournalError,
    JournalWarning,
    unreadable,
)
from journal.foreign import is_foreign
from journal.history import decoded
from journal.layout import Layout
from journal.lineage import origin_of
from journal.log import Log
from journal.reader import Position, beginning
from journal.snapshot import FOLD, Snapshot, read_snapshot, write_snapshot
from projections.events import Event, JournalRepaired
from projections.session import Session, SessionProjection, apply_event
from projections.summary import SessionSummary, summarize

# Below this, reading a tail costs less than writing a snapshot.
SNAPSHOT_AFTER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all handles of a store share.

    mark    tells the catalog that a session is about to change
    redact  makes of an event the one to store; None where all are stored as they are
    """

    disk: Disk
    layout: Layout
    durable: bool
    always_snapshot: bool
    mark: Callable[[str], None]
    redact: Callable[[Event], Event] | None = None


class Repairs(NamedTuple):
    """Records of repairs, up to version `until`, and the version and chain of the record before them."""

    version: int
    chain: bytes | None
    until: int


class FoldedLog:
    """What a store keeps of a session that it touched, so that the next call reads only what is new.

    Invariant: `_state` is None, or it is the fold of exactly the records up to `log.position`.
    """

    def __init__(self, setting: Setting, session_id: str) -> None:
        self.session_id = session_id
        layout = setting.layout
        self.log = Log(setting.disk, layout.journal(session_id), session_id, durable=setting.durable)
        self._setting = setting
        self._snapshot_path = layout.snapshot(session_id)
        self._state: Session | None = None
        self._repairs: Repairs | None = None  # the last ones
        self._plan_snapshot(beginning(session_id), 0)
        self._snapshot_file: object = None  # which file this handle wrote there last
        self._is_anothers = False  # whether that file is another program's
        self._adopting: Snapshot | None = None  # another program's file, while there is no record beside it

    def read(self) -> Session | None:
        """The session as it is now, None if there is none. It is the handle's own: copy it to hand it out.

        Takes no file lock. Raises CorruptRecordError, CorruptSnapshotError.
        """
        with self.log.using:
            state = self._usable_state() if self.log.look() else None
            if state is None:
                state = self._catch_up()
                if isinstance(self.log.rest, CorruptRecordError):
                    raise self.log.rest
            return state if state.id else None

    def load(self) -> Session | None:
        """The session as it is now, the caller's own."""
        with self.log.using:
            state = self.read()
            return None if state is None else state.copy()

    def exists(self) -> bool:
        """Whether there is such a session now."""
        return self.read() is not None

    def summary(self) -> SessionSummary | None:
        """The session in one line. Waits for whoever writes it: what was marked before is in it."""
        with self.log.existing:
            state = self.read()
            if state is None:
                return None
            if self._adopting:
                return summarize(state, size_bytes=self._adopting.size_bytes)
            return summarize(state, size_bytes=self.log.size(), origin=origin_of(self.log.first_line()))

    def adopting(self) -> str | None:
        """The text of another program's session file, while there is no record beside it."""
        with self.log.using:
            self.read()
            return None if self._adopting is None else self._adopting.text.decode()

    def _usable_state(self) -> Session | None:
        state = self._state
        if (
            state is not None
            and state.version == self.log.version > 0
            # A list that an update lent out, and that someone kept and edited, is theirs now.
            and not state._user_messages.edited
            and not state._agent_responses.edited
        ):
            return state
        return None

    def _catch_up(self) -> Session:
        """Fold what is new, or everything where the state is not of this journal."""
        state = self._usable_state()
        snapshot: Snapshot | JournalError | None = None
        if state is None:
            snapshot = self._read_snapshot()
            state = self._start(snapshot)
        self._state = None  # until it is whole again
        chain = self.log.chain
        for record in decoded(self.log):
            if type(record.event) is JournalRepaired:
                self._note_repair(record.seq - 1, chain, record.seq)
            chain = record.chain.encode()
            try:
                apply_event(state, record.event, record.at)
            except ValueError as error:
                raise self._corrupt(record.seq, f"its event cannot be folded: {error}") from None
            state.version = record.seq
        if self.log.version == 0:
            state = self._adopt(snapshot) or state
        state._chain = self.log.chain if self._adopting is None else _base_of(self._adopting)
        self._state = state
        return state

    def _note_repair(self, version: int, chain: bytes | None, until: int) -> None:
        before = self._repairs
        if before is not None and before.until == version:  # one repair after another
            version, chain = before.version, before.chain
        self._repairs = Repairs(version, chain, until)

    def _start(self, snapshot: "Snapshot | JournalError | None") -> Session:
        """The state to fold on from: the snapshot's where it stands for a point of this journal."""
        self.log.start_at(beginning(self.session_id))
        self._adopting = self._repairs = None
        self._plan_snapshot(self.log.position, 0)
        if (
            isinstance(snapshot, Snapshot)
            and snapshot.marker is not None
            and snapshot.marker.fold == FOLD
            and snapshot.session.id == self.session_id
        ):
            position = snapshot.marker.position()
            if self.log.holds(position):
                self.log.start_at(position)
                self._plan_snapshot(position, snapshot.size_bytes)
                snapshot.session.version = position.version
                return snapshot.session
        if isinstance(snapshot, Snapshot) and self.log.size():
            self._is_in_the_way(snapshot)
        return SessionProjection().initial()

    def _read_snapshot(self) -> "Snapshot | JournalError | None":
        # An error can never make a session unreadable that has a journal.
        try:
            return read_snapshot(self._setting.disk, self._snapshot_path)
        except CorruptSnapshotError as error:
            return error
        except OSError as error:
            return unreadable(self._snapshot_path, error)

    def _adopt(self, snapshot: "Snapshot | JournalError | None") -> Session | None:
        """A session file without a journal is a session: another program wrote it."""
        if isinstance(snapshot, JournalError):
            raise snapshot
        if snapshot is None or self._setting.disk.status(self._snapshot_path) is None:
            return None  # or it was deleted, the snapshot first, while we read
        if snapshot.session.id != self.session_id:
            raise CorruptSnapshotError(self._snapshot_path, f"it holds the session {snapshot.session.id!r}")
        self._adopting = snapshot
        # It goes on record, so that a snapshot of ours may take its place.
        self._is_anothers = True
        self._snapshot_file = _identity(self._setting.disk, self._snapshot_path)
        return snapshot.session

    def _corrupt(self, seq: int, reason: str) -> CorruptRecordError:
        return CorruptRecordError(self.log.path, self.log.offset, seq, reason)

    def _is_in_the_way(self, snapshot: Snapshot) -> bool:
        """Whether another program rewrote the snapshot; a warning then says so."""
        if not is_foreign(self._setting.disk, self.log, snapshot):
            return False
        warnings.warn(
            f"{self._snapshot_path} was rewritten by another program. Its journal is the truth and is read "
            "instead; the file stays as it is until `journal repair` takes the difference in.",
            JournalWarning,
            stacklevel=2,
        )
        return True

    # The snapshot

    def compact(self) -> bool:
        """Bring the snapshot up to date; True if it had to be written. Raises DurabilityError."""
        with self.log.existing:
            if self.log.fd is None or self.read() is None or self._adopting is not None:
                return False
            try:
                return self._snapshot_position != self.log.position and self._write_snapshot()
            except OSError as error:
                reason = f"writing the snapshot failed: {error.strerror}"
                raise DurabilityError(self._snapshot_path, reason, outcome_unknown=False) from error

    def _plan_snapshot(self, position: Position, size_bytes: int) -> None:
        """Note which snapshot there is, and when the next one is due.

        Loading stays within a constant factor of the state's size, and all snapshots together within one
        of the journal's.
        """
        self._snapshot_position = position
        wait = 0 if self._setting.always_snapshot else max(SNAPSHOT_AFTER_BYTES, size_bytes)
        self._snapshot_due = position.offset + wait

    def _write_due_snapshot(self) -> None:
        try:
            self._write_snapshot()
        except OSError as error:
            # The records are on disk and acknowledged; their snapshot can wait.
            warnings.warn(
                f"{self._snapshot_path} could not be written: {error.strerror}. The journal is complete; "
                "the next save tries again.",
                JournalWarning,
                stacklevel=2,
            )

    def _write_snapshot(self) -> bool:
        disk, path, position = self._setting.disk, self._snapshot_path, self.log.position
        if _identity(disk, path) != self._snapshot_file:
            # Half of something may go; a whole session that the journal does not know may not.
            try:
                there = read_snapshot(disk, path)
            except CorruptSnapshotError:
                there = None
            if there is not None and self._is_in_the_way(there):
                return False
            self._is_anothers = there is not None and there.marker is None
        assert self._state is not None
        if self._is_anothers:
            # Another program's file may go only when what it says is on record for good.
            self.log.sync(anyway=True)
        durable = self._setting.durable or self._is_anothers
        size = write_snapshot(disk, path, self._state, position, durable=durable)
        self._is_anothers = False
        self._plan_snapshot(position, size)
        self._snapshot_file = _identity(disk, path)
        return True

    def retire(self) -> None:
        """Close the file as soon as nobody works with it."""
        self.log.retire()


def _base_of(snapshot: Snapshot) -> bytes:
    """What stands for the chain of a session that has none: a hash of the file that another program wrote."""
    return sha256(snapshot.text).digest()


def _identity(disk: Disk, path: str) -> tuple[int, int, int] | None:
    status = disk.status(path)
    return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)
