"""Google ADK: a session service whose sessions are journals. Extra: adk.

An event is a batch in its session's journal: texts, thoughts, tool calls and their results are what they are
everywhere here, and what it sets of the session's state is the session's metadata. The state that sessions
share (`app:`, `user:`) is the metadata of journals of its own.
"""

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self

from journal.adapters.adk_events import NAME, SHARED, event_of, records_of, state_delta
from journal.adapters.ids import joined, parted, prefix
from journal.adapters.items import Item, Items, ItemsProjection, JsonObject, item_events
from journal.adapters.opened import Opened
from journal.adapters.shared_state import SharedState
from journal.aio import AsyncStateStore
from journal.errors import MissingExtraError, VersionConflictError
from journal.store import as_changes
from projections.events import SessionCreated

try:
    from google.adk.errors import StaleSessionError
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.events.event_actions import EventActions
    from google.adk.platform import time as platform_time
    from google.adk.sessions.base_session_service import (
        BaseSessionService,
        GetSessionConfig,
        ListSessionsResponse,
    )
    from google.adk.sessions.session import Session
except ModuleNotFoundError as error:
    raise MissingExtraError("sessions of Google ADK", "google-adk", "adk") from error

_STATE: Final = "adk-state"
# Whose the state of an app is: no user's, so that erasing one leaves it.
_NOBODY: Final = "adk-app"


def journal_id(app_name: str, user_id: str, session_id: str) -> str:
    """The id of a session's journal: for the store's own methods and the command line."""
    return joined(NAME, app_name, user_id, session_id)


def state_journal_id(app_name: str, user_id: str | None = None) -> str:
    """The id of the journal that holds the state of an app, or of a user of it, as metadata."""
    return joined(_STATE, app_name) if user_id is None else joined(_STATE, app_name, user_id)


@dataclass(slots=True)
class _View:
    """What ADK sees of a session."""

    names: list[str] = field(default_factory=list)
    events: list[Item] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    updated_at: float = 0.0
    sharing: Item | None = None  # the last one that changed a shared state
    made: list[Event] = field(default_factory=list)  # of the first events, as many as were asked for

    def take(self, item: Item) -> None:
        head = item.head
        if "created" in head:
            self.names, self.updated_at = head["names"], head["created"]
        else:
            self.events.append(item)
            self.ids.add(head["id"])
            self.updated_at = head["timestamp"]
        if any(key.startswith(SHARED) for key in state_delta(head)):
            self.sharing = item

    def asked_for(self, config: GetSessionConfig | None) -> list[Event]:
        """The events that a caller asks for."""
        after = None if config is None else config.after_timestamp
        recent = None if config is None else config.num_recent_events
        if after is None and recent is None:
            self.made += [_made(item) for item in self.events[len(self.made) :]]
            return list(self.made)
        found = [each for each in self.events if after is None or each.head["timestamp"] >= after]
        return [_made(item) for item in (found if recent is None else found[max(len(found) - recent, 0) :])]

    def find(self, event_id: str, event: JsonObject) -> Item | None:
        """The event, if it is there already: the same in all, for an id alone may have been used twice."""
        if event_id not in self.ids:
            return None
        return next((each for each in self.events if event_of(each) == event), None)


class JournalSessionService(BaseSessionService):
    """Sessions of Google ADK in a store, or in a folder: `JournalSessionService("state")`.

    What a call wrote is durable as the store is when it returns, and each event is there whole or not at
    all. Several tasks, threads and processes may use one session: whoever has not seen its last event gets
    ADK's StaleSessionError, and nothing is written. An event that is stored already is not stored again, so
    a call that failed or was cancelled may be repeated.

    A session's events are shared by all that `get_session` gives of it: do not edit them.

    store       an AsyncStateStore, which stays the caller's to close; or a folder
    durability  of a folder: "disk" or "os", as StateStore says
    """

    def __init__(
        self,
        store: AsyncStateStore | str | os.PathLike[str],
        *,
        durability: Literal["disk", "os"] = "disk",
    ) -> None:
        self._is_own = not isinstance(store, AsyncStateStore)
        self._async_store = (
            store if isinstance(store, AsyncStateStore) else AsyncStateStore(store, durability=durability)
        )
        # What a call does is several steps of the plain store: one hop into a thread for all of them.
        self._store = self._async_store._store
        self._in_thread = self._async_store._in_thread
        self._sessions = Opened(self._store, lambda _: ItemsProjection(NAME, _View))
        self._shared_state = SharedState(self._store)

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Create a session; with a new id unless one is given. Raises AlreadyExistsError."""
        chosen = (session_id or "").strip() or str(uuid.uuid4())
        return await self._in_thread(self._create, app_name, user_id, chosen, state or {})

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """The session with its events, or those that `config` asks for; None if it is not there."""
        return await self._in_thread(self._get, app_name, user_id, session_id.strip(), config)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """The sessions of an app, or of one user of it, without their events; last used last."""
        return await self._in_thread(self._list, app_name, user_id)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session and its history; a tombstone stays. Nothing happens if it is not there."""
        await self._async_store.delete_session(
            journal_id(app_name, user_id, session_id.strip()), why="deleted through ADK"
        )

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The state that all sessions of a user share, its keys without `user:`."""
        return await self._in_thread(self._shared_state.of, state_journal_id(app_name, user_id))

    async def append_event(self, session: Session, event: Event) -> Event:
        """Store an event and add it to the session; one that is `partial` is only given back.

        `app:` and `user:` state is set when the event is stored; after a crash in between, the next use of
        the session sets it.

        Raises:
            SessionNotFoundError: the session is not there, or not any more.
            StaleSessionError: it was changed since `session` was loaded; nothing was written.
            InvalidEventError, DurabilityError: as StateStore.append.

        """
        if not event.partial:
            await self._in_thread(self._append, session, event)
        return event

    async def close(self) -> None:
        """Close the store, where this was given a folder."""
        if self._is_own:
            await self._async_store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The same in a thread

    def _create(self, app_name: str, user_id: str, session_id: str, state: dict[str, Any]) -> Session:
        delta = EventActions(state_delta={k: v for k, v in state.items() if not k.startswith("temp:")})
        given: JsonObject = delta.model_dump(mode="json", include={"state_delta"})["state_delta"]
        shared = {key: value for key, value in given.items() if key.startswith(SHARED)}
        own = {key: value for key, value in given.items() if key not in shared}
        names = [NAME, app_name, user_id, session_id]
        head: JsonObject = {"created": platform_time.get_time(), "names": names}
        if shared:
            head["actions"] = {"state_delta": shared}
        id = journal_id(app_name, user_id, session_id)
        begun = SessionCreated(session_id=id, user_id=user_id)
        with self._sessions.session(id) as kept:
            try:
                self._store.append(id, [begun, *item_events(NAME, head, sets=own)], expected_version=0)
            except VersionConflictError:
                raise AlreadyExistsError(f"Session with id {session_id} already exists.") from None
            items = kept.now()
            if items is None:
                raise SessionNotFoundError(f"Session {session_id} was deleted this very moment.")
            self._settle(app_name, user_id, session_id, items)
            return self._session(app_name, user_id, session_id, items)

    def _get(
        self, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None
    ) -> Session | None:
        id = journal_id(app_name, user_id, session_id)
        with self._sessions.session(id) as kept:
            items = kept.now()
            if items is None:
                return None
            self._settle(app_name, user_id, session_id, items)
            session = self._session(app_name, user_id, session_id, items)
            # Not through the constructor, which would look at each of them.
            session.events = items.view.asked_for(config)
            return session

    def _list(self, app_name: str, user_id: str | None) -> ListSessionsResponse:
        asked = [NAME, app_name] if user_id is None else [NAME, app_name, user_id]
        sessions: list[Session] = []

        def look(items: Items[_View], names: list[str] | None) -> None:
            names = names or items.view.names  # they were too long for the id
            if len(names) == 4 and names[: len(asked)] == asked:
                sessions.append(self._session(names[1], names[2], names[3], items))

        for id in self._store.session_ids():
            names = parted(id)
            if id.startswith(prefix(NAME)) and (names is None or names[: len(asked)] == asked):
                self._sessions.look(id, partial(look, names=names))
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    def _append(self, session: Session, event: Event) -> None:
        self._apply_temp_state(session, event)
        stored = _json(self._trim_temp_delta_state(event))
        changes = as_changes(records_of(stored))
        names = session.app_name, session.user_id, session.id
        id = journal_id(*names)
        with self._sessions.session(id) as kept:
            while (items := kept.now()) is not None:
                self._settle(*names, items)
                earlier = items.view.find(event.id, stored)
                if earlier is not None:
                    if not any(each.id == event.id for each in session.events):
                        self._take(session, event, earlier.record_id)  # that try was cut short
                    return
                if _is_stale(session, items):
                    raise StaleSessionError(
                        f"Session {session.id} was modified in storage since it was loaded. Get it again."
                    )
                with suppress(VersionConflictError):
                    self._store.append(id, changes, expected_version=items.version)
                    self._take(session, event, changes[-1].id or "")
                    if any(key.startswith(SHARED) for key in state_delta(stored)) and (items := kept.now()):
                        self._settle(*names, items)
                    return
            raise SessionNotFoundError(f"Session {session.id} not found.")

    def _take(self, session: Session, event: Event, marker: str) -> None:
        """What was stored, in the caller's session as well."""
        session._storage_update_marker = marker
        session.last_update_time = event.timestamp
        self._commit_event_to_session(session, event)

    def _settle(self, app_name: str, user_id: str, session_id: str, items: Items[_View]) -> None:
        """Enter the shared state that the session's last event sets, unless that is done."""
        by = items.view.sharing
        if by is None:
            return
        journals = (state_journal_id(app_name), _NOBODY), (state_journal_id(app_name, user_id), user_id)
        for scope, (journal, owner) in zip(SHARED, journals, strict=True):
            delta = state_delta(by.head)
            changes = {key.removeprefix(scope): delta[key] for key in delta if key.startswith(scope)}
            if changes:
                self._shared_state.enter(journal, owner, changes, by, items)

    def _session(self, app_name: str, user_id: str, session_id: str, items: Items[_View]) -> Session:
        """The session without its events."""
        state = items.metadata()
        for scope, journal in zip(
            SHARED, (state_journal_id(app_name), state_journal_id(app_name, user_id)), strict=True
        ):
            state |= {scope + key: value for key, value in self._shared_state.of(journal).items()}
        session = Session(
            app_name=app_name,
            user_id=user_id,
            id=session_id,
            state=state,
            last_update_time=items.view.updated_at,
        )
        session._storage_update_marker = items.changed_by
        return session


def _json(event: Event) -> JsonObject:
    """ADK's JSON of an event, without what is not said."""
    dumped: JsonObject = event.model_dump(mode="json", exclude_defaults=True)
    said = {key: value for key, value in dumped.items() if value is not None}
    actions = {key: value for key, value in said.pop("actions", {}).items() if value is not None}
    return said | ({"actions": actions} if actions else {})


def _made(item: Item) -> Event:
    """The event that an item is: made once, for all sessions that are given out."""
    if item.made is None:
        item.made = Event.model_validate(event_of(item))
    event: Event = item.made
    return event


def _is_stale(session: Session, items: Items[_View]) -> bool:
    """Whether the session was changed since it was loaded."""
    marker = session._storage_update_marker
    if marker is not None:
        return bool(marker != items.changed_by)
    # One that came over a wire, or was made by hand: its last event tells, or the time where it has none.
    seen = session.events[-1].id if session.events else None
    last = items.view.events[-1].head["id"] if items.view.events else None
    return bool(session.last_update_time < items.view.updated_at and seen != last)
