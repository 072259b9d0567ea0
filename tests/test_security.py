"""What others left in a store leads nowhere else; what we make is for its owner alone."""

import ast
import contextlib
import importlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from crash.forging import CREATED, SAID, forged

import journal
from journal import JournalError, Session, StateStore, UserMessage, search_index
from journal.disk import Disk
from journal.errors import CorruptRecordError, UnsafePathError
from journal.importers import import_path
from journal.mounts import mount_of, refuse_network
from tests.strategies import said

ROOT = Path(journal.__file__).parents[1]


@contextlib.contextmanager
def no_hang(seconds: int = 20) -> Iterator[None]:
    """Whatever waits for a pipe or a lock for ever fails instead."""

    def ring(*_: object) -> None:
        raise AssertionError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fill(folder: Path) -> None:
    """A store with one of everything that a store can hold."""
    with StateStore(folder, durability="os", snapshots="always") as store:
        session = Session.with_id("u", "s")
        session.add_user_message("hello")
        store.save_session(session)
        store.save_session(Session.with_id("u", "gone"))
        store.delete_session("gone", why="a test")
        store.save_markdown("notes", "a", "# A")
        store.save_json("notes/inner", "b", {"b": 1})
        store.search("hello")
        with (folder / "sessions" / "s.jsonl").open("ab") as file:
            file.write(b"torn")
        with pytest.warns(UserWarning, match="quarantine"):
            store.update_session_with("s", lambda s: s.add_user_message("more"))


# Modes


@pytest.mark.parametrize("umask", [0, 0o077, 0o277, 0o777], ids=oct)
def test_files_are_0600_and_folders_0700_whatever_the_umask(tmp_path, umask):
    """All that a store makes: the folders above it too, SQLite's own files, what is in quarantine."""
    old = os.umask(umask)
    try:
        folder = tmp_path / "above" / "state"
        fill(folder)
        with StateStore(folder) as store:
            store.list_sessions()  # while it is open, SQLite's -wal and -shm are there
            store.update_session_with("s", lambda s: s.add_user_message("marked"))
            modes = {
                path: stat.S_IMODE(path.lstat().st_mode)
                for path in [folder.parent, *folder.parent.rglob("*")]
            }
    finally:
        os.umask(old)
    wrong = {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}
    made = {path.name.partition("s.")[0] if "quarantine" in path.parts else path.name for path in modes}

    assert wrong == {}
    assert made >= {"catalog.sqlite3", "catalog.sqlite3-wal", "catalog.sqlite3-shm", "tombstones.jsonl"}
    assert made >= {"s.jsonl", "s.json", "a.md", "b.json", "changed", "quarantine"}


def test_a_temporary_file_is_private_from_the_start(tmp_path, monkeypatch):
    """It holds what the file will hold."""
    modes = []

    class Watching(Disk):
        def rename(self, source, target):
            modes.append((Path(source).name, stat.S_IMODE(os.stat(source).st_mode)))
            os.rename(source, target)

    monkeypatch.setattr(StateStore, "_new_disk", Watching)
    old = os.umask(0)
    try:
        fill(tmp_path / "state")
    finally:
        os.umask(old)

    temporary = [mode for name, mode in modes if name.endswith(".tmp")]
    assert len(temporary) >= 4
    assert set(temporary) == {0o600}


def test_folders_that_were_there_keep_their_modes(tmp_path):
    """They are the user's."""
    folder = tmp_path / "state"
    (folder / "notes").mkdir(parents=True)
    for path in (folder, folder / "notes"):
        path.chmod(0o750)
    fill(folder)

    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in (folder, folder / "notes")] == ["0o750"] * 2


# Links, and what is no file at all

SESSION_CALLS: dict[str, Callable[[StateStore], object]] = {
    "load": lambda store: store.load_session("s"),
    "load at": lambda store: store.load_session("s", at=1),
    "records": lambda store: list(store.records("s")),
    "update": lambda store: store.update_session_with("s", lambda s: s.add_user_message("x")),
    "append": lambda store: store.append("s", [said("x")], expected_version=journal.ANY),
    "get": lambda store: store.get_or_create_session("u", "s"),
    "verify": lambda store: store.verify("s"),
    "diagnose": lambda store: store.diagnose("s"),
    "repair": lambda store: store.repair("s"),
    "compact": lambda store: store.compact("s"),
    "delete": lambda store: store.delete_session("s"),
    "document": lambda store: store.load_json("sessions", "s"),
}
STORE_CALLS: dict[str, Callable[[StateStore], object]] = {
    "list": lambda store: store.list_sessions(),
    "ids": lambda store: store.session_ids(),
    "compact all": lambda store: store.compact(),
    "verify all": lambda store: store.verify(),
    "search": lambda store: store.search("x"),
}
NOTES_CALLS: dict[str, Callable[[StateStore], object]] = {
    "load markdown": lambda store: store.load_markdown("notes", "a"),
    "save markdown": lambda store: store.save_markdown("notes", "a", "new"),
    "delete file": lambda store: store.delete_file("notes", "a"),
}
INNER_CALLS: dict[str, Callable[[StateStore], object]] = {
    "load json": lambda store: store.load_json("notes/inner", "b"),
    "save json": lambda store: store.save_json("notes/inner", "b", 2),
    "delete inner": lambda store: store.delete_file("notes/inner", "b"),
    "list inner": lambda store: store.list_category("notes/inner"),
}
LIST_NOTES = {"list notes": lambda store: store.list_category("notes")}
DELETE = {"delete": SESSION_CALLS["delete"]}
CHANGE = {name: SESSION_CALLS[name] for name in ("update", "append")}
EVERY_CALL = SESSION_CALLS | STORE_CALLS | NOTES_CALLS | INNER_CALLS | LIST_NOTES

# Each place in a store: the calls that cannot be answered when something else stands there.
FILES: dict[str, dict[str, Callable[[StateStore], object]]] = {
    "sessions/s.jsonl": SESSION_CALLS,
    "sessions/s.json": {},  # derived: the journal answers
    ".journal/catalog.sqlite3": {name: STORE_CALLS[name] for name in ("list", "ids")},
    ".journal/search.sqlite3": {"search": STORE_CALLS["search"]},
    ".journal/search.lock": {},
    ".journal/tombstones.jsonl": DELETE,
    ".journal/changed": CHANGE,
    "notes/a.md": NOTES_CALLS,
    "notes/inner/b.json": {name: INNER_CALLS[name] for name in ("load json", "save json", "delete inner")},
}
FOLDERS: dict[str, dict[str, Callable[[StateStore], object]]] = {
    "sessions": SESSION_CALLS | STORE_CALLS,
    ".journal": STORE_CALLS | CHANGE | DELETE,
    ".journal/quarantine": {},
    "notes": NOTES_CALLS | INNER_CALLS | LIST_NOTES,
    "notes/inner": INNER_CALLS,
}


def fingerprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that somebody could see of a folder's files, access times excepted."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_ino, status.st_nlink, status.st_mtime_ns, content)
    return found


# What moves whatever stands there out of its way, itself, and not what it leads to.
SET_ASIDE = {"sessions/s.json": ("delete", "repair"), ".journal/changed": tuple(STORE_CALLS)}


def calls_around(place: str) -> dict[str, Callable[[StateStore], object]]:
    """Every call that leaves what stands there where it is."""
    return {name: call for name, call in EVERY_CALL.items() if name not in SET_ASIDE.get(place, ())}


def refused(folder: Path, call: Callable[[StateStore], object]) -> str:
    """The error of a call on a store opened anew, a JournalError; empty where it answers."""
    with no_hang(), StateStore(folder, durability="os") as store:
        try:
            call(store)
        except JournalError as error:
            return str(error)
        return ""


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
@pytest.mark.parametrize("place", [*FILES, *FOLDERS])
def test_a_link_in_the_store_is_not_followed_out_of_it(tmp_path, place):
    """Reads and writes through it are refused, the error names it; nothing outside changes, and it stays."""
    folder, outside = tmp_path / "state", tmp_path / "outside"
    fill(folder)
    outside.mkdir()
    target, link = outside / "target", folder / place
    shutil.move(link, target)
    link.symlink_to(target)
    before = fingerprint(outside)
    errors = {name: refused(folder, call) for name, call in calls_around(place).items()}
    must_fail = FILES.get(place) or FOLDERS.get(place) or {}

    assert [name for name in must_fail if str(link) not in errors[name]] == []
    assert fingerprint(outside) == before
    assert link.is_symlink()


@pytest.mark.parametrize("place", [*FILES, *FOLDERS])
def test_a_link_to_nowhere_creates_nothing_there(tmp_path, place):
    """The file that it names must not come to be."""
    folder, outside = tmp_path / "state", tmp_path / "outside"
    fill(folder)
    outside.mkdir()
    link = folder / place
    shutil.rmtree(link) if link.is_dir() else link.unlink()
    link.symlink_to(outside / "nowhere")
    for call in EVERY_CALL.values():
        with contextlib.suppress(JournalError), no_hang(), StateStore(folder, durability="os") as store:
            call(store)

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_a_link_beside_the_catalog_is_not_followed(tmp_path, ending):
    """SQLite opens those itself."""
    folder, target = tmp_path / "state", tmp_path / "target"
    fill(folder)
    target.write_text("mine")
    for name, call in (("catalog", "list"), ("search", "search")):
        link = folder / ".journal" / f"{name}.sqlite3{ending}"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        assert str(link) in refused(folder, STORE_CALLS[call])
        link.unlink()

    assert target.read_text() == "mine"


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_what_the_search_index_forgets_is_in_no_other_file(tmp_path, ending):
    """A link in its place is refused; what it leads to stays."""
    folder, target = tmp_path / "state", tmp_path / "target"
    fill(folder)
    link = folder / ".journal" / f"search.sqlite3{ending}"
    shutil.copy(folder / ".journal" / "search.sqlite3", target)
    before = target.read_bytes()
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    with pytest.raises(UnsafePathError):
        search_index.forget(Disk(), str(folder / ".journal" / "search.sqlite3"), ["s"])

    assert target.read_bytes() == before


def test_a_torn_tail_does_not_go_to_a_quarantine_elsewhere(tmp_path):
    """The quarantine, or what it is in, may be a link: the tail stays where it is."""
    for place in (".journal/quarantine", ".journal"):
        folder, outside = tmp_path / place.replace("/", "-"), tmp_path / "outside"
        fill(folder)
        outside.mkdir()
        shutil.move(folder / place, outside / "moved")
        (folder / place).symlink_to(outside / "moved")
        with (folder / "sessions" / "s.jsonl").open("ab") as file:
            file.write(b"torn")
        before = fingerprint(outside)

        assert str(folder / place) in refused(folder, SESSION_CALLS["update"])
        assert fingerprint(outside) == before
        assert (folder / "sessions" / "s.jsonl").read_bytes().endswith(b"\ntorn")
        shutil.rmtree(outside)


def test_the_base_folder_may_be_a_link_or_lie_behind_one(tmp_path):
    """Where the store is, is the user's to say."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "disk")
    fill(tmp_path / "there")
    fill(tmp_path / "there" / "deeper")

    assert [refused(tmp_path / "there" / "deeper", call) for call in EVERY_CALL.values()] == [""] * len(
        EVERY_CALL
    )


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(path.parent):
        listening.bind(path.name)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.filterwarnings("ignore::journal.JournalWarning")
@pytest.mark.parametrize("make", [make_pipe, make_socket, make_folder])
@pytest.mark.parametrize("place", FILES)
def test_what_is_no_file_is_refused_and_nobody_waits(tmp_path, place, make):
    """A pipe, a socket or a folder in a file's place: an error that names it, at once."""
    folder = tmp_path / "state"
    fill(folder)
    path = folder / place
    path.unlink()
    make(path)
    kind = stat.S_IFMT(path.lstat().st_mode)
    errors = {name: refused(folder, call) for name, call in calls_around(place).items()}

    assert [name for name in FILES[place] if str(path) not in errors[name]] == []
    assert stat.S_IFMT(path.lstat().st_mode) == kind


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused(tmp_path):
    """/dev/zero would be a journal without end."""
    folder = tmp_path / "state"
    fill(folder)
    path = folder / "sessions" / "s.jsonl"
    path.unlink()
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))

    assert [str(path) in refused(folder, SESSION_CALLS[name]) for name in ("load", "update")] == [True, True]


def test_marks_that_somebody_planted_are_not_written_to(tmp_path):
    """A reader writes one byte into each file of marks: not into what a link names, and not into a pipe."""
    for make in (lambda path: path.symlink_to(tmp_path / "target"), make_pipe, make_folder):
        folder = tmp_path / "state"
        fill(folder)
        (tmp_path / "target").write_text("mine")
        planted = folder / ".journal" / "changed.planted"
        make(planted)

        assert str(planted) in refused(folder, STORE_CALLS["list"])
        assert (tmp_path / "target").read_text() == "mine"
        shutil.rmtree(folder)


def test_one_linked_session_does_not_hide_the_others(tmp_path):
    """It is listed as unreadable, and an import goes on behind it."""
    folder = tmp_path / "state"
    fill(folder)
    (folder / "sessions" / "linked.jsonl").symlink_to(tmp_path / "target")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "linked", "z"):
        (source / f"{name}.jsonl").write_text('{"role":"user","content":"hello"}\n')
    with StateStore(folder, durability="os") as store:
        outcome = import_path(store, source)
        page = store.list_sessions()

    assert outcome.session_ids == ["a", "z"]
    assert [problem.path for problem in outcome.problems] == [str(source / "linked.jsonl")]
    assert sorted(summary.id for summary in page) == ["a", "s", "z"]
    assert [each.id for each in page.unreadable] == ["linked"]


def test_an_unsafe_path_is_told_as_what_it_is(tmp_path):
    """One error for all of them, with the path and the reason as attributes."""
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UnsafePathError, match="symbolic link") as caught:
        Disk().open(str(tmp_path / "link"), write=True, create=True)

    assert isinstance(caught.value, JournalError)
    assert isinstance(caught.value, OSError)
    assert (caught.value.path, caught.value.reason) == (str(tmp_path / "link"), "is a symbolic link")


# Temporary files


def test_temporary_names_cannot_be_guessed(tmp_path, monkeypatch):
    """64 random bits; and the file must be new, so that whoever guesses one all the same gains nothing."""
    opened = []

    class Watching(Disk):
        def open(self, path, *, write=False, create=False, exclusive=False):
            if path.endswith(".tmp"):
                opened.append((Path(path).name, exclusive))
            return super().open(path, write=write, create=create, exclusive=exclusive)

    monkeypatch.setattr(StateStore, "_new_disk", Watching)
    with StateStore(tmp_path / "state", durability="os") as store:
        for _ in range(50):
            store.save_markdown("notes", "a", "x")
    drawn = {name.split(".")[-2] for name, _ in opened}

    assert len(drawn) == 50
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in drawn)
    assert all(exclusive for _, exclusive in opened)


OURS = [".s.json.0123456789abcdef.tmp", ".s.jsonl.0123456789abcdef.tmp", ".a.b.md.0123456789abcdef.tmp"]
THEIRS = [
    ".tmp",
    ".a.tmp",
    "a.md.0123456789abcdef.tmp",
    ".a.md.tmp",
    ".a.txt.0123456789abcdef.tmp",
    ".a.md.0123456789abcdef.tmp~",
    ".a.md.0123456789ABCDEF.tmp",
    ".a.md.notes.tmp",
]


@pytest.mark.parametrize("place", ["sessions", "notes", "notes/inner"])
def test_stale_temporaries_go_and_nothing_else_does(tmp_path, place):
    """Not a fresh one, which a writer is at work on; not a file of another name, nor what is no file."""
    folder = tmp_path / "state"
    fill(folder)
    an_hour_ago = time.time() - 3700
    stale = [folder / place / name for name in OURS]
    fresh = [folder / place / name.replace("0123", "3210") for name in OURS]
    theirs = [folder / place / name for name in THEIRS]
    for path in (*stale, *fresh, *theirs):
        path.write_text("x")
    inside = folder / place / ".folder.md.0123456789abcdef.tmp"
    inside.mkdir()
    for path in (*stale, *theirs, inside):
        os.utime(path, (an_hour_ago, an_hour_ago))
    with StateStore(folder, durability="os") as store:
        store.compact() if place == "sessions" else store.save_markdown(place, "new", "x")

    assert [path.name for path in stale if path.exists()] == []
    assert [path.name for path in (*fresh, *theirs, inside) if not path.exists()] == []


def test_a_list_of_documents_sweeps_too(tmp_path):
    """Whoever only reads a category finds it clean, too."""
    folder = tmp_path / "state"
    fill(folder)
    stale = folder / "notes" / OURS[2]
    stale.write_text("x")
    os.utime(stale, (0, 0))
    with StateStore(folder, durability="os") as store:
        assert store.list_category("notes") == ["a"]

    assert not stale.exists()


# The catalog's SQL

HOSTILE_TEXTS = [
    "'",
    '"',
    "' or '1'='1",
    "'; drop table session; --",
    "x'); delete from session; --",
    "u' union select id from session --",
    "%",
    "?",
    ":a",
    "\\",
    "\0",
    "é'\u2028",
]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_sql_in_an_id_a_user_or_a_page_token_is_only_text(store, text):
    """They are found as what they are, and match nothing else."""
    for number, user in enumerate(("u", text)):
        store.save_session(Session.with_id(user, f"plain-{number}"))
    odd_id = text.replace("\0", "").replace("\\", "").strip() or "odd"
    store.save_session(Session.with_id("v", odd_id))

    assert [each.id for each in store.list_sessions(user_id=text)] == ["plain-1"]
    assert sorted(store.session_ids()) == sorted({"plain-0", "plain-1", odd_id})
    assert list(store.list_sessions(page=text)) == list(store.list_sessions(page=text))
    assert list(store.list_sessions(page=f"9999-01-01 {text}", user_id=text)) == list(
        store.list_sessions(user_id=text)
    )
    assert len(store.list_sessions()) == 3


@pytest.mark.parametrize("where", ["user_id", "page"])
def test_text_that_no_database_takes_matches_nothing(store, where):
    """Half of a surrogate pair is in no record; the catalog is none the worse for it."""
    store.save_session(Session.with_id("u", "s"))
    catalog = Path(store.base_path, ".journal", "catalog.sqlite3")
    store.list_sessions()
    inode = catalog.stat().st_ino
    with contextlib.suppress(JournalError):
        assert list(store.list_sessions(**{where: "\ud800"})) == []

    assert [each.id for each in store.list_sessions()] == ["s"]
    assert catalog.stat().st_ino == inode


def _statements(path: Path) -> Iterator[ast.expr]:
    """The first argument of everything in a module that runs SQL."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("execute", "executemany", "executescript")
        ):
            yield node.args[0]


def test_no_value_is_ever_put_into_sql(store):
    """Read from the source: every statement is a constant, or one of those that are looked at here.

    `query` joins the conditions of `page`, constants all. `statement` is a part of the schema, which is one.
    The tables that are dropped are named by a database of another version: one statement runs at a time, so
    whatever such a name holds, no more than a table of that same file can go. A part of the search index is
    named by its number: what takes its place in a constant is %d, and no text can.
    """
    found = [
        (path.name, statement)
        for path in sorted((ROOT / "journal").rglob("*.py"))
        for statement in _statements(path)
    ]
    made = {
        f"{name}: {ast.unparse(statement)}"
        for name, statement in found
        if not (isinstance(statement, ast.Constant) and isinstance(statement.value, str))
        and not _takes_numbers_alone(name, statement)
    }

    assert len(found) >= 10
    assert made <= {
        "catalog.py: query",
        "search.py: _PLACE",
        "ranking.py: _PARTS",
        "excerpts.py: f\"create virtual table hit using fts5(text, tokenize='{TOKENIZER}')\"",
        "derived.py: statement",
        "derived.py: f'pragma user_version = {self._version}'",
        "derived.py: f'drop table if exists \"{name}\"'",
    }
    assert _parts_of_query() == []


def _takes_numbers_alone(name: str, statement: ast.expr) -> bool:
    """Whether a statement is a constant of its module that numbers are put into."""
    if not (isinstance(statement, ast.BinOp) and isinstance(statement.op, ast.Mod)):
        return False
    constant = getattr(
        importlib.import_module(f"journal.{name.removesuffix('.py')}"), ast.unparse(statement.left)
    )
    return set(re.findall("%.", constant)) == {"%d"}


def _parts_of_query() -> list[str]:
    """What goes into the text of a query in `Catalog.page` and is no constant."""
    tree = ast.parse((ROOT / "journal" / "catalog.py").read_text())
    page = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "page")
    strange = []
    for node in ast.walk(page):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "query":
            values = [each.value for each in ast.walk(node.value) if isinstance(each, ast.FormattedValue)]
            strange += [text for value in values if (text := ast.unparse(value)) != "' and '.join(where)"]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "where.append":
            argument = node.args[0]
            is_given = isinstance(argument, ast.Name) and argument.id == "condition"
            if not (is_given or isinstance(argument, ast.Constant)):
                strange.append(ast.unparse(argument))
        if isinstance(node, ast.For) and "condition" in ast.unparse(node.target):
            pairs = node.iter.elts if isinstance(node.iter, ast.Tuple) else []
            strange += [
                ast.unparse(pair)
                for pair in pairs
                if not (isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant))
            ]
    return strange


@pytest.mark.parametrize(
    "statements",
    [
        ["update session set summary = x'7878'"],
        ["update session set summary = null"],
        ["update session set summary = 5, problem = null"],
        ["update session set problem = 5"],
        ["update session set id = 5"],
        ["delete from looked"],
        ["update looked set made_ns = 'x', folder_ns = x'00'"],
        ["drop table looked"],
        ["drop table session"],
        ['create table "a""b; drop table session" (x)', "pragma user_version = 7"],
        ["create view v as select 1", "pragma user_version = 0"],
        ["create trigger t after insert on session begin delete from session; end"],
        ["create trigger t before update on looked begin select raise(abort, 'no'); end"],
    ],
    ids=lambda statements: statements[0],
)
def test_a_catalog_that_somebody_wrote_never_stops_a_list(tmp_path, statements):
    """It may say what it likes, but is made anew where it makes no sense."""
    folder = tmp_path / "state"
    fill(folder)
    database = sqlite3.connect(folder / ".journal" / "catalog.sqlite3")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    with StateStore(folder, durability="os") as store:
        store.update_session_with("s", lambda s: s.add_user_message("x"))
        page = store.list_sessions()

    assert len(page) + len(page.unreadable) <= 1
    shutil.rmtree(folder / ".journal")
    with StateStore(folder, durability="os") as store:
        assert [each.id for each in store.list_sessions()] == ["s"]


# What the chain proves, and what it does not: the threat model's own claims


def three_batches(folder: Path) -> tuple[Path, list[bytes]]:
    """A session of three batches: its journal, and its lines."""
    with StateStore(folder, durability="os") as store:
        session = Session.with_id("u", "s")
        for text in ("one", "two", "three"):
            session.add_user_message(text)
            store.save_session(session)
    path = folder / "sessions" / "s.jsonl"
    (folder / "sessions" / "s.json").unlink(missing_ok=True)
    return path, path.read_bytes().splitlines(keepends=True)


def is_as_it_was(store: StateStore, version: int, head: str) -> bool:
    """Whether a session still holds, at a version, the record of a head that was kept elsewhere."""
    found = next((each.chain for each in store.records("s", after=version - 1)), None)
    return store.verify("s").ok and found == head


def test_a_tail_that_is_cut_between_two_batches_shows_against_a_head_that_was_kept(tmp_path):
    """The chain alone does not show it; later batches do not hide it."""
    path, lines = three_batches(tmp_path / "state")
    with StateStore(tmp_path / "state", durability="os") as store:
        kept = store.verify("s")
        assert kept.head is not None
        store.update_session_with("s", lambda s: s.add_user_message("four"))
        still = is_as_it_was(store, kept.version, kept.head)
    path.write_bytes(b"".join(lines[:-1]))
    with StateStore(tmp_path / "state", durability="os") as store:
        cut = store.verify("s")
        store.update_session_with("s", lambda s: s.add_user_message("another three"))

        assert still
        assert cut.ok
        assert not is_as_it_was(store, kept.version, kept.head)


def test_a_journal_that_is_written_anew_shows_against_a_head_that_was_kept(tmp_path):
    """Whoever may write the folder can compute every hash: the whole history can be another one."""
    path, _ = three_batches(tmp_path / "state")
    with StateStore(tmp_path / "state", durability="os") as store:
        kept = store.verify("s")
    path.write_bytes(forged([CREATED, SAID], [SAID], [SAID]))
    with StateStore(tmp_path / "state", durability="os") as store:
        report = store.verify("s")

        assert kept.head is not None
        assert report.ok
        assert report.version == kept.version
        assert not is_as_it_was(store, kept.version, kept.head)


def test_a_session_that_is_taken_away_shows_in_nothing_but_what_was_kept(tmp_path):
    """Nor does a deletion of ours whose tombstone is gone: which sessions there were must be kept, too."""
    path, _ = three_batches(tmp_path / "state")
    path.unlink()
    with StateStore(tmp_path / "state", durability="os") as store:
        assert store.verify().ok
        assert store.session_ids() == []


def test_content_that_was_taken_out_is_told(tmp_path):
    """The chain goes on over it, so that the rest can be proved; but it is a finding."""
    path, lines = three_batches(tmp_path / "state")
    head, _, event = lines[2].partition(b'","salt":')
    lines[2] = head + b'","salt":null,"event":{"type":"erased","was":"user_message_added"}}\n'
    path.write_bytes(b"".join(lines))
    with StateStore(tmp_path / "state", durability="os") as store:
        report = store.verify("s")

    assert event
    assert not report.ok
    assert any("record 3" in finding for finding in report.findings)


@pytest.mark.parametrize(
    "added", [b',"by":"mallory"', b',"at":"2001-01-01T00:00:00.000000Z"', b',"x":{"was":"y"}', b" "]
)
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_is_added_where_content_was_taken_out(tmp_path, added, inside):
    """No hash covers what stands there: a key that is put behind it would be believed."""
    path, lines = three_batches(tmp_path / "state")
    head, _, _ = lines[2].partition(b'","salt":')
    erased = head + b'","salt":null,"event":{"type":"erased","was":"user_message_added"'
    lines[2] = erased + (added + b"}}" if inside else b"}" + added + b"}") + b"\n"
    path.write_bytes(b"".join(lines))
    with StateStore(tmp_path / "state", durability="os") as store:
        report = store.verify("s")
        with pytest.raises(CorruptRecordError, match="record 3"):
            list(store.records("s"))

    assert report.version == 2
    assert report.kinds == ["damage"]


def test_the_threat_model_names_tests_that_are_there():
    """A claim without its test would be only a claim."""
    page = (ROOT / "docs" / "explanation" / "threat-model.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)", page)

    assert len(named) > 25
    assert [name for name in named if f"def {name}" not in sources] == []


# Network file systems

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /home/ada rw,relatime shared:7 - nfs4 server:/home/ada rw,vers=4.2
31 27 0:41 / /mnt/a\040b rw,nosuid master:2 - cifs //server/share rw
32 27 0:42 / /mnt/ssh rw - fuse.sshfs ada@server:/ rw
33 27 0:43 / /mnt/guest rw - 9p host rw,trans=virtio
34 30 0:44 / /home/ada/local rw - xfs /dev/vdb rw
35 27 0:45 / /mnt/twice rw - nfs server:/x rw
36 27 0:46 / /mnt/twice rw - tmpfs tmpfs rw
"""
MACOS_MOUNTS = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ada@server/share on /Volumes/a b (smbfs, nodev, nosuid, mounted by ada)
server:/export on /Volumes/nfs (nfs)
"""


class OnMounts(Disk):
    """A disk of which something else is mounted where."""

    def __init__(self, mounts: str) -> None:
        super().__init__()
        self._mounts = mounts

    def mounts(self) -> str:
        return self._mounts


@pytest.mark.parametrize(
    ("folder", "mounts", "kind"),
    [
        ("/home/ada/state", MOUNTINFO, "nfs4"),
        ("/home/ada", MOUNTINFO, "nfs4"),
        ("/mnt/a b/deep/er", MOUNTINFO, "cifs"),
        ("/mnt/ssh/state", MOUNTINFO, "fuse.sshfs"),
        ("/Volumes/a b/state", MACOS_MOUNTS, "smbfs"),
        ("/Volumes/nfs/state", MACOS_MOUNTS, "nfs"),
    ],
)
def test_a_network_file_system_is_refused(folder, mounts, kind):
    """The error says which mount and type, what is unsafe there, and how to allow it."""
    with pytest.raises(JournalError, match=kind) as caught:
        refuse_network(OnMounts(mounts), folder)

    assert mount_of(folder, mounts)[0] in str(caught.value)
    assert "allow_network=True" in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "mounts"),
    [
        ("/var/state", MOUNTINFO),
        ("/home/adam", MOUNTINFO),
        ("/home/ada/local/state", MOUNTINFO),
        ("/mnt/guest/state", MOUNTINFO),
        ("/mnt/twice", MOUNTINFO),
        ("/Users/ada", MACOS_MOUNTS),
        ("/Volumes/nfs2", MACOS_MOUNTS),
        ("/anywhere", ""),
        ("/anywhere", "no such format\n\0"),
    ],
)
def test_what_is_local_or_unknown_is_allowed(folder, mounts):
    """The deepest mount counts, and of two on one place the later; a name that only begins alike does not."""
    refuse_network(OnMounts(mounts), folder)


def test_the_machines_own_mounts_are_understood(tmp_path):
    """The folder of this test lies on something."""
    assert mount_of(os.path.realpath(tmp_path), Disk().mounts())[1]


def test_a_store_asks_before_it_writes_or_locks(tmp_path, monkeypatch):
    """Refused when it is opened, and nothing is there; allowed, it works."""
    mounts = f"30 27 0:40 / {os.path.realpath(tmp_path)} rw - nfs4 server:/x rw"
    monkeypatch.setattr(StateStore, "_new_disk", lambda *_: OnMounts(mounts))
    with pytest.raises(JournalError, match="nfs4"):
        StateStore(tmp_path / "state")
    nothing_yet = list(tmp_path.iterdir())
    with StateStore(tmp_path / "state", allow_network=True) as store:
        store.save_session(
            Session(id="s", user_id="u", user_messages=[UserMessage("x", datetime(2026, 1, 1, tzinfo=UTC))])
        )

    assert nothing_yet == []
    assert (tmp_path / "state" / "sessions" / "s.jsonl").exists()
