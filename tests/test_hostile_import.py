"""Files that somebody made to do harm, as sources of an import: what cannot be taken in is a Problem."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from journal import StateStore
from journal.export import export_json
from journal.importers import FORMATS, import_path
from tests.test_forged import VALUES, nested
from tests.test_hostile import DOCUMENT, MIB, sparse, tried

_LINE = b'{"role":"user","content":%b}\n'
_METADATA = b',"metadata":{"k":%b}'
SOURCES: dict[str, tuple[str, Callable[[Path], object], float]] = {
    "gigabytes in one line": ("jsonl", lambda path: sparse(path, 3 * 1024 * MIB, _LINE % b'"x"'), 200),
    "gigabytes in a document": ("json", lambda path: sparse(path, 10 * 1024 * MIB, b'[{"role":'), 60),
    "gigabytes in a session": ("json", lambda path: sparse(path, 10 * 1024 * MIB, b'{"user_messages":'), 60),
    "a million bad lines": ("jsonl", lambda path: path.write_bytes(_LINE % b"5" + b"x\n" * 1_000_000), 60),
    "a million bad items": (
        "json",
        lambda path: path.write_bytes(b'[{"role":"user","content":"x"}' + b",0" * 1_000_000 + b"]"),
        200,
    ),
    "deep lines": (
        "jsonl",
        lambda path: path.write_bytes(_LINE % (b"[" * 3_000_000) + _LINE % nested(900)),
        60,
    ),
    "a deep document": ("json", lambda path: path.write_bytes(b"[" * 3_000_000), 60),
    "a deep session": ("json", lambda path: path.write_bytes(DOCUMENT % (_METADATA % nested(500_000))), 60),
    "repeated keys": (
        "json",
        lambda path: path.write_bytes(b"{" + b'"messages":0,' * 500_000 + b'"messages":0}'),
        100,
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_hostile_file_is_told_as_a_problem(folder: Path, tmp_path: Path, name: str):
    """Memory does not grow with the file."""
    ending, write, most_mib = SOURCES[name]
    source = tmp_path / "source"
    source.mkdir()
    write(source / f"s.{ending}")

    assert tried(folder, "import", source=source, most_mib=most_mib)["import"] > 0  # type: ignore[operator]


def _with(value: bytes, format: str) -> bytes:
    """A file of a format with any JSON wherever there is room for it."""
    match format:
        case "jsonl":
            tool = b'{"role":"tool","tool_call_id":"c","content":%b}' % value
            return b'{"role":"user","content":"x","extra":%b}\n%b' % (value, tool)
        case "claude-code":
            block = b'{"type":"x","y":%b},{"type":"tool_use","id":"c","name":"n","input":%b}' % (value, value)
            line = b'{"type":"user","uuid":"u","sessionId":"s","message":{"content":[%b]}}' % block
            return line + b'\n{"type":"system","uuid":"u","x":%b}' % value
        case "openai":
            call = b'{"id":"c","function":{"name":"n","arguments":%b}}' % value
            said = b'{"role":"user","content":"x","extra":%b},{"role":"assistant","tool_calls":[%b]}'
            return b'{"extra":%b,"messages":[%b]}' % (value, said % (value, call))
        case "codex":
            item = b'{"type":"function_call","call_id":"c","name":"n","arguments":%b,"more":%b}' % (
                value,
                value,
            )
            line = b'{"timestamp":"2026-01-01T00:00:00Z","type":"response_item","payload":%b}\n' % item
            return line + b'{"timestamp":"2026-01-01T00:00:00Z","type":"x","payload":{"y":%b}}' % value
        case "copilot":
            line = (
                b'{"type":"tool.execution_complete","id":"e","data":{"toolCallId":"c","result":%b,"x":%b}}\n'
            )
            return line % (value, value) + b'{"type":"x","id":"e","data":%b}' % value
        case "gemini":
            call = b'{"id":"c","name":"n","args":%b,"status":"error","result":%b}' % (value, value)
            line = b'{"id":"m","type":"gemini","content":%b,"toolCalls":[%b]}\n' % (value, call)
            return b'{"sessionId":"s","projectHash":"h"}\n' + line + b'{"$set":{"x":%b}}' % value
        case "swe-agent":
            said = b'{"role":"assistant","content":"x","action":%b,"more":%b}' % (value, value)
            return b'{"history":[%b],"trajectory":[{"state":%b}],"info":%b}' % (said, value, value)
        case "crosswoz":
            return b'{"1":{"messages":[{"role":"usr","content":"x","more":%b}],"goal":%b}}' % (value, value)
        case _:
            return DOCUMENT % (_METADATA % value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", VALUES)
def test_odd_values_are_taken_in_or_told(folder: Path, tmp_path: Path, format: str, name: str):
    """And what is taken in can be verified and given out again."""
    path = tmp_path / "s"
    path.write_bytes(_with(VALUES[name], format))
    with StateStore(folder, durability="os") as store:
        outcome = import_path(store, path, format=format)
        for session_id in outcome.session_ids:
            assert store.verify(session_id).ok
            assert msgspec.json.decode(export_json(store, session_id))
        again = import_path(store, path, format=format)

    assert outcome.problems or outcome.appended
    assert again.appended == 0


_TIME = "2026-03-04T05:06:07Z"
_CALL = {"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}
SAMPLES: dict[str, list[Any]] = {
    "claude-code": [
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": _TIME}},
        {
            "type": "assistant",
            "sessionId": "s",
            "timestamp": _TIME,
            "message": {
                "id": "m",
                "model": "m",
                "content": [{"type": "tool_use", "id": "c", "name": "n", "input": {}}],
                "usage": {"input_tokens": 1, "output_tokens": 2},
            },
        },
    ],
    "codex": [
        {"timestamp": _TIME, "type": kind, "payload": payload}
        for kind, payload in (
            ("session_meta", {"id": "s"}),
            ("turn_context", {"model": "m"}),
            ("event_msg", {"type": "token_count", "info": {"total_token_usage": {"input_tokens": 1}}}),
            (
                "event_msg",
                {"type": "mcp_tool_call_end", "call_id": "c", "result": {"Err": 1}, "exit_code": 1},
            ),
            (
                "response_item",
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
            ),
            ("response_item", {"type": "reasoning", "summary": [{"text": "x"}], "encrypted_content": "x"}),
            ("response_item", {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}),
            ("response_item", {"type": "function_call_output", "call_id": "c", "output": "Exit code: 1"}),
        )
    ],
    "copilot": [
        {"type": kind, "id": "e", "timestamp": _TIME, "parentId": None, "data": payload}
        for kind, payload in (
            ("session.start", {"sessionId": "s"}),
            ("user.message", {"content": "x"}),
            (
                "assistant.message",
                {
                    "content": "x",
                    "reasoningText": "t",
                    "reasoningOpaque": "o",
                    "toolRequests": [{"toolCallId": "c", "name": "n", "arguments": {}}],
                },
            ),
            ("assistant.reasoning", {"content": "t"}),
            ("tool.execution_start", {"toolCallId": "c", "toolName": "n", "arguments": {}}),
            ("tool.execution_complete", {"toolCallId": "c", "success": False, "error": {"message": "x"}}),
            ("session.shutdown", {"modelMetrics": {"m": {"usage": {"inputTokens": 1}}}}),
            ("assistant.usage", {"model": "m", "inputTokens": 1}),
        )
    ],
    "gemini": [
        {"sessionId": "s", "projectHash": "h", "startTime": _TIME},
        {"id": "1", "timestamp": _TIME, "type": "user", "content": [{"text": "x"}]},
        {
            "id": "2",
            "timestamp": _TIME,
            "type": "gemini",
            "content": "x",
            "model": "m",
            "thoughts": [{"subject": "a", "description": "b", "timestamp": _TIME}],
            "tokens": {"input": 1, "output": 1},
            "toolCalls": [{"id": "c", "name": "n", "args": {}, "status": "error", "timestamp": _TIME}],
        },
        {"$set": {"lastUpdated": _TIME, "messages": [{"id": "3", "type": "user", "content": "x"}]}},
        {"$rewindTo": "1"},
    ],
    "swe-agent": [
        {
            "history": [
                {"role": "system", "content": "x", "agent": "main"},
                {"role": "user", "content": [{"type": "text", "text": "x"}], "message_type": "observation"},
                {
                    "role": "assistant",
                    "content": "x",
                    "thought": "x",
                    "action": "ls",
                    "thinking_blocks": [{}],
                },
                {"role": "user", "content": "x", "message_type": "observation"},
                {"role": "assistant", "content": "x", "tool_calls": [_CALL], "is_demo": True},
                {"role": "tool", "content": "x", "tool_call_ids": ["c"]},
            ],
            "trajectory": [{"response": "x", "query": [{"content": "x"}]}],
            "info": {"model_stats": {"tokens_sent": 1}},
            "replay_config": {"agent": {"model": {"name": "m"}}},
        }
    ],
    "crosswoz": [{"1": {"messages": [{"role": "usr", "content": "x"}], "goal": [], "sys-usr": []}}],
}


def _places(value: Any) -> list[tuple[Any, ...]]:
    """The paths to all that is within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(key, *rest) for key, each in inner for rest in [(), *_places(each)]]


def _replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], other)
    return copy


@pytest.mark.parametrize("format", SAMPLES)
def test_any_value_anywhere_is_taken_in_or_told(folder: Path, tmp_path: Path, format: str):
    """Each value of a sample becomes one of another kind: no format takes anything for granted."""
    sample = SAMPLES[format]
    path = tmp_path / "s"
    for place in _places(sample):
        for other in (None, 7, "x", [], [[7]], {"type": []}):
            path.write_bytes(b"\n".join(map(msgspec.json.encode, _replaced(sample, place, other))))
            shutil.rmtree(folder, ignore_errors=True)
            with StateStore(folder, durability="os") as store:
                outcome = import_path(store, path, format=format)
                again = import_path(store, path, format=format)

                assert (again.appended, again.problems) == (0, outcome.problems), (place, other)
                assert outcome.problems or outcome.appended
