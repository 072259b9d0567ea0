"""`journal doctor`: a line for each session, a line for what is around them, and not one byte changed."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from journal import Session, StateStore
from journal.disk import Disk
from journal.doctor import check_session, check_store, session_ids
from journal.layout import Layout
from tests.command import invoke
from tests.strategies import said

pytestmark = pytest.mark.filterwarnings("ignore::journal.JournalWarning")


def call(folder: Path, *args: str) -> Result:
    return invoke(folder, "doctor", *args)


def answers(folder: Path, *args: str) -> list[Any]:
    return [json.loads(line) for line in call(folder, *args, "--json").stdout.splitlines()]


def state_of(folder: Path, session_id: str) -> str:
    return str(next(each["state"] for each in answers(folder) if each.get("session_id") == session_id))


def remark(folder: Path, about: str) -> Any:
    return next(each for each in answers(folder)[-1]["store"] if each["about"] == about)


def create(folder: Path, *session_ids: str) -> None:
    with StateStore(folder, durability="os") as store:
        for session_id in session_ids:
            session = Session.with_id("ann", session_id)
            session.add_user_message("one")
            store.save_session(session)
            session.add_user_message("two")
            store.save_session(session)


def edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def make_foreign(folder: Path, session_id: str) -> None:
    path = folder / "sessions" / f"{session_id}.json"
    document = json.loads(path.read_bytes())
    del document["journal"]
    document["metadata"]["mood"] = "fine"
    path.write_text(json.dumps(document))


@pytest.fixture
def ward(folder: Path) -> Path:
    """A store with one session for each thing that can be wrong, and more around them."""
    ids = ("well", "torn", "edited", "newer", "foreign", "altered", "broken", "erased", "gone")
    create(folder, *ids)
    sessions = folder / "sessions"
    with (sessions / "torn.jsonl").open("ab") as file:
        file.write(b'{"v":1')
    edit(sessions / "edited.jsonl", b'"one"', b'"0ne"')
    edit(sessions / "newer.jsonl", b'{"v":1,"seq":3', b'{"v":2,"seq":3')
    make_foreign(folder, "foreign")
    edit(sessions / "altered.json", b'"two"', b'"2wo"')
    edit(sessions / "broken.json", b'"user_id"', b'"user')
    lines = (sessions / "erased.jsonl").read_bytes().splitlines(keepends=True)
    head = lines[1].split(b'"salt"')[0]
    lines[1] = head + b'"salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    (sessions / "erased.jsonl").write_bytes(b"".join(lines))
    (sessions / "erased.json").unlink()
    (sessions / "gone.jsonl").unlink()
    (sessions / "gone.json").write_text("{")
    (sessions / "folder.jsonl").mkdir()
    (sessions / "notes.txt").write_text("mine")
    (sessions / "well.json").chmod(0o644)
    with StateStore(folder, durability="os") as store:
        store.delete_session("nobody")
        store.save_session(Session.with_id("ann", "dead"))
        store.delete_session("dead")
        store.list_sessions()
    (sessions / ".well.json.0123456789abcdef.tmp").write_text("left")
    os.utime(sessions / ".well.json.0123456789abcdef.tmp", (1, 1))
    return folder


def everything(folder: Path) -> dict[str, object]:
    """Every path with all that a look must leave as it is."""
    return {
        str(path): (
            path.read_bytes() if path.is_file() else None,
            (status := path.lstat()).st_mtime_ns,
            status.st_ino,
            status.st_mode,
            status.st_nlink,
        )
        for path in [folder, *folder.rglob("*")]
    }


def test_a_store_that_is_well(folder: Path) -> None:
    create(folder, "a", "b")
    result = call(folder)

    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()[:2]] == [["a", "ok"], ["b", "ok"]]
    assert "next:" not in result.output
    assert "2 sessions: 2 ok" in result.output


@pytest.mark.parametrize(
    ("session_id", "state", "is_well"),
    [
        ("well", "ok", True),
        ("torn", "torn_tail", True),
        ("edited", "damage", False),
        ("newer", "newer_format", False),
        ("foreign", "foreign_snapshot", False),
        ("altered", "altered_snapshot", False),
        ("broken", "broken_snapshot", True),
        ("erased", "erased_record", False),
        ("gone", "unreadable_snapshot", False),
        ("folder", "unreadable", False),
    ],
)
def test_each_state_has_its_word(ward: Path, session_id: str, state: str, is_well: bool) -> None:
    assert state_of(ward, session_id) == state
    assert call(ward, session_id).exit_code == (0 if is_well else 4)


def test_one_line_a_session_and_what_to_type_next(ward: Path) -> None:
    result = call(ward)
    firsts = [line.split()[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")]

    assert result.exit_code == 4
    assert set(session_ids(Disk(), Layout(ward))) <= set(firsts)
    assert f"next: journal --store {ward} repair --all" in result.output
    assert "next: chmod -R go-rwx" in result.output
    few = call(ward, "torn", "edited", "well")
    assert few.output.count("next:") == 2
    assert f"next: journal --store {ward} repair edited" in few.output


def test_what_it_says_can_be_typed(ward: Path) -> None:
    """Its advice leads to a store that is well, but for what no program can mend."""
    for line in call(ward).output.splitlines():
        if line.startswith("next: chmod"):
            subprocess.run(line.removeprefix("next: "), shell=True, check=True)
    invoke(ward, "repair", "--all", "--yes")
    invoke(ward, "compact")
    states = {each["session_id"]: each["state"] for each in answers(ward)[:-1]}

    assert {name for name, state in states.items() if state != "ok"} == {"newer", "folder"}
    assert {each["about"] for each in answers(ward)[-1]["store"] if each["advice"]} == set()


def test_it_changes_nothing(ward: Path) -> None:
    """Not a byte, not a time, not a file; nor where there was no .journal yet."""
    before = everything(ward)
    call(ward)
    call(ward, "edited", "--json")

    assert everything(ward) == before

    shutil.rmtree(ward / ".journal")
    before = everything(ward)
    call(ward)
    assert everything(ward) == before


def test_it_asks_the_system_for_nothing_but_to_read(ward: Path) -> None:
    """Every call that changes something, or keeps a writer waiting, would fail here."""

    class ReadOnly(Disk):
        def open(self, path: str, **options: bool) -> int:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

        def __getattribute__(self, name: str) -> Any:
            refused = (
                "write",
                "truncate",
                "unlink",
                "rename",
                "sync",
                "sync_folder",
                "overwrite",
                "make_folder",
            )
            if name in refused:
                raise AssertionError(f"{name} was asked for")
            return super().__getattribute__(name)

    disk, layout = ReadOnly(), Layout(ward)
    states = [check_session(disk, layout, each).state for each in session_ids(disk, layout)]

    assert states.count("ok") == 1
    assert len(list(check_store(disk, layout))) >= 6


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_whoever_may_only_read_a_store_can_have_it_looked_over(ward: Path) -> None:
    """As another user, who may write nowhere in it."""
    subprocess.run(["chmod", "-R", "a+rX,go-w", str(ward)], check=True)
    for folder in ward.parents:
        if folder.owner() == "root" and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    before = everything(ward)
    # Once as root, so that all is imported: the interpreter itself may be root's own.
    script = (
        "import os\n"
        "from click.testing import CliRunner\n"
        "from journal.cli.commands import app\n"
        f"call = lambda: CliRunner().invoke(app, ['--store', {str(ward)!r}, 'doctor', '--json']).output\n"
        "call(); os.setgroups([]); os.setgid(65534); os.setuid(65534); print(call(), end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    states = {each["session_id"]: each["state"] for each in map(json.loads, done.stdout.splitlines()[:-1])}

    assert states == {each["session_id"]: each["state"] for each in answers(ward)[:-1]}
    assert everything(ward) == before


def test_json_is_one_object_a_line_and_a_last_one_for_the_store(ward: Path) -> None:
    *sessions, last = answers(ward)

    assert {tuple(each) for each in sessions} == {
        ("session_id", "state", "is_well", "version", "size_bytes", "findings", "notes")
    }
    assert list(last) == ["ok", "sessions", "states", "store"]
    assert (last["ok"], last["sessions"]) == (False, len(sessions))
    assert sum(last["states"].values()) == len(sessions)
    assert {tuple(each) for each in last["store"]} == {("about", "text", "is_well", "advice")}


def test_a_session_that_is_not_there_is_not_found(ward: Path) -> None:
    before = everything(ward)
    result = call(ward, "tron")

    assert result.exit_code == 3
    assert "'torn'" in result.stderr
    assert everything(ward) == before


# Around the sessions


def test_what_is_around_the_sessions(ward: Path) -> None:
    assert "1 deleted session" in remark(ward, "tombstones")["text"]
    assert "sessions/well.json" in remark(ward, "access")["text"]
    assert "sessions/.well.json.0123456789abcdef.tmp" in remark(ward, "temporaries")["text"]
    assert remark(ward, "other files")["text"] == "1 file (sessions/notes.txt) of no session"
    assert remark(ward, "quarantine")["text"] == "empty"


@pytest.mark.parametrize("damage", ["garbage", "cut", "schema", "page", "folder", "empty"])
@pytest.mark.parametrize("about", ["catalog", "search index"])
def test_what_is_derived_and_broken_is_found_and_costs_nothing(folder: Path, about: str, damage: str) -> None:
    def found() -> int:
        with StateStore(folder) as store:
            if about == "catalog":
                return len(store.list_sessions())
            return len(store.search("one", limit=None))

    create(folder, *(f"s{number}" for number in range(60)))
    found()
    layout = Layout(folder)
    derived = Path(layout.catalog if about == "catalog" else layout.search)
    data = derived.read_bytes()
    match damage:
        case "garbage":
            derived.write_bytes(b"no database" * 1000)
        case "cut":
            derived.write_bytes(data[: len(data) // 2])
        case "page":
            derived.write_bytes(data[:4096] + b"\xff" * 8192 + data[4096 + 8192 :])
        case "schema":
            with sqlite3.connect(derived) as database:
                database.execute("drop table session")
            database.close()
        case "folder":
            derived.unlink()
            derived.mkdir()
        case "empty":
            derived.write_bytes(b"")
    before = everything(folder)
    said = remark(folder, about)
    is_well = damage == "empty"  # as one that was never filled

    assert said["is_well"] == is_well
    assert said["advice"] == (None if is_well else "journal repair --catalog --yes")
    assert call(folder).exit_code == (0 if is_well else 4)
    assert everything(folder) == before
    if damage != "folder":
        assert found() == 60
        assert remark(folder, about)["text"].startswith("whole, ")


def test_a_search_index_without_the_words_of_a_part_is_broken(folder: Path) -> None:
    """Every page is in order; what is missing is a table."""
    create(folder, "a")
    with StateStore(folder) as store:
        store.search("one")
    with sqlite3.connect(Layout(folder).search) as database:
        database.execute("drop table words_1")
    database.close()

    assert "words_1" in remark(folder, "search index")["text"]
    assert not remark(folder, "search index")["is_well"]


def test_a_search_index_that_knows_who_is_gone_is_told_and_forgets(folder: Path) -> None:
    """It is as it must be after a deletion; but until the next search it holds words of what is gone."""
    create(folder, "a", "b")
    with StateStore(folder) as store:
        store.append("b", [said("zanzibar")], expected_version=3)
        store.search("one")
        store.delete_session("b")
    (folder / "sessions" / "a.json").unlink()  # the journal alone is a session, an empty one is none
    (folder / "sessions" / "b.jsonl").touch(mode=0o600)
    index = Path(Layout(folder).search)
    before = everything(folder)
    found = remark(folder, "search index")
    assert found["is_well"]
    assert "1 session (b) without a file" in found["text"]
    assert call(folder).exit_code == 0
    assert everything(folder) == before
    assert b"zanzibar" in index.read_bytes()

    subprocess.run(
        [sys.executable, "-m", "journal.cli", "--store", folder, *found["advice"].split()[1:]], check=True
    )

    assert b"zanzibar" not in index.read_bytes()
    assert remark(folder, "search index")["advice"] is None
    with StateStore(folder) as store:
        assert [hit.session_id for hit in store.search("one")] == ["a"]


@pytest.mark.parametrize("about", ["catalog", "search index"])
def test_what_is_in_use_is_not_judged(folder: Path, about: str) -> None:
    """Its file is a moment's half of it: what is missing there stands in the log, or the other way round."""
    create(folder, "a")
    with StateStore(folder) as store:
        store.search("one")
        text = remark(folder, about)["text"]
    path = Path(Layout(folder).catalog if about == "catalog" else Layout(folder).search)
    assert text.endswith("bytes; in use, or as a crash left it")
    assert remark(folder, about)["text"].startswith("whole, ")

    path.write_bytes(b"half of it" * 1000)
    path.with_name(path.name + "-wal").write_bytes(b"the other half")

    assert remark(folder, about)["is_well"]
    assert call(folder).exit_code == 0


def test_a_tombstone_that_cannot_be_read_is_told(ward: Path) -> None:
    with (ward / ".journal" / "tombstones.jsonl").open("ab") as file:
        file.write(b"x\n")
    found = remark(ward, "tombstones")

    assert not found["is_well"]
    assert "line (2) cannot be read, of 2" in found["text"]


def test_a_network_file_system_is_told(ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"36 35 0:30 / {ward.parent.resolve()} rw,relatime - nfs4 server:/export rw\n"
    monkeypatch.setattr(Disk, "mounts", lambda self: mounts)

    assert "nfs4" in remark(ward, "disk")["text"]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    create(folder, "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_text("x\n")
    (folder / "sessions" / "b.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "sessions" / "linked").symlink_to(outside)

    assert state_of(folder, "b") == "unreadable"
    assert "sessions/linked" in remark(folder, "other files")["text"]
