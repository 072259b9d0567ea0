"""Erasing: not one byte of the content stays in the store's folder; that it was there is proven."""

import contextlib
import json
import os
import re
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from crash.simulate_process import SimulatedStore
from crash.simulate_turns import Turns
from crash.simulate_world import STORE, World
from crash.simulated_disk import SimulatedDisk
from crash.simulated_volume import File
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    ANY,
    Change,
    InvalidEventError,
    JournalError,
    Session,
    SessionNotFoundError,
    StateStore,
)
from journal.erase import erase
from journal.errors import UnsafePathError
from projections import (
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    CustomEvent,
    Erased,
    MetadataSet,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.erasure import why_kept
from tests.strategies import CREATED, START, a_store, contents, said
from tests.test_durability import calls_of
from tests.test_fork import FOREIGN, filled, histories_of_batches

SECRET = "hunter2-correcthorsebattery"


def forms(text):
    """The ways in which a text may be written: as it is, in JSON, in UTF-16, backwards, as words.

    Of a word its end: an index of words leaves out what the one before it began with, too.
    """
    plain = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    plain.update(word[3:] for word in re.findall(r"\w{12,}", text.lower()))
    return {each.encode(code) for each in plain for code in ("utf-8", "utf-16-le")} | {text.encode()[::-1]}


def holding(folder, text):
    """The files below a folder in which a text stands, in any of the ways in which it may be written."""
    wanted = forms(text)
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if any(form in data for form in wanted):
                found.append(path.name)
    return found


def spoken(store, *words, session_id="s"):
    """A session in which these were said, one a batch; records 2 and on."""
    store.append(session_id, [CREATED.__class__(session_id=session_id, user_id="u")], expected_version=0)
    for word in words:
        store.append(session_id, [said(word)], expected_version=ANY)


def test_not_one_byte_of_what_is_erased_is_found(store, folder, journal_file):
    """Journal, snapshot, quarantine, temporary file, search index: all of them held it."""
    spoken(store, "a", SECRET, "b")
    with journal_file("s").open("ab") as file:
        file.write(b'{"v":1,"seq":5,' + SECRET.encode())
    with pytest.warns(UserWarning, match="moved to"):
        store.append("s", [said("c")], expected_version=ANY)
    store.compact()
    store.list_sessions()
    assert [hit.address for hit in store.search(SECRET)] == ["s@3"]
    (folder / "sessions" / ".s.json.0123456789abcdef.tmp").write_text(SECRET)
    kinds = {name.partition(".")[0] or "temporary" for name in holding(folder, SECRET)}
    assert kinds == {"s", "temporary", "search"}
    assert len([name for name in holding(folder, SECRET) if name.startswith("s.")]) == 3
    (erased,) = store.erase("s", [3], reason="asked for by ann", by="bob")

    assert holding(folder, SECRET) == []
    assert (erased.versions, erased.types) == ([3], ["user_message_added"])
    assert len(erased.quarantine) == 1
    assert contents(store.load_session("s")) == ["a", "", "b", "c"]
    last = list(store.records("s"))[-1]
    assert last.by == "bob"
    assert last.event == ContentErased(
        versions=[3], types=["user_message_added"], reason="asked for by ann", quarantine=erased.quarantine
    )
    report = store.verify("s")
    assert report.ok
    assert any("erased" in note for note in report.notes)


def places(text):
    """An event that says a text, wherever an event may say one."""
    return st.sampled_from(
        [
            UserMessageAdded(content=text),
            AgentResponseAdded(content=text),
            ReasoningAdded(content=text, signature=text),
            ToolCalled(call_id="c", name=text, arguments={"x": [text]}),
            ToolReturned(call_id="c", result={text: 1}),
            MetadataSet(key=text, value=1),
            MetadataSet(key="k", value={"a": [text]}),
            CustomEvent(name="n", data=text),
            ActiveSeedSet(seed_id=text),
        ]
    )


# What a text is beside a word that stands nowhere else: what JSON escapes, and what it may.
SECRETS = st.text('é"\\\n/日я ', max_size=6).map(lambda around: f"{around}Correcthorsebattery{around}")


@given(histories_of_batches(), SECRETS, st.data())
def test_no_file_holds_what_was_erased_wherever_it_was_said(batches, secret, data):
    """Snapshot, catalog, search index with its log, forks and rewinds: all had it, or might have."""
    batches = [*batches, [Change(event=data.draw(places(secret)), at=START)]]
    with a_store() as store:
        filled(store, batches)
        said_at = store.load_session("s").version
        if data.draw(st.booleans()):
            store.append("s", [said("behind it")], expected_version=ANY)
        if data.draw(st.booleans()):
            store.rewind("s", 1)
            store.rewind("s", said_at)
        if data.draw(st.booleans()):
            store.fork("s", new_id="t")
        store.compact()
        store.list_sessions()
        store.search("correcthorsebattery")
        before = holding(store.base_path, secret)
        store.erase("s", [said_at], reason="r")

        assert "s.jsonl" in before
        assert holding(store.base_path, secret) == []
        assert store.verify().ok
        assert list(store.search("correcthorsebattery")) == []


@given(histories_of_batches(), st.data())
def test_the_chain_holds_over_what_is_erased(batches, data):
    """Every record keeps its number, id, time and hashes; verify passes; the rest of the session is there."""
    with a_store() as store:
        filled(store, batches)
        before = list(store.records("s"))
        state = store.load_session("s")
        possible = [each.seq for each in before if why_kept(each.event) is None]
        if not possible:
            return
        chosen = data.draw(st.sets(st.sampled_from(possible), min_size=1))
        (erased,) = store.erase("s", chosen, reason="r")
        after = list(store.records("s"))

        assert chosen <= set(erased.versions)
        assert store.verify("s").ok
        for one, other in zip(before, after, strict=False):
            assert (one.seq, one.id, one.at, one.digest, one.chain) == (
                *(other.seq, other.id, other.at, other.digest, other.chain),
            )
            if one.seq in erased.versions:
                assert isinstance(other.event, Erased)
            else:
                assert one.event == other.event
        with StateStore(store.base_path, durability="os") as fresh:
            left = fresh.load_session("s")
            assert left.user_id == state.user_id
            if not isinstance(before[0].event, Erased):
                assert left.id == "s"


def test_messages_keep_their_places_and_settings_have_no_effect(store):
    session = Session.with_id("u", "s")
    session.add_user_message("a")
    session.add_agent_response("b")
    session.set_metadata("k", 1)
    session.set_metadata("k", 2)
    store.save_session(session)
    store.erase("s", [2, 3, 5], reason="r")
    left = store.load_session("s")

    assert contents(left) == [""]
    assert [response.content for response in left.agent_responses] == [""]
    assert left.metadata == {"k": 1}
    assert left.exchange_count == 1


def test_what_repeats_the_content_goes_with_it_and_the_rest_comes_back(store, folder):
    """A state that was set as a whole, and a rewind that brought messages back."""
    spoken(store, "a", SECRET, "b")
    session = store.load_session("s")
    del session.user_messages[0]
    session.set_metadata("keep", "this")
    store.save_session(session)
    store.rewind("s", 4)
    store.rewind("s", 2)
    store.rewind("s", 4)
    now = store.load_session("s")
    found = store.erase("s", [3], reason="r", dry_run=True)
    assert store.erase("s", [3], reason="r") == found

    assert holding(folder, SECRET) == []
    assert "session_replaced" in found[0].types
    assert "session_rewound" in found[0].types
    left = store.load_session("s")
    assert contents(left) == ["a", "", "b"]
    assert left.metadata == now.metadata
    assert left.updated_at == now.updated_at
    assert store.verify("s").ok


def test_the_same_words_at_another_time_stay(store):
    spoken(store, "yes", "no", "yes")
    store.erase("s", [2], reason="r")

    assert contents(store.load_session("s")) == ["", "no", "yes"]


def test_copies_in_forks_go_with_it_and_their_proofs_hold(store, folder):
    spoken(store, "a", SECRET, "b")
    fork = store.fork("s", new_id="t").id
    store.fork("t", 3, new_id="v")
    store.fork("s", 2, new_id="w")
    store.append(fork, [said("c")], expected_version=ANY)
    store.compact()
    store.search(SECRET)
    found = store.erase(fork, [3], reason="r")

    assert {each.session_id for each in found} == {"s", "t", "v"}
    assert holding(folder, SECRET) == []
    assert store.verify().ok
    assert contents(store.load_session("t")) == ["a", "", "b", "c"]


@pytest.mark.parametrize("named", ["s", "v", "w"])
def test_a_fork_of_what_was_deleted_is_found(store, folder, named):
    """From either side: nobody knows any more of what the deleted one was a fork."""
    spoken(store, SECRET)
    spoken(store, "of others", session_id="o")
    store.fork("s", new_id="t")
    store.fork("t", new_id="v")
    store.fork("v", new_id="w")
    store.delete_session("t")
    found = store.erase(named, [2], reason="r")

    assert sorted(each.session_id for each in found) == ["s", "v", "w"]
    assert holding(folder, SECRET) == []
    assert contents(store.load_session("o")) == ["of others"]


def test_what_a_fork_said_itself_stays(store):
    """Its records have the numbers of others, and are not copies of them."""
    spoken(store, "a")
    store.fork("s", new_id="t")
    for each in "st":
        store.append(each, [said(f"of {each}")], expected_version=ANY)
    found = store.erase("s", [3], reason="r")

    assert [each.session_id for each in found] == ["s"]
    assert contents(store.load_session("t")) == ["a", "of t"]


def test_a_list_knows_of_a_fork_and_of_an_erasure_by_their_marks(store, folder):
    """Where the folder's time says nothing."""
    spoken(store, "a")
    with StateStore(folder, durability="os") as other:
        past = time.time_ns() - 10**9
        for act, versions in (
            (lambda: None, {"s": 2}),
            (lambda: store.fork("s", new_id="t"), {"s": 2, "t": 2}),
            (lambda: store.erase("s", [2], reason="r"), {"s": 3, "t": 3}),
        ):
            act()
            os.utime(folder / "sessions", ns=(past, past))

            assert {each.id: each.version for each in other.list_sessions()} == versions


def test_another_programs_document_can_be_erased(store, folder, snapshot_file):
    """Whose session it is stays known."""
    store.save_session(Session.with_id("u", "x"))
    snapshot_file("f").write_text(str(FOREIGN).replace("'", '"').replace('"a"', f'"{SECRET}"'))
    store.update_session_with("f", lambda session: session.add_user_message("b"))
    store.fork("f", new_id="g")
    store.erase("f", [1], reason="r")

    assert holding(folder, SECRET) == []
    for each in "fg":
        left = store.load_session(each)
        assert (left.id, left.user_id, contents(left)) == (each, "u", ["", "b"])
        assert left.metadata == {}
    assert store.verify().ok
    store.update_session_with("f", lambda session: session.add_user_message("c"))
    assert contents(store.load_session("f")) == ["", "b", "c"]


def test_all_of_a_users_content_in_one_call(store, folder):
    for session_id in "st":
        spoken(store, SECRET, session_id=session_id)
        store.append(session_id, [CustomEvent(name="n", data=[SECRET])], expected_version=ANY)
        store.append(session_id, [MetadataSet(key=SECRET, value=SECRET)], expected_version=ANY)
        store.append(
            session_id, [ToolReturned(call_id="c", result={"x": SECRET}, is_error=True)], expected_version=ANY
        )
    other = Session.with_id("v", "o")
    other.add_user_message("mine")
    store.save_session(other)
    store.search(SECRET)
    assert store.erase_user("u", reason="r", dry_run=True)
    assert len(holding(folder, SECRET)) >= 2
    found = store.erase_user("u", reason="r")

    assert {each.session_id for each in found} == {"s", "t"}
    assert holding(folder, SECRET) == []
    assert contents(store.load_session("o")) == ["mine"]
    assert store.erase_user("u", reason="again") == []
    assert store.verify().ok


def test_all_of_a_users_content_goes_from_forks_of_forks_too(store, folder):
    """Each is a session of that user, and each shares records with the others."""
    spoken(store, "a", SECRET)
    store.fork("s", 3, new_id="t")
    store.append("t", [said(SECRET)], expected_version=ANY)
    store.fork("t", 4, new_id="v")
    store.append("s", [said(SECRET)], expected_version=ANY)
    store.append("v", [said("b")], expected_version=ANY)
    store.rewind("v", 2)
    would = store.erase_user("u", reason="r", dry_run=True)
    found = store.erase_user("u", reason="r")

    assert holding(folder, SECRET) == []
    assert {each.session_id: each.versions for each in found} == {
        "s": [2, 3, 4],
        "t": [2, 3, 4],
        "v": [2, 3, 4, 5, 6],
    }
    assert {each.session_id: each.versions for each in would} == {
        each.session_id: each.versions for each in found
    }
    assert store.verify().ok


def test_a_dry_run_changes_nothing(store, folder):
    spoken(store, "a", SECRET)
    store.compact()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = store.erase("s", [3], reason="r", dry_run=True)

    assert [each.versions for each in found] == [[3]]
    for path, data in before.items():
        if "catalog" not in path.name:
            assert path.read_bytes() == data


def test_a_dry_run_leaves_a_torn_tail_where_it_is(store, folder, journal_file):
    spoken(store, "a", SECRET)
    with journal_file("s").open("ab") as file:
        file.write(b'{"v":1,"seq":4,')
    before = journal_file("s").read_bytes()

    assert store.erase("s", [3], reason="r", dry_run=True)[0].versions == [3]
    assert journal_file("s").read_bytes() == before
    assert not (folder / ".journal" / "quarantine").exists()


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_a_torn_tail_that_goes_with_an_erasure_is_told_of(store, folder, journal_file):
    spoken(store, "a", SECRET)
    with journal_file("s").open("ab") as file:
        file.write(b'{"v":1,"seq":4,' + SECRET.encode())
    (erased,) = store.erase("s", [3], reason="r")
    *_, repaired, told = (record.event for record in store.records("s"))

    assert [repaired.quarantine] == told.quarantine == erased.quarantine
    assert holding(folder, SECRET) == []


def test_an_erasure_does_not_follow_a_link_out_of_the_store(store, folder, tmp_path):
    spoken(store, "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "s.0.01234567").touch()
    (folder / ".journal" / "quarantine").symlink_to(outside)

    with pytest.raises(UnsafePathError):
        store.erase("s", [2], reason="r")
    assert (outside / "s.0.01234567").exists()
    assert contents(store.load_session("s")) == ["a"]


@pytest.mark.parametrize("versions", [[1], [2, 1], [9], [0], [-1], [3, 9]])
def test_what_cannot_be_erased_is_refused_before_anything_changes(store, journal_file, versions):
    spoken(store, "a", "b")
    before = journal_file("s").read_bytes()

    with pytest.raises((InvalidEventError, SessionNotFoundError)):
        store.erase("s", versions, reason="r")
    assert journal_file("s").read_bytes() == before


def test_what_is_erased_already_is_passed_over_and_what_tells_of_it_stays(store):
    spoken(store, "a")
    store.erase("s", [2], reason="r")

    assert store.erase("s", [2], reason="r") == []
    assert store.load_session("s").version == 3
    with pytest.raises(InvalidEventError, match="cannot be erased"):
        store.erase("s", [3], reason="r")
    with pytest.raises(SessionNotFoundError):
        store.erase("nobody", [1], reason="r")
    with pytest.raises(InvalidEventError, match="reason"):
        store.erase("s", [2], reason=" ")


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_a_file_that_another_program_rewrote_is_taken_in_first(store, snapshot_file):
    """It may hold what is to be erased, and something that no record says."""
    spoken(store, "a")
    snapshot_file("s").write_text(str(FOREIGN).replace("'", '"').replace('"f"', '"s"'))

    with pytest.raises(JournalError, match="repair"):
        store.erase("s", [2], reason="r")
    assert contents(store.load_session("s")) == ["a"]


def test_a_session_that_was_loaded_before_goes_on(store, folder):
    """The chain is the same: who holds the session may save, and the content does not come back."""
    spoken(store, "a", SECRET)
    held = store.load_session("s")
    with StateStore(folder, durability="os") as other:
        other.load_session("s")
        store.erase("s", [3], reason="r")
        held.version = store.load_session("s").version
        other.update_session_with("s", lambda session: session.add_user_message("b"))
        other.compact()

        assert contents(other.load_session("s")) == ["a", "", "b"]
    assert holding(folder, SECRET) == []


def test_erasing_beside_writers_loses_nothing(store, folder):
    """Writers in other stores go on through it: their records are there, and none of what was erased."""
    spoken(store, *(f"{SECRET}-{n}" for n in range(30)))
    errors = []

    def write(name):
        try:
            with StateStore(folder, durability="os") as mine:
                for n in range(40):
                    mine.append("s", [said(f"{name}-{n}")], expected_version=ANY)
                    mine.load_session("s")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for n in range(30):
        store.erase("s", [n + 2], reason=f"r{n}")
    for thread in threads:
        thread.join()

    assert errors == []
    said_there = contents(store.load_session("s"))
    for name in "ab":
        assert [each for each in said_there if each.startswith(name)] == [f"{name}-{n}" for n in range(40)]
    assert said_there[:30] == [""] * 30
    assert holding(folder, SECRET) == []
    assert store.verify("s").ok


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
@pytest.mark.parametrize("step", range(16))
def test_an_erasure_that_is_cut_short_is_done_again(store, folder, monkeypatch, step):
    """At each of its steps: the session is whole, and a second try leaves nothing."""
    spoken(store, "a", SECRET)
    store.compact()
    store.search(SECRET)
    left = step

    def refusing(call):
        def refused(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, os.strerror(5))
            return call(*arguments, **options)

        return refused

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "sync_folder", "sync", "write"):
            patch.setattr(store._disk, name, refusing(getattr(store._disk, name)), raising=False)
        with contextlib.suppress(JournalError):
            store.erase("s", [3], reason="r")
    with StateStore(folder, durability="os") as again:
        assert contents(again.load_session("s")) in (["a", SECRET], ["a", ""])
        if contents(again.load_session("s")) == ["a", SECRET]:
            again.erase("s", [3], reason="r")
        assert again.verify("s").ok
        assert contents(again.load_session("s")) == ["a", ""]
    assert holding(folder, SECRET) == []


def test_what_an_earlier_try_left_in_other_sessions_goes_with_the_next(store, folder, monkeypatch):
    """It came to one of two: that one is passed over, and the other is not."""
    spoken(store, SECRET)
    store.fork("s", new_id="t")
    done = []

    def cut_short(setting, session_id, *arguments, **options):
        if done:
            raise KeyboardInterrupt
        done.append(session_id)
        return erase(setting, session_id, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("journal.store.erase", cut_short)
        with pytest.raises(KeyboardInterrupt):
            store.erase("s", [2], reason="r")
    assert holding(folder, SECRET) == ["t.jsonl"]

    assert [each.session_id for each in store.erase("s", [2], reason="r")] == ["t"]
    assert holding(folder, SECRET) == []


def test_a_fork_that_is_made_meanwhile_is_found(store, folder, monkeypatch):
    """Of a copy that had the content still."""
    spoken(store, SECRET)
    store.fork("s", new_id="t")

    def erase_late(setting, session_id, *arguments, **options):
        if session_id == "t" and not store.load_session("v"):
            store.fork("t", new_id="v")
        return erase(setting, session_id, *arguments, **options)

    monkeypatch.setattr("journal.store.erase", erase_late)
    found = store.erase("s", [2], reason="r")

    assert [each.session_id for each in found] == ["s", "t", "v"]
    assert holding(folder, SECRET) == []


def test_what_is_left_of_a_fork_that_was_killed_goes_too(store, folder, monkeypatch):
    spoken(store, SECRET)

    def refused(*_):
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        patch.setattr(store._disk, "rename", refused, raising=False)
        patch.setattr(store._disk, "unlink", refused, raising=False)
        with pytest.raises(JournalError):
            store.fork("s", new_id="t")
    assert len(holding(folder, SECRET)) == 2
    store.erase("s", [2], reason="r")

    assert holding(folder, SECRET) == []


@pytest.mark.parametrize("switch", range(3, 40, 3))
def test_a_fork_beside_an_erasure_never_brings_it_back(switch):
    """Whichever is first, and whenever the other one gets its turn."""
    volume = World().volume
    stores = [SimulatedStore(SimulatedDisk(volume), STORE, durability="os") for _ in range(2)]
    spoken(stores[0], SECRET)
    Turns([switch]).run(
        (stores[0]._disk, lambda: stores[0].fork("s", new_id="t")),
        (stores[1]._disk, lambda: stores[1].erase("s", [2], reason="r")),
    )
    files = [node.data for node in volume.nodes.values() if isinstance(node, File) and node.links]

    assert [data for data in files if SECRET.encode() in data] == []
    assert contents(stores[0].load_session("t")) == [""]


@pytest.mark.parametrize("switch", range(1, 40, 3))
def test_a_save_beside_an_erasure_is_kept(switch):
    """Whenever the one gives its turn to the other."""
    volume = World().volume
    stores = [SimulatedStore(SimulatedDisk(volume), STORE, durability="os") for _ in range(2)]
    spoken(stores[0], SECRET)
    Turns([switch]).run(
        (stores[0]._disk, lambda: stores[0].erase("s", [2], reason="r")),
        (stores[1]._disk, lambda: stores[1].append("s", [said("kept")], expected_version=ANY)),
    )

    assert contents(stores[0].load_session("s")) == ["", "kept"]
    assert stores[0].verify("s").ok


# For good: a power cut brings nothing back.


def at_the_replacement(calls):
    """What was asked of the disk before the journal was replaced, and after that."""
    at = next(n for n in range(len(calls)) if calls[n : n + 2] == ["sync", "rename"])
    return calls[:at], calls[at + 2 :]


def test_all_that_is_removed_is_synced_before_the_journal_is_replaced(store, folder, monkeypatch):
    """Also what is not there: an earlier try may have removed it, and not have come to the sync."""
    spoken(store, SECRET)
    quarantine = folder / ".journal" / "quarantine"
    quarantine.mkdir(parents=True)
    calls = calls_of(store, monkeypatch)
    store.erase("s", [2], reason="r")

    before, after = at_the_replacement(calls)
    assert after[0] == ("sync_folder", str(folder / "sessions"))
    assert before.count(("sync_folder", str(quarantine))) == 1
    assert before.index(("sync_folder", str(folder / "sessions"))) > before.index("unlink")


def test_who_finds_the_content_gone_syncs_that(store, folder, monkeypatch):
    """The process that erased it may have been killed between the rename and its sync."""
    spoken(store, SECRET)
    store.erase("s", [2], reason="r")
    with StateStore(folder, durability="os") as again:
        calls = calls_of(again, monkeypatch)
        assert again.erase("s", [2], reason="r", dry_run=True) == []
        assert "sync" not in calls
        assert again.erase("s", [2], reason="r") == []

        assert calls[calls.index("sync") + 1] == ("sync_folder", str(folder / "sessions"))


def test_a_catalog_that_is_removed_stays_removed(store, folder, monkeypatch):
    """It knows the active seed."""
    session = Session.with_id("u", "s")
    session.set_active_seed(SECRET)
    store.save_session(session)
    store.list_sessions()
    assert "catalog.sqlite3" in holding(folder, SECRET) or "catalog.sqlite3-wal" in holding(folder, SECRET)
    calls = calls_of(store, monkeypatch)
    store.erase("s", [2], reason="r")

    assert holding(folder, SECRET) == []
    before, _ = at_the_replacement(calls)
    removed = max(n for n, call in enumerate(before) if call == "unlink")
    assert before[removed + 1] == ("sync_folder", str(folder / ".journal"))


def test_the_search_index_forgets_for_good(store, folder, monkeypatch):
    """SQLite does not sync that it emptied its log, where the words stand."""
    spoken(store, SECRET)
    assert len(store.search("hunter2")) == 1
    log = folder / ".journal" / "search.sqlite3-wal"
    synced = []
    real = store._disk.sync

    def sync(fd):
        status = os.fstat(fd)
        synced.append((status.st_ino, status.st_size))
        real(fd)

    monkeypatch.setattr(store._disk, "sync", sync)
    inode = log.stat().st_ino
    store.erase("s", [2], reason="r")

    assert synced.count((inode, 0)) == 2


def test_who_finds_the_content_gone_lets_the_search_index_forget_it(store, folder, monkeypatch):
    """Somebody may have searched in the old journal until it went, and the process that erased is no more."""
    spoken(store, SECRET)
    store.search("hunter2")
    with monkeypatch.context() as patch:
        patch.setattr("journal.erase.forget", lambda *_: None)
        store.erase("s", [2], reason="r")
    with contextlib.closing(sqlite3.connect(folder / ".journal" / "search.sqlite3")) as index:
        assert index.execute("select count(*) from record").fetchone() == (1,)
        assert store.erase("s", [2], reason="r") == []

        assert index.execute("select count(*) from record").fetchone() == (0,)


def test_an_erased_message_has_the_time_of_its_record(store):
    """The time that it had of its own went with it."""
    spoken(store, "a")
    store.append("s", [Change(event=said("b"), at=START)], expected_version=ANY)
    store.erase("s", [3], reason="r")

    assert store.load_session("s").user_messages[1].timestamp == START


def test_a_rewind_that_took_the_setting_away_says_its_name_and_goes_too(store, folder):
    """Not where another record says that name, which stays."""
    spoken(store, "a")
    store.append("s", [MetadataSet(key=SECRET, value=1), MetadataSet(key="k", value=1)], expected_version=2)
    store.rewind("s", 2)
    store.append("s", [MetadataSet(key="k", value=2)], expected_version=5)
    (of_k,) = store.erase("s", [4], reason="r", dry_run=True)
    (of_secret,) = store.erase("s", [3], reason="r")

    assert of_k.versions == [4]
    assert of_secret.versions == [3, 5]
    assert holding(folder, SECRET) == []
    assert store.load_session("s").metadata == {"k": 2}
    assert store.verify("s").ok
