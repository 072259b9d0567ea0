"""The format "codex": what becomes of each kind of line of a rollout."""

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

AT = "2026-03-04T05:06:07.089Z"
META = {"id": "s", "cwd": "/tmp", "base_instructions": {"text": "Be brief"}}


def line(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": AT, "type": kind, "payload": payload}


def item(kind: str, **payload: Any) -> dict[str, Any]:
    return line("response_item", type=kind, **payload)


def told(kind: str, **payload: Any) -> dict[str, Any]:
    return line("event_msg", type=kind, **payload)


def imported(store: StateStore, path: Path, *lines: object) -> list[Record]:
    """The records of a rollout after its first line."""
    lines = (line("session_meta", **META), *lines)
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    outcome = import_path(store, path)

    assert (outcome.problems, outcome.session_ids) == ([], ["s"])
    return list(store.records("s", after=2))


CALL = {"id": "i1", "call_id": "c1"}


@pytest.mark.parametrize(
    ("value", "events"),
    [
        (
            item("message", role="user", content=[{"type": "input_text", "text": "Hi"}]),
            [UserMessageAdded(content="Hi")],
        ),
        (
            item(
                "message",
                id="m",
                role="assistant",
                phase="end",
                content=[{"type": "output_text", "text": "Yes"}],
            ),
            [AgentResponseAdded(content="Yes"), CustomEvent(name="codex.message", data={"phase": "end"})],
        ),
        (
            item("message", role="developer", content=[{"type": "input_text", "text": "Rules"}]),
            [CustomEvent(name="codex.developer", data={"type": "input_text", "text": "Rules"})],
        ),
        (
            item("message", role="user", content=[{"type": "input_image", "image_url": "data:"}]),
            [CustomEvent(name="codex.user", data={"type": "input_image", "image_url": "data:"})],
        ),
        (
            item("message", role="user", content=[]),
            [CustomEvent(name="codex.message", data={"type": "message", "role": "user", "content": []})],
        ),
        (
            item("reasoning", id="r", summary=[{"type": "summary_text", "text": "a"}], encrypted_content="x"),
            [ReasoningAdded(content="a", signature="x")],
        ),
        (
            item("reasoning", summary=[{"text": "a"}], content=[{"type": "reasoning_text", "text": "b"}]),
            [ReasoningAdded(content="a\n\nb")],
        ),
        (
            item("function_call", **CALL, name="exec", arguments='{"cmd": ["ls"]}'),
            [ToolCalled(call_id="c1", name="exec", arguments={"cmd": ["ls"]})],
        ),
        (
            item("custom_tool_call", **CALL, name="apply_patch", input="{not json", status="completed"),
            [
                ToolCalled(call_id="c1", name="apply_patch", arguments="{not json"),
                CustomEvent(name="codex.custom_tool_call", data={"status": "completed"}),
            ],
        ),
        (
            item("web_search_call", id="ws", action={"query": "q"}),
            [ToolCalled(call_id="ws", name="web_search", arguments={"query": "q"})],
        ),
        (
            item("web_search_call", action={"query": "q"}),
            [
                CustomEvent(
                    name="codex.web_search_call", data={"type": "web_search_call", "action": {"query": "q"}}
                )
            ],
        ),
        (
            item("local_shell_call", **CALL, action={"command": ["ls"]}),
            [ToolCalled(call_id="c1", name="local_shell", arguments={"command": ["ls"]})],
        ),
        (
            item("custom_tool_call_output", call_id="c1", output=[{"type": "input_text", "text": "done"}]),
            [ToolReturned(call_id="c1", result=[{"type": "input_text", "text": "done"}])],
        ),
        (
            item("ghost_snapshot", ghost={"n": 1}),
            [CustomEvent(name="codex.ghost_snapshot", data={"type": "ghost_snapshot", "ghost": {"n": 1}})],
        ),
        (
            line("turn_context", model="gpt", cwd="/"),
            [CustomEvent(name="codex.turn_context", data={"model": "gpt", "cwd": "/"})],
        ),
        (
            told("agent_message", message="Yes"),
            [CustomEvent(name="codex.agent_message", data={"type": "agent_message", "message": "Yes"})],
        ),
        (
            {"timestamp": 7, "type": "x"},
            [CustomEvent(name="codex.unknown", data={"timestamp": 7, "type": "x"})],
        ),
        (
            {**line("compacted", message="Sum"), "ordinal": 4, "new": 1},
            [
                CustomEvent(name="codex.compacted", data={"message": "Sum"}),
                CustomEvent(name="codex.line", data={"new": 1}),
            ],
        ),
    ],
)
def test_what_a_line_becomes(store: StateStore, tmp_path: Path, value: Any, events: list[object]) -> None:
    """What has no event of its own is kept in a CustomEvent, but for the ids of items."""
    records = imported(store, tmp_path / "r.jsonl", value)

    assert [record.event for record in records] == events
    assert {record.at for record in records} == {datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)}


def test_the_system_prompt_is_kept(store: StateStore, tmp_path: Path) -> None:
    """With all that the first line says of the session."""
    imported(store, tmp_path / "r.jsonl")

    assert [each.event for each in store.records("s", after=1)] == [
        CustomEvent(name="codex.session_meta", data=META)
    ]


@pytest.mark.parametrize(
    ("output", "is_error"),
    [
        ("Chunk ID: 0af\nWall time: 0.1 seconds\nProcess exited with code 1\nOutput:\n", True),
        ("Chunk ID: 0af\nWall time: 0.1 seconds\nProcess exited with code 0\nOutput:\n", False),
        ("Exit code: 127\nWall time: 0 seconds\nOutput:\n", True),
        ("Exit code: 0\nOutput:\nExit code: 1", False),
        ("It said: Exit code: 1", False),
        ('{"output": "no", "metadata": {"exit_code": 2}}', True),
        ('{"output": "yes", "metadata": {"exit_code": 0}}', False),
        ({"content": "no", "success": False}, True),
        ({"content": "yes", "success": True}, False),
        ("", False),
    ],
)
def test_what_failed_is_an_error(store: StateStore, tmp_path: Path, output: Any, is_error: bool) -> None:
    """By the exit code that Codex writes above the output, or by a flag; never by what a program printed."""
    value = item("function_call_output", call_id="c1", output=output)

    assert [each.event for each in imported(store, tmp_path / "r.jsonl", value)] == [
        ToolReturned(call_id="c1", result=output, is_error=is_error)
    ]


@pytest.mark.parametrize(
    "end",
    [
        told("patch_apply_end", call_id="c1", success=False),
        told("exec_command_end", call_id="c1", exit_code=3),
        told("mcp_tool_call_end", call_id="c1", result={"Err": "no"}),
    ],
)
def test_what_an_event_says_to_have_failed_is_an_error(store: StateStore, tmp_path: Path, end: Any) -> None:
    """The events that the terminal got come before the outputs that the model got."""
    outputs = [item("custom_tool_call_output", call_id=each, output="?") for each in ("c1", "c2")]
    records = imported(store, tmp_path / "r.jsonl", end, *outputs)

    assert [each.event.is_error for each in records if isinstance(each.event, ToolReturned)] == [True, False]


def tokens(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    total = {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": 0}
    return told("token_count", info={"total_token_usage": total})


def test_each_token_is_counted_once(store: StateStore, tmp_path: Path) -> None:
    """The lines tell totals, some of them twice; the model is that of the turn."""
    lines = [
        told("token_count", info=None),
        line("turn_context", model="small"),
        tokens(10, 2),
        tokens(10, 2),
        line("turn_context", model="large"),
        tokens(30, 7),
    ]
    found = [each.event for each in imported(store, tmp_path / "r.jsonl", *lines)]
    usage = [each for each in found if isinstance(each, UsageRecorded)]

    assert [(each.model, each.input_tokens, each.output_tokens) for each in usage] == [
        ("small", 10, 2),
        ("large", 20, 5),
    ]
    assert [each.name for each in found if isinstance(each, CustomEvent)].count("codex.token_count") == 2


def test_a_forked_rollout_is_one_session(store: StateStore, tmp_path: Path) -> None:
    """It holds its origin's first line too, behind its own."""
    said = item("message", role="user", content=[{"type": "input_text", "text": "Hi"}])
    imported(store, tmp_path / "r.jsonl", line("session_meta", id="origin"), said)

    assert store.session_ids() == ["s"]


def test_real_rollouts_come_out_whole(store: StateStore, data: Path) -> None:
    """2 sessions, with the counts that their SOURCE.md names."""
    outcome = import_path(store, data / "codex-agentv")
    events = [record.event for each in outcome.session_ids for record in store.records(each)]
    kinds = Counter(type(event).__name__ for event in events)
    customs = Counter(event.name for event in events if isinstance(event, CustomEvent))
    # What is left of items that are counted above: a phase, a status.
    left = sum(customs[f"codex.{kind}"] for kind in ("message", "web_search_call", "custom_tool_call"))

    assert (outcome.problems, outcome.created) == ([], 2)
    assert {kind: kinds[kind] for kind in kinds if kind not in ("CustomEvent", "UsageRecorded")} == {
        "SessionCreated": 2,
        "ToolCalled": 181,
        "ToolReturned": 177,
        "AgentResponseAdded": 89,
        "ReasoningAdded": 76,
        "UserMessageAdded": 22,
    }
    assert customs["codex.developer"] == 10
    assert kinds["CustomEvent"] + kinds["UsageRecorded"] - customs["codex.developer"] - left == 243
    assert sum(each.is_error for each in events if isinstance(each, ToolReturned)) == 4


LEFT_OUT = {"type", "id", "internal_chat_message_metadata_passthrough"}


def leaves(value: Any) -> Counter[str]:
    """The texts and numbers in a value, but for keys that are left out."""
    match value:
        case dict():
            return sum((leaves(each) for key, each in value.items() if key not in LEFT_OUT), Counter())
        case list():
            return sum(map(leaves, value), Counter())
        case str() if value.startswith("{"):
            try:
                return leaves(json.loads(value))
            except ValueError:
                return Counter([value])
        case None:
            return Counter()
    return Counter([str(value)])


def test_nothing_of_a_real_rollout_is_lost(store: StateStore, data: Path) -> None:
    """Each text and number of each line is in the events, at the line's time."""
    for path in sorted((data / "codex-agentv").glob("*.jsonl")):
        [session_id] = import_path(store, path).session_ids
        found: dict[datetime, Counter[str]] = {}
        for record in store.records(session_id, after=1):
            event = record.event
            shown = event.data if isinstance(event, CustomEvent) else json.loads(_json(event))
            found.setdefault(record.at, Counter()).update(leaves(shown))
        for text in path.read_text(encoding="utf-8").splitlines():
            value = json.loads(text)
            lost = leaves(value["payload"]) - found[datetime.fromisoformat(value["timestamp"])]
            lost -= Counter(["user", "assistant", "developer"])  # the role is the kind of event

            assert not lost


def _json(event: object) -> bytes:
    import msgspec

    return msgspec.json.encode(event)
