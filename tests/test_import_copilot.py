"""The format "copilot": what becomes of each kind of line of a session's events."""

import json
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


def line(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data, "id": "e", "timestamp": "2026-03-04T05:06:07.089Z", "parentId": None}


def imported(store: StateStore, folder: Path, *lines: object) -> list[Record]:
    """The records of a session after its first line."""
    path = folder / "the-session" / "events.jsonl"
    path.parent.mkdir()
    lines = (line("session.start", sessionId="s", copilotVersion="1"), *lines)
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    outcome = import_path(store, path)

    assert (outcome.problems, outcome.session_ids) == ([], ["s"])
    return list(store.records("s", after=2))


def asked(call_id: str, **more: Any) -> dict[str, Any]:
    return {"toolCallId": call_id, "name": "view", "arguments": {"path": "a"}, "type": "function", **more}


@pytest.mark.parametrize(
    ("value", "events"),
    [
        (line("user.message", content="Hi", interactionId="i"), [UserMessageAdded(content="Hi")]),
        (
            line("user.message", content="Hi", transformedContent="<now/>Hi", attachments=[]),
            [
                UserMessageAdded(content="Hi"),
                CustomEvent(name="copilot.user.message", data={"transformedContent": "<now/>Hi"}),
            ],
        ),
        (
            line("assistant.message", messageId="m", content="Yes", model="m1"),
            [
                AgentResponseAdded(content="Yes"),
                CustomEvent(name="copilot.assistant.message", data={"model": "m1"}),
            ],
        ),
        (
            line(
                "assistant.message",
                content="",
                reasoningText="Hm",
                reasoningOpaque="x",
                toolRequests=[asked("c1", intentionSummary="look", toolTitle=None), asked("c2"), 7],
            ),
            [
                ReasoningAdded(content="Hm", signature="x"),
                ToolCalled(call_id="c1", name="view", arguments={"path": "a"}),
                CustomEvent(
                    name="copilot.tool_request", data={"toolCallId": "c1", "intentionSummary": "look"}
                ),
                ToolCalled(call_id="c2", name="view", arguments={"path": "a"}),
                CustomEvent(name="copilot.tool_request", data=7),
            ],
        ),
        (
            line("assistant.message", content="", reasoningOpaque="x"),
            [ReasoningAdded(content="", signature="x")],
        ),
        (line("assistant.reasoning", content="Hm", reasoningId="r"), [ReasoningAdded(content="Hm")]),
        (
            line("tool.user_requested", toolCallId="c1", toolName="shell", arguments='{"command": "ls"}'),
            [ToolCalled(call_id="c1", name="shell", arguments={"command": "ls"})],
        ),
        (
            line(
                "tool.execution_complete",
                toolCallId="c1",
                success=True,
                result={"content": "out"},
                model="m1",
            ),
            [
                ToolReturned(call_id="c1", result={"content": "out"}),
                CustomEvent(name="copilot.tool.execution_complete", data={"model": "m1"}),
            ],
        ),
        (
            line(
                "tool.execution_complete",
                toolCallId="c1",
                success=False,
                error={"message": "no", "code": "x"},
            ),
            [ToolReturned(call_id="c1", result={"message": "no", "code": "x"}, is_error=True)],
        ),
        (
            line("system.message", role="system", content="Be brief"),
            [CustomEvent(name="copilot.system.message", data={"role": "system", "content": "Be brief"})],
        ),
        (
            line("assistant.turn_end", turnId="0"),
            [CustomEvent(name="copilot.assistant.turn_end", data={"turnId": "0"})],
        ),
        (
            {**line("session.idle"), "agentId": "a"},
            [
                CustomEvent(name="copilot.session.idle", data={}),
                CustomEvent(name="copilot.line", data={"agentId": "a"}),
            ],
        ),
        ({"type": "x", "data": 7}, [CustomEvent(name="copilot.unknown", data={"type": "x", "data": 7})]),
    ],
)
def test_what_a_line_becomes(store: StateStore, tmp_path: Path, value: Any, events: list[object]) -> None:
    """What has no event of its own is kept in a CustomEvent, but for what names lines, turns and requests."""
    records = imported(store, tmp_path, value)

    assert [record.event for record in records] == events
    assert {record.at for record in records} == {datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)}


def test_a_call_is_called_once(store: StateStore, tmp_path: Path) -> None:
    """The message asks for it, a line of its own says when it began, and with what if that is not it."""
    started = {"toolCallId": "c1", "toolName": "view"}
    records = imported(
        store,
        tmp_path,
        line("assistant.message", content="", toolRequests=[asked("c1")]),
        line("tool.execution_start", **started, arguments={"path": "a"}),
        line("tool.execution_start", **started, arguments={"path": "b"}),
        line("tool.execution_start", toolCallId="c2", toolName="view", arguments={"path": "b"}),
    )

    assert [record.event for record in records] == [
        ToolCalled(call_id="c1", name="view", arguments={"path": "a"}),
        CustomEvent(name="copilot.tool.execution_start", data=started),
        CustomEvent(name="copilot.tool.execution_start", data={**started, "arguments": {"path": "b"}}),
        ToolCalled(call_id="c2", name="view", arguments={"path": "b"}),
    ]


def test_a_thought_is_thought_once(store: StateStore, tmp_path: Path) -> None:
    """It may have a line of its own beside the message's."""
    records = imported(
        store,
        tmp_path,
        line("assistant.message", content="Yes", reasoningText="Hm"),
        line("assistant.reasoning", reasoningId="r", content="Hm"),
    )

    assert [record.event for record in records][:2] == [
        ReasoningAdded(content="Hm"),
        AgentResponseAdded(content="Yes"),
    ]
    assert not any(isinstance(record.event, ReasoningAdded) for record in records[2:])


def shutdown(**models: tuple[int, int]) -> dict[str, Any]:
    metrics = {
        model: {"usage": {"inputTokens": given, "outputTokens": taken}}
        for model, (given, taken) in models.items()
    }
    return line("session.shutdown", modelMetrics=metrics)


def usage(records: list[Record]) -> list[tuple[object, ...]]:
    found = [each.event for each in records if isinstance(each.event, UsageRecorded)]
    return [(each.model, each.input_tokens, each.output_tokens) for each in found]


def test_usage_is_told_at_a_shutdown(store: StateStore, tmp_path: Path) -> None:
    """Those of a session that was resumed go on; one that told less began anew."""
    lines = [shutdown(a=(10, 1)), shutdown(a=(15, 2), b=(3, 3)), shutdown(a=(15, 2), b=(1, 1))]

    assert usage(imported(store, tmp_path, *lines)) == [("a", 10, 1), ("a", 5, 1), ("b", 3, 3), ("b", 1, 1)]


def test_usage_of_calls_is_not_counted_again_at_the_shutdown(store: StateStore, tmp_path: Path) -> None:
    calls = [line("assistant.usage", model="a", inputTokens=10, outputTokens=1)]

    assert usage(imported(store, tmp_path, *calls, shutdown(a=(10, 1)))) == [("a", 10, 1)]


def test_without_a_start_the_folder_names_the_session(store: StateStore, tmp_path: Path) -> None:
    """All files are called alike; the folder is called like the session."""
    path = tmp_path / "abc" / "events.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps(line("user.message", content="Hi")))

    assert import_path(store, path).session_ids == ["abc"]
