"""The seed's weaknesses, found by experiment: each is gone here. The numbers are seed-format.md's."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from journal import (
    AgentResponse,
    CorruptSnapshotError,
    InvalidEventError,
    InvalidNameError,
    OwnerMismatchError,
    Session,
    StateStore,
    VersionConflictError,
)
from projections import Transcript
from projections.transcript import to_markdown
from tests.strategies import nested


def contents(session):
    return [message.content for message in session.user_messages]


def counted(store, monkeypatch, name):
    """What a method of the store's disk was called with, from now on."""
    called = []
    real = getattr(store._disk, name)

    def method(*arguments, **options):
        called.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(store._disk, name, method, raising=False)
    return called


def test_1_what_was_acknowledged_was_synced(folder, monkeypatch):
    """One sync for each save, and the new names' folders are synced too."""
    with StateStore(folder) as store:
        synced = counted(store, monkeypatch, "sync")
        folders = counted(store, monkeypatch, "sync_folder")
        session = Session.with_id("u", "s")
        store.save_session(session)
        assert len(synced) == 1
        assert {str(folder.parent), str(folder), str(folder / "sessions")} <= {path for (path,) in folders}
        folders.clear()
        for number in range(2, 12):
            session.add_user_message("x")
            store.save_session(session)
            assert len(synced) == number
        store.append("s", [], expected_version=11)
        assert len(synced) == 11
        store.update_session_with("s", lambda s: [s.add_user_message("y") for _ in range(50)])
        assert len(synced) == 12
        assert folders == []


def test_1_a_sync_comes_after_the_write_and_before_the_return(folder, monkeypatch):
    """In the order that makes it mean something."""
    with StateStore(folder) as store:
        store.save_session(Session.with_id("u", "s"))
        order = []
        for name in ("write", "sync"):
            real = getattr(store._disk, name)
            monkeypatch.setattr(
                store._disk,
                name,
                lambda *a, name=name, real=real: order.append(name) or real(*a),
                raising=False,
            )
        store.update_session_with("s", lambda session: session.add_user_message("x"))

        assert [step for step in order if step in ("write", "sync")][-2:] == ["write", "sync"]
        assert order.count("sync") == 1


def test_1_os_durability_never_syncs_a_record(store, monkeypatch):
    """The caller chose speed; compaction included."""
    synced = counted(store, monkeypatch, "sync")
    store.save_session(Session.with_id("u", "s"))
    store.compact()

    assert synced == []


def test_2_concurrent_saves_in_one_process_keep_every_session_readable(folder):
    """Sixteen threads compact and save the same few sessions."""
    with StateStore(folder, durability="os", snapshots="always") as store:
        for name in "ab":
            store.save_session(Session.with_id("u", name))

        def work():
            for _ in range(10):
                for name in "ab":
                    store.update_session_with(name, lambda session: session.add_user_message("x"))
                    store.compact(name)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with StateStore(folder) as store:
        assert [len(store.load_session(name).user_messages) for name in "ab"] == [160, 160]
        assert store.verify().ok
    assert [path for path in (folder / "sessions").iterdir() if path.name.endswith(".tmp")] == []


def test_3_no_update_is_lost_between_processes(folder):
    """Eight processes with twenty messages each: 160."""
    script = (
        "import sys\nfrom journal import StateStore\n"
        "with StateStore(sys.argv[1], durability='os') as store:\n"
        "    for n in range(20):\n"
        "        store.update_session_with('s', lambda s: s.add_user_message(f'{sys.argv[2]}.{n}'))\n"
    )
    with StateStore(folder, durability="os") as store:
        store.save_session(Session.with_id("u", "s"))
    running = [subprocess.Popen([sys.executable, "-c", script, folder, str(n)]) for n in range(8)]
    assert [process.wait(60) for process in running] == [0] * 8
    with StateStore(folder) as store:
        session = store.load_session("s")

        assert sorted(contents(session)) == sorted(f"{p}.{n}" for p in range(8) for n in range(20))
        assert session.version == 161


def test_3_a_save_over_an_unseen_change_is_an_error(store):
    """Never a silent loss."""
    store.save_session(Session.with_id("u", "s"))
    one, two = store.load_session("s"), store.load_session("s")
    one.add_user_message("one")
    two.add_user_message("two")
    store.save_session(one)

    with pytest.raises(VersionConflictError):
        store.save_session(two)


@pytest.mark.parametrize("name", ["../../x", "../x", "..", "/etc/x", "a/../../x", ".", "x\0", "..\\x"])
def test_4_no_name_escapes_the_folder(store, folder, tmp_path, name):
    """Neither to delete, nor to read, nor to write."""
    victims = [tmp_path / f"x{ending}" for ending in (".json", ".jsonl", ".md")]
    for victim in victims:
        victim.write_text("{}")
    for call in (
        lambda: store.delete_session(name),
        lambda: store.load_session(name),
        lambda: store.save_session(Session.with_id("u", name)),
        lambda: store.delete_file("notes", name),
        lambda: store.delete_file(name, "x"),
        lambda: store.load_json(name, "x"),
        lambda: store.load_markdown("notes", name),
        lambda: store.save_markdown(name, "x", "text"),
        lambda: store.save_json("notes", name, {}),
        lambda: store.list_category(name),
    ):
        with pytest.raises(InvalidNameError):
            call()

    assert [victim.read_text() for victim in victims] == ["{}"] * 3
    assert not folder.exists()


def test_5_a_corrupt_file_is_reported_and_the_others_are_listed(store, folder):
    """With the file and the reason."""
    store.save_session(Session.with_id("u", "good"))
    (folder / "sessions" / "bad.json").write_text('{"id": "bad", ')
    page = store.list_sessions()

    assert [summary.id for summary in page] == ["good"]
    assert [each.id for each in page.unreadable] == ["bad"]
    assert str(folder / "sessions" / "bad.json") in page.unreadable[0].reason


def test_5_a_list_reads_only_what_changed(store, monkeypatch):
    """Not every file each time."""
    for number in range(30):
        store.save_session(Session.with_id("u", str(number)))
    store.list_sessions()
    time.sleep(0.15)
    store.list_sessions()
    opened = counted(store, monkeypatch, "open")
    store.list_sessions()
    unchanged = [path for (path, *_) in opened if "sessions" in path]
    store.update_session_with("7", lambda session: session.add_user_message("x"))
    opened.clear()
    page = store.list_sessions()

    assert unchanged == []
    assert {Path(path).stem for (path, *_) in opened if "/sessions/" in path} <= {"7"}
    assert page[0].id == "7"
    assert page[0].message_count == 1


def test_6_a_torn_file_does_not_block_its_session(store, folder):
    """It is repaired by the next save, and the bytes are kept."""
    store.save_session(Session.with_id("u", "s"))
    with (folder / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b'{"v":1,"se')
    with pytest.warns(UserWarning, match="quarantine"):
        store.update_session_with("s", lambda session: session.add_user_message("x"))

    assert contents(store.load_session("s")) == ["x"]
    assert [path.read_bytes() for path in (folder / ".journal" / "quarantine").iterdir()] == [b'{"v":1,"se']


def test_6_a_broken_foreign_file_blocks_only_itself(store, folder):
    """The error names the file and the place; it is left as it is, and can be deleted."""
    (folder / "sessions").mkdir(parents=True)
    path = folder / "sessions" / "bad.json"
    path.write_text('{"id": "bad", "user_id": 5}')
    with pytest.raises(CorruptSnapshotError, match="user_id") as caught:
        store.load_session("bad")

    assert caught.value.path == str(path)
    with pytest.raises(CorruptSnapshotError):
        store.update_session_with("bad", lambda session: None)
    with pytest.raises(CorruptSnapshotError):
        store.save_session(Session.with_id("u", "bad"))
    assert path.read_text() == '{"id": "bad", "user_id": 5}'
    assert store.delete_session("bad") is True


def test_7_what_is_written_can_be_read_back(store, folder):
    """The limit of nesting is the writer's, not only the reader's."""
    session = Session.with_id("u", "s")
    session.set_metadata("deep", nested(100))
    store.save_session(session)
    session.set_metadata("deeper", nested(101))
    with pytest.raises(InvalidEventError):
        store.save_session(session)
    store.compact()

    assert store.load_session("s").metadata == {"deep": nested(100)}
    (folder / "sessions" / "s.jsonl").unlink()
    assert store.load_session("s").metadata == {"deep": nested(100)}


def test_8_stale_temporary_files_are_swept_and_fresh_ones_left(store, folder):
    """What a crash left goes after an hour; what is being written stays; other files are not ours."""
    store.save_session(Session.with_id("u", "s"))
    sessions = folder / "sessions"
    stale, fresh, foreign = (sessions / name for name in (".s.json.0a.tmp", ".s.json.0b.tmp", ".keep"))
    for path in (stale, fresh, foreign):
        path.write_text("x")
    for path in (stale, foreign):
        os.utime(path, (time.time() - 4000,) * 2)
    store.compact()

    assert not stale.exists()
    assert fresh.exists()
    assert foreign.exists()


def test_9_modes_are_private_whatever_the_umask(tmp_path):
    """0600 and 0700 for everything that is made, and a replaced file does not become wider."""
    old = os.umask(0)
    try:
        with StateStore(tmp_path / "a" / "state") as store:
            session = Session.with_id("u", "s")
            store.save_session(session)
            store.compact()
            store.save_markdown("a/b", "n", "x")
            store.save_json("a", "n", {})
            store.list_sessions()
            store.save_session(Session.with_id("u", "gone"))
            store.delete_session("gone")
            with (tmp_path / "a" / "state" / "sessions" / "s.jsonl").open("ab") as file:
                file.write(b"torn")
            with pytest.warns(UserWarning, match="quarantine"):
                store.update_session_with("s", lambda s: s.add_user_message("x"))
            store.compact()
            modes = {
                str(path): stat.S_IMODE(path.lstat().st_mode)
                for path in [tmp_path / "a", *(tmp_path / "a").rglob("*")]
            }
            wrong = {
                path: oct(mode)
                for path, mode in modes.items()
                if mode != (0o700 if Path(path).is_dir() else 0o600)
            }
    finally:
        os.umask(old)

    assert wrong == {}
    assert len(modes) >= 12


def test_9_a_symlink_is_neither_followed_nor_replaced(store, folder, tmp_path):
    """In a journal's place it is an error, and the file that it names stays as it is."""
    target = tmp_path / "target"
    target.write_text("mine")
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "s.jsonl").symlink_to(target)
    with pytest.raises(Exception, match=r"s\.jsonl"):
        store.save_session(Session.with_id("u", "s"))
    with pytest.raises(Exception, match=r"s\.jsonl"):
        store.load_session("s")

    assert target.read_text() == "mine"
    assert (folder / "sessions" / "s.jsonl").is_symlink()
    assert [each.id for each in store.list_sessions().unreadable] == ["s"]


@pytest.mark.parametrize("inside", ["../../x", "other", ""])
def test_10_the_id_inside_is_checked_against_the_files_name(store, folder, inside):
    """It is never followed."""
    (folder / "sessions").mkdir(parents=True)
    plain = {"id": inside, "user_id": "u", "created_at": "2026-01-02T03:04:05Z"}
    (folder / "sessions" / "s.json").write_text(json.dumps({**plain, "updated_at": plain["created_at"]}))
    for call in (
        lambda: store.load_session("s"),
        lambda: store.update_session_with("s", lambda session: None),
        lambda: store.get_or_create_session("u", "s"),
    ):
        with pytest.raises(CorruptSnapshotError):
            call()

    assert [each.id for each in store.list_sessions().unreadable] == ["s"]
    assert not store.verify("s").ok
    assert sorted(path.name for path in folder.glob("sessions/*")) == ["s.json"]


def test_11_another_users_session_is_not_returned(store):
    """Mallory gets an error, not alice's session."""
    store.save_session(Session.with_id("alice", "s"))

    with pytest.raises(OwnerMismatchError):
        store.get_or_create_session("mallory", "s")


def test_12_the_same_session_gives_the_same_bytes(tmp_path):
    """In every process, whatever its hash seed: metadata keep the order in which they were set."""
    script = """
import sys
from datetime import datetime, UTC
from journal import Session, StateStore, UserMessage
with StateStore(sys.argv[1], durability="os") as store:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    store.save_session(Session(id="s", user_id="u", created_at=at, user_messages=[UserMessage("x", at)],
                       metadata={word: [word] for word in "one two three four five six".split()}))
    store.compact()
"""
    found = set()
    for seed in "0123":
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, folder], check=True, env=environment)
        plain = json.loads((folder / "sessions" / "s.json").read_text())
        plain.pop("journal")
        found.add(json.dumps(plain))

    assert len(found) == 1
    assert list(plain["metadata"]) == ["one", "two", "three", "four", "five", "six"]


def test_13_bytes_written_are_linear_in_what_was_said(store, monkeypatch):
    """Twice the exchanges, about twice the bytes: snapshots, marks and all."""
    written = counted(store, monkeypatch, "write")
    session = Session.with_id("u", "s")
    totals = []
    for _ in range(4):
        for _ in range(500):
            session.add_user_message("u" * 150)
            store.save_session(session)
            session.add_agent_response("a" * 150)
            store.save_session(session)
        totals.append(sum(len(data) for _, data in written))

    said = 4 * 500 * 300
    assert totals[3] < 5 * totals[0]
    assert totals[3] < 8 * said


def test_14_a_failed_turn_mis_pairs_nothing(store):
    """The transcript is in true order; no answer moves to another question."""
    session = Session.with_id("u", "s")
    session.add_user_message("question 1")
    session.add_user_message("question 2")
    session.add_agent_response("answer 2")
    session.add_user_message("question 3")
    session.add_agent_response(AgentResponse("answer 3"))
    store.save_session(session)
    entries = store.project(Transcript(), "s")
    said = [entry.text for entry in entries if entry.role in ("user", "agent")]
    page = to_markdown("s", entries)

    assert said == ["question 1", "question 2", "answer 2", "question 3", "answer 3"]
    assert [page.index(text) for text in said] == sorted(page.index(text) for text in said)
