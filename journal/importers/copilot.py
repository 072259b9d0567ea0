"""The format "copilot": the sessions that the Copilot CLI keeps, `~/.copilot/session-state/*/events.jsonl`.

As version 1.0 (2026) writes them, lines of `{"type", "data", "id", "timestamp", "parentId"}`; the types are
those of copilot/generated/session_events.py in the package github-copilot-sdk 1.0.27. Left out: what names
lines, turns and requests (`id`, `parentId`, `messageId`, `turnId` …).
"""

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

NAME: Final = "copilot"
LOOKS: Final = "lines with `data`, `parentId` and a `type` like `session.start` or `user.message`"
_LEFT_OUT: Final = frozenset(
    {
        "messageId",
        "interactionId",
        "turnId",
        "requestId",
        "apiCallId",
        "serviceRequestId",
        "clientRequestId",
        "reasoningId",
        "rte",
    }
)
_REQUEST: Final = frozenset({"toolCallId", "name", "arguments", "type"})
_LINE: Final = frozenset({"type", "data", "id", "timestamp", "parentId", "ephemeral"})

_decode = msgspec.json.Decoder().decode
_Data = dict[str, Any]


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    if not {"type", "data", "id"} <= keys.keys() or not ("timestamp" in keys or "parentId" in keys):
        return False
    kind = bytes(keys["type"])
    return kind.startswith((b'"session.', b'"user.', b'"assistant.', b'"tool.', b'"system.'))


def new_reader() -> Read:
    """A file's reader. The session is that of its first `session.start`, or what its folder is called."""
    return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._session_id: str | None = None
        self._called: dict[str, Any] = {}  # the arguments of each call: a message and its start tell them
        self._thoughts: set[str] = set()
        self._meter = Meter()
        self._counts_calls = False

    def __call__(self, line: bytes) -> Parsed:
        value = _decode(line)
        match value:
            case {"type": str(kind), "data": dict(data)}:
                at = parse_moment(value["timestamp"]) if "timestamp" in value else None
            case _:
                return Parsed([CustomEvent(name="copilot.unknown", data=value)])
        if kind == "session.start" and self._session_id is None and isinstance(data.get("sessionId"), str):
            self._session_id = data["sessionId"]
        events, placed = self._known(kind, data)
        rest = {key: each for key, each in data.items() if key not in placed and each not in (None, [])}
        if rest or not events:
            events.append(CustomEvent(name=f"copilot.{kind}", data=rest))
        if kind == "session.shutdown" and not self._counts_calls:
            events += self._totals(data.get("modelMetrics"))
        if more := {key: each for key, each in value.items() if key not in _LINE}:
            events.append(CustomEvent(name="copilot.line", data=more))
        return Parsed(events, self._session_id, at)

    def _known(self, kind: str, data: _Data) -> tuple[list[Event], frozenset[str]]:
        """The events that have a type of ours, and the keys that are in them; none: it is kept whole."""
        match kind, data:
            case "user.message", {"content": str(content)}:
                return [UserMessageAdded(content=content)], _LEFT_OUT | {"content"}
            case "assistant.reasoning", {"content": str(content)}:
                return self._thought(content, None), _LEFT_OUT | {"content"}
            case "assistant.message", {"content": str()}:
                placed = {"content", "toolRequests", "reasoningText", "reasoningOpaque"}
                return list(self._message(data)), _LEFT_OUT | placed
            case "tool.execution_start" | "tool.user_requested", {
                "toolCallId": str(call_id),
                "toolName": str(name),
            }:
                arguments = parsed_arguments(data.get("arguments"))
                if call_id in self._called:  # as the message before it said; this is when it began
                    return [], _LEFT_OUT | ({"arguments"} if self._called[call_id] == arguments else set())
                return [self._call(call_id, name, arguments)], _LEFT_OUT | {
                    "toolCallId",
                    "toolName",
                    "arguments",
                }
            case "tool.execution_complete", {"toolCallId": str()}:
                return [_returned(data)], _LEFT_OUT | {"toolCallId", "success", "error", "result"}
            case "assistant.usage", _:
                self._counts_calls = True
                tokens = Tokens(count_of(data, "inputTokens"), count_of(data, "outputTokens"))
                return usage_events(_text(data.get("model")), tokens, data), frozenset(data)
        return [], frozenset()

    def _message(self, data: _Data) -> Iterator[Event]:
        if text := _text(data.get("reasoningText")):
            yield from self._thought(text, _text(data.get("reasoningOpaque")))
        elif data.get("reasoningOpaque"):
            yield ReasoningAdded(content="", signature=_text(data["reasoningOpaque"]))
        if data["content"]:
            yield AgentResponseAdded(content=data["content"])
        requests = data.get("toolRequests")
        for request in requests if isinstance(requests, list) else []:
            match request:
                case {"toolCallId": str(call_id), "name": str(name)}:
                    yield self._call(call_id, name, parsed_arguments(request.get("arguments")))
                    rest = {key: each for key, each in request.items() if key not in _REQUEST and each}
                    if rest:
                        yield CustomEvent(name="copilot.tool_request", data={"toolCallId": call_id, **rest})
                case _:
                    yield CustomEvent(name="copilot.tool_request", data=request)

    def _thought(self, text: str, signature: str | None) -> list[Event]:
        """A thought, once: it may have a line of its own beside the message's."""
        if text in self._thoughts and signature is None:
            return []
        self._thoughts.add(text)
        return [ReasoningAdded(content=text, signature=signature)]

    def _call(self, call_id: str, name: str, arguments: Any) -> Event:
        self._called[call_id] = arguments
        return ToolCalled(call_id=call_id, name=name, arguments=arguments)

    def _totals(self, metrics: Any) -> Iterator[Event]:
        """What each model took since the last shutdown: the metrics of a resumed session go on."""
        for model, found in metrics.items() if isinstance(metrics, dict) else ():
            usage = found.get("usage") if isinstance(found, dict) else None
            tokens = Tokens(count_of(usage, "inputTokens"), count_of(usage, "outputTokens"))
            if grown := self._meter.grown(model, tokens):
                yield from usage_events(model, grown, found)


def _returned(data: _Data) -> Event:
    """What a tool gave, or why it failed."""
    failed = data.get("success") is False or (data.get("error") is not None and not data.get("success"))
    found = data.get("error") if failed and data.get("error") is not None else data.get("result")
    return ToolReturned(call_id=data["toolCallId"], result=found, is_error=failed)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
