"""Documents: texts and JSON by category and name, each replaced as a whole."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import DurabilityError, InvalidEventError, InvalidNameError, JournalError, Session, StateStore
from tests.strategies import a_store, json_values, nested, texts


@given(texts(100))
def test_markdown_comes_back(text):
    """Any text, to the character."""
    with a_store() as store:
        store.save_markdown("notes", "a", text)

        assert store.load_markdown("notes", "a") == text


@given(json_values())
def test_json_comes_back(value):
    """Any JSON, types included."""
    with a_store() as store:
        store.save_json("config", "a", value)

        assert repr(store.load_json("config", "a")) == repr(value)


class Config(msgspec.Struct):
    name: str
    sizes: list[int] = []


def test_json_comes_back_as_a_type(store):
    """What does not fit is an error that names the file."""
    store.save_json("config", "a", Config(name="x", sizes=[1]))

    assert store.load_json("config", "a") == {"name": "x", "sizes": [1]}
    assert store.load_json("config", "a", type=Config) == Config(name="x", sizes=[1])
    with pytest.raises(JournalError, match=r"a\.json"):
        store.load_json("config", "a", type=list[int])


def test_what_is_missing_loads_as_none(store, folder):
    """And asking creates nothing."""
    assert store.load_markdown("notes", "a") is None
    assert store.load_json("notes", "a") is None
    assert store.load_json("notes", "a", type=Config) is None
    assert store.list_category("notes") == []
    assert store.delete_file("notes", "a") is False
    assert not folder.exists()


def test_a_category_lists_names_without_ending_once_sorted(store, folder):
    """Of both kinds; nothing else that lies there."""
    store.save_markdown("notes", "b", "x")
    store.save_json("notes", "b", 1)
    store.save_json("notes", "a", 1)
    store.save_markdown("notes", "c.d", "x")
    store.save_markdown("notes/inner", "e", "x")
    (folder / "notes" / ".hidden.md").write_text("x")
    (folder / "notes" / "other.txt").write_text("x")
    (folder / "notes" / "folder.md").mkdir()

    assert store.list_category("notes") == ["a", "b", "c.d"]
    assert store.list_category("notes/inner") == ["e"]


def test_delete_takes_json_before_markdown(store):
    """One a call, as the seed does."""
    store.save_markdown("notes", "a", "text")
    store.save_json("notes", "a", 1)

    assert store.delete_file("notes", "a") is True
    assert (store.load_json("notes", "a"), store.load_markdown("notes", "a")) == (None, "text")
    assert store.delete_file("notes", "a") is True
    assert store.load_markdown("notes", "a") is None
    assert store.delete_file("notes", "a") is False


BAD_PARTS = [
    "",
    "..",
    ".",
    ".a",
    "a..b",
    "../a",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x7f",
    "x" * 201,
    "é" * 101,
    "a\ud800",
]


@pytest.mark.parametrize("name", [*BAD_PARTS, "a/b", "/a", "a/"])
def test_unsafe_names_are_refused_and_nothing_is_touched(store, folder, name):
    """The error says what is wrong with it."""
    for call in (
        lambda: store.save_markdown("notes", name, "x"),
        lambda: store.load_markdown("notes", name),
        lambda: store.save_json("notes", name, 1),
        lambda: store.load_json("notes", name),
        lambda: store.delete_file("notes", name),
        lambda: store.load_json("sessions", name),
    ):
        with pytest.raises(InvalidNameError) as caught:
            call()
        assert caught.value.name == name
        assert caught.value.reason
        str(caught.value).encode()

    assert not folder.exists()


@pytest.mark.parametrize(
    "category", [*BAD_PARTS, "/", "/a", "a/", "a//b", "a/../b", "a/.b", ".journal", "a/b\\c"]
)
def test_unsafe_categories_are_refused_and_nothing_is_touched(store, folder, category):
    """Nested ones part by part."""
    for call in (
        lambda: store.save_markdown(category, "a", "x"),
        lambda: store.load_markdown(category, "a"),
        lambda: store.save_json(category, "a", 1),
        lambda: store.load_json(category, "a"),
        lambda: store.delete_file(category, "a"),
        lambda: store.list_category(category),
    ):
        with pytest.raises(InvalidNameError):
            call()

    assert not folder.exists()


@pytest.mark.parametrize("name", [None, 5, b"a"])
def test_names_that_are_no_texts_are_refused(store, name):
    """With the same error."""
    with pytest.raises(InvalidNameError):
        store.load_markdown("notes", name)
    with pytest.raises(InvalidNameError):
        store.load_markdown(name, "a")
    with pytest.raises(InvalidNameError):
        store.load_session(name)


@pytest.mark.parametrize(
    "name", ["a", "a b", "é", "空 格", "a.b", "x" * 200, "é" * 100, "-", "con", "a'b\"c;$"]
)
def test_odd_but_safe_names_are_accepted(store, name):
    """As names, as categories and as ids."""
    store.save_markdown(name, name, "x")
    store.save_session(Session.with_id("u", name))

    assert store.list_category(name) == [name]
    assert store.session_ids() == [name]
    assert store.load_session(name).id == name


def test_sessions_are_a_reserved_category(store):
    """Reading goes through the projection; writing raises."""
    session = Session.with_id("u", "s")
    session.add_user_message("hello")
    store.save_session(session)

    assert store.list_category("sessions") == ["s"]
    plain = store.load_json("sessions", "s")
    assert list(plain)[:2] == ["id", "user_id"]
    assert plain["user_messages"][0]["content"] == "hello"
    assert "journal" not in plain
    assert store.load_json("sessions", "t") is None
    for category in ("sessions", "sessions/inner"):
        for call in (
            lambda category=category: store.save_json(category, "s", {}),
            lambda category=category: store.save_markdown(category, "s", "x"),
            lambda category=category: store.delete_file(category, "s"),
        ):
            with pytest.raises(InvalidNameError):
                call()
    assert store.load_session("s") is not None


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        {"a": 2**64},
        {1: 2},
        (1, 2),
        "half \ud83d",
        {"half \ud83d": 1},
        nested(101),
        object(),
        {"a": b"x"},
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_what_cannot_come_back_is_refused(store, value):
    """InvalidEventError, and the old document stays."""
    store.save_json("config", "a", "old")

    with pytest.raises(InvalidEventError):
        store.save_json("config", "a", value)
    assert store.load_json("config", "a") == "old"


@pytest.mark.parametrize("text", ["half \ud83d", 5, None, b"bytes"], ids=repr)
def test_a_text_that_is_none_is_refused(store, text):
    """The old one stays."""
    store.save_markdown("notes", "a", "old")

    with pytest.raises(InvalidEventError):
        store.save_markdown("notes", "a", text)
    assert store.load_markdown("notes", "a") == "old"


@pytest.mark.parametrize("step", ["write", "sync", "rename"])
def test_a_replacement_that_fails_leaves_the_old_document(folder, monkeypatch, step):
    """And no temporary file."""
    with StateStore(folder) as store:
        store.save_markdown("notes", "a", "old")

        def fail(*arguments):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(store._disk, step, fail, raising=False)
            with pytest.raises(DurabilityError, match=r"a\.md"):
                store.save_markdown("notes", "a", "new")

        assert store.load_markdown("notes", "a") == "old"
        assert [path.name for path in (folder / "notes").iterdir()] == ["a.md"]


def test_a_reader_sees_the_old_document_or_the_new_one(folder):
    """Never half of one, while another process replaces it again and again."""
    script = """
import sys
from journal import StateStore
with StateStore(sys.argv[1], durability="os") as store:
    for n in range(300):
        store.save_markdown("notes", "a", str(n % 10) * 50_000)
"""
    with StateStore(folder, durability="os") as store:
        store.save_markdown("notes", "a", "x" * 50_000)
        process = subprocess.Popen([sys.executable, "-c", script, str(folder)])
        kinds = set()
        while process.poll() is None:
            text = store.load_markdown("notes", "a")
            kinds.add((len(text), len(set(text))))

    assert process.returncode == 0
    assert kinds == {(50_000, 1)}


def test_documents_are_private_whatever_the_umask(folder):
    """Folders 0700, files 0600."""
    old = os.umask(0)
    try:
        with StateStore(folder) as store:
            store.save_markdown("a/b", "n", "x")
            store.save_json("a", "n", 1)
    finally:
        os.umask(old)
    modes = {str(p.relative_to(folder)): stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*")}

    assert modes == {"a": 0o700, "a/b": 0o700, "a/b/n.md": 0o600, "a/n.json": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_broken_document_is_an_error_that_names_it(store, folder):
    """What is no UTF-8, and what is no JSON."""
    store.save_markdown("notes", "a", "x")
    store.save_json("notes", "a", 1)
    Path(folder, "notes", "a.md").write_bytes(b"\xff")
    Path(folder, "notes", "a.json").write_bytes(b"{")

    with pytest.raises(JournalError, match=r"a\.md"):
        store.load_markdown("notes", "a")
    with pytest.raises(JournalError, match=r"a\.json"):
        store.load_json("notes", "a")


@given(st.sampled_from(["a", "a/b", "a/b/c"]), st.sampled_from(["n", "m"]), texts())
def test_json_is_written_as_the_seed_writes_it(category, name, text):
    """Two spaces, no newline at the end, non-ASCII raw."""
    with a_store() as store:
        store.save_json(category, name, {"k": [text, 1]})
        written = Path(store.base_path, category, f"{name}.json").read_bytes().decode()

        assert written.startswith('{\n  "k": [\n    "')
        assert written.endswith('",\n    1\n  ]\n}')
