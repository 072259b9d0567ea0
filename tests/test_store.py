"""StateStore, the face: what was saved is there, once, for everyone, whatever happens in between."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import journal
from journal import (
    ANY,
    AgentResponse,
    Change,
    DurabilityError,
    InvalidEventError,
    JournalClosedError,
    JournalWarning,
    OwnerMismatchError,
    Session,
    SessionNotFoundError,
    StateStore,
    UserMessage,
    VersionConflictError,
)
from projections import CustomEvent, MetadataSet, SessionCreated, UserMessageAdded
from projections.difference import is_same
from tests.strategies import CREATED, START, Act, a_store, acts, calls, contents, said


def conversation(store, *texts):
    """A saved session "s" of "u" with these messages."""
    session = Session.with_id("u", "s")
    for text in texts:
        session.add_user_message(text)
    store.save_session(session)
    return session


def fresh(store, session_id="s", **options):
    """The session as a store that has just been opened reads it."""
    with StateStore(store.base_path, durability="os") as other:
        return other.load_session(session_id, **options)


@pytest.fixture
def other(folder):
    """A second store on the same folder, as another process has."""
    with StateStore(folder, durability="os") as opened:
        yield opened


# Saving and loading


def test_a_saved_session_is_loaded_equal(store):
    """Every field, by this store and by a new one."""
    session = Session.with_id("u", "s")
    session.add_user_message("hello")
    session.add_agent_response(AgentResponse("hi", "sid", "seed", "phase", True))
    session.set_active_seed("seed")
    session.set_active_persona("persona")
    session.set_metadata("k", {"a": [1, 1.0, True, None]})
    version = store.save_session(session)

    assert version == session.version == 6
    assert not session.has_unsaved_changes
    for loaded in (store.load_session("s"), fresh(store)):
        assert is_same(loaded, session)
        assert loaded.version == 6


def test_a_save_without_a_change_writes_nothing(store, journal_file):
    """Not a byte, not a version."""
    session = conversation(store, "a")
    before = journal_file("s").read_bytes()

    assert store.save_session(session) == session.version == 2
    assert journal_file("s").read_bytes() == before


def test_what_is_not_there_loads_as_none(store, folder):
    """And asking creates nothing."""
    assert store.load_session("s") is None
    assert store.load_session("s", at=3) is None
    assert store.load_session("s", at=START) is None
    assert store.delete_session("s") is False
    assert store.list_sessions() == []
    with pytest.raises(SessionNotFoundError):
        list(store.records("s"))
    with pytest.raises(SessionNotFoundError):
        store.verify("s")
    with pytest.raises(SessionNotFoundError):
        store.update_session(Session.with_id("u", "s"))
    with pytest.raises(SessionNotFoundError):
        store.update_session_with("s", lambda session: None)
    assert not folder.exists()


@settings(max_examples=300)
@given(st.lists(st.lists(acts(), max_size=4), min_size=1, max_size=5), st.data())
def test_any_sequence_of_saved_sessions_loads_back_equal(rounds, data):
    """By methods and by hand, in several stores that take turns, with snapshots in between."""
    with a_store() as one, StateStore(one.base_path, durability="os") as two:
        session = Session.with_id("u", "s")
        for done in rounds:
            for act in done:
                act.on(session)
            writer = data.draw(st.sampled_from([one, two]))
            version = writer.save_session(session)
            assert version == session.version
            assert not session.has_unsaved_changes
            if data.draw(st.booleans()):
                writer.compact("s")
            for reader in (one, two):
                loaded = reader.load_session("s")
                assert is_same(loaded, session)
                assert loaded.version == version
            if data.draw(st.booleans()):
                session = data.draw(st.sampled_from([one, two])).load_session("s")
        assert is_same(fresh(one), session)
        assert one.verify("s").ok
        assert one.save_session(session) == session.version


@settings(max_examples=300)
@given(st.lists(st.lists(acts(), max_size=3), min_size=1, max_size=4), st.booleans())
def test_any_sequence_of_updates_loads_back_equal(rounds, compact):
    """update_session_with saves what its function did, by methods and by hand."""
    with a_store() as store:
        conversation(store, "first")
        for done in rounds:
            seen = []

            def change(session, done=done, seen=seen):
                for act in done:
                    act.on(session)
                seen.append(session.copy())

            store.update_session_with("s", change)
            loaded = store.load_session("s")
            expected = seen[-1]
            expected.updated_at = loaded.updated_at
            assert is_same(loaded, expected)
            assert is_same(fresh(store), loaded)
            if compact:
                store.compact("s")
        assert store.verify("s").ok


@given(st.lists(calls(), max_size=6))
def test_every_version_can_be_loaded(done):
    """As it was after each record, by number and by moment; also when snapshots were made later."""
    with a_store() as store:
        session = Session.with_id("u", "s")
        store.save_session(session)
        expected = [session.copy()]
        for act in done:
            act.on(session)
            store.save_session(session)
            expected.append(session.copy())
        store.compact("s")

        for each in expected:
            assert is_same(store.load_session("s", at=each.version), each)
            assert store.load_session("s", at=each.version).version == each.version
            at = store.load_session("s", at=each.updated_at)
            assert at.version >= each.version
            assert at.updated_at <= each.updated_at
        assert store.load_session("s", at=0) is None
        assert store.load_session("s", at=session.created_at - timedelta(microseconds=1)) is None
        with pytest.raises(SessionNotFoundError):
            store.load_session("s", at=len(expected) + 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_of_a_session_can_be_saved_in_its_place(store, duplicate):
    """With its version and its unsaved changes; the original is stale from then on."""
    session = conversation(store, "a")
    session.add_user_message("b")
    session.user_messages.append(UserMessage("by hand", START))
    twin = duplicate(session)

    assert store.save_session(twin) == 4
    assert contents(store.load_session("s")) == ["a", "b", "by hand"]
    session.add_user_message("c")
    with pytest.raises(VersionConflictError):
        store.save_session(session)


def test_a_session_built_by_hand_is_saved(store):
    """No method was called; what it is, is compared with what is there: nothing."""
    session = Session(
        id="s",
        user_id="u",
        user_messages=[UserMessage("a", START)],
        agent_responses=[AgentResponse("b", timestamp=START)],
        created_at=START,
        metadata={"k": [1]},
    )
    store.save_session(session)

    assert is_same(fresh(store), session)


def test_other_json_values_of_a_subclass_do_no_harm(store):
    """What is stored is what the next process reads, and nothing breaks later because of it."""

    class Word(str):
        __slots__ = ()

    session = conversation(store, "a")
    try:
        session.set_metadata(Word("k"), {Word("inner"): Word("value")})
        session.add_user_message(Word("b"))
        store.save_session(session)
    except InvalidEventError:
        assert contents(fresh(store)) == ["a"]
    else:
        store.compact()
        assert fresh(store).metadata == {"k": {"inner": "value"}}


# Conflicts and owners


def test_a_stale_save_is_a_conflict_and_writes_nothing(store, other, journal_file):
    """Both versions are told, in the sentence and as attributes; load it again, and it can be saved."""
    conversation(store, "a")
    mine, theirs = store.load_session("s"), other.load_session("s")
    theirs.add_user_message("theirs")
    other.save_session(theirs)
    before = journal_file("s").read_bytes()
    mine.add_user_message("mine")

    with pytest.raises(VersionConflictError, match="version 3, expected 2") as caught:
        store.save_session(mine)

    assert (caught.value.session_id, caught.value.version, caught.value.expected) == ("s", 3, 2)
    assert journal_file("s").read_bytes() == before
    with pytest.raises(VersionConflictError):
        store.save_session(mine)
    again = store.load_session("s")
    again.add_user_message("mine")
    assert store.save_session(again) == 4


def test_a_stale_edit_by_hand_is_a_conflict_too(store, other):
    """Also where nothing was noted by a method."""
    conversation(store, "a")
    mine = store.load_session("s")
    other.update_session_with("s", lambda session: session.add_user_message("theirs"))
    mine.user_messages.append(UserMessage("mine", START))

    with pytest.raises(VersionConflictError):
        store.save_session(mine)
    assert contents(store.load_session("s")) == ["a", "theirs"]


def test_a_new_session_does_not_overwrite_one_with_its_id(store, other):
    """Version 0 means that there is none yet."""
    conversation(store, "a")

    with pytest.raises(VersionConflictError):
        other.save_session(Session.with_id("u", "s"))
    assert contents(other.load_session("s")) == ["a"]


def test_any_puts_changes_on_top_of_what_others_wrote(store, other):
    """And the session is brought up to date in place."""
    mine = conversation(store, "a")
    other.update_session_with("s", lambda session: session.add_user_message("theirs"))
    mine.add_user_message("mine")

    assert store.save_session(mine, expected_version=ANY) == 4
    assert contents(mine) == ["a", "theirs", "mine"]
    assert mine.version == 4
    mine.add_user_message("more")
    assert store.save_session(mine) == 5
    assert is_same(fresh(store), mine)


def test_an_expected_version_of_ones_own_is_held_to(store):
    """It replaces the session's own version in the check."""
    session = conversation(store, "a")
    session.add_user_message("b")

    with pytest.raises(VersionConflictError):
        store.save_session(session, expected_version=7)
    assert store.save_session(session, expected_version=2) == 3


def test_another_users_session_is_never_touched(store, other, journal_file):
    """Not read out by get_or_create, not overwritten by a save, whatever version is expected."""
    conversation(store, "secret")
    before = journal_file("s").read_bytes()
    foreign = Session.with_id("mallory", "s")
    stolen = store.load_session("s")
    stolen.user_id = "mallory"
    for call in (
        lambda: other.get_or_create_session("mallory", "s"),
        lambda: other.save_session(foreign),
        lambda: other.save_session(foreign, expected_version=ANY),
        lambda: other.save_session(foreign, expected_version=2),
        lambda: other.save_session(stolen),
        lambda: other.update_session(foreign),
    ):
        with pytest.raises(OwnerMismatchError) as caught:
            call()
        assert (caught.value.session_id, caught.value.user_id) == ("s", "mallory")
        assert "secret" not in str(caught.value)
    assert journal_file("s").read_bytes() == before


def test_an_id_edited_by_hand_does_not_write_into_another_session(store):
    """A loaded session with another id is a session that is not there."""
    session = conversation(store, "a")
    session.id = "t"
    session.add_user_message("b")

    with pytest.raises((VersionConflictError, InvalidEventError)):
        store.save_session(session)
    assert contents(store.load_session("s")) == ["a"]
    assert store.load_session("t") is None


@pytest.mark.parametrize("how", ["conflict", "invalid"])
def test_a_refused_first_save_leaves_nothing_behind(store, how):
    """A session that was never saved is not there: not in a list, not for a delete, not as an empty file."""
    session = Session.with_id("u", "s")
    if how == "invalid":
        session.metadata["k"] = float("nan")
    with pytest.raises((VersionConflictError, InvalidEventError)):
        store.save_session(session, expected_version=3 if how == "conflict" else 0)

    assert store.session_ids() == []
    assert store.delete_session("s") is False
    assert [path.name for path in Path(store.base_path).glob("sessions/*")] == []


# get_or_create, update, delete


def test_get_or_create_makes_it_once(store, other):
    """The second call, in another store, finds what the first one made."""
    created = store.get_or_create_session("u", "s")
    created.add_user_message("a")
    store.save_session(created)
    found = other.get_or_create_session("u", "s")

    assert is_same(found, created)
    assert found.version == 2
    assert store.get_or_create_session("u").id != store.get_or_create_session("u").id
    assert len(store.session_ids()) == 3


def test_update_tries_again_on_a_conflict(store, other):
    """`change` sees what the other wrote, and both changes are kept."""
    conversation(store, "a")
    seen = []

    def change(session):
        seen.append(contents(session))
        if len(seen) == 1:
            other.update_session_with("s", lambda theirs: theirs.add_user_message("theirs"))
        session.add_user_message("mine")

    assert store.update_session_with("s", change) == 4
    assert seen == [["a"], ["a", "theirs"]]
    assert contents(store.load_session("s")) == ["a", "theirs", "mine"]


@pytest.mark.parametrize("by_hand_first", [True, False])
def test_an_update_may_edit_one_list_by_hand_and_add_to_the_other_by_a_method(store, by_hand_first):
    """Neither change undoes the other."""
    conversation(store, "a")

    def change(session):
        if by_hand_first:
            session.agent_responses.append(AgentResponse("by hand"))
        session.add_user_message("b")
        if not by_hand_first:
            session.agent_responses.append(AgentResponse("by hand"))

    store.update_session_with("s", change)

    for session in (store.load_session("s"), fresh(store)):
        assert contents(session) == ["a", "b"]
        assert [response.content for response in session.agent_responses] == ["by hand"]


def test_an_update_that_raises_writes_nothing(store, journal_file):
    """Neither its methods' changes nor its edits by hand stay, in the file or in memory."""
    conversation(store, "a")
    store.update_session_with("s", lambda session: session.set_metadata("k", [1]))
    before = journal_file("s").read_bytes()

    def change(session):
        session.add_user_message("b")
        session.user_messages.pop(0)
        session.metadata["k"].append(2)
        session.agent_responses.append(AgentResponse("c"))
        raise LookupError("changed my mind")

    for _ in range(2):
        with pytest.raises(LookupError):
            store.update_session_with("s", change)
    assert journal_file("s").read_bytes() == before
    assert contents(store.load_session("s")) == ["a"]
    assert store.load_session("s").metadata == {"k": [1]}
    assert store.update_session_with("s", lambda session: session.add_user_message("d")) == 4
    assert contents(fresh(store)) == ["a", "d"]


def test_an_update_refused_for_its_value_leaves_the_session_as_it_was(store):
    """InvalidEventError from inside the save, then on as if nothing had been."""
    conversation(store, "a")
    for spoil in (
        lambda s: (s.add_user_message("b"), s.set_metadata("k", float("nan"))),
        lambda s: (s.add_user_message("b"), s.metadata.update(k=float("nan"))),
        lambda s: (s.user_messages.clear(), s.metadata.update(k=float("nan"))),
    ):
        with pytest.raises(InvalidEventError):
            store.update_session_with("s", spoil)
        assert contents(store.load_session("s")) == ["a"]
    assert store.update_session_with("s", lambda session: session.add_user_message("c")) == 3
    assert contents(store.load_session("s")) == contents(fresh(store)) == ["a", "c"]


@settings(max_examples=300)
@given(st.lists(acts(), max_size=4), st.lists(acts(), min_size=1, max_size=4))
def test_a_session_that_leaked_out_of_an_update_is_harmless(inside, outside):
    """Whatever is done with it, its lists and its metadata later: the store's answers stay the truth."""
    with a_store() as store:
        conversation(store, "a")
        leaked = []

        def change(session):
            for act in inside:
                act.on(session)
            leaked.extend([session, session.user_messages, session.agent_responses, session.metadata])

        store.update_session_with("s", change)
        truth = fresh(store)
        for act in outside:
            try:
                act.on(leaked[0])
            except RuntimeError:
                continue  # the session says itself that it was taken back
        leaked[1].append(UserMessage("leaked"))
        leaked[2].insert(0, AgentResponse("leaked"))
        leaked[3]["leaked"] = True
        with pytest.raises((RuntimeError, VersionConflictError)):
            store.save_session(leaked[0])

        assert is_same(store.load_session("s"), truth)
        store.update_session_with("s", lambda session: session.add_user_message("next"))
        truth.user_messages.append(store.load_session("s").user_messages[-1])
        truth.updated_at = store.load_session("s").updated_at
        assert is_same(store.load_session("s"), truth)
        assert is_same(fresh(store), truth)


def test_loaded_sessions_are_the_callers_own(store):
    """Editing one changes no answer before it is saved."""
    conversation(store, "a")
    store.update_session_with("s", lambda session: session.set_metadata("k", {"list": [1]}))
    for loaded in (
        store.load_session("s"),
        store.load_session("s", at=3),
        store.get_or_create_session("u", "s"),
    ):
        loaded.user_messages.clear()
        loaded.metadata["k"]["list"].append(2)
        loaded.active_seed_id = "mine"

        assert contents(store.load_session("s")) == ["a"]
        assert store.load_session("s").metadata == {"k": {"list": [1]}}
        assert store.load_session("s").active_seed_id is None


def test_a_deleted_session_is_gone_and_its_id_can_be_used_again(store, other, folder):
    """A tombstone keeps id, version and chain, who, when and why; nothing of the old session comes back."""
    old = conversation(store, "a")
    store.compact()
    head = store.verify("s").head
    other.load_session("s")

    assert store.delete_session("s", why="asked to") is True
    assert store.delete_session("s") is False
    assert store.load_session("s") is other.load_session("s") is None
    assert list((folder / "sessions").iterdir()) == []
    [line] = (folder / ".journal" / "tombstones.jsonl").read_text().splitlines()
    tombstone = json.loads(line)
    assert (tombstone["id"], tombstone["version"], tombstone["chain"]) == ("s", 2, head)
    assert tombstone["why"] == "asked to"
    assert datetime.fromisoformat(tombstone["at"]) <= datetime.now(UTC)
    old.add_user_message("late")
    with pytest.raises(VersionConflictError):
        store.save_session(old)
    assert conversation(other, "new").version == 2
    assert contents(store.load_session("s")) == contents(fresh(store)) == ["new"]


def test_deleting_what_a_first_save_left_behind_when_it_was_cut_short(store, folder, journal_file):
    """There never was such a session: no, it was not there, and no tombstone; its bytes go."""
    conversation(store, "a")
    store.close()
    (folder / "sessions" / "s.json").unlink()
    with journal_file("s").open("r+b") as file:
        file.truncate(20)
    with StateStore(folder) as store:
        assert store.load_session("s") is None
        assert store.delete_session("s") is False
    assert list((folder / "sessions").glob("*.jsonl")) == []
    assert not (folder / ".journal" / "tombstones.jsonl").exists()


# Append


def test_append_is_all_or_nothing_in_order(store, journal_file):
    """One call, one batch; the version returned is the last record's."""
    assert store.append("s", [CREATED, said("a"), CustomEvent(name="n", data=[1])], expected_version=0) == 3
    assert store.append("s", [said("b")], expected_version=3) == 4
    with pytest.raises(VersionConflictError):
        store.append("s", [said("c")], expected_version=3)
    with pytest.raises(VersionConflictError):
        store.append("s", [CREATED], expected_version=0)

    assert [record.seq for record in store.records("s")] == [1, 2, 3, 4]
    assert contents(store.load_session("s")) == ["a", "b"]


def test_append_says_who_why_and_when(store, folder):
    """`by` of the call, else the store's actor; a Change brings its own moment, author and cause."""
    with StateStore(folder, actor="agent:planner") as named:
        named.append("s", [CREATED], expected_version=0)
        named.append("s", [said("a")], expected_version=1, by="someone", cause="why", key="k")
        named.append(
            "s", [Change(event=said("b"), at=START, by="other", cause="c", key="l")], expected_version=2
        )
        named.update_session_with("s", lambda session: session.add_user_message("c"))
    one, two, three, four = store.records("s")

    assert (one.by, one.cause, one.key) == ("agent:planner", None, None)
    assert (two.by, two.cause, two.key) == ("someone", "why", "k")
    assert (three.by, three.cause, three.key, three.at) == ("other", "c", "l", START)
    assert four.by == "agent:planner"


def test_an_empty_batch_asserts_the_version_and_writes_nothing(store, folder):
    """Also where there is no session."""
    assert store.append("s", [], expected_version=0) == 0
    assert store.append("s", [], expected_version=ANY) == 0
    with pytest.raises(VersionConflictError):
        store.append("s", [], expected_version=1)
    assert not (folder / "sessions").exists()
    store.append("s", [CREATED], expected_version=0)

    assert store.append("s", [], expected_version=1) == store.append("s", [], expected_version=ANY) == 1
    with pytest.raises(VersionConflictError):
        store.append("s", [], expected_version=0)


def test_a_session_begins_with_whose_it_is(store):
    """Its first event names it, by its own id; nothing is written otherwise."""
    with pytest.raises(InvalidEventError, match="its first event must be SessionCreated"):
        store.append("s", [said("a")], expected_version=0)
    with pytest.raises(InvalidEventError, match="of session 't'"):
        store.append("s", [SessionCreated(session_id="t", user_id="u")], expected_version=0)

    assert store.load_session("s") is None
    assert store.delete_session("s") is False
    assert store.append("s", [CREATED], expected_version=0) == 1


def test_append_with_any_goes_to_the_end(store, other):
    """Whatever others wrote."""
    store.append("s", [CREATED], expected_version=ANY)
    other.append("s", [said("a")], expected_version=ANY)

    assert store.append("s", [said("b")], expected_version=ANY) == 3
    assert contents(other.load_session("s")) == ["a", "b"]


@pytest.mark.parametrize("expected_version", [1, ANY])
def test_a_key_makes_a_retry_safe(store, other, journal_file, expected_version):
    """The same append with the same key is there once, in every store."""
    store.append("s", [CREATED], expected_version=0)
    batch = [said("a"), said("b")]
    first = store.append("s", batch, expected_version=expected_version, key="k")
    before = journal_file("s").read_bytes()

    for each in (store, other):
        assert each.append("s", batch, expected_version=expected_version, key="k") == first == 3
    assert journal_file("s").read_bytes() == before


def test_a_key_with_another_content_is_an_error(store, journal_file):
    """Two different requests with one key are a mistake, never a silent success."""
    store.append("s", [CREATED], expected_version=0)
    store.append("s", [said("a")], expected_version=1, key="k")
    before = journal_file("s").read_bytes()
    for batch in ([said("b")], [said("a"), said("b")], [MetadataSet(key="a", value=1)]):
        with pytest.raises(InvalidEventError, match="'k'"):
            store.append("s", batch, expected_version=1, key="k")

    assert journal_file("s").read_bytes() == before


def test_a_key_found_on_a_longer_batch_is_another_content(store):
    """A part of an earlier batch is not that batch."""
    store.append("s", [CREATED], expected_version=0)
    store.append("s", [said("a"), said("b")], expected_version=1, key="k")

    with pytest.raises(InvalidEventError):
        store.append("s", [said("a")], expected_version=1, key="k")


def test_another_key_is_a_conflict(store):
    """What stands there is not this append's earlier try."""
    store.append("s", [CREATED], expected_version=0)
    store.append("s", [said("a")], expected_version=1, key="k")

    with pytest.raises(VersionConflictError):
        store.append("s", [said("a")], expected_version=1, key="l")
    with pytest.raises(VersionConflictError):
        store.append("s", [said("a")], expected_version=1)


# A save whose acknowledgement was lost


def lose_the_next_sync(store, monkeypatch):
    """The records reach the file, and the disk says that it failed."""

    def sync(fd):
        monkeypatch.undo()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store._disk, "sync", sync, raising=False)


@pytest.fixture
def durable(folder):
    with StateStore(folder) as opened:
        yield opened


def test_a_failed_sync_is_told_as_an_unknown_outcome(durable, monkeypatch):
    """Never as a success, never as a clean failure."""
    session = conversation(durable, "a")
    session.add_user_message("b")
    lose_the_next_sync(durable, monkeypatch)

    with pytest.raises(DurabilityError) as caught:
        durable.save_session(session)
    assert caught.value.outcome_unknown
    assert session.version == 2
    assert session.has_unsaved_changes


@pytest.mark.parametrize("expected_version", [None, ANY])
def test_a_retried_save_is_there_once(durable, monkeypatch, expected_version):
    """The record's identity was drawn with the first try."""
    session = conversation(durable, "a")
    session.add_user_message("b")
    session.set_metadata("k", 1)
    lose_the_next_sync(durable, monkeypatch)
    with pytest.raises(DurabilityError):
        durable.save_session(session, expected_version=expected_version)

    assert durable.save_session(session, expected_version=expected_version) == 4
    assert contents(durable.load_session("s")) == contents(fresh(durable)) == ["a", "b"]
    assert not session.has_unsaved_changes
    session.add_user_message("c")
    assert durable.save_session(session) == 5


def test_a_retried_first_save_is_there_once(durable, monkeypatch):
    """Also where the session is new."""
    session = Session.with_id("u", "s")
    session.add_user_message("a")
    lose_the_next_sync(durable, monkeypatch)
    with pytest.raises(DurabilityError):
        durable.save_session(session)

    assert durable.save_session(session) == 2
    assert contents(fresh(durable)) == ["a"]


def test_a_retried_save_of_edits_by_hand_is_there_once(durable, monkeypatch):
    """What was found by comparing is known again too."""
    session = conversation(durable, "a")
    session.user_messages.append(UserMessage("by hand", START))
    lose_the_next_sync(durable, monkeypatch)
    with pytest.raises(DurabilityError):
        durable.save_session(session)

    assert durable.save_session(session) == 3
    assert contents(fresh(durable)) == ["a", "by hand"]


@pytest.mark.parametrize("more", [Act("add_user_message", ("c",)), Act("edit the metadata", ("c", 1))])
def test_what_was_added_after_a_lost_save_is_saved_with_its_retry(durable, monkeypatch, more):
    """An agent goes on after an error: the first part is there once, and so is the rest."""
    session = conversation(durable, "a")
    session.add_user_message("b")
    lose_the_next_sync(durable, monkeypatch)
    with pytest.raises(DurabilityError):
        durable.save_session(session)
    more.on(session)
    durable.save_session(session)

    assert is_same(fresh(durable), session)
    assert contents(session)[:2] == ["a", "b"]
    assert session.version == len(list(durable.records("s")))


def test_a_retried_update_is_there_once(durable, monkeypatch):
    """The error reaches the caller; the next update sees what is on record."""
    conversation(durable, "a")
    lose_the_next_sync(durable, monkeypatch)
    with pytest.raises(DurabilityError):
        durable.update_session_with("s", lambda session: session.add_user_message("b"))

    assert contents(durable.load_session("s")) == contents(fresh(durable))
    durable.update_session_with("s", lambda session: session.add_user_message("b"))
    assert contents(fresh(durable)) == ["a", "b"]


@pytest.mark.parametrize("written", [0, 10, 200])
def test_a_full_disk_leaves_the_session_as_it_was(store, monkeypatch, journal_file, written):
    """A short write is cut off again; when there is room, the same save goes through."""
    session = conversation(store, "a")
    before = journal_file("s").read_bytes()
    session.add_user_message("b")
    left = [written]

    def write(fd, data):
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        done = os.write(fd, bytes(data)[: left[0]])
        left[0] -= done
        return done

    with monkeypatch.context() as full:
        full.setattr(store._disk, "write", write, raising=False)
        with pytest.raises(DurabilityError) as caught:
            store.append("s", [said("x" * 500)], expected_version=2)
    assert not caught.value.outcome_unknown
    assert journal_file("s").read_bytes() == before
    assert contents(store.load_session("s")) == ["a"]
    assert store.save_session(session) == 3


def test_a_short_write_goes_on_where_it_stopped(store, monkeypatch):
    """A system may write less than it was asked to."""
    monkeypatch.setattr(store._disk, "write", lambda fd, data: os.write(fd, bytes(data)[:7]), raising=False)
    conversation(store, "a", "b")

    assert contents(fresh(store)) == ["a", "b"]
    assert store.verify("s").ok


# History


def test_records_after_a_version(store):
    """Those with a higher number."""
    conversation(store, "a", "b")

    assert [record.seq for record in store.records("s", after=1)] == [2, 3]
    assert list(store.records("s", after=3)) == []
    assert [type(record.event) for record in store.records("s")] == [SessionCreated] + [UserMessageAdded] * 2


class Words:
    """How many words the user said; a projection as a user writes one."""

    name = "words"
    version = 1

    def initial(self):
        return 0

    def apply(self, state, record):
        match record.event:
            case UserMessageAdded(content=content):
                return state + len(content.split())
            case _:
                return state


def test_a_projection_of_ones_own_runs_over_the_history(store):
    """Now, at a version, at a moment; None where there is no session."""
    conversation(store, "one two", "three", "four five six")

    assert store.project(Words(), "s") == 6
    assert [store.project(Words(), "s", at=n) for n in range(5) if n < 5] == [0, 0, 2, 3, 6]
    assert store.project(Words(), "s", at=datetime.now(UTC)) == 6
    assert store.project(Words(), "t") is None
    with pytest.raises(SessionNotFoundError):
        store.project(Words(), "s", at=9)


def test_a_moment_is_that_of_the_last_record_that_is_not_later(store):
    """Clocks go back: the number decides, not the first time that is too late."""
    times = [START, START + timedelta(hours=2), START + timedelta(hours=1), START + timedelta(hours=3)]
    happened = [CREATED, said("a"), said("b"), said("c")]
    changes = [Change(event=event, at=at) for event, at in zip(happened, times, strict=True)]
    store.append("s", changes, expected_version=0)

    assert store.load_session("s", at=START).version == 1
    assert store.load_session("s", at=START + timedelta(minutes=90)).version == 3
    assert store.load_session("s", at=START - timedelta(seconds=1)) is None
    assert store.load_session("s", at=START + timedelta(days=1)).version == 4


def test_verify_reports_all_sessions_together(store, journal_file):
    """One damaged session does not hide behind the others."""
    for name in "abc":
        store.save_session(Session.with_id("u", name))
    assert store.verify().ok
    assert store.verify().sessions == 3
    journal_file("b").write_bytes(journal_file("b").read_bytes().replace(b'"u"', b'"v"'))
    report = store.verify()

    assert not report.ok
    assert len(report.findings) == 1
    assert str(journal_file("b")) in report.findings[0]


# Snapshots


SEED_KEYS = ["id", "user_id", "user_messages", "agent_responses", "active_seed_id", "active_persona_id"]
SEED_KEYS += ["created_at", "updated_at", "metadata"]


def test_a_snapshot_holds_the_seeds_keys_in_order_and_journal(store, snapshot_file):
    """Nothing else; two-space JSON without a newline at the end; absent ids are left out, not null."""
    session = conversation(store, "é\u0001")
    session.add_agent_response("x")
    store.save_session(session)
    store.compact()
    text = snapshot_file("s").read_text()
    plain = json.loads(text)

    assert list(plain) == [key for key in SEED_KEYS if not key.startswith("active")] + ["journal"]
    assert list(plain["user_messages"][0]) == ["content", "timestamp"]
    assert list(plain["agent_responses"][0]) == [
        "content", "session_id", "seed_id", "phase_reached", "evaluation_passed", "timestamp"
    ]  # fmt: skip
    assert list(plain["journal"]) == ["version", "offset", "chain", "fold"]
    assert text == json.dumps(plain, indent=2, ensure_ascii=False)
    assert plain["created_at"].endswith("Z")
    session.set_active_seed("a")
    session.set_active_persona("b")
    store.save_session(session)
    store.compact()
    assert list(json.loads(snapshot_file("s").read_text())) == [*SEED_KEYS, "journal"]


def test_snapshots_always_are_current_at_each_save(folder, snapshot_file):
    """What a program that reads only snapshots sees is the truth after every kind of save."""
    with StateStore(folder, durability="os", snapshots="always") as store:
        session = conversation(store, "a")

        def shown():
            plain = json.loads(snapshot_file("s").read_text())
            return [m["content"] for m in plain["user_messages"]], plain["journal"]["version"]

        assert shown() == (["a"], 2)
        session.add_user_message("b")
        store.save_session(session)
        assert shown() == (["a", "b"], 3)
        store.update_session_with("s", lambda s: s.add_user_message("c"))
        assert shown() == (["a", "b", "c"], 4)
        store.append("s", [said("d")], expected_version=4)
        assert shown() == (["a", "b", "c", "d"], 5)


def test_closing_brings_the_snapshot_up_to_date(store, snapshot_file):
    """And compacting tells how many it wrote."""
    conversation(store, "a")
    assert store.compact() == 1
    assert store.compact() == 0
    store.update_session_with("s", lambda session: session.add_user_message("b"))
    store.close()

    assert len(json.loads(snapshot_file("s").read_text())["user_messages"]) == 2


def test_deleting_all_that_is_derived_changes_no_answer(store, folder):
    """Snapshots and catalog are disposable."""
    for name in "abc":
        session = Session.with_id("u", name)
        for number in range(300):
            session.add_user_message(f"{name}{number}" * 20)
            store.save_session(session)

    def answers():
        with StateStore(folder, durability="os") as opened:
            listed = opened.list_sessions()
            loaded = [opened.load_session(name) for name in "abc"]
            old = [opened.load_session(name, at=7) for name in "abc"]
            heads = [opened.verify(name).head for name in "abc"]
            return listed, loaded, old, heads, opened.session_ids()

    store.close()
    before = answers()
    for path in (folder / "sessions").glob("*.json"):
        path.unlink()
    shutil.rmtree(folder / ".journal")

    assert answers() == before


BAD_SNAPSHOTS = {
    "empty": lambda text: b"",
    "cut": lambda text: text[: len(text) // 2],
    "garbage": lambda text: b"\0\xff" * 100,
    "no object": lambda text: b"[]",
    "of another fold": lambda text: text.replace(b"session/2", b"session/0"),
    "with another chain": lambda text: text.replace(b'"chain": "', b'"chain": "x'),
    "with another offset": lambda text: text.replace(b'"offset": ', b'"offset": 1'),
    "with a negative offset": lambda text: text.replace(b'"offset": ', b'"offset": -'),
    "with a huge offset": lambda text: text.replace(b'"offset": ', b'"offset": 1' + b"0" * 30),
    "with a negative version": lambda text: text.replace(b'"version": ', b'"version": -'),
    "with another version": lambda text: text.replace(b'"version": ', b'"version": 1'),
    "of another session": lambda text: text.replace(b'"id": "s"', b'"id": "t"'),
    "deeply nested": lambda text: b"[" * 100_000,
}


@pytest.mark.parametrize("spoil", BAD_SNAPSHOTS.values(), ids=BAD_SNAPSHOTS.keys())
def test_a_bad_snapshot_never_makes_a_session_unreadable(store, snapshot_file, spoil):
    """It is ignored, and rebuilt from the journal."""
    session = conversation(store, "a", "b")
    store.close()
    good = snapshot_file("s").read_bytes()
    assert spoil(good) != good
    snapshot_file("s").write_bytes(spoil(good))
    with StateStore(store.base_path, durability="os") as opened:
        assert is_same(opened.load_session("s"), session)
        assert opened.verify("s").version == 3
        assert [each.id for each in opened.list_sessions()] == ["s"]
        assert opened.update_session_with("s", lambda s: s.add_user_message("c")) == 4
    assert contents(fresh(store)) == ["a", "b", "c"]
    assert json.loads(snapshot_file("s").read_bytes())["journal"]["version"] == 4


def test_a_snapshot_that_is_no_utf8_is_ignored(store, snapshot_file):
    """Also where only a text that nobody looks at is garbled."""
    conversation(store, "a")
    store.close()
    path = snapshot_file("s")
    path.write_bytes(path.read_bytes().replace(b'{\n  "id"', b'{\n  "other": "\xff",\n  "id"'))
    with StateStore(store.base_path, durability="os") as opened:
        assert contents(opened.load_session("s")) == ["a"]
        assert opened.verify("s").kinds == ["broken_snapshot"]


def test_a_snapshot_of_another_fold_is_ignored(store, snapshot_file):
    """An older version of the library may have folded the same records to something else."""
    conversation(store, "a")
    store.close()
    snapshot = json.loads(snapshot_file("s").read_bytes())
    snapshot["user_messages"][0]["content"] = "b"
    snapshot["journal"]["fold"] = "session/0"
    snapshot_file("s").write_text(json.dumps(snapshot))
    with StateStore(store.base_path, durability="os") as opened:
        assert contents(opened.load_session("s")) == ["a"]


def test_a_snapshot_of_another_journal_of_the_same_length_is_ignored(tmp_path):
    """Number and place are the same; the chain tells them apart."""
    for name in ("one", "two"):
        with StateStore(tmp_path / name, durability="os") as store:
            store.append("s", [CREATED, said(name)], expected_version=0)
    one, two = (tmp_path / name / "sessions" / "s.jsonl" for name in ("one", "two"))
    assert one.stat().st_size == two.stat().st_size
    one.write_bytes(two.read_bytes())
    with StateStore(tmp_path / "one", durability="os") as store:
        assert contents(store.load_session("s")) == ["two"]


@pytest.mark.parametrize("what", ["folder", "symlink", "dangling symlink"])
def test_what_is_no_file_in_a_snapshots_place_makes_no_session_unreadable(
    store, snapshot_file, tmp_path, what
):
    """The journal is the truth; and a symlink is never followed."""
    session = conversation(store, "a")
    store.close()
    snapshot_file("s").unlink()
    if what == "folder":
        snapshot_file("s").mkdir()
    else:
        target = tmp_path / "target"
        if what == "symlink":
            target.write_text("{}")
        snapshot_file("s").symlink_to(target)
    with StateStore(store.base_path, durability="os") as opened:
        assert is_same(opened.load_session("s"), session)
        opened.update_session_with("s", lambda s: s.add_user_message("b"))
        assert contents(opened.load_session("s")) == ["a", "b"]
    assert contents(fresh(store)) == ["a", "b"]


def test_a_snapshot_rewritten_by_another_program_is_told_and_left(store, snapshot_file):
    """The journal wins, with a warning; the other's file is not overwritten."""
    conversation(store, "a")
    store.close()
    plain = json.loads(snapshot_file("s").read_text())
    del plain["journal"]
    plain["user_messages"].append({"content": "theirs", "timestamp": "2026-11-22T12:00:00Z"})
    theirs = json.dumps(plain)
    snapshot_file("s").write_text(theirs)
    with pytest.warns(JournalWarning, match="another program"), StateStore(store.base_path) as opened:  # noqa: PT031
        assert contents(opened.load_session("s")) == ["a"]
        opened.update_session_with("s", lambda session: session.add_user_message("ours"))
        assert contents(opened.load_session("s")) == ["a", "ours"]
        assert not opened.verify("s").ok

    assert snapshot_file("s").read_text() == theirs


def test_a_broken_session_does_not_stop_the_compaction_of_others(store, folder, journal_file, snapshot_file):
    """Nor does what is no session at all."""
    for name in "abc":
        store.save_session(Session.with_id("u", name))
    journal_file("a").write_bytes(journal_file("a").read_bytes().replace(b'"u"', b'"v"'))
    (folder / "sessions" / "a..b.json").write_text("{}")
    (folder / "sessions" / "aa.json").mkdir()
    (folder / "sessions" / "ab.json").symlink_to("b.json")
    with StateStore(folder, durability="os") as opened:
        assert opened.compact() == 2

    assert snapshot_file("b").exists()
    assert snapshot_file("c").exists()


@pytest.mark.parametrize("name", ["a..b.json", "folder.json", "link.json", "\udcff.json", "\udcff.jsonl"])
def test_what_is_no_session_in_the_folder_stops_no_list_and_no_verify(store, folder, name):
    """It is reported, and the sessions are listed and verified."""
    conversation(store, "a")
    path = folder / "sessions" / name
    if name == "folder.json":
        path.mkdir()
    elif name == "link.json":
        path.symlink_to("s.jsonl")
    else:
        path.write_text("{}")
    with StateStore(folder, durability="os") as opened:
        page = opened.list_sessions()
        assert [each.id for each in page] == ["s"]
        assert len(page.unreadable) == 1
        report = opened.verify()
        assert not report.ok
        assert report.version == 2


def test_snapshots_are_written_within_a_constant_factor_of_the_journal(store, monkeypatch):
    """However often a session is saved."""
    written = []
    monkeypatch.setattr(
        store._disk, "write", lambda fd, data: written.append(len(data)) or os.write(fd, data), raising=False
    )
    session = conversation(store, "a")
    for number in range(2000):
        session.add_user_message(f"{number}" * 30)
        store.save_session(session)

    assert sum(written) < 4 * Path(store.base_path, "sessions", "s.jsonl").stat().st_size


# Life of a store


def test_open_files_are_bounded_however_many_sessions_are_touched(store):
    """A thousand sessions, fewer than 200 open files, and none once the store is closed."""
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    for number in range(1000):
        session = Session.with_id("u", str(number))
        store.save_session(session)
        store.load_session(str(number))
        if number % 50 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    store.list_sessions()
    store.compact()
    most = max(most, len(os.listdir("/proc/self/fd")))
    abandoned = [next(store.records(str(number))) for number in range(20)]
    store.close()

    assert most - before < 200
    assert len(abandoned) == 20
    assert len(os.listdir("/proc/self/fd")) <= before


def test_sessions_that_were_closed_to_make_room_go_on(store):
    """Nothing depends on which files are open."""
    sessions = [Session.with_id("u", str(number)) for number in range(300)]
    for _ in range(2):
        for session in sessions:
            session.add_user_message("x")
            store.save_session(session)

    assert {len(store.load_session(session.id).user_messages) for session in sessions} == {2}


def test_a_closed_store_says_so(store):
    """Every call about sessions, and closing twice does no harm."""
    session = conversation(store, "a")
    records = store.records("s")
    store.close()
    store.close()
    session.add_user_message("b")
    for call in (
        lambda: store.save_session(session),
        lambda: store.load_session("s"),
        lambda: store.load_session("s", at=1),
        lambda: store.update_session_with("s", lambda s: None),
        lambda: store.update_session(session),
        lambda: store.get_or_create_session("u", "s"),
        lambda: store.get_or_create_session("u"),
        lambda: store.delete_session("s"),
        lambda: store.append("s", [said("b")], expected_version=2),
        lambda: list(store.records("s")),
        lambda: list(records),
        lambda: store.project(Words(), "s"),
        lambda: store.list_sessions(),
        lambda: store.session_ids(),
        lambda: store.compact(),
        lambda: store.compact("s"),
        lambda: store.verify(),
    ):
        with pytest.raises(JournalClosedError):
            call()
    assert contents(fresh(store)) == ["a"]


def test_a_child_process_may_not_write_with_its_parents_store(tmp_path):
    """After a fork both would believe that they own the same place in the file."""
    script = """
import os, sys
from journal import JournalClosedError, Session, StateStore
from projections import UserMessageAdded
store = StateStore(sys.argv[1], durability="os")
session = Session.with_id("u", "s")
store.save_session(session)
session.add_user_message("x")
if (child := os.fork()) == 0:
    refused = 0
    for call in (
        lambda: store.save_session(session),
        lambda: store.append("s", [UserMessageAdded(content="x")], expected_version=1),
        lambda: store.update_session_with("s", lambda s: s.add_user_message("x")),
        lambda: store.delete_session("s"),
        lambda: store.list_sessions(),
    ):
        try:
            call()
        except JournalClosedError:
            refused += 1
    with StateStore(sys.argv[1], durability="os") as own:
        own.update_session_with("s", lambda s: s.add_user_message("child"))
    os._exit(refused)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 5, status
assert [m.content for m in store.load_session("s").user_messages] == ["child"]
store.update_session_with("s", lambda s: s.add_user_message("parent"))
assert store.load_session("s").version == 3 and store.verify("s").ok
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=30
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_store_may_be_closed_in_a_child_process(tmp_path):
    """A child that inherits a store and leaves its `with` does the parent no harm."""
    script = """
import os, sys
from journal import Session, StateStore
with StateStore(sys.argv[1], durability="os") as store:
    store.save_session(Session.with_id("u", "s"))
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        store.update_session_with("s", lambda s: s.add_user_message("parent"))
if child:
    with StateStore(sys.argv[1]) as store:
        assert store.verify("s").ok and store.load_session("s").version == 2
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=30
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("options", [{"durability": "none"}, {"snapshots": "never"}, {"durability": True}])
def test_unknown_options_are_refused(folder, options):
    """A typing error must not weaken a promise."""
    with pytest.raises(ValueError, match="is '"):
        StateStore(folder, **options)


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    """Changing the working folder does not move a store."""
    monkeypatch.chdir(tmp_path)
    with StateStore("state", durability="os") as store:
        monkeypatch.chdir("/")
        conversation(store, "a")

    assert (tmp_path / "state" / "sessions" / "s.jsonl").exists()


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["save", "update", "append", "compact", "another store"]), max_size=12))
def test_versions_have_no_gaps_whatever_wrote_them(ways):
    """1, 2, 3 …, in the file, in the records and in what the calls return."""
    with a_store() as store:
        session = conversation(store, "a")
        version = session.version
        for way in ways:
            if way == "save":
                session = store.load_session("s")
                session.add_user_message("x")
                assert store.save_session(session) == version + 1
                version += 1
            elif way == "update":
                assert store.update_session_with("s", lambda s: s.add_user_message("y")) == version + 1
                version += 1
            elif way == "append":
                assert store.append("s", [said("z")] * 3, expected_version=version) == version + 3
                version += 3
            elif way == "compact":
                store.compact("s")
            else:
                assert fresh(store).version == version
        assert [record.seq for record in store.records("s")] == list(range(1, version + 1))
        assert journal.ANY == ANY


def test_a_session_that_was_deleted_and_made_anew_is_another_one(store):
    """The same id and the same version are not enough: the stale one must not replace the new one."""
    old = conversation(store, "old")
    store.delete_session("s")
    new = conversation(store, "new")
    assert old.version == new.version
    old.add_user_message("to the old one")
    with pytest.raises(VersionConflictError, match="deleted"):
        store.save_session(old)

    assert contents(store.load_session("s")) == ["new"]


def test_a_deleted_session_is_saved_anew_by_who_does_not_care(store):
    """With ANY it is there again as that session says it, and it says whose it is."""
    session = conversation(store, "a", "b")
    store.delete_session("s")
    session.add_user_message("c")
    with pytest.raises(VersionConflictError):
        store.save_session(session)
    store.save_session(session, expected_version=ANY)

    assert contents(store.load_session("s")) == ["a", "b", "c"]
    assert is_same(store.load_session("s"), session)
    assert store.load_session("s", at=1).user_id == "u"
    assert store.verify("s").ok


@pytest.mark.parametrize("call", ["make_folder", "open", "write"])
def test_a_full_disk_is_a_durability_error_at_every_step(folder, monkeypatch, call):
    """Folders, the journal, the catalog's mark, the records: nothing is written, and the retry works."""
    with StateStore(folder, durability="os") as store:
        session = Session.with_id("u", "s")
        session.add_user_message("a")

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(store._disk, call, full, raising=False)
        with pytest.raises(DurabilityError, match="No space left") as caught:
            store.save_session(session)
        monkeypatch.undo()
        assert not caught.value.outcome_unknown
        assert store.load_session("s") is None
        store.save_session(session)

        assert contents(store.load_session("s")) == ["a"]
        assert store.verify("s").ok


def test_damage_of_the_first_record_leaves_nothing_to_be_trusted(store, folder):
    store.save_session(Session.with_id("ann", "s"))
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ann", b"bob"))

    assert store.verify("s").findings[0].endswith("Nothing of it can be trusted.")
