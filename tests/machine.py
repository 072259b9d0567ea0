"""Two stores on one folder and a model of both, in lockstep: what users do with them."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, precondition, rule

from journal import ANY, InvalidEventError, Session, StateStore, VersionConflictError
from journal.disk import Disk
from journal.doctor import check_session, check_store
from journal.layout import Layout
from projections import Erased, JournalRepaired, SessionCreated, UserMessageAdded
from projections.erasure import why_kept
from tests.model import NOTE, Model, act_of, acts, do, event, shown
from tests.strategies import a_folder, json_values, texts

IDS = st.sampled_from(["a", "b"])
STORES = st.sampled_from([0, 1])
# What is drawn must not depend on the store, whose files differ from run to run: a part of what there is.
PARTS = st.integers(0, 99)
DOCUMENTS = st.sampled_from([("notes", "n"), ("notes/old", "n"), ("plans", "m")])


# For the rules that need a session with a journal.
with_a_journal = precondition(lambda self: any(model.acts for model in self.models.values()))


class Machine(RuleBasedStateMachine):
    """Two stores of one place, as two processes have them, and a model, in lockstep.

    places  makes a place for each run, and takes it away: its URL
    """

    loaded = Bundle("loaded")
    places = staticmethod(a_folder)

    def __init__(self):
        super().__init__()
        self.context = self.places()
        self.url = self.context.__enter__()
        self.folder = Path(self.url)  # where it is one
        self.opened = [self.open(), self.open()]
        self.models = {}
        self.documents = {}

    def teardown(self):
        try:
            self.opened[1].close()
            for session_id, model in self.models.items():
                assert self.opened[0].verify(session_id).ok
                assert self.opened[0].load_session(session_id).version == model.version
        finally:
            for store in self.opened:
                store.close()
            self.context.__exit__(None, None, None)

    # Helpers

    def open(self):
        """One more store."""
        return StateStore.connect(self.url, durability="os")

    def journal(self, session_id):
        return self.folder / "sessions" / f"{session_id}.jsonl"

    def snapshot(self, session_id):
        return self.folder / "sessions" / f"{session_id}.json"

    def pick(self, session_id):
        """A session that has a journal: this one, or if it has none, another."""
        found = [
            each for each in (session_id, *self.models) if each in self.models and self.models[each].acts
        ]
        return found[0], self.models[found[0]]

    def repaired_from(self, session_id):
        """The version before the repairs that a session's journal ends with."""
        has_journal = session_id in self.models and self.models[session_id].acts
        events = [each.event for each in self.opened[0].records(session_id)] if has_journal else []
        while events and isinstance(events[-1], JournalRepaired):
            events.pop()
        return len(events)

    def check(self, session_id, *stores):
        """All stores say what the model says."""
        model = self.models.get(session_id)
        for store in stores or self.opened:
            session = store.load_session(session_id)
            assert shown(session) == (model.now if model else None)
            assert (session.version if session else 0) == (model.version if model else 0)

    # Writing

    @rule(n=STORES, session_id=IDS, done=acts)
    def create(self, n, session_id, done):
        """A new session, with what was said before its first save."""
        session = Session.with_id("u", session_id)
        do(session, *done)
        if session_id in self.models:
            with pytest.raises(VersionConflictError):
                self.opened[n].save_session(session)
        else:
            model = self.models[session_id] = Model([("create",), *done])
            assert self.opened[n].save_session(session) == model.version
        self.check(session_id)

    @rule(target=loaded, n=STORES, session_id=IDS)
    def load(self, n, session_id):
        """Kept for a save later, which may then be stale."""
        session = self.opened[n].load_session(session_id)
        return multiple() if session is None else (session, self.models[session_id].life)

    @rule(n=STORES, held=consumes(loaded), done=acts, anyhow=st.booleans())
    def save(self, n, held, done, anyhow):
        """What was loaded some time ago: saved, or a conflict, or on top of all."""
        session, life = held
        model = self.models.get(session.id)
        if model is None:
            return  # deleted meanwhile: saving it begins another life, which test_store.py looks at
        do(session, *done)
        is_stale = session.version != model.version
        if is_stale and not anyhow:
            with pytest.raises(VersionConflictError):
                self.opened[n].save_session(session)
        elif model.life == life or (is_stale and model.acts):
            model.do(*done)
            version = self.opened[n].save_session(session, expected_version=ANY if anyhow else None)
            assert version == model.version == session.version
            if model.life == life:
                assert shown(session) == model.now
        self.check(session.id)

    @rule(n=STORES, session_id=IDS, done=acts, offset=st.sampled_from([0, 0, 0, 1, -1]))
    def append(self, n, session_id, done, offset):
        """Events, with the right expected version or a wrong one."""
        store, model = self.opened[n], self.models.get(session_id)
        done = [*done, NOTE]
        events = [event(act) for act in done]
        if model is None:
            model = self.models[session_id] = Model()
            done.insert(0, ("create",))
            events.insert(0, SessionCreated(session_id=session_id, user_id="u"))
        expected = model.version + (offset if model.acts else 0)
        if self.repaired_from(session_id) == expected != model.version:
            return  # whoever saw the session before a repair may go on, and need not be let
        if expected not in (ANY, model.version):
            with pytest.raises(VersionConflictError):
                store.append(session_id, events, expected_version=expected)
        else:
            model.do(*done)
            assert store.append(session_id, events, expected_version=expected) == model.version
        self.check(session_id)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts, others=acts, key=texts().filter(bool))
    def append_again(self, n, session_id, done, others, key):
        """A retry with the same key, by any process, is known; the same key with other words is refused."""
        session_id, model = self.pick(session_id)
        before, events = model.version, [event(act) for act in done]
        model.do(*done)
        for store in (self.opened[n], self.opened[1 - n], self.opened[n]):
            version = store.append(session_id, events, expected_version=before, key=key)
            assert version == model.version
        if [event(act) for act in others] != events:
            with pytest.raises(InvalidEventError, match="another content"):
                self.opened[n].append(
                    session_id, [event(act) for act in others], expected_version=before, key=key
                )
        self.check(session_id)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts)
    def update(self, n, session_id, done):
        """In place."""
        session_id, model = self.pick(session_id)
        model.do(*done)
        version = self.opened[n].update_session_with(session_id, lambda session: do(session, *done))
        assert version == model.version
        self.check(session_id)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts)
    def fail_in_an_update(self, n, session_id, done):
        """Nothing stays of it."""
        session_id, _ = self.pick(session_id)

        def change(session):
            do(session, *done)
            session.user_messages[:] = []
            raise LookupError

        with pytest.raises(LookupError):
            self.opened[n].update_session_with(session_id, change)
        self.check(session_id)

    @rule(n=STORES, session_id=IDS)
    def delete(self, n, session_id):
        """True if it was there."""
        assert self.opened[n].delete_session(session_id) == (self.models.pop(session_id, None) is not None)
        self.check(session_id)

    # Time travel, erasures

    @with_a_journal
    @rule(n=STORES, session_id=IDS, part=PARTS)
    def rewind(self, n, session_id, part):
        """To any version: it is what it was, and the history stays."""
        session_id, model = self.pick(session_id)
        version = part_of(range(1, model.version + 1), part)
        state, before = model.at(version), model.version
        assert self.opened[n].rewind(session_id, version) == before + 1
        model.do(*(act_of(each.event) for each in self.opened[n].records(session_id, after=before)))
        assert model.now == state
        self.check(session_id)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, part=PARTS)
    def fork(self, n, session_id, part):
        """At any version, where there is no such session yet: one of the same versions."""
        session_id, model = self.pick(session_id)
        version = part_of(range(1, model.version + 1), part)
        other = {"a": "b", "b": "a"}[session_id]
        if other in self.models:
            with pytest.raises(VersionConflictError):
                self.opened[n].fork(session_id, version, new_id=other)
        else:
            self.models[other] = Model(model.acts[:version])
            forked = self.opened[n].fork(session_id, version, new_id=other)
            assert (forked.id, forked.version, shown(forked)) == (other, version, model.at(version))
        self.check(session_id)
        self.check(other)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, part=PARTS, compacts=st.booleans())
    def erase(self, n, session_id, part, compacts):
        """Any record: of what it said nothing is left, in forks neither, and all else is as it was."""
        session_id, _ = self.pick(session_id)
        store = self.opened[n]
        if compacts:
            self.opened[1 - n].compact()
        record = part_of(list(store.records(session_id)), part)
        if isinstance(record.event, Erased):
            assert store.erase(session_id, [record.seq], reason="asked for") == []
            return
        if why_kept(record.event) is not None:
            with pytest.raises(InvalidEventError):
                store.erase(session_id, [record.seq], reason="asked for")
            return
        before = {each: store.load_session(each) for each in self.models}
        for erased in store.erase(session_id, [record.seq], reason="asked for"):
            self.take_out(erased, before[erased.session_id], record)
        assert store.erase(session_id, [record.seq], reason="asked for") == []
        for each in before:
            self.check(each)

    def take_out(self, erased, before, record):
        """The same in the model, where a state that goes is followed by one without what was erased."""
        model = self.models[erased.session_id]
        assert record.seq in erased.versions
        for version in erased.versions:
            model.acts[version - 1] = "erased", model.acts[version - 1][0]
        model.do(NOTE)
        more = self.opened[0].records(erased.session_id, after=model.version)
        model.do(*(act_of(each.event) for each in more))
        if isinstance(record.event, UserMessageAdded):
            left = shown(before)
            said = record.event.timestamp or record.at
            left["said"] = [
                "" if (each.content, each.timestamp) == (record.event.content, said) else each.content
                for each in before.user_messages
            ]
            assert model.now == left

    # Reading

    @with_a_journal
    @rule(n=STORES, session_id=IDS, part=PARTS, seconds=st.sampled_from([0, 0, 9999]))
    def look_back(self, n, session_id, part, seconds):
        """At any version, and at the moment of any record."""
        session_id, model = self.pick(session_id)
        store = self.opened[n]
        records = list(store.records(session_id))
        assert [record.seq for record in records] == [*range(1, model.version + 1)]
        version = part_of(range(model.version + 1), part)
        assert shown(store.load_session(session_id, at=version)) == model.at(version)
        moment = records[max(version - 1, 0)].at - timedelta(seconds=seconds)
        last = max((record.seq for record in records if record.at <= moment), default=0)
        assert shown(store.load_session(session_id, at=moment)) == model.at(last)
        assert list(store.records(session_id, after=version)) == records[version:]

    @rule(n=STORES, limit=st.sampled_from([None, 1]))
    def list(self, n, limit):
        """The catalog knows what the model knows."""
        page = self.opened[n].list_sessions("u", limit)
        found = [*page]
        while page.next_page:
            page = self.opened[n].list_sessions("u", limit, page=page.next_page)
            found += page
        assert {each.id: (each.version, each.message_count) for each in found} == {
            session_id: (model.version, len(model.now["said"])) for session_id, model in self.models.items()
        }
        assert len(found) == len(self.models)
        assert page.unreadable == []
        assert self.opened[n].session_ids() == sorted(self.models)

    @with_a_journal
    @rule(n=STORES, session_id=IDS, done=acts)
    def list_what_changed(self, n, session_id, done):
        """No file came or went for long: the writers' marks are all there is to go by."""
        past = time.time_ns() - 10**9
        os.utime(f"{self.opened[n].base_path}/sessions", ns=(past, past))
        self.list(n, None)
        self.update(1 - n, session_id, done)
        self.list(n, None)

    @rule(n=STORES)
    def verify(self, n):
        """All is well: for verify, for doctor, and for repair."""
        store, layout = self.opened[n], Layout(self.opened[n].base_path)
        assert store.verify().ok
        for session_id in self.models:
            assert check_session(Disk(), layout, session_id).state in ("ok", "torn_tail")
            assert store.repair(session_id) == []
        remarks = [each for each in check_store(Disk(), layout) if each.about != "catalog"]
        assert all(remark.is_well for remark in remarks)

    # Documents

    @rule(n=STORES, where=DOCUMENTS, value=json_values(), text=texts())
    def save_documents(self, n, where, value, text):
        """JSON and Markdown of one name are two documents."""
        self.opened[n].save_json(*where, value)
        self.opened[n].save_markdown(*where, text)
        self.documents[where] = [value, text]

    @rule(n=STORES, where=DOCUMENTS)
    def delete_a_document(self, n, where):
        """JSON before Markdown."""
        kept = self.documents.get(where, [])
        assert self.opened[n].delete_file(*where) == bool(kept)
        del kept[:1]

    @rule(n=STORES)
    def read_documents(self, n):
        """Each as it was saved."""
        store = self.opened[n]
        for where, kept in self.documents.items():
            value, text = [None] * (2 - len(kept)) + kept
            assert (store.load_json(*where), store.load_markdown(*where)) == (value, text)
            assert store.list_category(where[0]) == ([where[1]] if kept else [])


def part_of(values, part):
    """One of several, by how far along it stands."""
    return values[len(values) * part // 100]
