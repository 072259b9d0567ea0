"""The catalog: derived, always up to date, never in the way."""

import os
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from journal import Change, JournalClosedError, JournalError, Session, StateStore
from projections import ActiveSeedSet, SessionCreated, UserMessageAdded
from tests.strategies import CREATED, START, a_store, said

LONG_AGO = START - timedelta(days=100)


def put(store, session_id, at, user_id="u"):
    """A session whose last change was so many hours after the start."""
    moment = LONG_AGO + timedelta(hours=at)
    created = SessionCreated(session_id=session_id, user_id=user_id)
    store.append(session_id, [Change(event=created, at=moment)], expected_version=0)


def ids(page):
    return [summary.id for summary in page]


@pytest.fixture
def two(folder):
    """Two stores on one folder."""
    with StateStore(folder, durability="os") as one, StateStore(folder, durability="os") as other:
        yield one, other


def test_newest_first(store):
    """By updated_at; those of the same moment by id."""
    for session_id, at in (("a", 1), ("b", 3), ("c", 2), ("e", 2), ("d", 2)):
        put(store, session_id, at)

    assert ids(store.list_sessions()) == ["b", "c", "d", "e", "a"]


def test_a_summary_says_what_the_session_says(store, journal_file):
    """Counts, seed, times, version and size."""
    put(store, "s", 0, "someone")
    store.append("s", [UserMessageAdded(content="x"), ActiveSeedSet(seed_id="seed")], expected_version=1)
    session = store.load_session("s")
    [summary] = store.list_sessions()

    assert (summary.id, summary.user_id, summary.active_seed_id) == ("s", "someone", "seed")
    assert (summary.message_count, summary.response_count, summary.version) == (1, 0, 3)
    assert (summary.created_at, summary.updated_at) == (session.created_at, session.updated_at)
    assert summary.size_bytes == journal_file("s").stat().st_size


def test_filters_by_user_and_time(store):
    """Since is inside, until is outside; filters can be combined."""
    for number in range(6):
        put(store, f"s{number}", number, user_id="uv"[number % 2])
    hour = timedelta(hours=1)

    assert ids(store.list_sessions("u")) == ["s4", "s2", "s0"]
    assert ids(store.list_sessions(user_id="nobody")) == []
    assert ids(store.list_sessions(since=LONG_AGO + 2 * hour, until=LONG_AGO + 4 * hour)) == ["s3", "s2"]
    assert ids(store.list_sessions("v", since=LONG_AGO + 2 * hour)) == ["s5", "s3"]
    assert ids(store.list_sessions(limit=2)) == ["s5", "s4"]
    with pytest.raises(ValueError, match="offset"):
        store.list_sessions(since=datetime(2026, 1, 1))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5))
def test_paging_covers_everything_once(times, limit):
    """Also where many sessions changed at the same moment."""
    with a_store() as store:
        for number, at in enumerate(times):
            put(store, f"s {number}", at)
        found, page = [], None
        while True:
            summaries = store.list_sessions(limit=limit, page=page)
            assert len(summaries) <= limit
            found += ids(summaries)
            if (page := summaries.next_page) is None:
                break
            assert len(summaries) == limit

        assert found == ids(store.list_sessions())
        assert sorted(found) == sorted(f"s {number}" for number in range(len(times)))


def test_paging_misses_nothing_that_was_there_all_the_time(store):
    """Sessions that come or change meanwhile move to the front, not into the pages to come."""
    for number in range(6):
        put(store, f"s{number}", number)
    first = store.list_sessions(limit=2)
    store.save_session(Session.with_id("u", "new"))
    store.update_session_with("s5", lambda session: session.add_user_message("x"))
    second = store.list_sessions(limit=10, page=first.next_page)

    assert ids(first) + ids(second) == ["s5", "s4", "s3", "s2", "s1", "s0"]


def test_unreadable_sessions_are_reported_whatever_the_filter(store, journal_file):
    """With the file; and they are listed again as soon as they can be read."""
    put(store, "good", 0)
    put(store, "bad", 1)
    whole = journal_file("bad").read_bytes()
    journal_file("bad").write_bytes(whole.replace(b'"u"', b'"x"'))
    with StateStore(store.base_path, durability="os") as fresh:
        for page in (fresh.list_sessions(), fresh.list_sessions("nobody"), fresh.list_sessions(limit=1)):
            assert [each.id for each in page.unreadable] == ["bad"]
            assert str(journal_file("bad")) in page.unreadable[0].reason
        assert fresh.session_ids() == ["bad", "good"]
    journal_file("bad").write_bytes(whole)
    with StateStore(store.base_path, durability="os") as fresh:
        assert ids(fresh.list_sessions()) == ["bad", "good"]
        assert fresh.list_sessions().unreadable == []


def remove_catalog(folder):
    for path in (folder / ".journal").glob("catalog*"):
        path.unlink()


def test_a_deleted_catalog_is_rebuilt(store, folder):
    """By the next store."""
    for number in range(5):
        put(store, f"s{number}", number)
    before = store.list_sessions()
    store.close()
    remove_catalog(folder)
    with StateStore(folder) as fresh:
        assert fresh.list_sessions() == before


def test_a_catalog_deleted_behind_open_stores_loses_no_change(two, folder):
    """Each goes on seeing what the other writes."""
    one, other = two
    put(one, "s", 0)
    one.list_sessions()
    other.list_sessions()
    time.sleep(0.15)
    one.list_sessions()
    remove_catalog(folder)
    with StateStore(folder, durability="os") as third:
        third.update_session_with("s", lambda session: session.add_user_message("x"))
        assert third.list_sessions()[0].version == 2

    assert one.list_sessions()[0].version == 2
    assert other.list_sessions()[0].version == 2
    other.update_session_with("s", lambda session: session.add_user_message("x"))
    assert other.list_sessions()[0].version == 3
    assert one.list_sessions()[0].version == 3


def test_all_that_is_internal_deleted_behind_open_stores_loses_no_change(two, folder):
    """The whole internal folder is no more than a help."""
    one, other = two
    put(one, "s", 0)
    for store in two:
        store.list_sessions()
    shutil.rmtree(folder / ".journal")
    one.update_session_with("s", lambda session: session.add_user_message("x"))

    assert other.list_sessions()[0].version == 2
    assert one.list_sessions()[0].version == 2


@pytest.mark.parametrize(
    ("content", "is_open"),
    [
        (b"", False),
        (b"garbage" * 1000, False),
        (b"garbage" * 1000, True),
        (b"SQLite format 3\0" + b"\xff" * 4000, False),
        (b"SQLite format 3\0" + b"\xff" * 4000, True),
    ],
)
def test_a_corrupt_catalog_is_rebuilt(store, folder, content, is_open):
    """Whether it broke before the store was opened or after."""
    put(store, "a", 0)
    put(store, "b", 1)
    store.list_sessions()
    if not is_open:
        store.close()
    for path in (folder / ".journal").glob("catalog*"):
        path.write_bytes(content)
    with StateStore(folder, durability="os") as fresh:
        reader = store if is_open else fresh
        assert ids(reader.list_sessions()) == ["b", "a"]
        put(reader, "c", 2)
        assert ids(reader.list_sessions()) == ["c", "b", "a"]
        assert ids(fresh.list_sessions()) == ["c", "b", "a"]


def test_a_catalog_of_another_version_is_rebuilt(store, folder):
    """Also one with tables that nobody here knows."""
    put(store, "a", 0)
    store.list_sessions()
    store.close()
    with sqlite3.connect(folder / ".journal" / "catalog.sqlite3") as database:
        database.execute("pragma user_version = 99")
        database.execute("create table other (x)")
    database.close()
    with StateStore(folder) as fresh:
        assert ids(fresh.list_sessions()) == ["a"]


def test_what_another_store_does_shows_at_once(two):
    """Created, changed, deleted and created again."""
    one, other = two
    for round_ in range(3):
        put(one, "s", round_)
        assert [each.version for each in other.list_sessions()] == [1]
        one.update_session_with("s", lambda session: session.add_user_message("x"))
        assert [each.message_count for each in other.list_sessions()] == [1]
        one.delete_session("s")
        assert other.list_sessions() == []
        assert other.session_ids() == []


def test_files_that_come_and_go_behind_its_back_show(store, folder, tmp_path):
    """Copied in, renamed in, removed, replaced."""
    with StateStore(tmp_path / "elsewhere", durability="os") as elsewhere:
        for number, session_id in enumerate(["a", "b", "c"]):
            put(elsewhere, session_id, number)
        source = Path(elsewhere.base_path) / "sessions"
        put(store, "own", 9)
        assert ids(store.list_sessions()) == ["own"]
        shutil.copy(source / "a.jsonl", folder / "sessions" / "a.jsonl")
        assert ids(store.list_sessions()) == ["own", "a"]
        os.rename(source / "b.jsonl", folder / "sessions" / "b.jsonl")
        assert ids(store.list_sessions()) == ["own", "b", "a"]
        (folder / "sessions" / "a.jsonl").unlink()
        assert ids(store.list_sessions()) == ["own", "b"]
        (folder / "sessions" / "c.json").write_text(
            '{"id":"c","user_id":"u","created_at":"2026-08-14T12:30:00Z","updated_at":"2026-08-14T12:30:00Z"}'
        )
        assert ids(store.list_sessions()) == ["own", "b", "c"]
        shutil.rmtree(folder / "sessions")
        assert ids(store.list_sessions()) == []


def test_many_quick_changes_of_the_folder_all_show(store, folder):
    """Faster than the file system's clock ticks."""
    put(store, "s", 0)
    template = (
        '{"id":"%s","user_id":"u","created_at":"2026-08-14T12:30:00Z","updated_at":"2026-08-14T12:30:00Z"}'
    )
    for number in range(60):
        path = folder / "sessions" / f"f{number}.json"
        path.write_text(template % f"f{number}")
        assert f"f{number}" in store.session_ids()
        if number % 2:
            path.unlink()
            assert f"f{number}" not in store.session_ids()


def test_a_list_waits_for_a_writer_that_made_its_mark(two, monkeypatch):
    """The mark is worked off then: nobody would look at that session again."""
    store, other = two
    version = store.append("s", [CREATED], expected_version=0)
    time.sleep(0.2)  # the folder's time must tell nothing
    other.list_sessions()
    listing = threading.Thread(target=other.list_sessions)
    real = store._disk.write

    def write(fd, data):
        if b'"event"' in data:
            listing.start()
            listing.join(0.2)
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(store._disk, "write", write, raising=False)
        version = store.append("s", [said("a")], expected_version=version)
    listing.join()
    assert [summary.version for summary in other.list_sessions()] == [version]


def settle():
    """Until the time of a folder tells whether it has changed since."""
    time.sleep(0.2)


def versions(store):
    return [summary.version for summary in store.list_sessions()]


def test_a_process_compares_all_files_once(folder, two):
    """Somebody may have written one in its place while no store was open, and made no mark."""
    store, _ = two
    store.append("s", [CREATED, said("a")], expected_version=0)
    with StateStore(folder.parent / "twin", durability="os") as twin:
        shutil.copytree(folder / "sessions", folder.parent / "twin" / "sessions")
        twin.append("s", [said("b")], expected_version=2)
        newer = (folder.parent / "twin" / "sessions" / "s.jsonl").read_bytes()
    settle()
    assert versions(store) == [2]
    (folder / "sessions" / "s.jsonl").write_bytes(newer)
    with StateStore(folder, durability="os") as opened:
        assert versions(opened) == [3]


def test_a_new_catalog_does_not_trust_marks_at_once(folder, two, monkeypatch):
    """Whoever removed the old one may have removed them, too, and writers count on them for a moment."""
    store, other = two
    store.append("s", [CREATED], expected_version=0)
    settle()
    shutil.rmtree(folder / ".journal")
    monkeypatch.setattr("journal.catalog._MARKS_GONE_NS", 10**10)
    monkeypatch.setattr(store._marks, "_counts_until", time.monotonic() + 10)
    assert versions(other) == [1]
    store.append("s", [said("a")], expected_version=1)
    assert versions(other) == [2]


def test_a_folder_that_has_changed_just_now_is_looked_at_again(folder, two):
    """Its time moves in ticks: what came in the same one must not be missed."""
    store, _ = two
    store.append("s", [CREATED], expected_version=0)
    sessions = folder / "sessions"
    assert ids(store.list_sessions()) == ["s"]
    at = sessions.stat().st_mtime_ns
    shutil.copy(sessions / "s.jsonl", sessions / "t.jsonl")
    os.utime(sessions, ns=(at, at))
    page = store.list_sessions()
    assert ids(page) == ["s"]
    assert [unreadable.id for unreadable in page.unreadable] == ["t"]


def test_marks_are_worked_off_when_the_catalog_has_it_all(folder, two, monkeypatch):
    """A list that fails half-way must not lose them for the others; one that does not leaves none."""
    store, other = two
    version = store.append("s", [CREATED], expected_version=0)
    settle()
    assert versions(store) == versions(other) == [1]
    store.append("s", [said("a")], expected_version=version)

    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(other._catalog, "_read_again", fail)
        with pytest.raises(JournalError, match="Input/output error"):
            other.list_sessions()
    assert versions(store) == [2]
    assert list(folder.glob(".journal/changed*")) == []


def test_a_damaged_catalog_that_cannot_be_removed_is_an_error_of_ours(folder, store, monkeypatch):
    """Made anew, it is as damaged as before."""
    store.append("s", [CREATED], expected_version=0)
    (folder / ".journal" / "catalog.sqlite3").write_bytes(b"no database" * 1000)
    monkeypatch.setattr("journal.derived.remove_database", lambda *_: None)
    with pytest.raises(JournalError, match="file is not a database"):
        store.list_sessions()


def test_two_catalogs_do_not_share_the_marks(folder, two):
    """Who has one open that was removed must not take the marks from the one that everybody sees."""
    store, other = two
    version = store.append("s", [CREATED], expected_version=0)
    settle()
    assert versions(other) == [1]
    for path in folder.glob(".journal/catalog*"):
        path.unlink()
    assert versions(store) == [1]
    time.sleep(0.01)  # the new one must trust marks
    assert versions(store) == [1]
    with StateStore(folder, durability="os") as writer:
        writer.append("s", [said("a")], expected_version=version)
        assert versions(other) == [2]
        assert versions(store) == [2]


def test_marks_read_by_two_listers_in_turn_lose_no_change(two):
    """Who takes the marks first must leave the other none the poorer."""
    one, other = two
    put(one, "s", 0)
    put(other, "t", 0)
    time.sleep(0.15)
    for number in range(30):
        writer = two[number % 2]
        writer.update_session_with("s", lambda session: session.add_user_message("x"))
        first, second = (one, other) if number % 3 else (other, one)
        for lister in (first, second):
            assert {each.id: each.version for each in lister.list_sessions()} == {"s": number + 2, "t": 1}


class TwoListers(RuleBasedStateMachine):
    """Any order of writes and lists by two stores: a list is always the truth."""

    def __init__(self):
        super().__init__()
        self.context = a_store()
        self.one = self.context.__enter__()
        self.two = StateStore(self.one.base_path, durability="os")
        self.truth = {}

    def teardown(self):
        self.two.close()
        self.context.__exit__(None, None, None)

    stores = st.sampled_from(["one", "two"])

    @rule(store=stores, session_id=st.sampled_from("abc"))
    def write(self, store, session_id):
        store = getattr(self, store)
        store.get_or_create_session("u", session_id)
        self.truth[session_id] = store.update_session_with(session_id, lambda s: s.add_user_message("x"))

    @rule(store=stores, session_id=st.sampled_from("abc"))
    def delete(self, store, session_id):
        assert getattr(self, store).delete_session(session_id) == (
            self.truth.pop(session_id, None) is not None
        )

    @rule(store=stores)
    def list(self, store):
        page = getattr(self, store).list_sessions()
        assert {each.id: each.version for each in page} == self.truth
        assert page.unreadable == []

    @rule(store=stores)
    def reopen(self, store):
        if store == "two":
            self.two.close()
            self.two = StateStore(self.one.base_path, durability="os")

    @rule()
    def compact(self):
        self.one.compact()

    @invariant()
    def ids_are_true(self):
        assert self.two.session_ids() == sorted(self.truth)


TestTwoListers = TwoListers.TestCase
TestTwoListers.settings = settings(max_examples=25, stateful_step_count=20)


def test_listing_a_missing_folder_creates_nothing(store, folder):
    """To look is not to write; and when it comes to be, its sessions show."""
    assert store.list_sessions() == []
    assert store.session_ids() == []
    assert store.list_category("sessions") == []
    assert not folder.exists()
    put(store, "s", 0)
    assert ids(store.list_sessions()) == ["s"]


def test_a_session_that_was_never_saved_is_not_listed(store, folder):
    """An empty journal is no session."""
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "s.jsonl").touch()

    assert store.list_sessions() == []
    assert store.session_ids() == []


def test_a_closed_store_does_not_list(store):
    """JournalClosedError, as for everything else."""
    put(store, "s", 0)
    store.list_sessions()
    store.close()

    with pytest.raises(JournalClosedError):
        store.list_sessions()


def test_stores_that_make_the_catalog_at_the_same_moment_all_list(folder):
    """The first list of each of many stores: nobody fails, and nobody leaves a lock behind."""
    with StateStore(folder, durability="os") as store:
        put(store, "s", 0)
    for _ in range(10):
        shutil.rmtree(folder / ".journal")
        stores = [StateStore(folder, durability="os") for _ in range(8)]
        start = threading.Barrier(len(stores))

        def look(opened, start=start):
            start.wait()
            return ids(opened.list_sessions())

        with ThreadPoolExecutor(len(stores)) as threads:
            assert list(threads.map(look, stores)) == [["s"]] * len(stores)
        for opened in stores:
            opened.close()


def test_a_store_that_may_only_be_read_can_be_listed(store, monkeypatch):
    """The catalog is then in memory, and leaves the marks to those that may take them."""
    store.save_session(Session.with_id("u", "s"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with StateStore(store.base_path) as reader:
        monkeypatch.setattr(reader._disk, "may_write", lambda path: False)
        for name in ("rename", "unlink", "make_folder", "overwrite"):
            monkeypatch.setattr(reader._disk, name, refuse, raising=False)
        first = [summary.id for summary in reader.list_sessions()]
        store.save_session(Session.with_id("u", "t"))
        second = {summary.id for summary in reader.list_sessions()}
        monkeypatch.undo()

    assert (first, second) == (["s"], {"s", "t"})
    assert {summary.id for summary in store.list_sessions()} == {"s", "t"}
