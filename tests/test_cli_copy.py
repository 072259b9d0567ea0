"""`journal copy`: what it says, and how it ends."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from journal import Session, StateStore
from journal.cli.commands import app
from tests.command import at_a_terminal, run


def copy(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["copy", *map(str, args)], catch_exceptions=False)


@pytest.fixture
def talks(store: StateStore, folder: Path) -> Path:
    """A store with two sessions, one deleted, a document and an attachment."""
    for session_id in ("a", "b", "gone"):
        session = Session.with_id("ann", session_id)
        session.add_user_message(f"hello {session_id}")
        store.save_session(session)
    store.delete_session("gone")
    store.save_markdown("notes", "n", "# N")
    store.attach(b"picture")
    return folder


@pytest.fixture
def memory() -> str:
    """A store in memory that no other test has."""
    return f"memory:{uuid.uuid4()}"


def test_a_copy_says_what_it_wrote(talks: Path, tmp_path: Path) -> None:
    """Once all of it, then nothing."""
    there = tmp_path / "there"
    first, again = copy(talks, there), copy(talks, there)

    assert (first.exit_code, first.stdout) == (
        0,
        "2 sessions copied\nwrote 4 records, 1 deletion, 1 document, 1 attachment\n",
    )
    assert first.stderr == f"{talks} to {there}: all of it\n"
    assert (again.exit_code, again.stdout) == (0, "2 unchanged\n")


def test_there_and_back_over_urls(talks: Path, tmp_path: Path, memory: str) -> None:
    """Folders are named by their paths, or as file: URLs."""
    back = tmp_path / "back"
    results = [copy(f"file://{talks}", memory), copy(memory, back), copy(back, talks)]

    assert [result.exit_code for result in results] == [0, 0, 0]
    assert results[2].stdout == "2 unchanged\n"
    for name in ("sessions/a.jsonl", "sessions/b.jsonl", "notes/n.md", ".journal/tombstones.jsonl"):
        assert (back / name).read_bytes() == (talks / name).read_bytes()


def test_as_json_it_is_one_object(talks: Path, memory: str) -> None:
    found = json.loads(copy(talks, memory, "--json").stdout)

    assert found == {
        "created": 2,
        "continued": 0,
        "rewritten": 0,
        "same": 0,
        "ahead": 0,
        "records": 4,
        "tombstones": 1,
        "documents": 1,
        "attachments": 1,
        "conflicts": [],
        "problems": [],
        "survives": "disk",
        "ok": True,
    }


def test_a_conflict_is_told_and_the_exit_code_says_so(talks: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    with StateStore(there) as other:
        session = Session.with_id("bob", "a")
        other.save_session(session)
    result = copy(talks, there)

    assert result.exit_code == 5
    assert result.stdout.startswith("1 session copied\n")
    assert "a: it is there with another history, from record 1 on; it was left alone" in result.stderr
    assert result.stderr.endswith("not all of it; 1 thing to look after\n")


def test_damage_is_told_and_the_exit_code_says_so(talks: Path, tmp_path: Path) -> None:
    path = talks / "sessions" / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"hello", b"hallo"))
    result = copy(talks, tmp_path / "there", "--json")

    assert result.exit_code == 4
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["name"] == "a"
    assert str(path) in problem["reason"]


def test_what_is_left_out_is_left_out(talks: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    result = copy(talks, there, "--no-documents", "--no-verify")

    assert result.exit_code == 0
    assert not (there / "notes").exists()


@pytest.mark.parametrize(
    ("source", "target", "code", "text"),
    [
        ("none", "there", 3, "'none' does not exist"),
        ("talks", "talks", 6, "onto itself"),
        ("redis://host", "there", 2, "no store is reached with 'redis'"),
        ("talks", "file://host/there", 2, "names no folder of this machine"),
        ("talks", "memory:x?durability=most", 2, "durability is 'disk' or 'os'"),
        ("talks", "README.md", 2, "is a file, not a folder"),
        ("talks", "", 2, "TO is empty"),
        ("", "there", 2, "FROM is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(
    talks: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, code: int, text: str
) -> None:
    """Nothing is made."""
    monkeypatch.chdir(talks.parent)
    (talks.parent / "README.md").write_text("x")
    result = copy(talks if source == "talks" else source, talks if target == "talks" else target)

    assert result.exit_code == code
    assert text in result.stderr
    assert not (talks.parent / "there").exists()


def test_store_is_not_an_option_of_it(talks: Path) -> None:
    result = copy("--store", talks, talks, "elsewhere")

    assert result.exit_code == 2
    assert "--store says nothing here" in result.stderr


def test_without_the_extra_it_is_named(talks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else imports it."""

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "nats":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    import builtins
    import sys

    real = builtins.__import__
    for name in [each for each in sys.modules if each.startswith(("nats", "journal.nats"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", missing)
    result = copy(talks, "nats://127.0.0.1:1/journal")

    assert result.exit_code == 6
    assert "pip install 'session-journal[nats]'" in result.stderr
    assert copy(talks, talks.parent / "there").exit_code == 0


def test_secrets_are_not_shown(talks: Path) -> None:
    """Of a URL that nobody answers at, either."""
    pytest.importorskip("nats")
    url = "nats://ann:s3cret@127.0.0.1:1/journal?timeout=0.5"
    for command in (["copy", str(talks), url], ["copy", url, "there"], ["--store", url, "ls"]):
        result = run(*command)

        assert result.returncode == 6
        assert b"no answer in 0.5 s" in result.stderr
        assert b"s3cret" not in result.stdout + result.stderr


def test_at_a_terminal_nothing_is_left_of_the_progress(talks: Path, tmp_path: Path) -> None:
    shown = at_a_terminal("copy", str(talks), str(tmp_path / "there"))

    assert "2 sessions copied" in shown
