"""One session held open: its log, the state folded from it, and its snapshot, moving together."""

import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from journal.disk import Disk
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidEventError,
    JournalWarning,
    OwnerMismatchError,
    SessionNotFoundError,
    VersionConflictError,
)
from journal.history import decoded
from journal.layout import Layout
from journal.log import Log
from journal.reader import Position, TornTail, beginning
from journal.record import Pending, event_bytes, outline, prepare
from journal.snapshot import FOLD, Snapshot, is_foreign, read_snapshot, write_snapshot
from projections.difference import difference, same_json
from projections.events import Change, JournalRepaired, SessionAdopted, SessionCreated, SessionReplaced
from projections.messages import AgentResponse, UserMessage, utc_now
from projections.session import Session, SessionProjection, apply_event

ANY: Final = -1
"""`expected_version=ANY`: the caller does not care what others wrote."""

# Below this, reading a tail costs less than writing a snapshot.
SNAPSHOT_AFTER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all handles of a store share. `mark` tells the catalog that a session is about to change."""

    disk: Disk
    layout: Layout
    durable: bool
    always_snapshot: bool
    mark: Callable[[str], None]


class Handle:
    """What a store keeps of a session that it touched, so that the next call reads only what is new.

    Invariant: `_state` is None, or it is the fold of exactly the records up to `log.position`.
    """

    def __init__(self, setting: Setting, session_id: str) -> None:
        self.session_id = session_id
        self.users = 0  # how many calls work with it now; counted by Handles
        layout = setting.layout
        self.log = Log(setting.disk, layout.journal(session_id), session_id, durable=setting.durable)
        self._setting = setting
        self._snapshot_path = layout.snapshot(session_id)
        self._state: Session | None = None
        self._incarnation = 0  # of the log that the state was folded from
        self._snapshot_position: Position = beginning(session_id)
        self._snapshot_bytes = 0
        self._snapshot_file: object = None  # which file this handle wrote there last
        self._adopting: Snapshot | None = None  # another program's file, while there is no record beside it

    # Reading

    def read(self) -> Session | None:
        """The session as it is now, None if there is none. It is the handle's own: copy it to hand it out.

        Takes no file lock. Raises CorruptRecordError, CorruptSnapshotError.
        """
        with self.log.mutex:
            state = self._usable_state() if self.log.look() else None
            if state is None:
                state = self._catch_up()
                if isinstance(self.log.rest, CorruptRecordError):
                    raise self.log.rest
            return state if state.id else None

    def adopting(self) -> str | None:
        """The text of another program's session file, while there is no record beside it; after `read`."""
        return None if self._adopting is None else self._adopting.text.decode()

    def size_bytes(self) -> int:
        """How much the session's truth takes on disk; after `read`."""
        return self._adopting.size_bytes if self._adopting is not None else self.log.size()

    def _usable_state(self) -> Session | None:
        state = self._state
        if (
            state is not None
            and state.version == self.log.position.version > 0
            and self._incarnation == self.log.incarnation
            # A list that an update lent out, and that someone kept and edited, is theirs now.
            and not state._user_messages.edited
            and not state._agent_responses.edited
        ):
            return state
        return None

    def _catch_up(self) -> Session:
        """Fold what is new, or everything where the state is not of this journal."""
        state = self._usable_state()
        snapshot: Snapshot | CorruptSnapshotError | None = None
        if state is None:
            snapshot = self._read_snapshot()
            state = self._start(snapshot)
        self._state = None  # until it is whole again
        for record in decoded(self.log):
            try:
                apply_event(state, record.event, record.at)
            except ValueError as error:
                raise self._corrupt(record.seq, f"its event cannot be folded: {error}") from None
            state.version = record.seq
        if self.log.position.version == 0:
            state = self._adopt(snapshot) or state
        elif state.id != self.session_id:
            raise self._corrupt(1, f"it holds the session {state.id!r}, not {self.session_id!r}")
        self._state, self._incarnation = state, self.log.incarnation
        return state

    def _start(self, snapshot: "Snapshot | CorruptSnapshotError | None") -> Session:
        """The state to fold on from: the snapshot's where it stands for a point of this journal."""
        self.log.start_at(beginning(self.session_id))
        self._adopting, self._snapshot_position, self._snapshot_bytes = None, self.log.position, 0
        if isinstance(snapshot, Snapshot) and snapshot.marker is not None and snapshot.marker.fold == FOLD:
            position = snapshot.marker.position()
            if self.log.holds(position):
                self.log.start_at(position)
                self._snapshot_position, self._snapshot_bytes = position, snapshot.size_bytes
                snapshot.session.version = position.version
                return snapshot.session
        if isinstance(snapshot, Snapshot) and snapshot.marker is None and self.log.size():
            self._warn_of_foreign_snapshot()
        return SessionProjection().initial()

    def _read_snapshot(self) -> "Snapshot | CorruptSnapshotError | None":
        try:
            return read_snapshot(self._setting.disk, self._snapshot_path)
        except CorruptSnapshotError as error:
            return error  # it can never make a session unreadable that has a journal

    def _adopt(self, snapshot: "Snapshot | CorruptSnapshotError | None") -> Session | None:
        """A session file without a journal is a session: another program wrote it."""
        if isinstance(snapshot, CorruptSnapshotError):
            raise snapshot
        if snapshot is None:
            return None
        if snapshot.session.id != self.session_id:
            raise CorruptSnapshotError(self._snapshot_path, f"it holds the session {snapshot.session.id!r}")
        self._adopting = snapshot
        return snapshot.session

    def _corrupt(self, seq: int, reason: str) -> CorruptRecordError:
        return CorruptRecordError(self.log.path, self.log.position.offset, seq, reason)

    def _warn_of_foreign_snapshot(self) -> None:
        warnings.warn(
            f"{self._snapshot_path} was rewritten by another program. Its journal is the truth and is read "
            "instead; the file stays as it is until `journal repair` takes the difference in.",
            JournalWarning,
            stacklevel=2,
        )

    # Writing

    def append(
        self,
        changes: Sequence[Change],
        expected: int,
        *,
        by: str | None = None,
        cause: str | None = None,
        key: str | None = None,
    ) -> int:
        """Append changes as one batch; return the new version. See StateStore.append."""
        is_retry = key is not None or any(change.id is not None for change in changes)
        batch = [
            prepare(change, by=by, cause=cause, key=None if index else key)
            for index, change in enumerate(changes)
        ]
        # To assert a version must not create a file.
        with self.log.exclusive if batch else self.log.existing:
            state, seen = self._begin()
            version = self.log.position.version
            if is_retry:
                after = max(version - len(batch), 0) if expected == ANY else expected
                if (done := self._earlier_try(after, batch, key)) is not None:
                    return done
            self._check_version(expected, version, seen)
            if not batch:
                return version
            if not state.id and not isinstance(changes[0].event, _FIRST_EVENTS):
                raise InvalidEventError(
                    f"session {self.session_id!r} is new, its first event must be SessionCreated"
                )
            self._fold(state, changes)
            if state.id != self.session_id:
                raise InvalidEventError(f"the events are of session {state.id!r}, not {self.session_id!r}")
            return self._write(state, batch)

    def save(self, session: Session, expected: int, *, by: str | None = None) -> int:
        """Append what changed in a session; return its new version. See StateStore.save_session."""
        changes = _unsaved(session)
        is_retry = any(change.id is not None for change in changes)
        batch = [prepare(change, by=by) for change in changes]
        with self.log.exclusive:
            state, seen = self._begin()
            version = self.log.position.version
            if state.id and state.user_id != session.user_id:
                raise OwnerMismatchError(self.session_id, session.user_id)
            if (
                is_retry
                and expected != ANY
                and (done := self._earlier_try(expected, batch, None)) is not None
            ):
                _mark_saved(session, done)
                return done
            self._check_version(expected, version, seen)
            edited = session._user_messages.edited or session._agent_responses.edited
            is_behind = version != session.version and seen != session.version
            self._fold(state, changes)
            if is_behind and not edited:
                pass  # expected is ANY: its changes go on top of what others wrote
            elif edited or not _same_but_messages(state, session):
                extra = self._difference(state, session)
                self._fold(state, extra)
                batch += [prepare(change, by=by) for change in extra]
            version = self._write(state, batch) if batch else version
            self._state = state
            if is_behind:
                session._become(state.to_document())
            session.updated_at = state.updated_at
            _mark_saved(session, version)
            return version

    def update(self, change: Callable[[Session], object], *, by: str | None = None) -> int:
        """Load, change, save; again on conflict. See StateStore.update_session_with."""
        pause = 0.0005
        while True:
            with self.log.mutex:
                state = self.read()
                if state is None:
                    raise SessionNotFoundError(self.session_id)
                # The state's own lists are lent out, not copies: the cost must not grow with the session.
                lent, self._state = _lend(state), None
                incarnation = self.log.incarnation
            sizes = len(state._user_messages), len(state._agent_responses)
            try:
                change(lent)
                with self.log.mutex:
                    _take_back(state, *sizes)
                    if self._state is None and self._incarnation == incarnation:
                        self._state = state
                    return self.save(lent, lent.version, by=by)
            except VersionConflictError as conflict:
                if conflict.session_id != self.session_id or conflict.expected != lent.version:
                    raise  # of another session that `change` touched
                time.sleep(random.uniform(0, pause))
                pause = min(pause * 2, 0.05)
            finally:
                lent._unsaved = None

    def _begin(self) -> tuple[Session, int]:
        """Under the lock: catch up, repair a torn tail; the state, and the version before that repair.

        Raises CorruptRecordError: nothing is written after damage.
        """
        log = self.log
        state = self._usable_state() if log.is_current else None
        if state is None:
            state = self._catch_up()
            if isinstance(log.rest, CorruptRecordError):
                raise log.rest
        version = log.position.version
        if isinstance(log.rest, TornTail):
            self._repair_tail(state, log.rest)
        return state, version

    def _repair_tail(self, state: Session, tail: TornTail) -> None:
        path = self.log.cut(tail.offset, self._setting.layout.quarantine)
        warnings.warn(
            f"{self.log.path}: {tail.reason}; its {tail.size_bytes} bytes, which no save acknowledged, "
            f"were moved to {path}.",
            JournalWarning,
            stacklevel=2,
        )
        if state.version == 0:
            return  # a session begins with whose it is; nothing of this one was ever acknowledged
        event = JournalRepaired(
            offset=tail.offset,
            size_bytes=tail.size_bytes,
            reason=tail.reason,
            quarantine=path.rsplit("/", 1)[1],
        )
        self._write(state, [prepare(Change(event=event, at=utc_now()))])

    def _check_version(self, expected: int, version: int, seen: int) -> None:
        if expected not in (version, seen, ANY):
            raise VersionConflictError(self.session_id, version, expected)

    def _fold(self, state: Session, changes: Sequence[Change]) -> None:
        # From here on the state is ahead of the journal; `_write` makes it the handle's again.
        self._state = None
        try:
            for change in changes:
                apply_event(state, change.event, change.at)
        except ValueError as error:
            raise InvalidEventError(f"an event cannot be folded: {error}") from None

    def _difference(self, state: Session, session: Session) -> list[Change]:
        """What was edited by hand, as events."""
        for messages, kind in (
            (session.user_messages, UserMessage),
            (session.agent_responses, AgentResponse),
        ):
            for message in messages:
                if type(message) is not kind:
                    raise InvalidEventError(
                        f"a {type(message).__name__} stands where a {kind.__name__} belongs"
                    )
        for moment in (session.created_at, session.updated_at):
            if not isinstance(moment, datetime) or moment.utcoffset() is None:
                raise InvalidEventError(f"{moment!r} is no time with an offset; give it a time zone")
        return difference(state if state.id else None, session, now=utc_now())

    def _write(self, state: Session, batch: list[Pending]) -> int:
        """Put the batch on record; the state holds it already."""
        setting, log = self._setting, self.log
        self._state = None
        setting.mark(self.session_id)
        if self._adopting is not None:
            adopted = SessionAdopted(document=self._adopting.text.decode())
            batch = [prepare(Change(event=adopted, at=utc_now())), *batch]
        state.version = log.append(batch)
        self._state, self._incarnation, self._adopting = state, log.incarnation, None
        unsaved_bytes = log.position.offset - self._snapshot_position.offset
        if setting.always_snapshot or unsaved_bytes > max(SNAPSHOT_AFTER_BYTES, self._snapshot_bytes):
            self._write_snapshot(state)
        return state.version

    def _earlier_try(self, after: int, batch: Sequence[Pending], key: str | None) -> int | None:
        """The version that an earlier try of this very batch reached, None where there was none."""
        if not batch or after >= self.log.position.version:
            return None
        # Of its own, so that the handle's position stays where it is.
        log = Log(self._setting.disk, self.log.path, self.session_id, durable=False)
        try:
            log.look()
            found = [line for _, line in log.read_new()][after : after + len(batch)]
        finally:
            log.close()
        first = outline(found[0]) if found else None
        if first is None or (first.key != key if key is not None else first.id != batch[0].id):
            return None
        if [event_bytes(line) for line in found] != [pending.raw for pending in batch]:
            raise InvalidEventError(
                f"{f'the key {key!r}' if key else f'the id {first.id}'} is on record {after + 1} of session "
                f"{self.session_id!r} with another content"
            )
        last = outline(found[-1])
        return after + len(batch) + (last.more if last else 0)

    # The snapshot

    def compact(self) -> bool:
        """Bring the snapshot up to date; True if it had to be written."""
        with self.log.existing:
            if self.read() is None or self._adopting is not None:
                return False
            state, _ = self._begin()
            if self._snapshot_position == self.log.position:
                return False
            return self._write_snapshot(state)

    def _write_snapshot(self, state: Session) -> bool:
        setting, path, position = self._setting, self._snapshot_path, self.log.position
        if _identity(setting.disk, path) != self._snapshot_file and is_foreign(setting.disk, path):
            self._warn_of_foreign_snapshot()
            return False
        size = write_snapshot(setting.disk, path, state, position, durable=setting.durable)
        self._snapshot_position, self._snapshot_bytes = position, size
        self._snapshot_file = _identity(setting.disk, path)
        return True

    def close(self) -> None:
        """Close the file."""
        self.log.close()


_FIRST_EVENTS = (SessionCreated, SessionAdopted, SessionReplaced)


def _identity(disk: Disk, path: str) -> tuple[int, int, int] | None:
    status = disk.status(path)
    return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)


def _unsaved(session: Session) -> list[Change]:
    if session._unsaved is None:
        raise RuntimeError(
            f"session {session.id!r} was lent by update_session_with and is saved; load it to save it again"
        )
    return session._unsaved


def _mark_saved(session: Session, version: int) -> None:
    _unsaved(session).clear()
    session.version = version
    session._user_messages.edited = session._agent_responses.edited = False


def _same_but_messages(one: Session, other: Session) -> bool:
    return one.header() == other.header() and same_json(one.metadata, other.metadata)


def _lend(state: Session) -> Session:
    """A session that shares the state's lists, for as long as an update lasts."""
    lent = state._header()
    lent._user_messages, lent._agent_responses = state._user_messages, state._agent_responses
    lent.metadata = state.copy_metadata()
    lent._unsaved = []
    return lent


def _take_back(state: Session, messages: int, responses: int) -> None:
    """Make the state what it was before its lists were lent; an edited one stays with the borrower."""
    for lent, size in ((state._user_messages, messages), (state._agent_responses, responses)):
        if not lent.edited:
            lent.cut(size)
