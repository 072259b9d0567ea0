"""State that several sessions share: the metadata of a journal of its own, which each change enters once."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from journal.adapters.items import Item, Items, JsonObject, metadata, storable
from journal.adapters.opened import Opened
from journal.errors import VersionConflictError
from journal.store import StateStore
from projections.events import Event, MetadataSet, Record, SessionCreated
from projections.session import Session, SessionProjection


@dataclass(slots=True)
class _Shared:
    session: Session
    # Of each session, the version up to which its changes came in.
    entered: dict[str, int] = field(default_factory=dict)


class _Projection:
    name = "shared-state"
    version = 1
    _session = SessionProjection()

    def initial(self) -> _Shared:
        return _Shared(self._session.initial())

    def apply(self, state: _Shared, record: Record) -> _Shared:
        self._session.apply(state.session, record)
        if record.key is not None:
            session, _, version = record.key.rpartition(" ")
            state.entered[session] = int(version)
        return state


class SharedState:
    """The shared state of a store, by the id of the journal that holds it."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._opened = Opened(store, lambda _: _Projection())

    def of(self, journal_id: str) -> JsonObject:
        """The state as it is now, the caller's own; empty if nobody set any."""
        with self._opened.session(journal_id) as kept:
            state = kept.now()
            return {} if state is None else metadata(state.session)

    def enter(self, journal_id: str, owner: str, changes: JsonObject, by: Item, of: Items[Any]) -> None:
        """Set what an item of a session says, unless that is done; durable as the store is.

        The records name the item's as their cause. The changes of a session come in in their order, so that
        one number tells. What a fork has of its origin came in there. Raises as StateStore.append.
        """
        session = f"{of.session.id} {of.first_id}"
        settings: list[Event] = [MetadataSet(key=key, value=storable(each)) for key, each in changes.items()]
        with self._opened.session(journal_id) as kept:
            while by.seq > of.copied:
                state = kept.now()
                if state is not None and by.seq <= state.entered.get(session, 0):
                    return
                begun = [SessionCreated(session_id=journal_id, user_id=owner)] if state is None else []
                with suppress(VersionConflictError):
                    self._store.append(
                        journal_id,
                        [*begun, *settings],
                        expected_version=0 if state is None else state.session.version,
                        cause=by.record_id,
                        key=f"{session} {by.seq}",
                    )
                    return
