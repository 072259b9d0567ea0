"""The format "claude-code": the transcripts that Claude Code keeps, one JSON object a line.

As version 2.1 (2026) writes them, `~/.claude/projects/*/*.jsonl`; read off such files, for no description of
them is published. Of a line that is a message its blocks and its usage are kept, not what stands around them:
`uuid`, `parentUuid`, `cwd`, `version`, `toolUseResult` …
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from journal.importers.source import BAD_JSON
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

NAME: Final = "claude-code"
LOOKS: Final = "lines with `type` and `sessionId`, `uuid` or `parentUuid`"
_ID_KEYS: Final = frozenset({"sessionId", "uuid", "parentUuid", "leafUuid", "messageId"})


class _Line(Struct, rename={"session_id": "sessionId"}):
    type: str
    session_id: str | None = None
    timestamp: str | None = None
    message: Raw = Raw()


class _Message(Struct):
    content: str | list[Raw]
    id: Any = None
    model: Any = None
    usage: Any = None


_decode = msgspec.json.Decoder().decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_message = msgspec.json.Decoder(_Message).decode


class _Strange(Exception):
    """A line that is JSON, but not of the shape that we know."""


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return "type" in keys and not _ID_KEYS.isdisjoint(keys)


def new_reader() -> Read:
    """A reader of one file; each line goes to the session that it names.

    What is JSON and no message, or has a strange shape, is kept whole as a CustomEvent.
    """
    return _Reader()


class _Reader:
    def __init__(self) -> None:
        self._meter = Meter()
        self._is_timed = False

    def __call__(self, line: bytes) -> Parsed:
        if not line.isascii():
            line.decode()  # msgspec does not look into what it passes over
        try:
            parsed = self._read(line)
        except (_Strange, *BAD_JSON):
            parsed = _whole(line)
        self._is_timed = self._is_timed or parsed.at is not None
        return parsed

    def _read(self, line: bytes) -> Parsed:
        head = _decode_line(line)
        at = None if head.timestamp is None else parse_moment(head.timestamp)
        if head.type in ("user", "assistant") and head.message:
            message = _decode_message(head.message)
            return Parsed([*_events(head.type, message.content), *self._usage(message)], head.session_id, at)
        data = _decode(line)
        if at is None and not self._is_timed:
            at = _snapshot_time(data)
        return Parsed([CustomEvent(name=f"claude_code.{head.type}", data=data)], head.session_id, at)

    def _usage(self, message: _Message) -> list[Event]:
        """What a line tells of its message's usage: each of a message's lines tells it anew, the last all."""
        usage, model = message.usage, message.model
        if not isinstance(message.id, str) or not isinstance(usage, dict):
            return []
        tokens = Tokens(
            count_of(usage, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
            count_of(usage, "output_tokens"),
        )
        grown = self._meter.grown(message.id, tokens)
        return usage_events(model if isinstance(model, str) else None, grown, usage) if grown else []


def _snapshot_time(data: Any) -> datetime | None:
    """The time within the line of a snapshot; the first line of a file has no other."""
    match data:
        case {"snapshot": {"timestamp": str(at)}}:
            return parse_moment(at)
    return None


def _whole(line: bytes) -> Parsed:
    """A line of a strange shape; what it tells about itself is used where it can be."""
    value = _decode(line)
    keys = value if isinstance(value, dict) else {}
    kind, session_id, at = keys.get("type"), keys.get("sessionId"), keys.get("timestamp")
    name = f"claude_code.{kind if isinstance(kind, str) and kind else 'unknown'}"
    try:
        moment = parse_moment(at) if isinstance(at, str) else None
    except ValueError:
        moment = None  # it is in the event, as it was written
    session_id = session_id if isinstance(session_id, str) else None
    return Parsed([CustomEvent(name=name, data=value)], session_id, moment)


def _events(role: str, content: str | list[Raw]) -> Iterator[Event]:
    if isinstance(content, str):
        yield _text(role, content)
        return
    if not content:
        raise _Strange
    for raw in content:
        block = _decode(raw)
        yield block_event(role, block) or _other_block(block)


def _text(role: str, content: str) -> Event:
    return UserMessageAdded(content=content) if role == "user" else AgentResponseAdded(content=content)


def block_event(role: str, block: Any) -> Event | None:
    """The event that a block of a message's content is; None where no type of event says it all."""
    match block:
        case {"type": "text", "text": str(text)}:
            return _text(role, text)
        case {"type": "thinking", "thinking": str(thinking)}:
            signature = block.get("signature")
            if signature is None or isinstance(signature, str):
                return ReasoningAdded(content=thinking, signature=signature)
        case {"type": "tool_use", "id": str(call_id), "name": str(name), "input": arguments}:
            return ToolCalled(call_id=call_id, name=name, arguments=arguments)
        case {"type": "tool_result", "tool_use_id": str(call_id)}:
            is_error = block.get("is_error")
            if is_error is None or isinstance(is_error, bool):
                return ToolReturned(call_id=call_id, result=block.get("content"), is_error=bool(is_error))
    return None


def _other_block(block: Any) -> Event:
    kind = block.get("type") if isinstance(block, dict) else None
    return CustomEvent(name=f"claude_code.{kind if isinstance(kind, str) and kind else 'block'}", data=block)
