"""Forks and rewinds: the same history up to a point, and the proof of it; what was, again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from crash.forging import SAID, forged
from crash.simulate_process import SimulatedStore
from crash.simulate_turns import Turns
from crash.simulate_world import STORE, World
from crash.simulated_disk import SimulatedDisk
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    ANY,
    Change,
    CorruptRecordError,
    Session,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)
from journal.chain import event_bytes
from journal.rechain import without_content
from projections import MetadataSet, SessionReplaced, ToolCalled
from projections.difference import is_same
from projections.erasure import why_kept
from tests.model import acts, do
from tests.strategies import CREATED, START, a_store, changes, contents, said, some
from tests.test_durability import calls_of

FOREIGN = {
    "id": "f",
    "user_id": "u",
    "user_messages": [{"content": "a", "timestamp": "2026-11-22T12:00:00Z"}],
    "agent_responses": [],
    "created_at": "2026-11-22T12:00:00Z",
    "updated_at": "2026-11-22T12:00:00Z",
    "metadata": {"k": 1},
}


def histories_of_batches():
    """What is appended to a session, batch by batch, behind its creation."""
    return st.lists(st.lists(changes(), min_size=1, max_size=4), max_size=4)


def filled(store, batches, session_id="s"):
    """A session with these batches; the first begins with its creation."""
    store.append(
        session_id, [Change(event=CREATED, at=START), *(batches[0] if batches else [])], expected_version=0
    )
    for batch in batches[1:]:
        store.append(session_id, batch, expected_version=ANY)


def but_the_id(session):
    """The session, for comparing it with a fork of it."""
    session.id = ""
    return session


@some
@given(histories_of_batches(), st.data())
def test_a_fork_has_the_states_of_its_origin_up_to_there(batches, data):
    """The same versions, record ids, times and events; verify passes, and the origin is as it was."""
    with a_store() as store:
        filled(store, batches)
        records = list(store.records("s"))
        n = data.draw(st.integers(1, len(records)))
        forked = store.fork("s", n, new_id="t")
        copies = list(store.records("t"))

        assert forked.version == n
        assert [(each.seq, each.id, each.at, each.by, each.event, each.digest) for each in copies[1:]] == [
            (each.seq, each.id, each.at, each.by, each.event, each.digest) for each in records[1:n]
        ]
        one, other = store.timeline("s"), store.timeline("t")
        for version in range(1, n + 1):
            assert other[version].id == "t"
            assert is_same(but_the_id(one[version]), but_the_id(other[version]))
        report = store.verify("t")
        assert report.ok
        assert any(f"forked from session 's' at version {n}" in note for note in report.notes)
        assert list(store.records("s")) == records
        assert store.verify("s").ok


@some
@given(histories_of_batches(), acts, st.data())
def test_the_same_changes_behind_a_fork_give_the_same_session(batches, more, data):
    with a_store() as store:
        filled(store, batches)
        store.fork("s", new_id="t")
        made = Session.with_id("u", "x")
        do(made, *more)
        behind = [each.event for each in made._unsaved[1:]]
        for session_id in "st":
            store.append(session_id, [Change(event=each, at=START) for each in behind], expected_version=ANY)

        assert is_same(but_the_id(store.load_session("s")), but_the_id(store.load_session("t")))


@some
@given(histories_of_batches(), st.data())
def test_a_fork_of_a_fork_proves_its_origin_too(batches, data):
    with a_store() as store:
        filled(store, batches)
        n = data.draw(st.integers(1, len(list(store.records("s")))))
        store.fork("s", n, new_id="t")
        store.append("t", [said("of the fork"), said("more")], expected_version=ANY)
        store.fork("t", data.draw(st.integers(1, n + 2)), new_id="v")

        assert store.verify("v").ok
        assert store.compare("s", "v").ancestor == min(n, store.load_session("v").version)


def test_a_fork_proves_the_chain_of_its_origin(store):
    filled(store, [[Change(event=said(word), at=START) for word in ("a", "b", "c")]])
    store.fork("s", 3, new_id="t")
    first = next(store.records("t")).event

    assert (first.origin, first.version, first.cut) == ("s", 3, 1)
    assert first.chain == list(store.records("s"))[2].chain


def test_copies_that_are_not_the_origins_are_found(store, journal_file):
    """Somebody wrote a whole journal anew, hashes and all, and says that it is a fork."""
    filled(store, [[Change(event=said("a"), at=START)]])
    store.fork("s", new_id="t")
    first = journal_file("t").read_bytes().splitlines()[0]
    journal_file("t").write_bytes(forged([event_bytes(first), SAID], session_id="t"))
    report = store.verify("t")

    assert contents(store.load_session("t")) == ["hello"]
    assert report.kinds == ["false_origin"]
    assert "they are not that session's" in report.findings[0]
    assert not report.ok


@some
@given(histories_of_batches(), st.data())
def test_a_fork_says_what_its_origin_says_of_content_that_is_gone(batches, data):
    """Also where the record that says so comes behind the fork's point; a fork of the fork says it, too."""
    with a_store() as store:
        filled(store, batches)
        possible = [each.seq for each in store.records("s") if why_kept(each.event) is None]
        if not possible:
            return
        store.erase("s", data.draw(st.sets(st.sampled_from(possible), min_size=1)), reason="r")
        n = data.draw(st.integers(1, store.load_session("s").version))
        m = data.draw(st.integers(1, n))
        store.fork("s", n, new_id="t")
        store.fork("t", m, new_id="v")

        assert store.verify().findings == []
        assert is_same(but_the_id(store.load_session("v")), but_the_id(store.load_session("s", at=m)))


def test_a_fork_that_is_repaired_proves_its_origin_no_more(store, journal_file):
    """The chain breaks off among the copies: what follows is appended anew, with other numbers."""
    filled(store, [[Change(event=said(word), at=START)] for word in "abc"])
    store.fork("s", new_id="t")
    damaged = journal_file("t").read_bytes().splitlines(keepends=True)
    damaged[2] = damaged[2].replace(b'"at":"2', b'"at":"1')  # two bits: one is mended
    journal_file("t").write_bytes(b"".join(damaged))
    assert not store.verify("t").ok
    store.repair("t")
    report = store.verify("t")

    assert report.findings == []
    assert any("leaves no proof" in note for note in report.notes)
    assert contents(store.load_session("t")) == ["a", "c"]


def test_a_fork_does_not_vouch_for_content_that_somebody_took_out(store, journal_file):
    """Neither for a record of which none tells, nor for one that says that it was another."""
    filled(store, [[Change(event=said(word), at=START) for word in "ab"]])
    lines = journal_file("s").read_bytes().splitlines()
    lines[1] = without_content(lines[1], "user_message_added")
    journal_file("s").write_bytes(b"".join(line + b"\n" for line in lines))
    store.fork("s", 2, new_id="t")

    assert store.verify("s").kinds == store.verify("t").kinds == ["erased_record"]
    store.repair("s")
    store.fork("s", 2, new_id="v")
    assert store.verify("v").ok
    lines = journal_file("v").read_bytes().replace(b'"was":"user_message', b'"was":"agent_response')
    journal_file("v").write_bytes(lines)
    assert store.verify("v").kinds == ["erased_record"]


def test_a_fork_is_on_disk_with_what_it_is_a_copy_of(store, folder, monkeypatch):
    """Whatever the durability: half of one could not be what it says, nor go on from what is lost."""
    filled(store, [[Change(event=said("a"), at=START)]])
    calls = calls_of(store, monkeypatch)
    store.fork("s", new_id="t")

    in_sessions = ("sync_folder", str(folder / "sessions"))
    assert calls[:2] == ["sync", in_sessions]
    assert [call for call in calls[2:] if isinstance(call, str)][-2:] == ["sync", "rename"]
    assert in_sessions in calls[calls.index("rename") :]


@pytest.mark.parametrize("switch", range(1, 30, 2))
def test_no_two_forks_wait_for_each_other(switch):
    """Each has the session that the other one wants to write."""
    volume = World().volume
    stores = [SimulatedStore(SimulatedDisk(volume), STORE, durability="os") for _ in range(2)]
    for each in "st":
        stores[0].save_session(Session.with_id("u", each))
    refused = []

    def fork(number):
        with pytest.raises(VersionConflictError):
            stores[number].fork("st"[number], new_id="ts"[number])
        refused.append(number)

    Turns([switch]).run(*((stores[n]._disk, lambda n=n: fork(n)) for n in range(2)))

    assert sorted(refused) == [0, 1]


def test_a_fork_of_nothing_makes_nothing(folder):
    with StateStore(folder) as store, pytest.raises(SessionNotFoundError):
        store.fork("nobody", new_id="t")

    assert not folder.exists()


def test_a_fork_goes_its_own_way(store):
    session = store.get_or_create_session("u", "s")
    session.add_user_message("a")
    store.save_session(session)
    forked = store.fork("s")
    forked.add_user_message("b")
    store.save_session(forked)
    store.delete_session("s")

    assert contents(store.load_session(forked.id)) == ["a", "b"]
    assert store.verify(forked.id).ok


def test_a_fork_never_takes_the_place_of_a_session(store):
    for each in "st":
        store.save_session(Session.with_id("u", each))
    before = list(store.records("t"))

    for taken in "st":
        with pytest.raises(VersionConflictError):
            store.fork("s", new_id=taken)
    assert list(store.records("t")) == before


@pytest.mark.parametrize("at", [0, -1, 3, datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_point_that_is_none_makes_no_fork(store, folder, at):
    filled(store, [[Change(event=said("a"), at=START)]])

    with pytest.raises(SessionNotFoundError):
        store.fork("s", at, new_id="t")
    with pytest.raises(SessionNotFoundError):
        store.rewind("s", at)
    with pytest.raises(SessionNotFoundError):
        store.fork("nobody", new_id="t")
    assert store.session_ids() == ["s"]
    assert store.load_session("s").version == 2


def test_damage_that_would_be_copied_makes_no_fork(store, journal_file):
    """What comes before it can be forked."""
    filled(store, [[Change(event=said(word), at=START)] for word in ("a", "damaged", "b")])
    journal_file("s").write_bytes(journal_file("s").read_bytes().replace(b"damaged", b"mangled"))

    for at in (None, 3, 4):
        with pytest.raises(CorruptRecordError):
            store.fork("s", at, new_id="t")
    assert contents(store.fork("s", 2, new_id="t")) == ["a"]


def test_a_fork_at_a_moment(store):
    filled(store, [[Change(event=said("a"), at=START + timedelta(hours=1))]])

    assert contents(store.fork("s", START + timedelta(minutes=5))) == []
    assert contents(store.fork("s", START + timedelta(hours=1))) == ["a"]


def test_another_programs_session_forks_into_one_that_proves_nothing(store, snapshot_file):
    store.save_session(Session.with_id("u", "s"))
    snapshot_file("f").write_text(json.dumps(FOREIGN))
    forked = store.fork("f", new_id="t")

    assert contents(forked) == ["a"]
    assert store.verify("t").ok
    assert "not provable" in store.verify("t").notes[0]
    assert json.loads(snapshot_file("f").read_text()) == FOREIGN


def test_a_fork_of_an_adopted_session_has_its_document(store, snapshot_file):
    store.save_session(Session.with_id("u", "s"))
    snapshot_file("f").write_text(json.dumps(FOREIGN))
    store.update_session_with("f", lambda session: session.add_user_message("b"))
    again = store.fork(store.fork("f", 1, new_id="t").id, new_id="v")

    assert contents(again) == ["a"]
    assert contents(store.fork("f", new_id="w")) == ["a", "b"]
    assert store.verify().ok


def test_a_replacement_in_the_history_keeps_the_forks_id(store):
    filled(store, [[Change(event=said("a"), at=START)]])
    session = store.load_session("s")
    session.user_messages.clear()
    store.save_session(session)
    forked = store.fork("s", new_id="t")

    assert isinstance(list(store.records("t"))[-1].event, SessionReplaced)
    assert forked.id == "t"
    assert store.verify("t").ok


# Rewinds


@some
@given(histories_of_batches(), st.data())
def test_a_rewound_session_is_what_it_was_and_can_be_rewound_again(batches, data):
    """Rewind then load equals load at; the rewind of the rewind brings everything back."""
    with a_store() as store:
        filled(store, batches)
        last = store.load_session("s").version
        versions = data.draw(st.lists(st.integers(1, last), min_size=1, max_size=4))
        for n in [*versions, last]:
            version = store.rewind("s", n)

            assert is_same(store.load_session("s"), store.load_session("s", at=n))
            assert store.load_session("s").version == version
        with StateStore(store.base_path, durability="os") as fresh:
            assert is_same(fresh.load_session("s"), fresh.load_session("s", at=last))
            assert fresh.verify("s").ok


def test_a_rewind_is_small_where_little_differs(store, journal_file):
    """Messages that stay are only counted."""
    filled(store, [[Change(event=said("x" * 1000), at=START) for _ in range(100)]])
    before = journal_file("s").stat().st_size
    store.rewind("s", 50)

    assert journal_file("s").stat().st_size - before < 1000
    assert len(store.load_session("s").user_messages) == 49


def test_a_rewind_of_what_someone_else_changed_is_a_conflict(store):
    filled(store, [[Change(event=said("a"), at=START)]])
    store.append("s", [said("b")], expected_version=2)

    with pytest.raises(VersionConflictError):
        store.rewind("s", 1, expected_version=2)
    assert store.rewind("s", 1, expected_version=3) == 4


def test_a_session_that_was_loaded_before_a_rewind_conflicts(store):
    filled(store, [[Change(event=said("a"), at=START)]])
    session = store.load_session("s")
    store.rewind("s", 1)
    session.add_user_message("b")

    with pytest.raises(VersionConflictError):
        store.save_session(session)


# Comparing


def test_forks_are_compared_from_where_they_parted(store):
    filled(
        store, [[Change(event=said("a"), at=START), Change(event=MetadataSet(key="k", value=1), at=START)]]
    )
    store.fork("s", new_id="t")
    store.append("s", [said("left")], expected_version=ANY)
    store.append(
        "t",
        [ToolCalled(call_id="c", name="n", arguments={}), MetadataSet(key="k", value=2)],
        expected_version=ANY,
    )
    found = store.compare("s", "t")

    assert found.ancestor == 3
    assert [each.path for each in found.left if each.path[0] != "updated_at"] == [("user_messages", 1)]
    assert [(each.path, each.version) for each in found.right if each.path[0] != "updated_at"] == [
        (("metadata", "k"), 5)
    ]
    between = {each.path: (each.before, each.after, each.version) for each in found.between}
    assert between["metadata", "k"] == (1, 2, 5)
    assert between["user_messages", 1][2] is None


def test_sessions_that_are_not_related_have_no_ancestor(store):
    for each in "st":
        store.append(each, [Change(event=CREATED, at=START)] if each == "s" else [], expected_version=0)
    store.save_session(Session.with_id("u", "x"))

    assert store.compare("s", "x").ancestor == 0


@pytest.mark.parametrize("points", [{"at": 9}, {"other_at": 9}, {"at": 0}])
def test_a_point_that_is_none_is_not_found(store, points):
    for each in "st":
        store.save_session(Session.with_id("u", each))

    with pytest.raises(SessionNotFoundError, match=f"'{'t' if 'other_at' in points else 's'}'"):
        store.compare("s", "t", **points)


def test_another_programs_session_is_compared_as_it_is(store, snapshot_file):
    store.save_session(Session.with_id("u", "s"))
    snapshot_file("f").write_text(json.dumps(FOREIGN))
    found = store.compare("s", "f")

    assert found.ancestor == 0
    assert ("user_messages", 0) in [each.path for each in found.between]
