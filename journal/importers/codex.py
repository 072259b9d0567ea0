"""The format "codex": the rollouts that the Codex CLI keeps, `~/.codex/sessions/**/rollout-*.jsonl`.

As version 0.142 (2026) writes them, lines of `{"timestamp", "type", "payload"}`: `RolloutItem` and
`ResponseItem` in codex-rs/history/src/lib.rs and codex-rs/protocol/src/models.rs of github.com/openai/codex;
not those of 2025 that have no payload. `response_item` is what model and tools said; `event_msg` tells much
of it again, for the terminal, and is kept as it is. Left out: `ordinal`, and of items `id` and
`internal_chat_message_metadata_passthrough`, which name them and their turn.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from journal.importers.messages import parsed_arguments
from journal.importers.times import parse_moment
from journal.importers.transcript import Parsed, Read
from journal.importers.usage import Meter, Tokens, count_of, usage_events
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)

NAME: Final = "codex"
LOOKS: Final = "lines with `timestamp`, `payload` and a `type` like `session_meta` or `response_item`"
_TYPES: Final = frozenset(
    {
        b'"session_meta"',
        b'"response_item"',
        b'"event_msg"',
        b'"turn_context"',
        b'"compacted"',
        b'"world_state"',
        b'"inter_agent_communication"',
        b'"inter_agent_communication_metadata"',
    }
)
_LEFT_OUT: Final = frozenset({"id", "internal_chat_message_metadata_passthrough"})
# What stands in an event, by the kind of item; the rest goes into an event of its own.
_PLACED: Final = {
    "message": frozenset({"type", "role", "content"}),
    "reasoning": frozenset({"type", "summary", "content", "encrypted_content"}),
}
_PLACED_IN_TOOLS: Final = frozenset(
    {"type", "call_id", "name", "arguments", "input", "action", "output", "tools"}
)
# Where a call's arguments are, and an output's result.
_CALLS: Final = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "tool_search_call": "arguments",
    "local_shell_call": "action",
    "web_search_call": "action",
}
_OUTPUTS: Final = {
    "function_call_output": "output",
    "custom_tool_call_output": "output",
    "tool_search_output": "tools",
}
# What Codex writes above the output of a command that it ran.
_EXIT: Final = re.compile(
    r"(?:Chunk ID: .*\n)?(?:Wall time: .*\n)?(?:Process exited with code|Exit code:) (-?\d+)"
)

_decode = msgspec.json.Decoder().decode


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return {"timestamp", "payload", "type"} <= keys.keys() and bytes(keys["type"]) in _TYPES


def new_reader() -> Read:
    """A file's reader. The session is that of the first `session_meta`; later ones are a fork's origins."""
    return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._session_id: str | None = None
        self._model: str | None = None
        self._meter = Meter()
        self._failed: set[str] = set()  # calls of which an event said so

    def __call__(self, line: bytes) -> Parsed:
        value = _decode(line)
        match value:
            case {"timestamp": str(timestamp), "type": str(kind), "payload": dict(payload)}:
                at = parse_moment(timestamp)
            case _:
                return Parsed([CustomEvent(name="codex.unknown", data=value)])
        match kind:
            case "response_item":
                events = list(self._item(payload))
            case "event_msg":
                events = self._message(payload)
            case "session_meta" if self._session_id is None and isinstance(payload.get("id"), str):
                self._session_id = payload["id"]
            case "turn_context" if isinstance(payload.get("model"), str):
                self._model = payload["model"]
        if kind not in ("response_item", "event_msg"):
            events = [CustomEvent(name=f"codex.{kind}", data=payload)]
        more = {k: v for k, v in value.items() if k not in ("timestamp", "type", "payload", "ordinal")}
        if more:
            events.append(CustomEvent(name="codex.line", data=more))
        return Parsed(events, self._session_id, at)

    def _message(self, payload: dict[str, Any]) -> list[Event]:
        kind = payload.get("type")
        match payload:
            case {"call_id": str(call_id), "success": False} | {
                "call_id": str(call_id),
                "result": {"Err": _},
            }:
                self._failed.add(call_id)
            case {"call_id": str(call_id), "exit_code": int(code)} if code != 0:
                self._failed.add(call_id)
            case {"type": "token_count", "info": {"total_token_usage": dict(total)}}:
                tokens = Tokens(count_of(total, "input_tokens"), count_of(total, "output_tokens"))
                if grown := self._meter.grown("", tokens):
                    return usage_events(self._model, grown, payload)
        return [CustomEvent(name=f"codex.{kind if isinstance(kind, str) else 'event_msg'}", data=payload)]

    def _item(self, item: dict[str, Any]) -> Iterator[Event]:
        kind = str(item.get("type") or "response_item")
        events = list(_said(item, kind) or self._done(item, kind))
        if not events:
            yield CustomEvent(name=f"codex.{kind}", data=item)
            return
        yield from events
        placed = _PLACED.get(kind, _PLACED_IN_TOOLS) | _LEFT_OUT
        rest = {key: value for key, value in item.items() if key not in placed and value not in (None, [])}
        if rest:
            yield CustomEvent(name=f"codex.{kind}", data=rest)

    def _done(self, item: dict[str, Any], kind: str) -> Iterator[Event]:
        """What was done with tools. A search of the web has no id but its item's."""
        call_id = item.get("call_id") or item.get("id")
        if not isinstance(call_id, str):
            return
        if (key := _CALLS.get(kind)) in item:
            name = item.get("name") or kind.removesuffix("_call")
            written = item[key]
            arguments = parsed_arguments(written) if key == "arguments" else written
            yield ToolCalled(call_id=call_id, name=str(name), arguments=arguments)
        elif (key := _OUTPUTS.get(kind)) in item:
            is_error = call_id in self._failed or _says_failed(item[key])
            yield ToolReturned(call_id=call_id, result=item[key], is_error=is_error)


def _said(item: dict[str, Any], kind: str) -> list[Event]:
    match item:
        case {"type": "message", "role": str(role), "content": [_, *_] as blocks}:
            return [_block(role, block) for block in blocks]
        case {"type": "reasoning", "summary": list(summary)}:
            texts = [*summary, *(item.get("content") or [])]
            proof = item.get("encrypted_content")
            if all(isinstance(each, dict) and isinstance(each.get("text"), str) for each in texts):
                content = "\n\n".join(each["text"] for each in texts)
                return [ReasoningAdded(content=content, signature=proof if isinstance(proof, str) else None)]
    return []


def _block(role: str, block: Any) -> Event:
    match role, block:
        case "user", {"type": "input_text", "text": str(text), **rest} if not rest:
            return UserMessageAdded(content=text)
        case "assistant", {"type": "output_text", "text": str(text), **rest} if not rest:
            return AgentResponseAdded(content=text)
    return CustomEvent(name=f"codex.{role}", data=block)


def _says_failed(output: Any) -> bool:
    """Whether an output says that its tool failed: by a flag, or by an exit code above what it wrote."""
    match output:
        case {"success": False}:
            return True
        case str(text) if text.startswith("{"):  # as older versions write it
            match parsed_arguments(text):
                case {"metadata": {"exit_code": int(code)}}:
                    return code != 0
        case str(text) if found := _EXIT.match(text):
            return found[1] != "0"
    return False
