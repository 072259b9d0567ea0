"""What all parts of a live session share: what it has seen, and how one more event goes on record."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from msgspec import structs

from journal.acting import Acting
from journal.attachments import Attachments
from journal.chain import header_and_chain
from journal.errors import (
    InvalidEventError,
    JournalClosedError,
    SessionNotFoundError,
    VersionConflictError,
)
from journal.handle import ANY, Handle
from journal.handles import Handles
from journal.live.recall import Recall
from journal.record import decode_record
from projections.conflicts import HISTORY, touches
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    Change,
    CustomEvent,
    Erased,
    Event,
    Record,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
)
from projections.messages import utc_now
from projections.session import Session

# The parts of events that may be too large for a record.
_MAY_BE_LARGE: Final[dict[type, tuple[str, ...]]] = {
    ToolCalled: ("arguments",),
    ToolReturned: ("result",),
    StepFinished: ("arguments", "result"),
    CustomEvent: ("data",),
}
# What happened whatever became of the session meanwhile: it is never refused, or it would be lost.
_HAPPENED: Final = (ToolReturned, StepFinished, UsageRecorded)
_DELETED: Final = "it was deleted while it was open"


class Ground(NamedTuple):
    """What a live session needs of its store."""

    handles: Handles
    acting: Acting
    attachments: Attachments
    records: Callable[[str], Iterator[Record]]
    fork: Callable[..., Session]


class LiveWriter:
    """Sees one session, and appends to it what commutes with what others did meanwhile."""

    def __init__(self, ground: Ground, session_id: str) -> None:
        self.id = session_id
        self._ground = ground
        self._handles, self._acting, self._attachments = ground.handles, ground.acting, ground.attachments
        self._recall = Recall(ground.handles, session_id)
        self._state: Session | None = None
        # What this session has seen, and what others set since `state` was last looked at.
        self._version, self._chain = 0, b""
        self._touched: set[str] = set()
        self._is_closed = False
        self.user_id = self.state.user_id

    @property
    def state(self) -> Session:
        """The session as it is now, others' records included. To read: changes go through this object.

        The same object until something changes. Raises SessionNotFoundError where it was deleted.
        """
        handle = self._handle()
        with handle.log.using:
            now = handle.read()
            if now is None:
                raise SessionNotFoundError(self.id, *([_DELETED] if self._version else []))
            seen = self._state
            if seen is None or (seen.version, seen._chain) != (now.version, now._chain):
                seen = self._state = now.copy()
                seen._unsaved = None
            self._version, self._chain = now.version, now._chain or b""
            self._touched.clear()
            return seen

    @property
    def version(self) -> int:
        """The version that was last seen or written here."""
        return self._version

    def _handle(self) -> Handle:
        if self._is_closed:
            raise JournalClosedError(f"the live session {self.id!r} was closed")
        return self._handles.of(self.id)

    def _add(self, event: Event, *, key: str | None = None) -> int:
        """Put one event on record, on top of what others wrote, if it commutes with that."""
        return self._add_change(Change(event=event, at=utc_now(), key=key))

    def _add_change(self, change: Change) -> int:
        event, key = change.event, change.key
        handle = self._handle()
        with handle.log.exclusive:
            self._look(handle)
            if key is not None:
                self._recall.take_in(handle)
                if (there := self._recall.keyed(key)) is not None:
                    return self._same(there, event, key)
            if not isinstance(event, _HAPPENED):
                self._refuse_conflict(handle, HISTORY)
                self._refuse_conflict(handle, touches(event))
            return self._append(handle, change)

    def _append(self, handle: Handle, change: Change) -> int:
        payloads = self._move_out(change)
        if not payloads:
            return self._append_small(handle, change)
        with self._attachments.held():  # until the record is there that refers to them
            for data in payloads:
                self._attachments.put(data, "application/json")
            return self._append_small(handle, change)

    def _append_small(self, handle: Handle, change: Change) -> int:
        by, cause = self._acting.now()
        self._version = handle.append([change], ANY, by=by, cause=cause)
        self._chain = handle.log.chain
        return self._version

    def _refuse_conflict(self, handle: Handle, what: str | None) -> None:
        if what in self._touched:
            raise VersionConflictError(self.id, handle.log.version, self._version, what)

    def _look(self, handle: Handle) -> None:
        """Under the lock: note what others wrote since this session last looked."""
        log = handle.log
        state, _ = handle._begin()
        if not state.id:
            raise SessionNotFoundError(self.id, _DELETED)
        if state._chain == self._chain:
            return
        if self._version:
            lines = log.lines_after(self._version - 1)
            if not lines or header_and_chain(lines[0])[1] != self._chain:
                raise VersionConflictError(self.id, log.version, self._version)  # another session by now
            others = [decode_record(line).event for line in lines[1:]]
            self._touched.update(what for what in map(touches, others) if what is not None)
            if HISTORY in self._touched:
                return  # what was seen is not what this one goes on from
        self._version, self._chain = log.version, log.chain

    def _same(self, there: Record, event: Event, key: str) -> int:
        asked = self._as_stored(event, there.event)
        if isinstance(asked, AgentResponseAdded) and isinstance(there.event, AgentResponseAdded):
            asked = structs.replace(asked, timestamp=there.event.timestamp)  # it may be answered anew
        if there.event != asked and not isinstance(there.event, Erased):
            raise InvalidEventError(
                f"the key {key!r} stands on record {there.seq} of session {self.id!r} with another content"
            )
        return there.seq

    def _move_out(self, change: Change) -> list[bytes]:
        """Put references in the place of what is too large for a record; return the bytes of that."""
        fields = _MAY_BE_LARGE.get(type(change.event), ())
        if not any(self._attachments.is_large(getattr(change.event, name)) for name in fields):
            return []
        redact = self._handle()._setting.redact
        event = change.event if redact is None else redact(change.event)  # before anything is on disk
        small: dict[str, Json] = {}
        payloads = []
        for name in fields:
            value = getattr(event, name)
            if self._attachments.is_large(value):
                small[name], data = self._attachments.moved_out(value)
                payloads.append(data)
        change.event = structs.replace(event, **small)
        return payloads

    def _as_recorded(self, asked: Json, recorded: Json) -> Json:
        """What is asked for in the form of what is on record: some may be hidden there, or kept beside."""
        stored = self._as_stored(CustomEvent(name="", data=asked), CustomEvent(name="", data=recorded))
        return stored.data if isinstance(stored, CustomEvent) else asked

    def _as_stored(self, event: Event, there: Event) -> Event:
        """An event as it would be stored in the place of one that is there."""
        redact = self._handle()._setting.redact
        event = event if redact is None else redact(event)
        if type(event) is not type(there):
            return event
        moved: dict[str, Json] = {}
        for name in _MAY_BE_LARGE.get(type(event), ()):
            moved[name] = self._attachments.moved_as(getattr(event, name), getattr(there, name))
        return structs.replace(event, **moved) if moved else event
