"""Sessions of a replica of which not all is here, or that others rewrite: nothing is lost or doubled."""

import asyncio
import threading
from contextlib import suppress

import pytest

from journal import (
    ANY,
    InvalidEventError,
    JournalError,
    JournalWarning,
    SessionNotFoundError,
    UnreachableError,
    VersionConflictError,
)
from journal.backend import Unclear
from projections import MetadataSet, SessionCreated, UserMessageAdded
from tests.test_replica import Troubled, long_session, new, on, said


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.setattr("journal.replica.journals.PAUSE_SECONDS", 0.001)
    return Troubled()


def tear(backend, store, session_id="s", *first):
    """Put half a batch behind what the backend has of a session, as no store does."""
    append = backend.journals.append

    async def half(session_id, lines, after):
        return await append(session_id, [b"".join(lines).splitlines(keepends=True)[0]], after)

    backend.journals.append = half
    changes = [*first, UserMessageAdded(content="lost"), UserMessageAdded(content="half")]
    store.append(session_id, changes, expected_version=ANY)
    backend.journals.append = append


def test_the_deletions_before_a_long_session_are_known_to_whoever_begins_at_its_snapshot(backend, tmp_path):
    """They are noted, and another deletion keeps them."""
    with on(backend, tmp_path) as store:
        new(store)
        store.delete_session("s", why="first")
        long_session(store)
        with on(backend, tmp_path, "b") as other:
            other.load_session("s")
            assert other._disk._journals.holes
            assert [each.why for each in other.tombstones()] == ["first"]
            other.delete_session("s", why="second")
        with on(backend, tmp_path, "c") as fresh:
            assert [each.why for each in fresh.tombstones()] == ["first", "second"]


def test_a_repair_of_a_session_whose_end_alone_is_here_loses_nothing_of_its_beginning(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        long_session(store)
        before = said(store)
        tear(backend, store)
        other.load_session("s")
        assert other._disk._journals.holes
        with pytest.warns(JournalWarning, match="moved to"):
            other.append("s", [UserMessageAdded(content="more")], expected_version=ANY)

        assert said(other) == [*before, "more"]
        assert any(each.startswith("quarantine/") for each in backend.files._files)
        with on(backend, tmp_path, "c") as fresh:
            assert fresh.verify().ok
            assert said(fresh) == [*before, "more"]


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_behind_a_repair_that_was_refused_nothing_of_others_is_put(backend, tmp_path):
    """The file is shorter here than it is there."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other, on(backend, tmp_path, "c") as c:
        session = new(store)
        session.add_user_message("once")
        store.save_session(session)
        tear(backend, store)
        other.list_sessions()
        backend.troubles = ["refused"]
        with suppress(JournalError):
            other.append("s", [UserMessageAdded(content="refused")], expected_version=ANY)
        for text in ("twice", "thrice"):
            c.append("s", [UserMessageAdded(content=text)], expected_version=ANY)
        other.list_sessions()

        assert other._disk._journals.unopened("s") is None
        with other._disk.settled:
            assert said(other) == ["once", "twice", "thrice"]
        assert other.verify().ok


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_who_finds_half_of_a_first_batch_and_writes_nothing_does_not_look_for_ever(backend, tmp_path):
    """What is cut off here comes again with each look."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store, "t")
        tear(backend, store, "t")
        tear(backend, store, "s", SessionCreated(session_id="s", user_id="user"))
        ends = []

        def write():
            ends.append(other.append("s", [], expected_version=0))
            for text in ("one", "two"):
                with pytest.raises(InvalidEventError, match="must be SessionCreated"):
                    other.append("s", [UserMessageAdded(content=text)], expected_version=ANY)
            ends.append(other.append("t", [], expected_version=ANY))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(10)
        is_late = thread.is_alive()
        other._disk._asking.is_over = is_late  # else it would go on
        assert not is_late
        assert ends == [0, 2]  # the repair is a record


def test_an_append_that_landed_before_somebody_replaced_all_is_there_once(backend, tmp_path):
    """Of which no answer was heard."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("hunter2")
        store.save_session(session)
        append = backend.journals.append

        async def unheard(session_id, lines, after):
            backend.journals.append = append
            await append(session_id, lines, after)
            other.append("s", [UserMessageAdded(content="theirs")], expected_version=ANY)
            other.erase("s", [2], reason="asked for")
            raise Unclear

        backend.journals.append = unheard
        assert store.append("s", [UserMessageAdded(content="ours")], expected_version=ANY) == 3

        assert said(other) == said(store) == ["ours", "theirs"]
        assert store.verify().ok


def test_a_snapshot_that_comes_while_its_session_is_erased_does_not_stay(backend, tmp_path):
    """Also where whoever shared it is gone before he could look whether it was still so."""
    with on(backend, tmp_path) as store:
        long_session(store)
        (name,) = backend.files._files
        snapshot = backend.files._files[name].data
        replace = backend.journals.replace

        async def replaced(session_id, lines, after):
            place = await replace(session_id, lines, after)
            await backend.files.put(name, snapshot)
            return place

        backend.journals.replace = replaced
        store.erase("s", [2], reason="asked for")

        assert not any(b"0.0 xxx" in each.data for each in backend.files._files.values())


def test_a_change_that_was_not_heard_is_fetched_before_the_next_one(backend, tmp_path):
    """And not left out until somebody looks."""
    listen, missed = backend.journals.listen, []

    async def hard_of_hearing(session_id, heard):
        def hear(change):
            if change.data.count(b"missed"):
                missed.append(change)
            else:
                heard(change)

        return await listen(session_id, hear)

    backend.journals.listen = hard_of_hearing
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        for session_id in (None, "s"):
            followed = other.follow(session_id, timeout=5)
            version = store.load_session("s").version
            assert [next(followed).seq for _ in range(version)] == [*range(1, version + 1)]
            for text in ("missed", "heard"):
                store.append("s", [UserMessageAdded(content=text)], expected_version=ANY)
            assert [next(followed).event.content for _ in range(2)] == ["missed", "heard"]
            followed.close()
        assert len(missed) == 2
        assert other.verify().ok


def test_who_follows_reads_all_of_a_session_that_is_fetched_anew(backend, tmp_path):
    """Of a long one, too: a follower looks at the file as it is."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        long_session(store)
        followed = other.follow(timeout=5)
        assert [next(followed).seq for _ in range(10)] == [*range(1, 11)]
        other._disk._journals.forget("s")
        other.load_session("s")
        store.append("s", [UserMessageAdded(content="more")], expected_version=ANY)

        assert [next(followed).seq for _ in range(292)] == [*range(11, 303)]
        followed.close()


def test_a_session_that_nobody_opened_is_whole_when_somebody_begins_to_follow(backend, tmp_path):
    """Though it came into the spool a moment later."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        other.list_sessions()
        assert "s" in other._disk._journals._spool
        other._disk._journals._opens_all = True
        store.append("s", [UserMessageAdded(content="more")], expected_version=ANY)
        other.list_sessions()

        assert said(other) == ["more"]
        assert other.verify().ok


@pytest.mark.parametrize("bad", ["../x", "a/b", "", "x" * 300, "line\n"])
def test_a_session_whose_id_is_none_hides_no_other_one(backend, tmp_path, monkeypatch, bad):
    """Somebody who may write to the backend wrote it, and no store: it is told, and has no path."""
    monkeypatch.setattr("journal.replica.disk.LOOK_EACH_SECONDS", 0.05)
    journals = backend.journals
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        asyncio.run(journals.append(bad, [b"junk\n"], 0))
        followed = other.follow(timeout=5)
        assert next(followed).session_id == "s"
        asyncio.run(journals.replace(bad, [b"junk\n"], asyncio.run(journals.head(bad))))
        asyncio.run(journals.append(bad, [b"junk\n"], asyncio.run(journals.head(bad))))
        store.append("s", [UserMessageAdded(content="hello")], expected_version=1)
        assert next(followed).seq == 2
        followed.close()
        assert [hit.seq for hit in other.search("hello")] == [2]
        listed = other.list_sessions()
        assert [each.id for each in listed] == ["s"]
        assert [each.id for each in listed.unreadable] == [bad]
        assert not other.verify().ok
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_bytes_that_are_attached_again_after_somebody_removed_them_are_there(backend, tmp_path):
    """Though they are here still."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        new(other, "t")
        reference = store.attach(b"bytes", "text/plain")
        store.append("s", [MetadataSet(key="file", value=reference)], expected_version=1)
        assert other.attachment(reference) == b"bytes"
        store.delete_session("s")
        reference = other.attach(b"bytes", "text/plain")
        other.append("t", [MetadataSet(key="file", value=reference)], expected_version=1)

        with on(backend, tmp_path, "c") as fresh:
            assert fresh.attachment(reference) == b"bytes"


def test_a_deletion_that_is_heard_of_leaves_what_is_about_to_be_attached(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        other.list_sessions()
        put = backend.files.put

        async def heard_meanwhile(name, data, revision=None):
            store.delete_session("s")
            thread = threading.Thread(target=other.list_sessions)
            thread.start()
            thread.join()
            return await put(name, data, revision)

        backend.files.put = heard_meanwhile
        reference = other.attach(b"bytes", "text/plain")
        assert store.attachment(reference) == other.attachment(reference) == b"bytes"


def test_threads_that_rewrite_attach_and_list_are_in_nobodys_way(backend, tmp_path):
    """Deletions throw away what is here of attachments, and not what is about to be put there."""
    failures = []

    def work(store, number):
        try:
            for n in range(24):
                session_id = "abc"[(number + n) % 3]
                with suppress(
                    SessionNotFoundError, VersionConflictError, InvalidEventError, UnreachableError
                ):
                    match (number + n) % 6:
                        case 0:
                            store.delete_session(session_id)
                            new(store, session_id)
                        case 1:
                            store.list_sessions()
                        case 2:
                            store.search("text")
                        case 3:
                            store.erase(session_id, [2], reason="asked for")
                        case 4:
                            store.delete_session(store.fork(session_id).id)
                        case 5:
                            event = MetadataSet(key="file", value=store.attach(b"%d" % n))
                            store.append(session_id, [event], expected_version=ANY)
        except BaseException as error:
            failures.append(error)
            raise

    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        for session_id in "abc":
            new(store, session_id)
        threads = [
            threading.Thread(target=work, args=((store, other)[n % 2], n), daemon=True) for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert not any(thread.is_alive() for thread in threads)
        assert not failures
        assert store.verify().ok
        assert other.verify().ok


def test_a_session_that_is_deleted_and_begins_anew_is_followed(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        for session_id in (None, "s"):
            new(store)
            followed = other.follow(session_id, timeout=5)
            assert next(followed).seq == 1
            for n in range(3):
                store.delete_session("s")
                new(store)
                store.append("s", [UserMessageAdded(content=str(n))], expected_version=1)
                assert [next(followed).seq for _ in range(2)] == [1, 2]
            followed.close()
            store.delete_session("s")
