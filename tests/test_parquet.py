"""Parquet: a row a record, read back by the library that wrote it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import ANY, InvalidEventError, Session, SessionNotFoundError, StateStore
from journal import parquet as ours
from journal.event_json import encode_event, event_type
from journal.importers import import_path
from journal.parquet import export_parquet
from projections import (
    ContextCompacted,
    Redaction,
    SessionCreated,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from tests.strategies import CREATED, a_store, changes

COLUMNS = [
    *("session_id", "user_id", "seq", "id", "at", "by", "cause", "key", "type", "role", "text", "tool"),
    *("call_id", "is_error", "duration_ms", "event", "digest", "chain"),
]


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def said(store: StateStore, session_id: str, *texts: str) -> None:
    session = Session.with_id(f"user of {session_id}", session_id)
    for text in texts:
        session.add_user_message(text)
    store.save_session(session)


@settings(max_examples=50)
@given(st.lists(changes(), max_size=6))
def test_the_rows_are_the_records(happened: list[Any]) -> None:
    """Each with its header, its hashes, its time to the microsecond, and its event as it is stored."""
    with a_store(actor="me") as store, tempfile.TemporaryDirectory() as folder:
        store.append("s", [CREATED], expected_version=0)
        for change in happened:
            try:
                store.append("s", [change], expected_version=ANY)
            except InvalidEventError:
                continue
        path = Path(folder) / "x.parquet"
        done = export_parquet(store, path)
        records = list(store.records("s"))
        found = rows(path)

        assert (done.sessions, done.records, done.unreadable) == (1, len(records), [])
        assert [list(row) for row in found] == [COLUMNS] * len(records)
        assert [
            (r["seq"], r["id"], r["at"], r["by"], r["cause"], r["key"], r["digest"], r["chain"])
            for r in found
        ] == [(r.seq, r.id, r.at, r.by, r.cause, r.key, r.digest, r.chain) for r in records]
        assert [(r["type"], r["event"]) for r in found] == [
            (event_type(r.event), encode_event(r.event).decode()) for r in records
        ]
        assert found[0]["user_id"] == "u"
        assert found[0]["at"].utcoffset() is not None


def test_a_tools_return_knows_its_tool(store: StateStore, tmp_path: Path) -> None:
    """By the id of its call; what was said, asked and given stands in `text`, and says by whom."""
    said(store, "s", "question")
    events = [
        ToolCalled(call_id="c", name="search", arguments={"q": "x"}),
        ToolReturned(call_id="c", result="found", is_error=True, duration_ms=1.5),
        ToolReturned(call_id="d", result=[1]),
    ]
    store.append("s", events, expected_version=2)
    export_parquet(store, tmp_path / "x.parquet")
    columns = ("role", "text", "tool", "call_id", "is_error", "duration_ms")

    assert [tuple(row[name] for name in columns) for row in rows(tmp_path / "x.parquet")] == [
        (None, None, None, None, None, None),
        ("user", "question", None, None, None, None),
        ("tool_call", '{"q":"x"}', "search", "c", None, None),
        ("tool_result", "found", "search", "c", True, 1.5),
        ("tool_result", "[1]", None, "d", False, None),
    ]


def test_what_a_loop_records_beside_is_nobodys_words(store: StateStore, tmp_path: Path) -> None:
    """A step says whether it failed, and how long it took."""
    said(store, "s", "question")
    events = [
        StepFinished(name="pay", result=1, duration_ms=2.5),
        StepFinished(name="pay", error="", error_type="E"),
        UsageRecorded(model="m", input_tokens=1, output_tokens=2),
        ContextCompacted(summary="in short", through=2),
    ]
    store.append("s", events, expected_version=2)
    export_parquet(store, tmp_path / "x.parquet")
    columns = ("type", "role", "text", "is_error", "duration_ms")

    assert [tuple(row[name] for name in columns) for row in rows(tmp_path / "x.parquet")][2:] == [
        ("step_finished", None, None, False, 2.5),
        ("step_finished", None, None, True, None),
        ("usage_recorded", None, None, None, None),
        ("context_compacted", None, None, None, None),
    ]


def test_a_whole_store_or_some_sessions(store: StateStore, tmp_path: Path) -> None:
    """All of them by their ids; the progress is told; one that was named must be there."""
    for session_id in ("b", "a", "c"):
        said(store, session_id, "x")
    told: list[tuple[str, int, int]] = []
    export_parquet(store, tmp_path / "all", progress=lambda *step: told.append(step))
    export_parquet(store, tmp_path / "some", ["c", "a"])
    with pytest.raises(SessionNotFoundError):
        export_parquet(store, tmp_path / "none", ["a", "z"])

    assert [(row["session_id"], row["user_id"]) for row in rows(tmp_path / "all")][::2] == [
        *(("a", "user of a"), ("b", "user of b"), ("c", "user of c"))
    ]
    assert told == [("a", 0, 3), ("b", 1, 3), ("c", 2, 3)]
    assert [row["session_id"] for row in rows(tmp_path / "some")] == ["c", "c", "a", "a"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["all", "some"]


def test_before_damage_everything_is_there_and_the_damage_is_told(
    store: StateStore, folder: Path, tmp_path: Path
) -> None:
    """The other sessions are whole."""
    said(store, "a", "x")
    store.append("a", [UserMessageAdded(content="true")], expected_version=2)
    said(store, "b", "y")
    path = folder / "sessions" / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"true", b"lies"))
    (folder / "sessions" / "c.json").write_text("{")
    done = export_parquet(store, tmp_path / "x")

    assert [(row["session_id"], row["seq"]) for row in rows(tmp_path / "x")] == [
        *(("a", 1), ("a", 2), ("b", 1), ("b", 2))
    ]
    assert [each.id for each in done.unreadable] == ["a", "c"]
    assert "record 3" in done.unreadable[0].reason
    assert (done.sessions, done.records) == (2, 4)


def test_row_groups_are_bounded(store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By bytes and by rows: memory stays flat however large the store is."""
    said(store, "s", *["x" * 1000] * 20)
    monkeypatch.setattr(ours, "MAX_GROUP_BYTES", 8000)
    export_parquet(store, tmp_path / "x")
    by_bytes = parquet.ParquetFile(tmp_path / "x").metadata
    monkeypatch.setattr(ours, "MAX_GROUP_BYTES", 10**9)
    monkeypatch.setattr(ours, "MAX_GROUP_ROWS", 10)
    export_parquet(store, tmp_path / "y")
    by_rows = parquet.ParquetFile(tmp_path / "y").metadata

    assert by_bytes.num_rows == by_rows.num_rows == 21
    assert by_bytes.num_row_groups > 5
    assert [by_rows.row_group(n).num_rows for n in range(by_rows.num_row_groups)] == [10, 10, 1]


def test_an_empty_store_is_an_empty_table(store: StateStore, tmp_path: Path) -> None:
    export_parquet(store, tmp_path / "x")

    assert parquet.read_table(tmp_path / "x").column_names == COLUMNS
    assert rows(tmp_path / "x") == []


def test_redacted_rows_hide_and_prove_nothing(store: StateStore, tmp_path: Path) -> None:
    """In every column; no row has hashes, not even one with nothing to hide."""
    store.append("s", [SessionCreated(session_id="s", user_id="ann@a.example")], expected_version=0)
    store.append(
        "s", [UserMessageAdded(content="I am ann@a.example")], expected_version=1, by="ann@a.example"
    )
    store.append("s", [UserMessageAdded(content="plain")], expected_version=2)
    export_parquet(store, tmp_path / "x", redaction=Redaction())
    found = rows(tmp_path / "x")

    assert b"ann@a.example" not in (tmp_path / "x").read_bytes()
    assert "ann@a.example" not in repr(found)
    assert [row["text"] for row in found] == [None, "I am [redacted:email]", "plain"]
    assert found[1]["by"] == found[1]["user_id"] == "[redacted:email]"
    assert {(row["digest"], row["chain"]) for row in found} == {(None, None)}


def test_another_programs_session_is_one_row(
    store: StateStore, seed_files: Path, folder: Path, tmp_path: Path
):
    """Its file, which has no record yet; after a first change, as it is on record."""
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "rich.json").write_bytes((seed_files / "sessions" / "rich.json").read_bytes())
    export_parquet(store, tmp_path / "x")
    (row,) = rows(tmp_path / "x")

    assert (row["seq"], row["type"], row["id"]) == (0, "session_adopted", "")
    assert json.loads(json.loads(row["event"])["document"])["id"] == "rich"
    assert row["user_id"] == json.loads(json.loads(row["event"])["document"])["user_id"]


def test_an_export_that_fails_leaves_what_was_there(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(store, "s", "x")
    (tmp_path / "x").write_text("before")
    monkeypatch.setattr(ours, "_said", lambda event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_parquet(store, tmp_path / "x")

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]
    assert (tmp_path / "x").read_text() == "before"


def test_real_conversations_are_whole_tables(store: StateStore, data: Path, tmp_path: Path) -> None:
    """All records of all sessions."""
    outcome = import_path(store, data)
    done = export_parquet(store, tmp_path / "x")
    table = parquet.read_table(tmp_path / "x", columns=["session_id", "seq"])

    assert done.sessions == len(set(outcome.session_ids))
    assert (
        table.num_rows == done.records == sum(store.list_sessions()[n].version for n in range(done.sessions))
    )


def test_without_pyarrow_it_says_what_to_install(folder: Path) -> None:
    """And nothing else needs it."""
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from journal import StateStore\n"
        "from journal.parquet import export_parquet\n"
        f"export_parquet(StateStore({str(folder)!r}), 'x')"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (
        "ModuleNotFoundError: Parquet needs pyarrow: pip install 'session-journal[parquet]'" in result.stderr
    )
