"""`journal export` of a whole store, as a table, and redacted."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from journal import Session, StateStore
from projections import CustomEvent, Redaction, ToolCalled, ToolReturned
from tests.command import Call

SECRET = "sk-abcdefghij0123456789"
MAIL = "ann@a.example"


@pytest.fixture
def two(store: StateStore) -> StateStore:
    """A session with secrets everywhere, and one without any."""
    session = Session.with_id(MAIL, "secret")
    session.add_user_message(f"use {SECRET}, {SECRET}")
    session.add_agent_response(f"I wrote to {MAIL}")
    session.set_metadata("password", "a b c")
    store.save_session(session)
    events = [
        ToolCalled(call_id="c", name="curl", arguments={"headers": {"Authorization": f"Bearer {SECRET}"}}),
        ToolReturned(call_id="c", result=[SECRET]),
        CustomEvent(name="n", data={MAIL: 1}),
    ]
    store.append("secret", events, expected_version=4, by=MAIL)
    plain = Session.with_id("bob", "plain")
    plain.add_user_message("nothing to hide")
    store.save_session(plain)
    return store


def damage(folder: Path, session_id: str, old: bytes, new: bytes) -> None:
    path = folder / "sessions" / f"{session_id}.jsonl"
    path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize(("form", "ending"), [("lines", "jsonl"), ("json", "json"), ("markdown", "md")])
def test_all_writes_a_file_a_session(
    two: StateStore, call: Call, tmp_path: Path, form: str, ending: str
) -> None:
    """The same as one by one; what else is in the folder stays."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    result = call("export", "--all", "--format", form, "-o", str(out))
    call("export", "plain", "--format", form, "-o", str(tmp_path / "one"))

    assert result.exit_code == 0
    assert "wrote 2 sessions into" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["mine.txt", f"plain.{ending}", f"secret.{ending}"]
    assert (out / f"plain.{ending}").read_bytes() == (tmp_path / "one").read_bytes()


def test_all_tells_in_one_object(two: StateStore, call: Call, tmp_path: Path) -> None:
    found = json.loads(call("export", "--all", "-o", str(tmp_path / "new" / "deep"), "--json").stdout)

    assert (found["format"], found["sessions"], found["failed"]) == ("lines", 2, [])
    assert found["size_bytes"] == sum(path.stat().st_size for path in (tmp_path / "new" / "deep").iterdir())


@pytest.mark.parametrize("form", ["lines", "json", "markdown", "parquet"])
def test_of_a_damaged_session_everything_before_the_damage_is_written(
    two: StateStore, folder: Path, call: Call, tmp_path: Path, form: str
) -> None:
    """It is told, and the exit code says so; the others are whole."""
    damage(folder, "secret", b"I wrote", b"I wrope")
    out = tmp_path / "out"
    result = call("export", "--all", "--format", form, "-o", str(out), "--redact")
    if form == "parquet":
        written = repr(parquet.read_table(out).to_pylist())
    else:
        written = "".join(path.read_text() for path in out.iterdir()).replace("\\[", "[")

    assert result.exit_code == 4
    assert "record 3" in result.stderr
    assert "1 session not whole" in result.stderr
    assert "nothing to hide" in written
    assert "use [redacted:api_key]" in written
    assert "wrote" not in written


def test_what_has_no_record_has_no_lines(
    two: StateStore, folder: Path, seed_files: Path, call: Call, tmp_path: Path
) -> None:
    """Another program's file: told, and its other forms are there."""
    (folder / "sessions" / "rich.json").write_bytes((seed_files / "sessions" / "rich.json").read_bytes())
    result = call("export", "--all", "-o", str(tmp_path / "out"))

    assert result.exit_code == 1
    assert "it has no journal to export" in result.stderr
    assert call("export", "--all", "--format", "json", "-o", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "rich.json").exists()


def test_a_table_of_one_or_all(two: StateStore, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    result = call("export", "--all", "--format", "parquet", "-o", str(path))
    assert f"wrote {path}: 9 records of 2 sessions" in result.stderr
    assert parquet.read_table(path).num_rows == 9
    found = json.loads(call("export", "plain", "--format", "parquet", "-o", str(path), "--json").stdout)

    assert parquet.read_table(path)["session_id"].to_pylist() == ["plain"] * 2
    assert (found["sessions"], found["records"], found["failed"]) == (1, 2, [])


def test_without_pyarrow_a_table_says_what_to_install(
    two: StateStore, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = call("export", "--all", "--format", "parquet", "-o", str(tmp_path / "x"))

    assert result.exit_code == 6
    assert result.stderr == "journal: Parquet needs pyarrow: pip install 'session-journal[parquet]'\n"
    assert list(tmp_path.glob("x*")) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "name the session to export, or say --all"),
        (["plain", "--all"], "not both"),
        (["--all"], "give a folder with -o"),
        (["--all", "-o", "-"], "give a folder with -o"),
        (["--all", "-o", "FILE"], "is a file"),
        (["plain", "--format", "parquet"], "say which with -o FILE"),
        (["plain@1", "--format", "parquet", "-o", "NEW"], "a point needs"),
        (["--all", "--format", "parquet", "-o", "FOLDER"], "a table is one file"),
        (["plain", "--preview"], "say --redact, too"),
        (["plain", "--redact-pattern", "("], "is no regular expression"),
        (["plain", "--redact-pattern", "x*"], "matches the empty text"),
        (["plain", "-o", "STORE/sessions/plain.jsonl"], "lies in the store itself"),
        (["--all", "--format", "json", "-o", "STORE/sessions"], "lies in the store itself"),
        (["--all", "-o", "STORE/.journal/x"], "lies in the store itself"),
    ],
)
def test_a_call_that_cannot_be_meant_says_what_to_do(
    two: StateStore, folder: Path, call: Call, tmp_path: Path, words: list[str], reason: str
) -> None:
    """Nothing is written."""
    (tmp_path / "file").write_text("mine")
    places = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path), "NEW": str(tmp_path / "new")}
    words = [places.get(word, word.replace("STORE", str(folder))) for word in words]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = call("export", *words)

    assert result.exit_code == 2
    assert reason in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("form", ["lines", "json", "markdown"])
def test_a_redacted_copy_holds_no_secret(two: StateStore, call: Call, form: str) -> None:
    """Of no kind, in no place; the store keeps them."""
    plain = call("export", "secret", "--format", form).stdout
    shown = call("export", "secret", "--format", form, "--redact").stdout

    for secret in (SECRET, MAIL, "a b c"):
        assert secret in plain
        assert secret not in shown
    assert "use [redacted:api_key], [redacted:api_key]" in shown.replace("\\[", "[")
    assert Redaction().redact_text(shown)[1] == []


def test_redacted_lines_do_not_look_like_proof(two: StateStore, call: Call, folder: Path) -> None:
    """They have no hashes, no salt and no version of the format; else they say what the journal says."""
    lines = [json.loads(line) for line in call("export", "plain", "--redact").stdout.splitlines()]
    stored = [json.loads(line) for line in (folder / "sessions" / "plain.jsonl").read_text().splitlines()]

    assert [sorted(line) for line in lines] == [["at", "event", "id", "seq", "session_id"]] * 2
    assert [line["event"] for line in lines] == [line["event"] for line in stored]
    assert [(line["seq"], line["id"], line["at"]) for line in lines] == [
        (line["seq"], line["id"], line["at"]) for line in stored
    ]


def test_your_own_patterns_come_on_top_of_the_built_in_ones(two: StateStore, call: Call) -> None:
    """With or without --redact: who asks to hide one thing does not mean to show keys."""
    for words in (["--redact"], []):
        shown = call(
            "export", "secret", *words, "--redact-pattern", r"wr\w+", "--redact-pattern", "curl"
        ).stdout

        assert "I [redacted:pattern] to [redacted:email]" in shown
        assert SECRET not in shown
        assert "curl" not in shown


def test_a_preview_lists_what_would_be_hidden(two: StateStore, call: Call) -> None:
    """A line a kind and excerpt, with the address; found is a yes, as grep says; no secret is shown."""
    result = call("export", "--all", "--redact", "--preview")
    lines = result.stdout.splitlines()

    assert result.exit_code == 0
    assert "secret@2  api_key  sk-…789  2 times" in lines
    assert "secret@3  email  a…" in lines
    assert [line.split("  ")[:2] for line in lines] == [
        ["secret@1", "email"],
        ["secret@2", "api_key"],
        ["secret@3", "email"],
        ["secret@4", "password"],
        ["secret@5", "authorization"],
        ["secret@5", "email"],
        ["secret@6", "api_key"],
        ["secret@6", "email"],
        ["secret@7", "email"],
    ]
    assert "places would be hidden" in result.stderr
    assert SECRET not in result.output
    assert call("export", "plain", "--redact", "--preview").exit_code == 1


def test_a_preview_is_a_stream_of_objects(two: StateStore, call: Call) -> None:
    result = call("export", "secret", "--redact", "--preview", "--json")
    found: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]

    assert found[1] == {"address": "secret@2", "kind": "api_key", "count": 2, "excerpt": "sk-…789"}


def test_a_place_that_is_not_there_is_named_as_it_was_given(two: StateStore, call: Call) -> None:
    """Not the temporary file that could not be made there."""
    result = call("export", "plain", "-o", "/nowhere/x.jsonl")

    assert (result.exit_code, result.stderr) == (6, "journal: /nowhere/x.jsonl: No such file or directory\n")
