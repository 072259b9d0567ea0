"""A simulated process: a store on a simulated disk, whose calls are noted with what they promise."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

from crash.simulate_promises import Broken, Call, Key, batches
from crash.simulate_world import World
from crash.simulated_disk import SimulatedDisk
from journal import Change, DurabilityError, JournalError, Session, SessionNotFoundError, StateStore
from journal.importers import import_path
from journal.record import prepare
from projections import Event
from projections.session import apply_event

USER: Final = "user"
Durability: TypeAlias = Literal["disk", "os"]


class SimulatedStore(StateStore):
    """A store that lives on a simulated disk."""

    def __init__(self, disk: SimulatedDisk, base: str, **options: Any) -> None:
        self._new_disk = lambda: disk
        # Whether it is on a network file system would be asked of the real disk.
        super().__init__(base, allow_network=True, **options)

    def __del__(self, warn: object = None) -> None:
        """Nothing: a process that was killed runs no such thing."""


class Process:
    """What one process does in a world; `options` are its store's."""

    def __init__(
        self, world: World, durability: Durability = "disk", *, most_calls: int = 100_000, **options: Any
    ) -> None:
        self.world, self.durable = world, durability == "disk"
        self.disk = SimulatedDisk(world.volume, most_calls=most_calls)
        self.store = SimulatedStore(self.disk, world.layout.base, durability=durability, **options)

    # Sessions

    def save(self, session: Session) -> None:
        """Save a session."""
        # The ids are drawn now, so that a retry by another process has the same.
        for change in session._unsaved or ():
            prepare(change, self.store.actor)
        pending = session.copy()
        self._make(
            session.id,
            lambda _: self.store.save_session(session),
            retry=lambda store: store.save_session(pending.copy()),
            leads_to=session.copy(),
            base=session.version,
            chain=session._chain,
            last_id=_last_id(session._unsaved),
        )

    def append(self, session_id: str, events: Sequence[Event], *, key: str) -> None:
        """Append events behind what the session holds now."""
        before = self.store.load_session(session_id)
        assert before is not None
        changes = [Change(event=event, at=before.updated_at) for event in events]
        after = before.copy()
        for index, change in enumerate(changes):
            prepare(change, self.store.actor, key=None if index else key)
            apply_event(after, change.event, change.at)

        def append(store: StateStore) -> int:
            return store.append(session_id, list(changes), expected_version=before.version, key=key)

        self._make(
            session_id,
            lambda _: append(self.store),
            retry=append,
            leads_to=after,
            base=before.version,
            chain=before._chain,
            by_number=True,
            last_id=_last_id(changes),
        )

    def update(self, session_id: str, text: str) -> None:
        """Let the user say something more."""

        def update(call: Call) -> int:
            def say(session: Session) -> None:
                session.add_user_message(text)
                for change in session._unsaved or ():
                    prepare(change, self.store.actor)
                call.base, call.last_id = session.version, _last_id(session._unsaved)
                call.leads_to = self.world.contents[call.last_id] = session.copy()

            return self.store.update_session_with(session_id, say)

        self._make(session_id, update)

    def delete(self, session_id: str) -> None:
        """Delete a session."""

        def delete(store: StateStore) -> bool:
            return store.delete_session(session_id, why="it was asked for")

        self._make(session_id, lambda _: delete(self.store), retry=delete, leads_to=None, kind="deletion")

    def repair(self, session_id: str) -> None:
        """Repair a session, as somebody does who knows whose it is."""

        def repair(store: StateStore) -> bool:
            try:
                return bool(store.repair(session_id, user_id=USER))
            except SessionNotFoundError:
                return False  # an earlier repair found nothing that could stay

        self._make(session_id, lambda _: repair(self.store), retry=repair, kind="repair")

    def take_in(self, path: str, session_id: str) -> None:
        """Import a file, which lies on a real disk."""

        def take_in(store: StateStore) -> None:
            outcome = import_path(store, path, session_id=session_id)
            if outcome.problems:
                raise Broken(f"the import says {outcome.problems}")

        self._make(session_id, lambda _: take_in(self.store), retry=take_in)

    # Documents

    def save_document(self, key: Key, value: Any) -> None:
        """Save a document."""
        category, name, ending = key

        def save(store: StateStore) -> None:
            (store.save_markdown if ending == ".md" else store.save_json)(category, name, value)

        self._make(key, lambda _: save(self.store), retry=save, leads_to=value)

    def delete_document(self, key: Key) -> None:
        """Delete a document."""
        category, name, _ = key

        def delete(store: StateStore) -> bool:
            return store.delete_file(category, name)

        self._make(key, lambda _: delete(self.store), retry=delete, leads_to=None)

    # Calls

    def again(self, call: Call) -> None:
        """Make a call once more that another process made, and whose outcome nobody knows."""
        retry = call.retry
        assert retry is not None
        # From here on it is this process's call.
        call.refused = self.world.now
        is_done = self._make(
            call.thing,
            lambda _: retry(self.store),
            retry=retry,
            # What a repair finds may be something else by now.
            leads_to=... if call.kind == "repair" else call.leads_to,
            kind=call.kind,
            base=call.base,
            chain=call.chain,
            by_number=call.by_number,
            last_id=call.last_id,
        )
        if not is_done:
            call.refused = None

    def _make(self, thing: str | Key, act: Callable[[Call], object], **promise: Any) -> bool:
        """Make a call, and note what comes of it; False where there was nothing to delete, or to repair.

        That is no acknowledgement of an earlier try.
        """
        world = self.world
        call = Call(thing=thing, begun=world.now, durable=self.durable, **promise)
        world.calls.append(call)
        if call.last_id:
            world.contents[call.last_id] = call.leads_to
        try:
            result = act(call)
        except JournalError as error:
            if not (isinstance(error, DurabilityError) and error.outcome_unknown):
                call.refused = world.now
            raise
        if result is False:
            call.refused = world.now
            return False
        call.ended = world.now
        if isinstance(thing, str):
            if call.leads_to is ...:
                call.leads_to = self.store.load_session(thing)
            # What a repair leads to may have no record, only a snapshot.
            if call.leads_to is not None and (call.kind != "repair" or call.leads_to.version):
                self._note_journal(call, result if type(result) is int else None)
        return True

    def _note_journal(self, call: Call, version: int | None) -> None:
        """Note the journal up to what was acknowledged. Raises Broken where that is not in it."""
        journal = self.world.journal(str(call.thing))
        found = next((each for each in reversed(batches(journal)) if version in (None, each.version)), None)
        if found is None:
            raise Broken(f"version {version} was acknowledged, and it is not in the journal")
        if call.last_id and found.last_id != call.last_id:
            raise Broken(f"record {found.last_id} stands where {call.last_id} was acknowledged")
        call.journal = journal[: found.end]
        if call.kind == "repair" or found.last_id not in self.world.contents:
            self.world.contents[found.last_id] = call.leads_to


def _last_id(changes: Sequence[Change] | None) -> str:
    return (changes[-1].id or "") if changes else ""
