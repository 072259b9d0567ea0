"""The format "claude-code": the transcripts that Claude Code keeps, one JSON object a line."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from journal.importers.ingest import Feed, Run, safe_id, stem
from journal.importers.source import BAD_JSON, first_known, lines, reason_of
from journal.importers.times import parse_moment
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
_ID_KEYS: Final = frozenset({"sessionId", "uuid", "parentUuid", "leafUuid", "messageId"})


class _Line(Struct, rename={"session_id": "sessionId"}):
    type: str
    session_id: str | None = None
    timestamp: str | None = None
    message: Raw = Raw()


class _Message(Struct):
    content: str | list[Raw]


_decode = msgspec.json.Decoder().decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_message = msgspec.json.Decoder(_Message).decode


class _Strange(Exception):
    """A line that is JSON, but not of the shape that we know."""


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a line with these keys is of this format."""
    return "type" in keys and not _ID_KEYS.isdisjoint(keys)


def import_file(run: Run, path: str) -> None:
    """Take in a file, line by line; each line goes to the session that it names.

    A line that names none, or has no time, goes with the one before; the first ones with the one after.
    What is JSON and no message, or has a strange shape, is kept whole as a CustomEvent.
    """
    feeds: dict[str, Feed] = {}
    session_id = run.session_id or first_known(path, _session_of) or safe_id(stem(path))
    at = first_known(path, _time_of) or run.now
    for number, line in lines(run, path):
        try:
            found, moment, events = _read(line)
        except BAD_JSON as error:
            run.problem(path, number, reason_of(error))
            continue
        at = moment or at
        if found and run.session_id is None:
            session_id = safe_id(found)
        feed = feeds.get(session_id)
        if feed is None:
            feed = feeds[session_id] = Feed(run, path, session_id)
        feed.add(line, at, events, line=number)
    for feed in feeds.values():
        feed.flush()


def _read(line: bytes) -> tuple[str | None, datetime | None, list[Event]]:
    """A line's session, time and events. Raises one of BAD_JSON where it is no JSON."""
    if not line.isascii():
        line.decode()  # msgspec does not look into what it passes over
    try:
        head = _decode_line(line)
        at = None if head.timestamp is None else parse_moment(head.timestamp)
        if head.type in ("user", "assistant") and head.message:
            return head.session_id, at, list(_events(head))
    except (_Strange, *BAD_JSON):
        return _whole(line)
    return head.session_id, at, [CustomEvent(name=f"claude_code.{head.type}", data=_decode(line))]


def _whole(line: bytes) -> tuple[str | None, datetime | None, list[Event]]:
    """A line of a strange shape; what it tells about itself is used where it can be."""
    value = _decode(line)
    keys = value if isinstance(value, dict) else {}
    kind, session_id, at = keys.get("type"), keys.get("sessionId"), keys.get("timestamp")
    name = f"claude_code.{kind if isinstance(kind, str) and kind else 'unknown'}"
    try:
        moment = parse_moment(at) if isinstance(at, str) else None
    except ValueError:
        moment = None  # it is in the event, as it was written
    return (
        session_id if isinstance(session_id, str) else None,
        moment,
        [CustomEvent(name=name, data=value)],
    )


def _events(line: _Line) -> Iterator[Event]:
    content = _decode_message(line.message).content
    if isinstance(content, str):
        yield _text(line.type, content)
        return
    if not content:
        raise _Strange
    for raw in content:
        block = _decode(raw)
        yield block_event(line.type, block) or _other_block(block)


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


def _session_of(line: bytes) -> str | None:
    try:
        found = _decode_line(line).session_id
    except BAD_JSON:
        return None
    return safe_id(found) if found else None


def _time_of(line: bytes) -> datetime | None:
    try:
        found = _decode_line(line).timestamp
        return parse_moment(found) if found else None
    except BAD_JSON:
        return None
