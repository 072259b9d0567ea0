"""The store against a model in memory: any sequence of operations, and they agree after each."""

import copy
import warnings
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from journal import ANY, AgentResponse, JournalWarning, Session, StateStore, VersionConflictError
from projections import (
    ActiveSeedSet,
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    SessionCreated,
    UserMessageAdded,
)
from tests.strategies import a_store, json_values, texts

IDS = st.sampled_from(["a", "b"])


class Model:
    """What a session holds, in plain Python, at each of its versions."""

    def __init__(self):
        self.versions = [None]

    @property
    def version(self):
        return len(self.versions) - 1

    @property
    def now(self):
        return self.versions[-1]

    def create(self):
        self.versions.append({"said": [], "answered": [], "metadata": {}, "seed": None})

    def change(self, act):
        """One record more."""
        state = copy.deepcopy(self.now)
        kind, *values = act
        match kind:
            case "say":
                state["said"].append(values[0])
            case "answer":
                state["answered"].append(values[0])
            case "set":
                state["metadata"][values[0]] = values[1]
            case "seed":
                state["seed"] = values[0]
            case "note":
                pass
        self.versions.append(state)


def shown(session):
    """A session as the model shows it."""
    if session is None:
        return None
    return {
        "said": [message.content for message in session.user_messages],
        "answered": [response.content for response in session.agent_responses],
        "metadata": session.metadata,
        "seed": session.active_seed_id,
    }


acts = st.lists(
    st.one_of(
        st.tuples(st.just("say"), texts()),
        st.tuples(st.just("answer"), texts()),
        st.tuples(st.just("set"), st.sampled_from("kl"), json_values()),
        st.tuples(st.just("seed"), st.none() | texts()),
    ),
    min_size=1,
    max_size=3,
)


def do(session, act):
    """By its methods."""
    match act:
        case ("say", text):
            session.add_user_message(text)
        case ("answer", text):
            session.add_agent_response(AgentResponse(text))
        case ("set", key, value):
            session.set_metadata(key, value)
        case ("seed", seed):
            session.set_active_seed(seed)


def event(act):
    """As an event."""
    match act:
        case ("say", text):
            return UserMessageAdded(content=text)
        case ("answer", text):
            return AgentResponseAdded(content=text)
        case ("set", key, value):
            return MetadataSet(key=key, value=value)
        case ("seed", seed):
            return ActiveSeedSet(seed_id=seed)
        case _:
            return CustomEvent(name="note")


class StoreAndModel(RuleBasedStateMachine):
    """Two stores on one folder, and a model, in lockstep."""

    loaded = Bundle("loaded")
    stores = st.sampled_from([0, 1])

    def __init__(self):
        super().__init__()
        self.context = a_store()
        first = self.context.__enter__()
        self.folder = Path(first.base_path)
        self.opened = [first, StateStore(self.folder, durability="os")]
        self.models = {}
        self.lives = 0

    def teardown(self):
        for store in self.opened[1:]:
            store.close()
        for session_id, model in self.models.items():
            assert self.opened[0].verify(session_id).ok
            assert self.opened[0].load_session(session_id).version == model.version
        self.opened[0].close()
        self.context.__exit__(None, None, None)

    def check(self, store, session_id):
        session = store.load_session(session_id)
        model = self.models.get(session_id)
        assert shown(session) == (model.now if model else None)
        assert (session.version if session else 0) == (model.version if model else 0)

    @rule(n=stores, session_id=IDS, done=acts)
    def create(self, n, session_id, done):
        """A new session, with what was said before its first save."""
        session = Session.with_id("u", session_id)
        for act in done:
            do(session, act)
        if session_id in self.models:
            with pytest.raises(VersionConflictError):
                self.opened[n].save_session(session)
        else:
            model = self.models[session_id] = Model()
            self.lives += 1
            model.life = self.lives
            model.create()
            for act in done:
                model.change(act)
            assert self.opened[n].save_session(session) == model.version
        self.check(self.opened[n], session_id)

    @rule(target=loaded, n=stores, session_id=IDS)
    def load(self, n, session_id):
        """Kept for a save later, which may then be stale."""
        self.check(self.opened[n], session_id)
        session = self.opened[n].load_session(session_id)
        return multiple() if session is None else (session, self.models[session_id].life)

    @rule(n=stores, held=consumes(loaded), done=acts, anyhow=st.booleans())
    def save(self, n, held, done, anyhow):
        """What was loaded some time ago: saved, or a conflict, or on top of all."""
        session, life = held
        model = self.models.get(session.id)
        if model is None:
            return  # deleted meanwhile: saving it begins another life, which test_store.py looks at
        for act in done:
            do(session, act)
        is_stale = session.version != model.version
        if is_stale and not anyhow:
            with pytest.raises(VersionConflictError):
                self.opened[n].save_session(session)
        elif model.life == life or is_stale:
            for act in done:
                model.change(act)
            version = self.opened[n].save_session(session, expected_version=ANY if anyhow else None)
            assert version == model.version == session.version
            if model.life == life:
                assert shown(session) == model.now
        self.check(self.opened[n], session.id)

    @rule(n=stores, session_id=IDS, done=acts, offset=st.sampled_from([0, 0, 0, 1, -1]))
    def append(self, n, session_id, done, offset):
        """Events, with the right expected version or a wrong one."""
        store, model = self.opened[n], self.models.get(session_id)
        events = [event(act) for act in [*done, ("note",)]]
        if model is None:
            model = self.models[session_id] = Model()
            self.lives += 1
            model.life = self.lives
            model.create()
            events.insert(0, SessionCreated(session_id=session_id, user_id="u"))
            expected = 0
        else:
            expected = model.version + offset
            if offset:
                if expected != ANY:
                    with pytest.raises(VersionConflictError):
                        store.append(session_id, events, expected_version=expected)
                    self.check(store, session_id)
                return
        for act in [*done, ("note",)]:
            model.change(act)
        assert store.append(session_id, events, expected_version=expected) == model.version
        self.check(store, session_id)

    @rule(n=stores, session_id=IDS, done=acts)
    def update(self, n, session_id, done):
        """In place."""
        model = self.models.get(session_id)
        if model is None:
            return
        for act in done:
            model.change(act)
        version = self.opened[n].update_session_with(session_id, lambda s: [do(s, act) for act in done])
        assert version == model.version
        self.check(self.opened[n], session_id)

    @rule(n=stores, session_id=IDS, done=acts)
    def fail_in_an_update(self, n, session_id, done):
        """Nothing stays of it."""
        if session_id not in self.models:
            return

        def change(session):
            for act in done:
                do(session, act)
            session.user_messages[:] = []
            raise LookupError

        with pytest.raises(LookupError):
            self.opened[n].update_session_with(session_id, change)
        self.check(self.opened[n], session_id)

    @rule(n=stores, session_id=IDS, data=st.data())
    def load_an_old_version(self, n, session_id, data):
        """Any that there was."""
        model = self.models.get(session_id)
        if model is None:
            return
        version = data.draw(st.integers(0, model.version))
        assert shown(self.opened[n].load_session(session_id, at=version)) == model.versions[version]

    @rule(n=stores, session_id=IDS)
    def delete(self, n, session_id):
        """True if it was there."""
        assert self.opened[n].delete_session(session_id) == (self.models.pop(session_id, None) is not None)
        self.check(self.opened[n], session_id)

    @rule(n=stores)
    def compact(self, n):
        """Snapshots change no answer."""
        self.opened[n].compact()

    @rule(n=stores)
    def reopen(self, n):
        """A process ends in order, another begins."""
        self.opened[n].close()
        self.opened[n] = StateStore(self.folder, durability="os")

    @rule(n=stores)
    def crash(self, n):
        """A process ends without closing anything."""
        old, self.opened[n] = self.opened[n], StateStore(self.folder, durability="os")
        old._handles.close()
        old._marks.close()
        old._catalog.close()

    @rule()
    def delete_snapshots(self):
        """They are disposable."""
        for path in (self.folder / "sessions").glob("*.json"):
            path.unlink()

    @rule()
    def delete_catalog(self):
        """So is it."""
        for path in (self.folder / ".journal").glob("catalog*"):
            path.unlink()

    @rule(n=stores, session_id=IDS, torn=st.binary(min_size=1, max_size=20))
    def tear(self, n, session_id, torn):
        """A crash leaves bytes at the end; the next writer cuts them and says so in a record."""
        model = self.models.get(session_id)
        if model is None:
            return
        with (self.folder / "sessions" / f"{session_id}.jsonl").open("ab") as file:
            file.write(torn)
        self.check(self.opened[1 - n], session_id)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            version = self.opened[n].update_session_with(session_id, lambda s: s.add_user_message("next"))
        assert [warning.category for warning in caught] == [JournalWarning]
        model.change(("note",))
        model.change(("say", "next"))
        assert version == model.version

    @rule(n=stores)
    def list(self, n):
        """The catalog knows what the model knows."""
        page = self.opened[n].list_sessions()
        assert {each.id: (each.version, each.message_count) for each in page} == {
            session_id: (model.version, len(model.now["said"])) for session_id, model in self.models.items()
        }
        assert page.unreadable == []

    @rule(n=stores, session_id=IDS)
    def read_records(self, n, session_id):
        """1, 2, 3 …"""
        if session_id in self.models:
            seqs = [record.seq for record in self.opened[n].records(session_id)]
            assert seqs == [*range(1, self.models[session_id].version + 1)]


TestStoreAndModel = StoreAndModel.TestCase
TestStoreAndModel.settings = settings(max_examples=80, stateful_step_count=30)
