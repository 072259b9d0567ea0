"""One session held open for writing: append, save, update, delete."""

import functools
import os
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from journal import disk as disks
from journal.chain import Damage, event_bytes, outline
from journal.edits import edits, is_edited
from journal.errors import (
    CorruptRecordError,
    DurabilityError,
    InvalidEventError,
    JournalError,
    JournalWarning,
    OwnerMismatchError,
    SessionNotFoundError,
    UnsafePathError,
    VersionConflictError,
)
from journal.folded import FoldedLog
from journal.hiding import hide, hide_in
from journal.history import begun_by
from journal.overtaking import Overtaken
from journal.quarantine import keep
from journal.reader import Reader, TornTail, beginning
from journal.record import Pending, decode_record, prepare
from journal.tombstones import Tombstone, add_tombstone
from projections.difference import difference
from projections.document import parse_document
from projections.events import Change, JournalRepaired, SessionAdopted, SessionCreated, SessionReplaced
from projections.messages import utc_now
from projections.rewind import rewound
from projections.session import Session, SessionProjection, apply_event
from projections.summary import SessionSummary

P = ParamSpec("P")
T = TypeVar("T")

ANY: Final = -1
"""`expected_version=ANY`: the caller does not care what others wrote."""


def _knowing_the_latest(
    method: Callable[Concatenate["Handle", P], T],
) -> Callable[Concatenate["Handle", P], T]:
    """A method that decides by what is here; made again where that was not what is there.

    On other machines others may have been faster: then the write was refused, or it is refused here for what
    is so no more. Somebody got through each time, so all together get on.
    """

    @functools.wraps(method)
    def again(self: "Handle", *arguments: P.args, **options: P.kwargs) -> T:
        while True:
            try:
                return method(self, *arguments, **options)
            except Overtaken:
                continue
            except (VersionConflictError, OwnerMismatchError, SessionNotFoundError, InvalidEventError):
                if not self.log.disk.has_news(self.log.path):
                    raise

    return again  # type: ignore[return-value]  # `self` may not be named


class Handle(FoldedLog):
    """The writing half. Every method takes the session's lock, catches up, checks, and only then writes."""

    @_knowing_the_latest
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
        retried_id = changes[0].id if changes else None
        batch = [
            prepare(change, by, cause, key=None if index else key) for index, change in enumerate(changes)
        ]
        redact = self._setting.redact
        if redact is not None:
            changes = hide(list(changes), batch, redact)
        # To assert a version must not create a file.
        with self.log.exclusive if batch else self.log.existing:
            state, known = self._begin()
            version = self.log.version
            if (key or retried_id) and batch:
                after = max(version - len(batch), 0) if expected == ANY else expected
                if (written := self._was_written(after, batch, id=retried_id, key=key)) is not None:
                    self._check_current()
                    self.log.settle()  # whoever wrote it may not have come to that
                    return version if written.version in known else written.version
            is_new = self._adopting is not None and changes and isinstance(changes[0].event, SessionCreated)
            if expected != ANY and (expected not in known or is_new):
                raise VersionConflictError(self.session_id, version, expected)
            if not batch:
                self._check_current()
                self.log.sync()  # what others wrote, and may not have synced
                return version
            if not state.id and not isinstance(changes[0].event, _FIRST_EVENTS):
                raise InvalidEventError(
                    f"session {self.session_id!r} is new, its first event must be SessionCreated"
                )
            for change in changes:
                if (begun := begun_by(change.event)) and begun != self.session_id:
                    raise InvalidEventError(f"the events are of session {begun!r}, not {self.session_id!r}")
            self._fold(state, changes)
            return self._write(state, batch)

    @_knowing_the_latest
    def save(
        self,
        session: Session,
        expected: int,
        *,
        by: str | None = None,
        cause: str | None = None,
        is_hidden: bool = False,
    ) -> int:
        """Append what changed in a session; return its new version. See StateStore.save_session.

        `is_hidden`: an earlier try stored some of it redacted.
        """
        changes = session._unsaved
        if changes is None:
            raise RuntimeError(
                f"session {session.id!r} was lent by update_session_with and is saved; load it anew"
            )
        retried_id = changes[0].id if changes else None
        batch = []
        for change in changes:
            batch.append(prepare(change, by, cause))
        stored, redact = changes, self._setting.redact
        if redact is not None and (stored := hide(changes, batch, redact)) is not changes:
            hide_in(session, changes, stored)
            is_hidden = True
        log = self.log
        with log.exclusive:
            state, known = self._begin()
            version = log.version
            if state.user_id != session.user_id and state.id:
                raise OwnerMismatchError(self.session_id, session.user_id)
            if retried_id and session.version < version:
                written = self._was_written(session.version, batch, id=retried_id, anywhere=expected == ANY)
                if written is not None:
                    # An earlier try got through after all: go on behind it.
                    log.settle()
                    del changes[: written.records]
                    session.version, session._chain = written.version, None
                    expected = expected if expected == ANY else session.version
                    return self.save(session, expected, by=by, cause=cause, is_hidden=is_hidden)
            base, chain = session.version, session._chain
            # One that was never stored knows no chain; it does not know another program's session either.
            is_another = (chain is not None or self._adopting is not None) and known.get(base, chain) != chain
            if (is_another or expected not in known) and expected != ANY:
                raise VersionConflictError(self.session_id, version, expected)
            is_behind = is_another or base not in known
            if is_behind and not state.id:
                # It was deleted meanwhile: what it says goes on record anew, all of it.
                is_behind, batch = False, []
                changes.clear()
                stored = changes
            elif is_behind and changes and isinstance(changes[0].event, SessionCreated):
                del batch[0]  # it is there already
                stored = stored[1:]
                del changes[0]
            self._fold(state, stored)
            # Behind (expected is ANY), its changes go on top of what others wrote.
            if is_edited(state, session) and not (is_behind and not _lists_edited(session)):
                extra = edits(state, session)
                more = [prepare(change, by, cause) for change in extra]
                stored = extra if redact is None else hide(extra, more, redact)
                is_hidden = is_hidden or stored is not extra
                batch += more
                self._fold(state, stored)
                # Noted from here on: a retry of this save must be known as one.
                changes += extra
                session.updated_at = state.updated_at
                session._user_messages.edited = session._agent_responses.edited = False
            if batch:
                version = self._write(state, batch)
            else:
                self._check_current()
                self._state = state
            if is_behind or is_hidden:
                session._become(state.to_document())
            session.version, session._chain = version, log.chain
            changes.clear()
            return version

    def update(
        self, change: Callable[[Session], object], *, by: str | None = None, cause: str | None = None
    ) -> int:
        """Load, change, save; again on conflict. See StateStore.update_session_with."""
        pause = 0.0005
        is_first = True
        while True:
            with self.log.using:
                # The save looks anyway: what was known a moment ago is most often what is there.
                state = (self._usable_state() if is_first else None) or self.read()
                is_first = False
                if state is None:
                    raise SessionNotFoundError(self.session_id)
                # The state's own lists are lent out, not copies: the cost must not grow with the session.
                lent, self._state = lend(state), None
                incarnation = self.log.incarnation
            sizes = len(state._user_messages), len(state._agent_responses)
            try:
                change(lent)
                with self.log.using:
                    _take_back(state, *sizes)
                    if self._state is None and self.log.incarnation == incarnation:
                        self._state = state
                    return self.save(lent, lent.version, by=by, cause=cause)
            except VersionConflictError as conflict:
                if conflict.session_id != self.session_id or conflict.expected != lent.version:
                    raise  # of another session that `change` touched
                self.log.disk.pause(random.uniform(0, pause))
                pause = min(pause * 2, 0.05)
            finally:
                lent._unsaved = None

    def _check_current(self) -> None:
        """Nothing is written that others could refuse: raise Overtaken where what is known here is old."""
        if self.log.disk.has_news(self.log.path):
            raise Overtaken

    @_knowing_the_latest
    def rewind(self, to: int, expected: int, *, by: str | None = None, cause: str | None = None) -> int:
        """Make the session again what it was at a version. See StateStore.rewind."""
        log = self.log
        with log.existing:
            if self.read() is None:
                raise SessionNotFoundError(self.session_id)
            state, known = self._begin()
            if expected != ANY and expected not in known:
                raise VersionConflictError(self.session_id, log.version, expected)
            if not 1 <= to <= log.version:
                detail = f"its versions are 1 to {log.version}" if log.version else "it has no history yet"
                raise SessionNotFoundError(self.session_id, f"{detail}; there is no {to}", exists=True)
            then = self._as_of(to)
            change = Change(event=rewound(state, then), at=utc_now())
            batch = [prepare(change, by, cause=cause)]
            self._fold(state, [change])
            return self._write(state, batch)

    def _as_of(self, version: int) -> Session:
        """The session as it was at a version that was read already."""
        assert self.log.fd is not None
        state = SessionProjection().initial()
        lines = Reader(self._setting.disk, self.log.fd, self.log.path, beginning(self.session_id))
        for seq, (offset, line) in enumerate(lines, 1):
            try:
                SessionProjection().apply(state, decode_record(line))
            except (Damage, ValueError) as error:
                raise CorruptRecordError(self.log.path, offset, seq, str(error)) from None
            if seq == version:
                break
        return state

    @_knowing_the_latest
    def delete(self, *, by: str | None, why: str | None, expected: SessionSummary | None = None) -> bool:
        """Remove the journal and the snapshot, and leave a tombstone. See StateStore.delete_session.

        `expected`: only if the session still is what this says of it, else False.
        """
        setting, log = self._setting, self.log
        setting.disk.refresh(log.path)
        try:
            if all(setting.disk.status(path) is None for path in (log.path, self._snapshot_path)):
                disks.remove_file(setting.disk, log.path, durable=setting.durable)  # for good, too
                return False
        except OSError as error:
            raise _refused(log.path, "deleting", error) from error
        # A session without a journal is locked, too: by an empty one, which goes again.
        with log.exclusive:
            if not log.size() and setting.disk.status(self._snapshot_path) is None:
                log.remove()  # whoever deleted it may not have come to that
                return False
            for path in (self._snapshot_path, log.path):
                disks.check_file(setting.disk, path)
            try:
                # A first save that was cut short leaves bytes, and no session.
                state = self.read()
                is_there = state is not None
            except JournalError:
                state, is_there = None, True  # what cannot be read can be deleted all the same
            if expected is not None and (
                state is None or (state.version, state.updated_at) != (expected.version, expected.updated_at)
            ):
                return False
            tombstone = Tombstone(
                id=self.session_id,
                version=log.version,
                chain=log.chain.decode(),
                at=utc_now(),
                by=by,
                why=why,
            )
            # The catalog needs no mark: it sees that the folder has changed.
            try:
                if is_there:
                    add_tombstone(setting.disk, setting.layout.tombstones, tombstone, durable=setting.durable)
            except OSError as error:
                raise _refused(log.path, "noting the deletion", error) from error
            try:
                # The snapshot first: alone it would be a session that another program wrote.
                disks.remove_file(setting.disk, self._snapshot_path, durable=setting.durable)
                log.remove()
            except OSError as error:
                reason = f"deleting the session failed: {error.strerror}"
                raise DurabilityError(log.path, reason, outcome_unknown=True) from error
            return is_there

    def _begin(self) -> tuple[Session, dict[int, bytes | None]]:
        """Under the lock: catch up, repair a torn tail; the state, and what a writer may have seen of it.

        That is the version now, with its chain, or the one before a repair: a repair changes nothing that a
        writer must know. The version that is made by the repair of this moment nobody can have seen.
        Raises CorruptRecordError: nothing is written after damage.
        """
        log = self.log
        state = (self._usable_state() if log.is_current else None) or self._catch_up()
        known = {log.version: state._chain}
        repairs = self._repairs
        if repairs is not None and repairs.until == log.version:
            known[repairs.version] = repairs.chain
        if log.rest is not None:
            if isinstance(log.rest, CorruptRecordError):
                raise log.rest
            self._repair_tail(state, log.rest)
        return state, known

    def _repair_tail(self, state: Session, tail: TornTail) -> None:
        log = self.log
        try:
            path = log.cut(tail.offset, self._setting.layout.quarantine)
        except OSError as error:
            raise _refused(log.path, "moving a torn tail to quarantine", error) from error
        if state.version:  # else nothing of it was acknowledged, and a session begins with whose it is
            event = JournalRepaired(
                offset=tail.offset,
                size_bytes=tail.size_bytes,
                reason=tail.reason,
                quarantine=os.path.basename(path),
            )
            before = log.version, state._chain
            self._write(state, [prepare(Change(event=event, at=utc_now()))])
            self._note_repair(*before, log.version)
        warnings.warn(
            f"{log.path}: {tail.reason}; its {tail.size_bytes} bytes, which no save acknowledged, "
            f"were moved to {path}.",
            JournalWarning,
            stacklevel=2,
        )

    def _fold(self, state: Session, changes: Sequence[Change]) -> None:
        # From here on the state is ahead of the journal; `_write` makes it the handle's again.
        self._state = None
        try:
            for change in changes:
                apply_event(state, change.event, change.at)
        except ValueError as error:
            raise InvalidEventError(f"an event cannot be folded: {error}") from None

    def _write(self, state: Session, batch: list[Pending]) -> int:
        """Put the batch on record; the state holds it already, and is the handle's again after that."""
        log = self.log
        self._state = None
        try:
            self._setting.mark(self.session_id)
        except OSError as error:
            raise _refused(log.path, "marking the change for the catalog", error) from error
        if self._adopting is not None:
            batch = [*self._adoption(self._adopting.text.decode()), *batch]
        state.version = log.append(batch)
        state._chain = log.chain
        self._state, self._adopting = state, None
        if log.offset > self._snapshot_due:
            self._write_due_snapshot()
        return state.version

    def _adoption(self, document: str) -> list[Pending]:
        """How another program's file goes on record: verbatim, or if no record can hold it, as its events."""
        try:
            return [prepare(Change(event=SessionAdopted(document=document), at=utc_now()))]
        except InvalidEventError:
            self._keep_snapshot()
            session = Session.from_document(parse_document(document))
            return [prepare(change) for change in difference(None, session, now=session.updated_at)]

    def _keep_snapshot(self) -> None:
        disk, layout = self._setting.disk, self._setting.layout
        try:
            fd = disk.open(self._snapshot_path)
            try:
                keep(disk, layout.quarantine, f"{self.session_id}.json", fd, 0)
            finally:
                disks.close(disk, fd, self._snapshot_path)
        except OSError as error:
            raise _refused(self._snapshot_path, "keeping it in quarantine", error) from error

    def _was_written(
        self,
        after: int,
        batch: Sequence[Pending],
        *,
        id: str | None,
        key: str | None = None,
        anywhere: bool = False,
    ) -> "_Written | None":
        """The earlier try of this batch, if it stands right behind version `after` (or `anywhere` behind it).

        Raises InvalidEventError where the id or the key is the same and the content is not.
        """
        found: list[bytes] = []
        said = None
        for line in self.log.lines_after(after):
            said = outline(line)
            if said is None:
                return None
            if not found and said.id != id and event_bytes(line).startswith(_HOUSEKEEPING):
                continue  # what the earlier try put on record before its own
            if not found and (said.key != key if key else said.id != id):
                if anywhere:
                    continue
                return None
            found.append(event_bytes(line))
            if not said.more:
                break
        if not found or said is None:
            return None
        records = min(len(found), len(batch))
        if (key and len(found) != len(batch)) or found[:records] != [raw for raw, _, _ in batch[:records]]:
            raise InvalidEventError(
                f"{f'the key {key!r}' if key else f'the id {id}'} stands on record "
                f"{said.seq - len(found) + 1} of session {self.session_id!r} with another content"
            )
        return _Written(records, said.seq)


class _Written(NamedTuple):
    """How many records of a batch an earlier try wrote, and the version that it reached."""

    records: int
    version: int


def _refused(path: str, what: str, error: OSError) -> JournalError:
    if isinstance(error, UnsafePathError):
        return error
    return DurabilityError(path, f"{what} failed: {error.strerror}", outcome_unknown=False)


def _lists_edited(session: Session) -> bool:
    return session._user_messages.edited or session._agent_responses.edited


# How the events begin that a writer adds of its own accord.
_HOUSEKEEPING: Final = tuple(
    b'{"type":"%b"' % str(kind.__struct_config__.tag).encode() for kind in (JournalRepaired, SessionAdopted)
)
_FIRST_EVENTS = (SessionCreated, SessionAdopted, SessionReplaced)


def lend(state: Session) -> Session:
    """A session that shares the state's lists, for as long as an update or a save lasts."""
    lent = state._header()
    lent._user_messages, lent._agent_responses = state._user_messages, state._agent_responses
    lent.metadata = state.copy_metadata()
    lent._unsaved = []
    return lent


def _take_back(state: Session, messages: int, responses: int) -> None:
    """Make the state what it was before its lists were lent. One that was edited stays with the borrower."""
    if state._user_messages.edited or state._agent_responses.edited:
        return  # then the state is void, and the borrower's lists are what it says
    for lent, size in ((state._user_messages, messages), (state._agent_responses, responses)):
        lent.cut(size)
