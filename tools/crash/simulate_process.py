"""A simulated process: a store on a simulated disk, whose calls are noted with what they promise."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

from crash.simulate_promises import Batch, Broken, Call, Key, Place, batches
from crash.simulate_world import World
from crash.simulated_disk import Killed, SimulatedDisk
from journal import (
    AgentResponse,
    Change,
    DurabilityError,
    JournalError,
    Session,
    SessionNotFoundError,
    StateStore,
    UserMessage,
)
from journal.erase import Erasure
from journal.importers import import_path
from journal.record import prepare
from projections import Event
from projections.session import apply_event

USER: Final = "user"
_ERASED: Final = b'"type":"content_erased"'
Durability: TypeAlias = Literal["disk", "os"]


class SimulatedStore(StateStore):
    """A store that lives on a simulated disk."""

    def __init__(self, disk: SimulatedDisk, base: str, **options: Any) -> None:
        self._new_disk = lambda: disk
        # Whether it is on a network file system would be asked of the real disk.
        super().__init__(base, allow_network=True, **options)

    def __del__(self, warn: object = None) -> None:
        """Only what is in memory goes: a process that was killed runs no such thing."""
        self._catalog.close()
        self._search.close()


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
                call.leads_to = self.world.contents[session_id, call.last_id] = session.copy()

            return self.store.update_session_with(session_id, say)

        self._make(session_id, update)

    def rewind(self, session_id: str, to: int) -> None:
        """Make a session again what it was at a version."""
        before, then = self.store.load_session(session_id), self.store.load_session(session_id, at=to)
        assert before is not None

        def rewind(store: StateStore) -> int:
            return store.rewind(session_id, to, expected_version=before.version)

        self._make(
            session_id,
            lambda _: rewind(self.store),
            # A power cut may have taken the session.
            retry=lambda store: bool(_ids(store, session_id)) and rewind(store),
            leads_to=then,
            base=before.version,
            chain=before._chain,
            by_number=True,
        )

    def fork(self, session_id: str, new_id: str, at: int | None = None, *, meanwhile: bool = False) -> None:
        """Fork a session at a version, or as it is now; `meanwhile`, others may erase what it says."""
        source = self.store.load_session(session_id, at=at)
        assert source is not None
        record_id = _ids(self.store, session_id)[source.version - 1]
        origin = Place(session_id, source.version, record_id)

        def fork(store: StateStore) -> Session:
            return store.fork(session_id, source.version, new_id=new_id)

        def again(store: StateStore) -> bool:
            """Where it did not get through."""
            return _is_there(store, origin) and store.load_session(new_id) is None and bool(fork(store))

        forked = _under(source, new_id)
        try:
            self._make(
                new_id,
                lambda _: fork(self.store),
                retry=again,
                leads_to=... if meanwhile else forked,
                last_id="" if meanwhile else record_id,
                place=origin,
                durable=True,
            )
        finally:
            # Unless it was found without what was erased, it had that.
            self.world.contents.setdefault((new_id, record_id), forked)

    def erase(self, session_id: str, version: int, text: str, *, meanwhile: bool = False) -> None:
        """Erase the content of a record, a message of which this is a part, wherever it stands.

        `meanwhile`, others may write the sessions in which it does, or fork them.
        """
        place = Place(session_id, version, _ids(self.store, session_id)[version - 1])
        self._erase(place, text, meanwhile=meanwhile)

    def _erase(self, place: Place, text: str, *, meanwhile: bool = False) -> bool:
        begun = self.world.now

        def erase(store: StateStore) -> list[Erasure]:
            return store.erase(place.session_id, [place.version], reason="it was asked for")

        def call_for(thing: str) -> Call:
            now = None if meanwhile else self.store.load_session(thing)
            return Call(
                thing=thing,
                begun=begun,
                durable=True,
                kind="erasure",
                retry=erase,
                leads_to=... if now is None else _without(now, text),
                erased=text.encode(),
                place=place,
            )

        def act() -> None:
            found = {each.session_id for each in erase(self.store)}
            calls.extend(call_for(each) for each in sorted(found - {str(call.thing) for call in calls}))

        if not _is_there(self.store, place):
            return False
        # Those that hold it, or held it: an earlier try may not have been acknowledged.
        marks = (text.encode(), _ERASED)
        sessions = {each: self.world.journal(each) for each in self.world.sessions()}
        calls = [call_for(each) for each in sessions if any(mark in sessions[each] for mark in marks)]
        try:
            return self._make_all(calls, act)
        except Killed:
            for call in calls:
                if found := self._batch_of(call):
                    self.world.contents[str(call.thing), found.last_id] = call.leads_to
            raise

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

    def again(self, call: Call) -> bool:
        """Make a call once more that another process made, and whose outcome nobody knows.

        False where there was nothing to do.
        """
        retry = call.retry
        assert retry is not None
        # From here on it is this process's call.
        call.refused = self.world.now
        contents = self.world.contents.copy()
        if call.kind == "erasure" and call.place is not None:
            is_done = self._erase(call.place, call.erased.decode())
        else:
            is_done = self._make(
                call.thing,
                lambda _: retry(self.store),
                retry=retry,
                leads_to=self.outcome(call),
                kind=call.kind,
                base=call.base,
                chain=call.chain,
                by_number=call.by_number,
                last_id=call.last_id if call.place is None else call.place.record_id,
                place=call.place,
            )
        if not is_done:
            call.refused, self.world.contents = None, contents
        return is_done

    def outcome(self, call: Call) -> Any:
        """What a call leads to that is made now; another process may have gone on since it was made first."""
        if call.kind == "repair":
            return ...  # what it finds may be something else by now
        if call.kind == "erasure":
            now = self.store.load_session(str(call.thing))
            return now and _without(now, call.erased.decode())
        if call.place is not None and _is_there(self.store, call.place):
            source = self.store.load_session(call.place.session_id, at=call.place.version)
            return source and _under(source, str(call.thing))
        return call.leads_to

    def _make(self, thing: str | Key, act: Callable[[Call], object], **promise: Any) -> bool:
        """Make a call, and note what comes of it; False where there was nothing to do.

        That is no acknowledgement of an earlier try.
        """
        call = Call(thing=thing, begun=self.world.now, **({"durable": self.durable} | promise))
        return self._make_all([call], lambda: act(call))

    def _make_all(self, calls: list[Call], act: Callable[[], object]) -> bool:
        """The same for a call that changes several things, each whole."""
        world = self.world
        world.calls += calls
        for call in calls:
            if call.last_id:
                world.contents[str(call.thing), call.last_id] = call.leads_to
        try:
            result = act()
        except JournalError as error:
            if not (isinstance(error, DurabilityError) and error.outcome_unknown):
                for call in calls:
                    call.refused = world.now
            raise
        world.calls += (call for call in calls if call not in world.calls)
        for call in calls:
            if result is False:
                call.refused = world.now
            else:
                call.ended = world.now
        for call in calls if result is not False else ():
            if isinstance(call.thing, str):
                if call.leads_to is ... and call.kind != "erasure":
                    call.leads_to = self.store.load_session(call.thing)
                # What a repair leads to may have no record, only a snapshot.
                if call.leads_to is not None and (call.kind != "repair" or call.leads_to.version):
                    self._note_journal(call, result if type(result) is int else None)
        return result is not False

    def _note_journal(self, call: Call, version: int | None) -> None:
        """Note the journal up to what was acknowledged. Raises Broken where that is not in it."""
        session_id = str(call.thing)
        found = self._batch_of(call, version)
        if found is None:
            raise Broken(f"version {version} was acknowledged, and it is not in the journal")
        if call.last_id and found.last_id != call.last_id:
            raise Broken(f"record {found.last_id} stands where {call.last_id} was acknowledged")
        if call.leads_to is ...:
            call.leads_to = self.store.load_session(session_id, at=found.version)
        call.journal = self.world.journal(session_id)[: found.end]
        if call.kind == "repair" or (session_id, found.last_id) not in self.world.contents:
            self.world.contents[session_id, found.last_id] = call.leads_to

    def _batch_of(self, call: Call, version: int | None = None) -> Batch | None:
        """The batch that a call wrote, as far as one can tell: of that version, or the last one."""
        journal = self.world.journal(str(call.thing))
        there = batches(journal)
        if call.kind == "erasure":  # another process may have gone on behind it
            starts = [0, *(each.end for each in there)]
            pairs = zip(starts, there, strict=False)
            there = [each for start, each in pairs if _ERASED in journal[start : each.end]]
        return next((each for each in reversed(there) if version in (None, each.version)), None)


def _ids(store: StateStore, session_id: str) -> list[str]:
    """The ids of a session's records; none where there is no session."""
    try:
        return [record.id for record in store.records(session_id)]
    except SessionNotFoundError:
        return []


def _is_there(store: StateStore, place: Place) -> bool:
    """Whether a record is where it was: a power cut may have taken it."""
    return _ids(store, place.session_id)[place.version - 1 : place.version] == [place.record_id]


def _under(session: Session, session_id: str) -> Session:
    """A session under another id."""
    twin = session.copy()
    twin.id = session_id
    return twin


def _without(session: Session, text: str) -> Session:
    """A session in which the messages that hold a text are empty."""
    rest = session.copy()
    rest.user_messages = [
        UserMessage("", each.timestamp) if text in each.content else each for each in rest.user_messages
    ]
    rest.agent_responses = [
        AgentResponse("", timestamp=each.timestamp) if text in each.content else each
        for each in rest.agent_responses
    ]
    return rest


def _last_id(changes: Sequence[Change] | None) -> str:
    return (changes[-1].id or "") if changes else ""
