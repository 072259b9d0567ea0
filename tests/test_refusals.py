"""What the system refuses, and what a writer may have seen: clear errors, nothing lost, nothing twice."""

import json
import os
from pathlib import Path

import pytest

from journal import (
    ANY,
    DurabilityError,
    JournalError,
    JournalWarning,
    Session,
    StateStore,
    VersionConflictError,
)
from journal import disk as disks
from projections import JournalRepaired, SessionCreated
from tests.strategies import CREATED, contents, said

FOREIGN = {
    "id": "s",
    "user_id": "u",
    "user_messages": [{"content": "old", "timestamp": "2026-11-22T12:00:00Z"}],
    "agent_responses": [],
    "created_at": "2026-11-22T12:00:00Z",
    "updated_at": "2026-11-22T12:00:00Z",
    "metadata": {},
}


def refuse(store, monkeypatch, name, times=1):
    """Let the next so many calls of a kind fail."""
    real = getattr(store._disk, name)
    left = [times]

    def call(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise OSError(5, "Input/output error")
        return real(*arguments, **options)

    monkeypatch.setattr(store._disk, name, call, raising=False)


def journal_of(store):
    return Path(store.base_path, "sessions", "s.jsonl")


def tear(store):
    with journal_of(store).open("ab") as file:
        file.write(b'{"v":1,"seq":')


# What the system refuses


@pytest.mark.parametrize("name", ["flock", "lstat", "status_of", "write", "open"])
def test_a_save_that_the_system_refuses_is_an_error_of_ours(folder, monkeypatch, name):
    """It names the file; the next save works, and nothing is there twice."""
    with StateStore(folder) as store:
        session = Session.with_id("u", "s")
        store.save_session(session)
        store._handles.of("s").log.close()
        session.add_user_message("a")
        refuse(store, monkeypatch, name)
        with pytest.raises(DurabilityError, match=r"s\.jsonl"):
            store.save_session(session)
        assert store.save_session(session) == 2
        assert contents(store.load_session("s")) == ["a"]
        assert store.verify("s").ok


@pytest.mark.parametrize("call", ["load", "records", "project", "summary"])
def test_a_file_that_cannot_be_read_is_an_error_of_ours(folder, monkeypatch, call):
    """And it names the file: the system's own error does not."""
    with StateStore(folder) as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
    with StateStore(folder) as store:
        Path(folder, "sessions", "s.json").unlink()
        refuse(store, monkeypatch, "read", times=1000)
        calls = {
            "load": lambda: store.load_session("s"),
            "records": lambda: list(store.records("s")),
            "project": lambda: store.load_session("s", at=1),
            "summary": lambda: store._handles.of("s").summary(),
        }
        with pytest.raises(JournalError, match=r"s\.jsonl"):
            calls[call]()
        monkeypatch.undo()
        assert contents(store.load_session("s")) == ["a"]


def test_a_session_that_could_not_be_read_for_once_is_listed_the_next_time(folder, monkeypatch):
    """A disk may think better of it; the file that is the same is looked at again all the same."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        store._handles.of("s").log.close()
        real = store._disk.read

        def read(fd, size, at):
            if size == disks.CHUNK_BYTES:  # as journals are read
                raise OSError(5, "Input/output error")
            return real(fd, size, at)

        monkeypatch.setattr(store._disk, "read", read, raising=False)
        assert [each.id for each in store.list_sessions().unreadable] == ["s"]
        monkeypatch.undo()
        page = store.list_sessions()
        assert ([each.id for each in page], page.unreadable) == (["s"], [])


def test_no_descriptor_is_left_open_by_a_call_that_failed(folder, monkeypatch):
    """A server that meets a bad disk must not run out of them."""
    with StateStore(folder) as store:
        store.append("s", [CREATED], expected_version=0)
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            for name in ("flock", "status_of", "lstat"):
                store._handles.of("s").log.close()
                store._marks.close()
                refuse(store, monkeypatch, name)
                with pytest.raises(JournalError):
                    store.append("s", [said("x")], expected_version=ANY)
                monkeypatch.undo()
        assert len(os.listdir("/dev/fd")) <= before + 1


def test_a_catalog_on_a_full_disk_says_so(store):
    """SQLite has ended the transaction itself by then."""
    store.append("s", [CREATED], expected_version=0)
    store.list_sessions()
    store._catalog._file.database.execute("pragma max_page_count = 1")
    for number in range(200):
        store.save_session(Session.with_id("u" * 200, f"s{number}"))
    with pytest.raises(JournalError, match="full"):
        store.list_sessions()
    store._catalog.close()
    assert len(store.list_sessions()) == 201


def test_a_disk_that_refuses_to_close_a_file_is_a_warning(folder, monkeypatch):
    """What was synced is synced; and no descriptor of ours is closed a second time."""
    with StateStore(folder) as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        real = store._disk.close

        def close(fd):
            real(fd)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(store._disk, "close", close, raising=False)
        with pytest.warns(JournalWarning, match="closing it failed: Input/output error"):
            store.compact()
        with pytest.warns(JournalWarning, match="closing it failed"):
            assert [record.seq for record in store.records("s")] == [1, 2]
        with pytest.warns(JournalWarning, match="closing it failed"):
            store.close()
        monkeypatch.undo()
    with StateStore(folder) as store:
        assert contents(store.load_session("s")) == ["a"]


def test_a_repair_takes_no_snapshot_for_broken_that_the_disk_does_not_give(folder, monkeypatch):
    """It may be the last to know what the damaged records said."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a"), said("b")], expected_version=0)
        store.compact()
        data = journal_of(store).read_bytes()
        journal_of(store).write_bytes(b"x\n" * len(data))
        before = {path: path.read_bytes() for path in Path(folder, "sessions").iterdir()}
        with monkeypatch.context() as patch:
            refuse_reads_of_snapshots(store, patch)
            with pytest.raises(JournalError, match="Input/output error"):
                store.diagnose("s")
            with pytest.raises(JournalError, match="Input/output error"):
                store.repair("s")
        assert {path: path.read_bytes() for path in Path(folder, "sessions").iterdir()} == before
        with pytest.warns(JournalWarning, match="moved to"):
            store.repair("s")
        assert contents(store.load_session("s")) == ["a", "b"]


def test_a_snapshot_that_the_disk_does_not_give_is_not_replaced(folder, monkeypatch):
    """Another program may have written it, and the journal may not know what it says."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        store.compact()
        store.append("s", [said("b")], expected_version=2)
        foreign_text = json.dumps(FOREIGN)
        Path(folder, "sessions", "s.json").write_text(foreign_text)
        with monkeypatch.context() as patch:
            refuse_reads_of_snapshots(store, patch)
            with pytest.raises(DurabilityError, match="Input/output error"):
                store.compact("s")
        with pytest.warns(JournalWarning, match="rewritten by another program"):
            store.close()
        assert Path(folder, "sessions", "s.json").read_text() == foreign_text


def test_a_deletion_that_was_not_synced_is_synced_by_the_next_one(folder, monkeypatch):
    """Though that one finds nothing but the empty file that stood for a session without a journal."""
    foreign(folder)
    with StateStore(folder) as store:
        with monkeypatch.context() as patch:
            synced = refuse_syncs_of(store, patch, "sessions")
            with pytest.raises(DurabilityError) as caught:
                store.delete_session("s")
            assert caught.value.outcome_unknown
            assert synced == []
        assert not Path(folder, "sessions", "s.json").exists()
        journal_of(store).touch()  # what is left where the disk refuses all
        with monkeypatch.context() as patch:
            synced = refuse_syncs_of(store, patch, None)
            assert store.delete_session("s") is False
            assert str(Path(folder, "sessions")) in synced
            synced.clear()
            assert store.delete_session("s") is False
            assert str(Path(folder, "sessions")) in synced
        assert list(Path(folder, "sessions").iterdir()) == []


def test_a_tombstone_that_may_not_be_on_disk_is_none_in_front_of_the_next(folder, monkeypatch):
    with StateStore(folder) as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        with monkeypatch.context() as patch:
            for name in ("sync", "truncate"):
                refuse(store, patch, name)
            dropped = []
            patch.setattr(store._disk, "drop_cache", dropped.append, raising=False)
            with pytest.raises(DurabilityError):
                store.delete_session("s")
        assert len(dropped) == 1
        tombstones = Path(folder, ".journal", "tombstones.jsonl")
        size = tombstones.stat().st_size
        with monkeypatch.context() as patch:
            refuse(store, patch, "sync")
            with pytest.raises(DurabilityError):
                store.delete_session("s")
        assert tombstones.stat().st_size == size
        assert contents(store.load_session("s")) == ["a"]


def test_a_first_save_that_failed_leaves_no_file(folder, monkeypatch):
    """There is no such session, and nothing that looks like one."""
    with StateStore(folder) as store:
        real = store._disk.write

        def write(fd, data):
            return raise_eio() if b'"event"' in data else real(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(store._disk, "write", write, raising=False)
            with pytest.raises(DurabilityError):
                store.append("s", [CREATED], expected_version=0)
        assert list(Path(folder, "sessions").iterdir()) == []
        assert store.append("s", [CREATED], expected_version=0) == 1


def test_half_a_tombstone_does_not_swallow_the_next(folder):
    """A crash left it; nobody was told of that deletion."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        tombstones = Path(folder, ".journal", "tombstones.jsonl")
        tombstones.write_text('{"id":"t","ver')
        assert store.delete_session("s") is True
    half, whole = tombstones.read_text().splitlines()
    assert half == '{"id":"t","ver'
    assert json.loads(whole)["id"] == "s"


def test_a_file_that_its_first_look_refuses_is_not_left_open(folder, monkeypatch):
    """A disk that opens a file and then does not say what it is."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        store.save_json("notes", "n", {})
        store.list_sessions()
    descriptors = set(os.listdir("/dev/fd"))
    for call in (
        lambda store: store.load_session("s"),
        lambda store: store.load_json("notes", "n"),
        lambda store: store.list_sessions(),
    ):
        store = StateStore(folder, durability="os")
        with monkeypatch.context() as patch:
            patch.setattr(disks.os, "fstat", raise_eio)
            with pytest.raises(JournalError, match="Input/output error"):
                call(store)
        store.close()
        assert set(os.listdir("/dev/fd")) == descriptors


def raise_eio(*_):
    raise OSError(5, "Input/output error")


def refuse_reads_of_snapshots(store, patch):
    """Let no session file of another program's be opened."""
    real = store._disk.open

    def open_(path, **options):
        return raise_eio() if path.endswith(".json") else real(path, **options)

    patch.setattr(store._disk, "open", open_, raising=False)


def refuse_syncs_of(store, patch, name):
    """Let the folders of a name not be synced; the list of those that were."""
    real = store._disk.sync_folder
    synced = []

    def sync_folder(path):
        if os.path.basename(path) == name:
            raise_eio()
        real(path)
        if name is None or name in path:
            synced.append(path)

    patch.setattr(store._disk, "sync_folder", sync_folder, raising=False)
    return synced


def test_a_deletion_that_cannot_be_done_leaves_no_tombstone(store):
    """The session lives."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    Path(store.base_path, "sessions", "s.json").mkdir()
    with pytest.raises(JournalError):
        store.delete_session("s")
    assert not Path(store.base_path, ".journal", "tombstones.jsonl").exists()
    assert list(store.records("s"))[1].event.content == "a"


# What a writer may have seen


def foreign(folder):
    path = Path(folder, "sessions", "s.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FOREIGN))


@pytest.mark.parametrize("how", ["save", "append", "by hand"])
def test_a_new_session_does_not_go_on_top_of_another_programs(folder, how):
    """Who wrote it has not seen that one: it is a conflict, as with any other session."""
    foreign(folder)
    with StateStore(folder, durability="os") as store:
        session = Session.with_id("u", "s")
        session.add_user_message("new")
        if how == "by hand":
            session._unsaved.clear()
        events = [SessionCreated(session_id="s", user_id="u"), said("new")]
        with pytest.raises(VersionConflictError):
            store.append("s", events, expected_version=0) if how == "append" else store.save_session(session)
        assert contents(store.load_session("s")) == ["old"]
        loaded = store.load_session("s")
        loaded.add_user_message("more")
        store.save_session(loaded)
        assert contents(store.load_session("s")) == ["old", "more"]


def test_a_repair_is_nothing_that_a_writer_must_have_seen(store, folder):
    """Whoever made it: who knows the version before it may write."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    session = store.load_session("s")
    tear(store)
    with StateStore(folder, durability="os") as other, pytest.warns(JournalWarning):
        other.append("s", [], expected_version=2)
    assert [type(r.event) for r in store.records("s")][-1] is JournalRepaired
    session.add_user_message("b")
    assert store.save_session(session) == 4
    tear(store)
    with pytest.warns(JournalWarning):
        assert store.append("s", [said("c")], expected_version=4) == 6
    with StateStore(folder, durability="os") as fresh:
        assert contents(fresh.load_session("s")) == ["a", "b", "c"]
        assert fresh.verify("s").ok


def test_nobody_can_have_seen_the_version_that_a_repair_makes_now(store):
    """Who expects it saw another record of that number, which a crash took."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    tear(store)
    with pytest.warns(JournalWarning), pytest.raises(VersionConflictError):
        store.append("s", [said("b")], expected_version=3)
    assert contents(store.load_session("s")) == ["a"]


def test_a_retry_finds_its_first_try_behind_the_repair_that_it_made(store, folder):
    """What it put on record before its own events is no reason for a conflict."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    tear(store)
    with StateStore(folder, durability="os") as other, pytest.warns(JournalWarning, match="moved to"):
        assert other.append("s", [said("b")], expected_version=2, key="k") == 4
    assert store.append("s", [said("b")], expected_version=2, key="k") == 4
    assert contents(store.load_session("s")) == ["a", "b"]


def test_a_save_behind_a_repair_may_be_tried_again(folder, monkeypatch):
    """The first try repaired, and then its own write failed."""
    with StateStore(folder) as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        session = store.load_session("s")
        session.add_user_message("b")
        tear(store)
        real = store._disk.write

        def write(fd, data):
            if b'"content":"b"' in data:
                raise OSError(28, "No space left on device")
            return real(fd, data)

        monkeypatch.setattr(store._disk, "write", write, raising=False)
        with pytest.warns(JournalWarning), pytest.raises(DurabilityError):
            store.save_session(session)
        monkeypatch.undo()
        assert store.save_session(session) == 4
        assert contents(store.load_session("s")) == ["a", "b"]


@pytest.mark.parametrize("line", [b"note\n", b'{"role":"user"}\n', b"\0\0\0\n"])
def test_a_record_behind_a_bad_line_was_acknowledged(store, line):
    """Only later records of a torn batch may stand behind a bad line, and they say which batch that is."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    store.append("s", [said("b")], expected_version=2)
    lines = journal_of(store).read_bytes().splitlines(keepends=True)
    journal_of(store).write_bytes(b"".join([*lines[:2], line, lines[2]]))
    size = journal_of(store).stat().st_size
    store._handles.of("s").log.close()
    with pytest.raises(JournalError, match="byte"):
        store.append("s", [said("c")], expected_version=ANY)
    assert journal_of(store).stat().st_size == size


# What it costs


def test_to_look_for_an_earlier_try_costs_the_same_in_a_long_session(store, monkeypatch):
    """Only the records that the first try may have written are read again."""
    version = store.append("s", [CREATED, *(said("x" * 500) for _ in range(2000))], expected_version=0)
    read = []
    real = store._disk.read
    monkeypatch.setattr(
        store._disk, "read", lambda fd, size, at: read.append(size) or real(fd, size, at), raising=False
    )
    for number in range(10):
        version = store.append("s", [said("y")], expected_version=version, key=str(number))
    assert store.append("s", [said("y")], expected_version=version - 1, key="9") == version
    assert store.append("s", [said("z")], expected_version=ANY, key="z") == version + 1
    assert store.append("s", [said("z")], expected_version=ANY, key="z") == version + 1
    assert sum(read) < 200_000
