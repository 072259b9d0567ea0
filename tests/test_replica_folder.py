"""A replica whose own folder fails it, full or tidied up: an error says so, and what is shared is whole."""

import errno
import os
import shutil
import threading
from contextlib import suppress

import pytest

from journal import ANY, JournalError, UnreachableError, VersionConflictError
from journal.backend import Unreachable
from journal.disk import Disk
from projections import SessionCreated, UserMessageAdded
from tests.test_replica import Troubled, long_session, new, on, said


@pytest.fixture
def backend():
    return Troubled()


class Room:
    """How many bytes may still be written to files; None: as many as one likes."""

    def __init__(self, monkeypatch):
        self.left = None
        self.write = os.write
        monkeypatch.setattr(os, "write", self.take)
        monkeypatch.setattr(Disk, "write", staticmethod(self.take))

    def take(self, fd, data):
        if self.left is None:
            return self.write(fd, data)
        written = bytes(data)[: self.left]
        if not written and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(written)
        return self.write(fd, written)


@pytest.fixture
def room(monkeypatch):
    return Room(monkeypatch)


CALLS = {
    "list": lambda store: store.list_sessions(),
    "load": lambda store: store.load_session("s1"),
    "search": lambda store: store.search("hello"),
    "verify": lambda store: store.verify(),
    "records": lambda store: list(store.records("s1")),
    "tombstones": lambda store: store.tombstones(),
    "follow": lambda store: list(store.follow(timeout=0)),
    "follow one": lambda store: list(store.follow("s1", timeout=0)),
    "document": lambda store: store.load_markdown("notes", "a"),
    "fork": lambda store: store.fork("s1", new_id="f"),
    "erase": lambda store: store.erase("s2", [2], reason="asked for"),
    "delete": lambda store: store.delete_session("s0"),
    "save": lambda store: store.append("s1", [UserMessageAdded(content="more")], expected_version=ANY),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("left", [0, 100, 700, 3_000])
def test_a_full_folder_is_an_error_and_when_there_is_room_all_is_as_it_is_elsewhere(
    backend, tmp_path, room, call, left
):
    """However much was written before there was no room, twice."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store, "gone")
        store.delete_session("gone", why="old")
        for n in range(4):
            session = new(store, f"s{n}")
            session.add_user_message(f"hello {n}")
            store.save_session(session)
        store.save_markdown("notes", "a", "x" * 1_000)
        for _ in range(2):
            room.left = left
            with suppress(JournalError):
                call(other)
            room.left = None

        for session_id in store.session_ids():
            assert said(other, session_id) == said(store, session_id)
        listed = {each.id: each.version for each in store.list_sessions()}
        assert {each.id: each.version for each in other.list_sessions()} == listed
        assert {each.id: each for each in other.tombstones()} == {
            each.id: each for each in store.tombstones()
        }
        assert len(other.search("hello")) == len(store.search("hello"))
        assert other.load_markdown("notes", "a") == "x" * 1_000
        for session_id in store.session_ids():
            other.append(session_id, [UserMessageAdded(content="goes on")], expected_version=ANY)
        with on(backend, tmp_path, "c") as fresh:
            assert fresh.verify().ok
        assert other.verify().ok


@pytest.mark.parametrize("left", [0, 100, 30_000, 80_000])
def test_a_long_session_that_finds_no_room_is_fetched_again(backend, tmp_path, room, left):
    """Its snapshot alone would be another program's session, and half of its end damage."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = long_session(store)
        room.left = left
        with pytest.raises(JournalError):
            other.load_session("s")
        room.left = None
        assert not os.path.exists(f"{other.base_path}/sessions/s.json")
        backend.files._files.clear()

        assert other.load_session("s").to_document() == session.to_document()
        assert other.verify().ok
        leftovers = [name for _, _, names in os.walk(other.base_path) for name in names]
        assert not [name for name in leftovers if name.endswith(".tmp")]


def test_a_journal_that_somebody_tidied_away_is_fetched_again(backend, tmp_path):
    """Whoever tidies up temporary folders: the session is there still, and does not begin anew."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("once")
        store.save_session(session)
        for look in (
            lambda: other.get_or_create_session("user", "s"),
            lambda: other.append("s", [UserMessageAdded(content="twice")], expected_version=2),
            lambda: other.list_sessions(),
            lambda: other.verify(),
            lambda: list(other.follow(timeout=0)),
        ):
            before = said(other)
            os.unlink(f"{other.base_path}/sessions/s.jsonl")
            look()
            assert said(other)[: len(before)] == before == said(store)[: len(before)]
        assert said(store) == said(other) == ["once", "twice"]
        assert store.verify().ok


def test_what_was_tidied_away_does_not_begin_anew(backend, tmp_path):
    """Whoever looks finds no session; the servers have one, and would take the next record of any kind."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        assert other.load_session("s").version == 1
        os.unlink(f"{other.base_path}/sessions/s.jsonl")
        with pytest.raises(VersionConflictError, match="is there already, at version 1"):
            other.append("s", [SessionCreated(session_id="s", user_id="else")], expected_version=0)

        assert store.load_session("s") == other.load_session("s")
        assert store.verify().ok


@pytest.mark.parametrize("is_followed", [False, True])
def test_what_others_write_is_not_put_behind_what_was_tidied_away(backend, tmp_path, is_followed):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        followed = other.follow(timeout=5)
        if is_followed:
            assert next(followed).seq == 1
        assert said(other) == []
        os.unlink(f"{other.base_path}/sessions/s.jsonl")
        store.append("s", [UserMessageAdded(content="once")], expected_version=1)
        if is_followed:
            assert next(followed).seq == 2
        followed.close()

        assert [each.version for each in other.list_sessions()] == [2]
        assert said(other) == ["once"]
        assert other.verify().ok


def test_a_journal_that_somebody_cut_short_is_fetched_again(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("once")
        store.save_session(session)
        assert said(other) == ["once"]
        os.truncate(f"{other.base_path}/sessions/s.jsonl", 300)

        assert said(other) == ["once"]
        assert other.append("s", [UserMessageAdded(content="twice")], expected_version=2) == 3
        assert store.verify().ok


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
def test_without_its_folder_a_store_writes_nothing_wrong(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("once")
        store.save_session(session)
        other.list_sessions()
        other.load_session("s")
        shutil.rmtree(other.base_path)
        for _ in range(2):
            for call in CALLS.values():
                with suppress(JournalError):
                    call(other)
            with suppress(JournalError):
                other.get_or_create_session("user", "s")

        assert said(store) == ["once"]
        assert store.verify().ok


@pytest.mark.parametrize("how", ["delete", "erase"])
def test_what_cannot_be_done_here_is_on_record_and_fetched(backend, tmp_path, monkeypatch, how):
    """A deleted session is not there any more, an erased content nowhere to be seen."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("hunter2")
        store.save_session(session)

        def refused(*paths, **options):
            if str(paths[-1]).endswith("s.jsonl"):
                raise OSError(errno.EIO, os.strerror(errno.EIO), paths[0])
            return call(*paths, **options)

        name = "unlink" if how == "delete" else "rename"
        call = getattr(os, name)
        monkeypatch.setattr(os, name, refused)
        with suppress(JournalError):
            if how == "delete":
                store.delete_session("s")
            else:
                store.erase("s", [2], reason="asked for")
        monkeypatch.setattr(os, name, call)

        assert other.load_session("s") == store.load_session("s")
        assert store.tombstones() == other.tombstones()
        assert b"hunter2" not in b"".join(each.data for each in backend.journals._changes.values())
        if how == "erase":
            assert said(store) == []
            assert store.verify().ok


def test_a_deletion_that_cannot_be_noted_here_is_noted_later(backend, tmp_path, room):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        room.left = 10
        assert store.delete_session("s", why="old")
        room.left = None

        assert store.load_session("s") is None
        assert [each.why for each in store.tombstones()] == ["old"]
        assert store.tombstones() == other.tombstones()


def test_documents_are_listed_while_others_are_saved(backend, tmp_path):
    """What is about to be put in its place is left alone."""
    failures = []
    with on(backend, tmp_path) as store:

        def work(number):
            try:
                for n in range(150):
                    if number:
                        store.save_markdown("notes", f"{number}-{n % 3}", "x" * 100)
                        store.load_markdown("notes", f"{3 - number}-{n % 3}")
                    else:
                        store.list_category("notes")
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(number,)) for number in (0, 0, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert not failures
        assert len(store.list_category("notes")) == 6


def test_a_deletion_that_did_not_come_to_pass_leaves_no_note(backend, tmp_path):
    """Also where the session's file is touched again, later, and is empty then."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        long_session(store)
        remove = backend.files.remove

        async def refused(name):
            raise Unreachable("it is closed on Sundays")

        backend.files.remove = refused
        with pytest.raises(UnreachableError):
            store.delete_session("s", why="not done")
        backend.files.remove = remove
        other.delete_session("s", why="done")
        with pytest.raises(JournalError, match="must be SessionCreated"):
            store.append("s", [UserMessageAdded(content="more")], expected_version=ANY)

        assert [each.why for each in store.tombstones()] == ["done"]
        assert [each.why for each in other.tombstones()] == ["done"]
