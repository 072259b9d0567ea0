"""The command where something is wrong with the files or the system: a sentence, never a traceback."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from journal import Session, StateStore
from journal.disk import Disk
from tests.command import invoke

pytestmark = pytest.mark.filterwarnings("ignore::journal.JournalWarning")

COMMANDS = [
    ["say", "s", "more"],
    ["say", "new", "hello", "--user", "ann"],
    ["reply", "s", "well"],
    ["ls"],
    ["log", "s"],
    ["show", "s"],
    ["state", "s"],
    ["state", "s@2"],
    ["verify", "s"],
    ["verify", "--all"],
    ["compact"],
    ["compact", "s"],
    ["unfinished"],
    ["doctor"],
    ["doctor", "s", "--json"],
    ["repair", "s"],
    ["repair", "s", "--yes"],
    ["repair", "s", "--yes", "--json"],
    ["repair", "--all", "--yes"],
    ["export", "s"],
    ["export", "s", "--format", "json"],
    ["rm", "s", "--yes", "--why", "a test"],
    ["rm", "s", "other", "--yes"],
]


@pytest.fixture
def ward(folder: Path) -> Path:
    with StateStore(folder, durability="os") as store:
        for session_id in ("s", "other"):
            session = Session.with_id("ann", session_id)
            session.add_user_message("one")
            store.save_session(session)
            session.add_user_message("two")
            store.save_session(session)
        store.list_sessions()
        store.save_session(Session.with_id("ann", "dead"))
        store.delete_session("dead")
    return folder


def as_file(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_text("in the way")


def as_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("x")


def as_link(path: Path) -> None:
    moved = path.parent.parent / f"moved-{path.name}"
    if path.exists():
        path.rename(moved)
    path.symlink_to(moved)


def as_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def as_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(3000))


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


def as_twice(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


PLACES = [
    ("sessions", as_file),
    ("sessions", as_link),
    (".journal", as_file),
    (".journal", as_link),
    ("sessions/s.jsonl", as_folder),
    ("sessions/s.jsonl", as_link),
    ("sessions/s.jsonl", as_pipe),
    ("sessions/s.jsonl", as_garbage),
    ("sessions/s.jsonl", as_nothing),
    ("sessions/s.jsonl", as_twice),
    ("sessions/s.json", as_folder),
    ("sessions/s.json", as_link),
    ("sessions/s.json", as_pipe),
    ("sessions/s.json", as_garbage),
    (".journal/quarantine", as_file),
    (".journal/quarantine", as_link),
    (".journal/tombstones.jsonl", as_folder),
    (".journal/tombstones.jsonl", as_garbage),
    (".journal/catalog.sqlite3", as_folder),
    (".journal/catalog.sqlite3", as_link),
    (".journal/catalog.sqlite3", as_garbage),
    (".journal/changed", as_folder),
    (".journal/changed", as_garbage),
]


def check_told(result: Result) -> None:
    """It ended as a command ends; and where it failed, it said why."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert 0 <= result.exit_code <= 6
    assert "Traceback" not in result.output
    if result.exit_code not in (0, 1, 4):
        assert re.search(r"^journal: .+", result.stderr, re.MULTILINE)
    if result.exit_code:
        assert result.output.strip()


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("place", "put"), PLACES, ids=lambda each: getattr(each, "__name__", each))
def test_whatever_stands_in_a_files_place(
    ward: Path, args: list[str], place: str, put: Callable[[Path], None]
) -> None:
    """Also with a torn tail, which writers want to move away."""
    with (ward / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b'{"v":1')
    put(ward / place)

    check_told(invoke(ward, *args, catch_exceptions=True))


ERRORS = {
    "full": (errno.ENOSPC, ("write", "make_folder")),
    "broken": (errno.EIO, ("read", "sync", "sync_folder")),
    "read-only": (errno.EROFS, ("write", "truncate", "unlink", "rename", "make_folder", "overwrite")),
    "forbidden": (errno.EACCES, ("open", "entries", "unlink", "rename")),
    "no locks": (errno.ENOLCK, ("flock",)),
}


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", ERRORS)
def test_whatever_the_system_refuses(
    ward: Path, args: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, names = ERRORS[kind]

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    with (ward / "sessions" / "s.jsonl").open("ab") as file:
        file.write(b'{"v":1')
    for name in names:
        monkeypatch.setattr(Disk, name, refuse)

    check_told(invoke(ward, *args, catch_exceptions=True))
