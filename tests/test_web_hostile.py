"""What somebody wrote to do harm comes to the page as data: whole, inert, and in bounded size."""

import json
from pathlib import Path

import pytest

from journal import StateStore
from journal.importers import import_path
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    MetadataSet,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from tests.viewer import put, say, visiting

SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(1)>[a](javascript:alert(1))"
ESCAPES = "\x1b]52;c;cm0gLXJm\x07\x1b[2J"
BIDI = "user‮resu⁦"
TAGS = "plain\U000e0068\U000e0069"
ENDPOINTS = (
    "rows",
    "records/2",
    "state/2",
    "diff?from=1&to=2",
    "blame/2?path=user_messages",
    "seen/2",
    "charts",
)


@pytest.mark.parametrize("text", [SCRIPT, ESCAPES, BIDI, TAGS, "\u2028\u2029", "a\x00b", "�"])
def test_every_answer_is_json_or_bytes_to_be_saved(store: StateStore, text: str):
    """No answer of the API is a page, whatever it holds."""
    say(store, "s", text)
    with visiting(store) as visit:
        for endpoint in ENDPOINTS:
            answer = visit.client.get(f"/api/s/s/{endpoint}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
        raw = visit.client.get("/api/s/s/raw/2")
        row = visit.json("/api/s/s/rows")["rows"][1]

    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["content-disposition"].startswith("attachment;")
    assert row["preview"] == text


@pytest.mark.parametrize(
    ("text", "is_hidden"),
    [
        *((ESCAPES, True), (BIDI, True), (TAGS, True), ("zero\u200bwidth", True), ("a\u200db", True)),
        *(("soft\u00adhyphen", True), ("bell\x07", True), ("\x7f", True), ("\ufeffmark", True)),
        *(("plain", False), ("two\nlines\tand\r\nmore", False), ("äöü 日本 العربية", False)),
        *(("👩\u200d💻", False), ("\\u001b as text", False)),
    ],
)
def test_hidden_characters_are_noticed(store: StateStore, text: str, is_hidden: bool):
    """Wherever they stand; pictures that are joined, and other scripts, hide nothing."""
    events: list[Event] = [
        UserMessageAdded(content=text),
        ToolCalled(call_id="c", name="t", arguments={"a": [text]}),
        ToolCalled(call_id="d", name="t", arguments={text: 1}),
        ToolReturned(call_id="c", result=text),
        MetadataSet(key=f"k{text}", value=1),
        CustomEvent(name=text),
    ]
    put(store, "s", *events)
    with visiting(store) as visit:
        rows = visit.json("/api/s/s/rows")["rows"]

    assert [row["is_hidden"] for row in rows] == [False, *[is_hidden] * len(events)]


def test_five_megabytes_in_one_message(store: StateStore):
    """Lists have its beginning, a record what a page can show, and the bytes are there to be saved."""
    said = "ü" * 5_000_000
    put(store, "s", UserMessageAdded(content=said), AgentResponseAdded(content="Well."))
    with visiting(store) as visit:
        rows = visit.client.get("/api/s/s/rows")
        record = visit.json("/api/s/s/records/2")
        state = visit.client.get("/api/s/s/state/3")
        diff = visit.client.get("/api/s/s/diff?from=1&to=3")
        seen = visit.client.get("/api/s/s/seen/3")

        assert len(visit.client.get("/api/s/s/raw/2").content) > 10_000_000
    row = rows.json()["rows"][1]
    assert (len(row["preview"]), row["cut"]) == (4000, 5_000_000)
    assert record["event"]["content"] == said[:65_536]
    assert record["cut"] == [{"path": "content", "characters": 5_000_000}]
    assert state.json()["cut"] == [{"path": "user_messages.last.0.content", "characters": 5_000_000}]
    assert max(len(each.content) for each in (rows, state, diff, seen)) < 200_000


def test_a_value_of_a_million_parts_is_told_in_part(store: StateStore):
    """In a list of changes it takes no more room than any other."""
    put(store, "s", MetadataSet(key="k", value=list(range(1_000_000))))
    with visiting(store) as visit:
        answer = visit.client.get("/api/s/s/diff?from=1&to=2")

    assert len(answer.content) < 50_000
    value = next(each for each in answer.json()["changes"] if each["path"] == "metadata.k")["after"]
    assert value[:3] == [0, 1, 2]
    assert value[-1] == {"…": 1_000_000 - len(value) + 1}


def test_deep_json_is_shown(store: StateStore):
    """As deep as a record may hold it."""
    value: object = "bottom"
    for _ in range(100):
        value = [value]
    put(store, "s", ToolReturned(call_id="c", result=value))  # type: ignore[arg-type]
    with visiting(store) as visit:
        found = visit.json("/api/s/s/records/2")["event"]["result"]

        assert visit.json("/api/s/s/rows")["rows"][1]["preview"] == json.dumps(value)
    assert found == value


def test_invalid_utf_8_in_a_tool_s_output(store: StateStore, tmp_path: Path):
    """As an importer stores it: what was no text is marked, and everything else is there."""
    lines = [
        b'{"role":"user","content":"run it","session_id":"s","user_id":"ada"}',
        b'{"role":"tool","content":"bytes \xff\xfe and more","session_id":"s"}',
    ]
    source = tmp_path / "talk.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    found = import_path(store, source, user_id="ada")
    (session_id,) = found.session_ids
    with visiting(store) as visit:
        rows = visit.json(f"/api/s/{session_id}/rows")["rows"]

        assert all(
            visit.client.get(f"/api/s/{session_id}/raw/{row['seq']}").status_code == 200 for row in rows
        )
    assert found.problems or any("�" in row["preview"] for row in rows)


def test_names_of_any_length_make_short_titles(store: StateStore):
    """Tools, models, keys and events are called whatever somebody called them."""
    put(
        store,
        "s",
        ToolCalled(call_id="c" * 1000, name="n" * 100_000, arguments={}),
        MetadataSet(key="k" * 100_000, value=1),
    )
    with visiting(store) as visit:
        assert max(len(row["title"]) for row in visit.json("/api/s/s/rows")["rows"]) < 200
