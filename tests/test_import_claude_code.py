"""The format "claude-code": what becomes of each kind of line."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.importers import import_path
from projections import (
    AgentResponseAdded,
    CustomEvent,
    ReasoningAdded,
    Record,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)


def line(**keys: Any) -> dict[str, Any]:
    return {"sessionId": "s", "timestamp": "2026-02-17T11:03:21.890Z", **keys}


def said(role: str, content: Any, **keys: Any) -> dict[str, Any]:
    return line(type=role, message={"role": role, "content": content}, **keys)


def imported(store: StateStore, path: Path, *lines: object, session_id: str = "s") -> list[Record]:
    """The records after the first, which says whose the session is."""
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in lines))
    outcome = import_path(store, path, format="claude-code")

    assert outcome.problems == []
    return list(store.records(session_id, after=1))


@pytest.mark.parametrize(
    ("content", "event"),
    [
        ("Hello", UserMessageAdded(content="Hello")),
        ("", UserMessageAdded(content="")),
        ([{"type": "text", "text": "Hello"}], UserMessageAdded(content="Hello")),
        (
            [{"type": "tool_result", "tool_use_id": "t1", "content": "out", "is_error": True}],
            ToolReturned(call_id="t1", result="out", is_error=True),
        ),
        (
            [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "out"}]}],
            ToolReturned(call_id="t1", result=[{"type": "text", "text": "out"}]),
        ),
        (
            [{"type": "image", "source": {"data": "…"}}],
            CustomEvent(name="claude_code.image", data={"type": "image", "source": {"data": "…"}}),
        ),
        (
            [{"type": "text", "text": 7}],
            CustomEvent(name="claude_code.text", data={"type": "text", "text": 7}),
        ),
        (["odd"], CustomEvent(name="claude_code.block", data="odd")),
    ],
)
def test_what_a_user_says(store: StateStore, tmp_path: Path, content: Any, event: object) -> None:
    """Text is a message, a result belongs to its call, the rest is kept as it is."""
    assert [each.event for each in imported(store, tmp_path / "s.jsonl", said("user", content))] == [event]


def test_what_an_assistant_says_stays_in_order(store: StateStore, tmp_path: Path) -> None:
    """The blocks of one line become one event each, at the line's time."""
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Let me look"},
        {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a"}, "caller": {}},
        {"type": "redacted_thinking", "data": "x"},
    ]
    records = imported(store, tmp_path / "s.jsonl", said("assistant", blocks))

    assert [record.event for record in records] == [
        ReasoningAdded(content="Hm", signature="sig"),
        AgentResponseAdded(content="Let me look"),
        ToolCalled(call_id="t1", name="Read", arguments={"path": "a"}),
        CustomEvent(name="claude_code.redacted_thinking", data=blocks[3]),
    ]
    assert {record.at for record in records} == {datetime(2026, 2, 17, 11, 3, 21, 890000, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (line(type="progress", data={"n": [1, None]}), "progress"),
        (line(type="user", message="odd"), "user"),
        (said("user", 7), "user"),
        (said("user", []), "user"),
        (line(type="user"), "user"),
        (line(type=7), "unknown"),
        (said("user", "naive time", timestamp="2026-02-17T11:03:21"), "user"),
        (said("user", "no time", timestamp=["x"]), "user"),
        (7, "unknown"),
        ([], "unknown"),
    ],
)
def test_a_line_that_is_no_message_is_kept_whole(
    store: StateStore, tmp_path: Path, value: Any, name: str
) -> None:
    """JSON of whatever shape is never dropped."""
    records = imported(store, tmp_path / "s.jsonl", value)

    assert [record.event for record in records] == [CustomEvent(name=f"claude_code.{name}", data=value)]


def test_lines_without_session_or_time_go_with_their_neighbours(store: StateStore, tmp_path: Path) -> None:
    """With the one before; the first ones with the one after."""
    bare = {"type": "file-history-snapshot", "messageId": "m"}
    later = said("user", "b", timestamp="2026-02-18T00:00:00Z")
    records = imported(store, tmp_path / "full.jsonl", bare, said("user", "a"), later, bare | {"n": 1})

    assert store.session_ids() == ["s"]
    assert [f"{record.at:%d}" for record in records] == ["17", "17", "18", "18"]


def test_one_journal_for_each_session_of_a_file(store: StateStore, tmp_path: Path) -> None:
    """The lines say where they belong; an id that is not safe as a file name has always the same safe one."""
    path = tmp_path / "file.jsonl"
    imported(
        store,
        path,
        said("user", "a", sessionId="one"),
        said("user", "b", sessionId="two"),
        said("user", "c", sessionId="one"),
        said("user", "d", sessionId="../three"),
        session_id="one",
    )
    outcome = import_path(store, path, format="claude-code")
    contents = [
        [message.content for message in store.load_session(each).user_messages]  # type: ignore[union-attr]
        for each in outcome.session_ids
    ]

    assert outcome.session_ids[:2] == ["one", "two"]
    assert outcome.session_ids[2].startswith("three-")
    assert contents == [["a", "c"], ["b"], ["d"]]


def test_a_session_of_the_callers_choice(store: StateStore, tmp_path: Path) -> None:
    """`session_id` takes in what the file holds, whatever its lines say."""
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps(said("user", "a", sessionId="one")) + "\n" + json.dumps(said("user", "b")))
    outcome = import_path(store, path, session_id="mine", user_id="me")

    assert outcome.session_ids == store.session_ids() == ["mine"]
    assert store.load_session("mine").user_id == "me"  # type: ignore[union-attr]


def test_real_transcripts_come_out_whole(store: StateStore, data: Path) -> None:
    """16 sessions, with the counts that their SOURCE.md names."""
    outcome = import_path(store, data / "claude-code-context-evaluator")
    events = [record.event for each in outcome.session_ids for record in store.records(each)]
    usage = [event for event in events if isinstance(event, UsageRecorded)]
    kinds = Counter(type(event).__name__ for event in events if event not in usage)

    assert outcome.problems == []
    assert outcome.created == 16
    assert kinds == {
        "SessionCreated": 16,
        "ToolCalled": 288,
        "ToolReturned": 288,
        "AgentResponseAdded": 151,
        "ReasoningAdded": 53,
        "UserMessageAdded": 28,
        "CustomEvent": 460,
    }
    assert outcome.appended == sum(kinds.values()) + len(usage)


def test_each_token_is_counted_once(store: StateStore, tmp_path: Path) -> None:
    """Every line of a message tells its usage so far; what the cache gave went in, too."""

    def answer(message_id: str, text: str, **usage: int) -> dict[str, Any]:
        message = {
            "id": message_id,
            "model": "m",
            "content": [{"type": "text", "text": text}],
            "usage": usage,
        }
        return line(type="assistant", message=message)

    records = imported(
        store,
        tmp_path / "s.jsonl",
        answer("1", "a", input_tokens=3, cache_read_input_tokens=40, output_tokens=1),
        answer("1", "b", input_tokens=3, cache_read_input_tokens=40, output_tokens=1),
        answer("1", "c", input_tokens=3, cache_read_input_tokens=40, output_tokens=9),
        answer("2", "d", input_tokens=1, output_tokens=2),
    )
    usage = [each.event for each in records if isinstance(each.event, UsageRecorded)]

    assert [(each.input_tokens, each.output_tokens) for each in usage] == [(43, 1), (0, 8), (1, 2)]
    assert {each.model for each in usage} == {"m"}


def test_the_usage_of_real_transcripts(store: StateStore, data: Path) -> None:
    """An independent reading: of each message what its last line tells."""
    folder = data / "claude-code-context-evaluator"
    last: dict[str, int] = {}
    for path in folder.glob("*.jsonl"):
        for text in path.read_text(encoding="utf-8").splitlines():
            message = json.loads(text).get("message")
            if isinstance(message, dict) and "usage" in message:
                last[message["id"]] = message["usage"]["output_tokens"]
    outcome = import_path(store, folder)
    events = [record.event for each in outcome.session_ids for record in store.records(each)]

    assert sum(last.values()) == sum(
        event.output_tokens for event in events if isinstance(event, UsageRecorded)
    )


def test_the_first_line_has_the_time_within_it(store: StateStore, tmp_path: Path) -> None:
    """A snapshot of files has no other time; so it has the same one before and after the next line came."""
    snapshot = {
        "type": "file-history-snapshot",
        "messageId": "m",
        "snapshot": {"timestamp": "2026-02-16T00:00:00Z"},
    }
    records = imported(store, tmp_path / "s.jsonl", snapshot, said("user", "a"), snapshot | {"n": 1})

    assert [f"{record.at:%d}" for record in records] == ["16", "17", "17"]


def test_each_real_text_is_there_as_it_was_said(store: StateStore, data: Path) -> None:
    """An independent reading of the files gives the same texts at the same times."""
    folder = data / "claude-code-context-evaluator"
    outcome = import_path(store, folder)
    expected, found = [], []
    for each in outcome.session_ids:
        for text in (folder / f"{each}.jsonl").read_text(encoding="utf-8").split("\n"):
            value = json.loads(text) if text else {}
            content = value.get("message", {}).get("content", []) if value.get("type") == "assistant" else []
            at = datetime.fromisoformat(value["timestamp"]) if content else None
            expected += [(block["text"], at) for block in content if block["type"] == "text"]
        session = store.load_session(each)
        found += [(response.content, response.timestamp) for response in session.agent_responses]  # type: ignore[union-attr]

    assert found == expected
