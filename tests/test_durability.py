"""What is on disk when a call returns, whoever wrote it; and what a file says to those that have it open."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from crash import forging
from crash.forging import forged

from journal import ANY, CorruptRecordError, DurabilityError, JournalWarning, Session, StateStore
from journal import log as logs
from journal.record import prepare
from journal.tombstones import add_tombstone
from projections import Change
from projections.messages import utc_now
from tests.strategies import CREATED, contents, said

FOREIGN = (
    '{"id":"s","user_id":"u","user_messages":[],"agent_responses":[],"metadata":{},'
    '"created_at":"2026-11-22T12:00:00Z","updated_at":"2026-11-22T12:00:00Z"}'
)


@pytest.fixture
def other(folder):
    """Another process, which does not wait for the disk."""
    with StateStore(folder, durability="os") as opened:
        yield opened


@pytest.fixture
def durable(folder):
    with StateStore(folder) as opened:
        yield opened


@pytest.fixture
def calls(durable, monkeypatch):
    """What the durable store asks of the disk, as far as it changes it or makes it durable."""
    return calls_of(durable, monkeypatch)


def calls_of(store, monkeypatch):
    """What a store asks of the disk from now on."""
    noted = []
    for name in ("write", "truncate", "sync", "rename", "unlink", "sync_folder"):
        real = getattr(store._disk, name)

        def method(*arguments, name=name, real=real):
            is_event = name == "write" and b'"event"' in arguments[1]
            if name != "write" or is_event:
                noted.append((name, arguments[0]) if name == "sync_folder" else name)
            return real(*arguments)

        monkeypatch.setattr(store._disk, name, method, raising=False)
    return noted


def journal_of(store, session_id="s"):
    return Path(store.base_path, "sessions", f"{session_id}.jsonl")


def folders_of(store):
    return [("sync_folder", str(path)) for path in (Path(store.base_path, "sessions"), Path(store.base_path))]


# What others wrote


def test_what_others_wrote_is_synced_before_anything_is_written_behind_it(durable, other, calls):
    """Else a crash could tear theirs and keep ours: that would look like damage."""
    other.append("s", [CREATED, said("a")], expected_version=0)
    durable.append("s", [said("b")], expected_version=2)
    assert [call for call in calls if isinstance(call, str)] == ["sync", "write", "sync"]
    calls.clear()
    durable.append("s", [said("c")], expected_version=3)
    assert calls == ["write", "sync"]
    other.append("s", [said("d")], expected_version=4)
    calls.clear()
    durable.append("s", [said("e")], expected_version=5)
    assert calls == ["sync", "write", "sync"]


def test_what_a_snapshot_stands_for_may_not_be_synced_either(folder, calls, durable):
    """Nothing of the journal is read then, and still something stands in it."""
    with StateStore(folder, durability="os", snapshots="always") as other:
        other.append("s", [CREATED, said("a")], expected_version=0)
    durable.append("s", [said("b")], expected_version=2)
    assert [call for call in calls if isinstance(call, str)] == ["sync", "write", "sync"]


def test_a_replaced_file_is_durable_each_time(durable, calls):
    """Its name is known, and leads to another file."""
    for number in range(2):
        calls.clear()
        durable.save_json("notes", "n", number)
        assert calls[:3] == ["sync", "rename", ("sync_folder", str(Path(durable.base_path, "notes")))]


def test_a_removed_file_is_gone_for_good(durable, calls):
    """Also for who finds nothing: whoever removed it may not have come to that."""
    durable.save_json("notes", "n", 1)
    in_folder = ("sync_folder", str(Path(durable.base_path, "notes")))
    for was_there in (True, False):
        calls.clear()
        assert durable.delete_file("notes", "n") is was_there
        assert calls[-1] == in_folder


def test_another_programs_file_goes_when_what_it_says_is_on_disk(folder, monkeypatch):
    """With durability="os", too: that program was promised nothing by us, and did not ask for it."""
    path = Path(folder, "sessions", "s.json")
    path.parent.mkdir(parents=True)
    path.write_text(FOREIGN)
    with StateStore(folder, durability="os", snapshots="always") as store:
        calls = calls_of(store, monkeypatch)
        store.update_session_with("s", lambda session: session.add_user_message("a"))
        in_folder = ("sync_folder", str(path.parent))
        assert [call for call in calls if isinstance(call, str) or call == in_folder] == [
            *("write", "sync", in_folder),  # the journal
            *("sync", "rename", in_folder),  # the snapshot in the file's place
        ]


def test_a_file_that_is_put_away_while_it_is_used_is_closed_after_that(durable):
    """Room is made for other sessions; the one who works with it is the last."""
    durable.append("s", [CREATED], expected_version=0)
    log = durable._handles.of("s").log
    for block in (log.using, log.exclusive):
        log.look()
        log.is_retired = False
        with block:
            log.retire()
            assert log.fd is not None
        assert log.fd is None


def test_a_file_is_not_closed_before_what_waits_for_its_sync_is_synced(durable, calls):
    """Room is made for other sessions while a save is on its way to the disk."""
    log = durable._handles.of("s").log
    with log.using:
        log.defers = True
        durable.append("s", [CREATED, said("a")], expected_version=0)
        log.defers = False
        assert calls == ["write"]
        log.close()
    assert calls[:2] == ["write", "sync"]
    assert log.is_synced


@pytest.mark.parametrize("kind", ["key", "session"])
def test_a_retry_that_finds_its_first_try_syncs_it(durable, other, calls, kind):
    """The first try's process may have died between the write and the sync."""
    session = Session.with_id("u", "s")
    other.save_session(session)
    session.add_user_message("x")
    twin = session.copy()
    twin._unsaved = list(session._unsaved)
    if kind == "session":
        other.save_session(twin)
        assert durable.save_session(session) == 2
    else:
        other.append("s", [said("x")], expected_version=1, key="k")
        assert durable.append("s", [said("x")], expected_version=1, key="k") == 2
    assert "sync" in calls
    assert "write" not in calls


def test_the_names_that_others_made_are_synced(durable, other, calls):
    """A file whose name is lost is lost."""
    other.append("s", [CREATED, said("a")], expected_version=0)
    durable.append("s", [said("b")], expected_version=2)
    assert [call for call in calls if call in folders_of(durable)] == folders_of(durable)
    assert calls[-2:] == ["write", "sync"]
    # What is known to be durable is not synced again, by another handle neither.
    durable._handles.of("s").retire()
    durable._handles._handles.clear()
    calls.clear()
    durable.append("s", [said("c")], expected_version=3)
    assert [call for call in calls if not isinstance(call, str)] == []


def test_a_name_is_not_durable_while_one_above_it_may_be_lost(durable, other, calls, monkeypatch):
    """A retry syncs them all again."""
    other.append("s", [CREATED, said("a")], expected_version=0)
    real = durable._disk.sync_folder

    def sync_folder(path):
        if path == durable.base_path:
            raise OSError(5, "Input/output error")
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(durable._disk, "sync_folder", sync_folder)
        with pytest.raises(DurabilityError):
            durable.append("s", [said("b")], expected_version=2)
    calls.clear()
    version = durable.load_session("s").version
    durable.append("s", [said("c")], expected_version=version)
    assert [call for call in calls if call in folders_of(durable)] == folders_of(durable)


def test_a_file_that_was_made_anew_has_its_name_synced_anew(durable, other, calls):
    """It is another file, under a name that is known."""
    durable.append("s", [CREATED, said("a")], expected_version=0)
    other.delete_session("s")
    other.append("s", [CREATED, said("b")], expected_version=0)
    calls.clear()
    durable.append("s", [said("c")], expected_version=2)
    assert folders_of(durable)[0] in calls


@pytest.mark.parametrize("what", ["document", "tombstone", "quarantine"])
def test_folders_that_others_made_are_synced_for_every_kind_of_file(durable, other, calls, what):
    """Documents, tombstones and quarantine as well as journals."""
    other.append("s", [CREATED, said("a")], expected_version=0)
    other.save_markdown("notes/deep", "a", "a")
    if what == "document":
        durable.save_markdown("notes/deep", "b", "b")
        expected = [Path(durable.base_path, "notes"), Path(durable.base_path)]
    elif what == "tombstone":
        durable.delete_session("s")
        expected = [Path(durable.base_path, ".journal"), Path(durable.base_path)]
    else:
        with journal_of(other).open("ab") as file:
            file.write(b"torn")
        with pytest.warns(UserWarning, match="quarantine"):
            durable.append("s", [said("b")], expected_version=2)
        expected = [Path(durable.base_path, ".journal"), Path(durable.base_path)]
    for path in expected:
        assert ("sync_folder", str(path)) in calls


def test_to_read_syncs_nothing(durable, other, calls):
    """Not at the end either."""
    for number in range(3):
        other.save_session(Session.with_id("u", f"s{number}"))
    for number in range(3):
        assert durable.load_session(f"s{number}").version == 1
    assert len(durable.list_sessions()) == 3
    assert durable.verify().ok
    durable._handles.close()
    assert [call for call in calls if "sync" in (call, call[0][:4])] == []


# What failed


def test_after_a_failed_sync_the_file_is_cut_back_and_never_synced_again(durable, monkeypatch):
    """What may not be on disk must not be read as if it were."""
    durable.append("s", [CREATED, said("a")], expected_version=0)
    size = journal_of(durable).stat().st_size
    synced, dropped = [], []

    def sync(fd):
        synced.append(fd)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable._disk, "sync", sync, raising=False)
    monkeypatch.setattr(durable._disk, "drop_cache", dropped.append, raising=False)
    with pytest.raises(DurabilityError) as caught:
        durable.append("s", [said("b")], expected_version=2)
    assert caught.value.outcome_unknown
    assert len(synced) == 1
    assert dropped == synced
    assert journal_of(durable).stat().st_size == size
    monkeypatch.undo()
    assert durable.append("s", [said("b")], expected_version=2) == 3
    assert contents(durable.load_session("s")) == ["a", "b"]


def test_a_torn_tail_is_off_the_disk_before_anything_takes_its_place(durable, calls):
    """A crash could mix the two: a line with parts of both looks like one that somebody altered."""
    durable.append("s", [CREATED, said("a")], expected_version=0)
    with journal_of(durable).open("ab") as file:
        file.write(b'{"v":1,"seq":')
    calls.clear()
    with pytest.warns(JournalWarning, match="moved to"):
        durable.append("s", [said("b")], expected_version=2)
    in_the_files = [call for call in calls if isinstance(call, str)]
    assert in_the_files[:4] == ["sync", "truncate", "sync", "write"]  # the first is that of the copy


def test_half_a_write_is_off_the_disk_before_anything_takes_its_place(durable, calls, monkeypatch):
    """As with a torn tail."""
    durable.append("s", [CREATED, said("a")], expected_version=0)
    real = durable._disk.write

    def write(fd, data):
        if b'"event"' in data:
            return os.write(fd, data[:400])
        if len(data) > 100:  # the rest of it
            raise OSError(28, "No space left on device")
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(durable._disk, "write", write)
        calls.clear()
        with pytest.raises(DurabilityError) as caught:
            durable.append("s", [said("b" * 500)], expected_version=2)
    assert not caught.value.outcome_unknown
    assert calls[-2:] == ["truncate", "sync"]


def test_all_who_wait_for_a_sync_are_told_that_it_failed(durable, monkeypatch):
    """Of two syncs of one file, the system tells only the first of an error."""
    log = durable._handles.of("s").log
    with log.using:
        log.defers = True
        durable.append("s", [CREATED, said("a")], expected_version=0)
        log.defers = False
    is_syncing, calls, told = threading.Event(), [], []

    def sync(fd):
        calls.append(fd)
        if len(calls) == 1:
            is_syncing.set()
            time.sleep(0.1)  # the other one comes meanwhile
            raise OSError(5, "Input/output error")

    def wait_for_it():
        try:
            log.sync()
        except DurabilityError as error:
            told.append(error)

    monkeypatch.setattr(durable._disk, "sync", sync, raising=False)
    threads = [threading.Thread(target=wait_for_it) for _ in range(2)]
    threads[0].start()
    assert is_syncing.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert len(told) == 2


def durable_steps(store, calls):
    """What was asked of the disk but for writes, with folders by their names."""
    return [
        (call[0], os.path.relpath(call[1], store.base_path)) if isinstance(call, tuple) else call
        for call in calls
        if call != "write"
    ]


def test_a_repair_of_damage_keeps_for_sure_what_it_takes_away(durable, calls):
    """Each step is on disk before the next one makes it the only copy."""
    durable.append("s", [CREATED, *map(said, "abc")], expected_version=0)
    durable.append("s", [said("d")], expected_version=4)
    durable.compact()
    data = journal_of(durable).read_bytes()
    with journal_of(durable).open("r+b") as file:
        file.write(data.replace(b'"content":"b"', b'"content":"B"'))
    calls.clear()
    durable.repair("s")
    assert durable_steps(durable, calls) == [
        # The damaged bytes; then the mended journal, which those who have the old one open are told of; then
        # the snapshot, moved.
        *("sync", ("sync_folder", ".journal/quarantine"), ("sync_folder", ".journal"), ("sync_folder", ".")),
        *("truncate", "sync", "rename", ("sync_folder", "sessions")),
        *("rename", ("sync_folder", ".journal/quarantine"), ("sync_folder", "sessions")),
    ]


def test_a_repair_of_a_snapshot_keeps_the_old_one_for_sure(durable, calls):
    """The folder that it is moved to is on disk before."""
    durable.append("s", [CREATED, said("a")], expected_version=0)
    durable.compact()
    Path(durable.base_path, "sessions", "s.json").write_text("{")
    calls.clear()
    durable.repair("s")
    assert durable_steps(durable, calls) == [
        *(("sync_folder", ".journal"), ("sync_folder", ".")),
        *("rename", ("sync_folder", ".journal/quarantine"), ("sync_folder", "sessions")),
        *("sync", "rename", ("sync_folder", "sessions")),
    ]


# What others have open


def test_a_deletion_is_noticed_by_the_very_next_save(folder, other, monkeypatch):
    """Also by a store that does not look at the path for a while: the file itself tells."""
    monkeypatch.setattr(logs, "LOOK_AFTER_SECONDS", 1000)
    with StateStore(folder, durability="os") as store:
        store.append("s", [CREATED, said("a")], expected_version=0)
        other.delete_session("s")
        assert store.append("s", [CREATED, said("new")], expected_version=0) == 2
        assert contents(other.load_session("s")) == ["new"]


def test_a_session_that_is_made_the_moment_another_is_deleted_stays(store, folder, other, monkeypatch):
    """One of another program's is locked by an empty journal: that goes once, and no other one does."""
    path = Path(folder, "sessions", "s.json")
    path.parent.mkdir(parents=True)
    path.write_text(FOREIGN)
    real = store._disk.unlink

    def unlink(name):
        real(name)
        if name == str(journal_of(store)):
            monkeypatch.undo()
            other.append("s", [CREATED, said("new")], expected_version=0)

    monkeypatch.setattr(store._disk, "unlink", unlink, raising=False)
    assert store.delete_session("s") is True
    assert contents(store.load_session("s")) == ["new"]


def test_a_repair_is_noticed_by_the_very_next_save(folder, other, monkeypatch):
    """The journal is another file by then."""
    monkeypatch.setattr(logs, "LOOK_AFTER_SECONDS", 1000)
    with StateStore(folder, durability="os") as store:
        version = store.append("s", [CREATED, *map(said, "abc")], expected_version=0)
        version = store.append("s", [said("d")], expected_version=version)
        data = journal_of(store).read_bytes()
        with journal_of(store).open("r+b") as file:
            file.write(data.replace(b'"content":"b"', b'"content":"B"'))
        other.repair("s")
        version = other.load_session("s").version
        assert store.append("s", [said("e")], expected_version=version) == version + 1
        assert contents(other.load_session("s"))[-1] == "e"
        assert other.verify("s").ok


def test_a_journal_that_was_replaced_while_its_session_was_lent_is_read_afresh(store, folder, tmp_path):
    """By one that has a snapshot at the same version, and could not be read behind it for a moment."""
    store.append("s", [CREATED, said("old")], expected_version=0)
    readable = forged([forging.CREATED, forging.SAID])
    unreadable = forged([forging.CREATED, forging.SAID], [b'{"type":"metadata_set"}'])
    assert unreadable[: len(readable)] == readable
    (tmp_path / "new" / "sessions").mkdir(parents=True)
    (tmp_path / "new" / "sessions" / "s.jsonl").write_bytes(readable)
    with StateStore(tmp_path / "new") as new:
        new.update_session_with("s", lambda session: None)
        new.compact()

    def change(session):
        if contents(session) == ["old"]:
            shutil.copytree(tmp_path / "new" / "sessions", folder / "sessions", dirs_exist_ok=True)
            journal_of(store).write_bytes(unreadable)
            with pytest.raises(CorruptRecordError):
                store.load_session("s")
            journal_of(store).write_bytes(readable)
        session.add_user_message("again")

    store.update_session_with("s", change)
    assert contents(store.load_session("s")) == ["hello", "again"]


def test_a_removal_by_a_program_that_locks_nothing_is_noticed_soon(store, journal_file):
    """At once where a save waits for the disk (test_log.py); else within a moment."""
    store.append("s", [CREATED], expected_version=0)
    store.append("s", [said("a")], expected_version=1)
    journal_file("s").unlink()
    time.sleep(0.01)
    assert store.append("s", [CREATED, said("new")], expected_version=0) == 2
    assert contents(store.load_session("s")) == ["new"]


def test_it_is_noticed_at_once_where_a_save_waits_for_the_disk(durable, monkeypatch):
    """There, to look at the path costs nothing that anybody would notice."""
    monkeypatch.setattr(logs, "LOOK_AFTER_SECONDS", 1000)
    durable.append("s", [CREATED], expected_version=0)
    durable.append("s", [said("a")], expected_version=1)
    journal_of(durable).unlink()
    assert durable.append("s", [CREATED, said("new")], expected_version=0) == 2
    assert contents(durable.load_session("s")) == ["new"]


def test_a_reader_waits_for_who_may_be_mending_what_it_saw(store, other, journal_file):
    """What looks like damage may be a repair at work: it is damage if it is there while nobody writes."""
    store.append("s", [CREATED, said("a")], expected_version=0)
    whole = journal_file("s").read_bytes()
    read = []
    reader = threading.Thread(target=lambda: read.append(contents(other.load_session("s"))))
    with store._handles.of("s").log.exclusive:
        journal_file("s").write_bytes(whole.replace(b'"content":"a"', b'"content":"b"'))
        reader.start()
        time.sleep(0.1)
        journal_file("s").write_bytes(whole)
    reader.join()
    assert read == [["a"]]


def test_tombstones_are_written_one_at_a_time(store):
    """Who cuts half a note off must not cut another one's."""
    for session_id in "st":
        store.save_session(Session.with_id("u", session_id))
    store.delete_session("t")
    path = Path(store.base_path, ".journal", "tombstones.jsonl")
    deletion = threading.Thread(target=store.delete_session, args=["s"])
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        deletion.start()
        deletion.join(0.2)
        assert deletion.is_alive()
        assert len(path.read_text().splitlines()) == 1
    deletion.join()
    assert len(path.read_text().splitlines()) == 2


def test_a_lock_ends_with_its_holder_though_a_forked_child_has_the_file(folder):
    """To close a file does not unlock it while another process has it open."""
    script = """
import os, sys, time
from journal import Session, StateStore
store = StateStore(sys.argv[1], durability="os")
store.save_session(Session.with_id("u", "s"))
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
try:
    other = StateStore(sys.argv[1], durability="os")
    other.delete_session("s")                      # adds a tombstone
    store.save_session(Session.with_id("u", "s"))  # finds its file gone, and lets go of it
    command = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
    import subprocess
    subprocess.run(command, check=True, timeout=20)
    other.close()
    store.close()
finally:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
    then = """
import sys
from journal import StateStore
with StateStore(sys.argv[1], durability="os") as store:
    store.update_session_with("s", lambda session: session.add_user_message("x"))
    store.delete_session("s")
"""
    subprocess.run([sys.executable, "-c", script, str(folder), then], check=True, timeout=60)


def test_a_tombstone_is_unlocked_and_not_only_closed(folder, durable, monkeypatch):
    """As above, where the fork comes while the lock is held."""
    from journal.disk import LOCK_UN
    from journal.tombstones import Tombstone
    from projections.messages import utc_now

    unlocked = []
    real = durable._disk.flock
    monkeypatch.setattr(
        durable._disk, "flock", lambda fd, kind: (unlocked.append(kind), real(fd, kind)), raising=False
    )
    note = Tombstone(id="s", version=1, chain="", at=utc_now())
    add_tombstone(durable._disk, str(folder / ".journal" / "tombstones.jsonl"), note, durable=True)
    assert unlocked[-1] == LOCK_UN


# What was left open


def test_a_store_that_was_never_closed_says_so(folder):
    """As an open file does; its records are all there."""

    def leak():
        StateStore(folder, durability="os").save_session(Session.with_id("u", "s"))

    with pytest.warns(ResourceWarning, match="never closed"):
        leak()
    with StateStore(folder) as store:
        assert store.load_session("s").version == 1


def test_a_store_that_has_nothing_open_may_be_dropped(folder):
    """Nothing is lost by that."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StateStore(folder)
        closed = StateStore(folder)
        closed.save_session(Session.with_id("u", "s"))
        closed.close()
        del closed


def test_an_interpreter_that_ends_without_closing_loses_nothing(folder):
    """Whatever was acknowledged is there, of a store and of an asyncio one, after an error too."""
    script = """
import asyncio, sys
from journal import ANY, AsyncStateStore, Session, StateStore
store = StateStore(sys.argv[1])
session = Session.with_id("u", "one")
for n in range(50):
    session.add_user_message(str(n))
    store.save_session(session)
async def main():
    opened = AsyncStateStore(sys.argv[1])
    other = Session.with_id("u", "two")
    for n in range(50):
        other.add_user_message(str(n))
        await opened.save_session(other)
    globals()["kept"] = opened
asyncio.run(main())
sys.exit(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (3, "")
    with StateStore(folder) as store:
        for session_id in ("one", "two"):
            assert contents(store.load_session(session_id)) == [str(n) for n in range(50)]
            assert store.verify(session_id).ok


def test_a_log_that_was_not_read_to_its_end_is_not_written(store):
    """Two writers would each have a record of the same number."""
    store.append("s", [CREATED], expected_version=0)
    log = store._handles.of("s").log
    with log.exclusive:
        log._size += 1
        with pytest.raises(AssertionError, match="only at the end"):
            log.append([prepare(Change(event=said("a"), at=utc_now()))])


def test_a_batch_that_could_not_be_read_back_is_refused(store, monkeypatch):
    """A reader holds a batch until it is whole: it must not be longer than that."""
    from journal import InvalidEventError

    monkeypatch.setattr(logs, "MAX_BATCH_BYTES", 10_000)
    store.append("s", [CREATED], expected_version=0)
    with pytest.raises(InvalidEventError, match="in parts"):
        store.append("s", [said("x" * 1000) for _ in range(10)], expected_version=ANY)
    assert store.append("s", [said("x")], expected_version=1) == 2
    assert os.path.getsize(journal_of(store)) < 10_000
