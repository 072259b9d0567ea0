"""Chat messages `{"role", "content", …}` as events: what the formats "openai" and "jsonl" share."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

from journal.event_json import json_in
from journal.importers.times import parse_moment
from projections.document import Json
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)

# What events have a place for; other keys go into an event of their own.
_PLACED: Final = {
    "user": frozenset({"role", "content", "timestamp"}),
    "assistant": frozenset({"role", "content", "timestamp", "tool_calls"}),
    "tool": frozenset({"role", "content", "timestamp", "tool_call_id", "name"}),
}


class Malformed(ValueError):
    """A message that cannot be one; the text is the reason."""


def message_time(message: dict[str, Any]) -> datetime | None:
    """When a message was said; None where it does not tell. Raises Malformed."""
    timestamp = message.get("timestamp")
    if timestamp is None:
        return None
    try:
        return parse_moment(timestamp)
    except ValueError as error:
        raise Malformed(str(error)) from None


def message_events(message: object, format: str) -> list[Event]:
    """The events of one message; what has no type of its own is a CustomEvent "<format>.…".

    At least one, so that no message is lost. Raises Malformed.
    """
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise Malformed("not a message: an object with a role is expected")
    role = {"agent": "assistant"}.get(message["role"], message["role"])
    match role:
        case "user":
            events = list(said(message, format, "user"))
        case "assistant":
            events = [*said(message, format, "assistant"), *calls(message, format)]
        case "tool" if isinstance(message.get("tool_call_id"), str):
            if "content" not in message:
                raise Malformed("the tool's message has no content")
            events = [ToolReturned(call_id=message["tool_call_id"], result=message["content"])]
        case "system" | "developer":
            if "content" not in message:
                raise Malformed(f"the {role} message has no content")
            rest = {key: value for key, value in message.items() if key not in ("role", "timestamp")}
            return [CustomEvent(name=f"{format}.{role}", data=rest)]
        case _:
            return [CustomEvent(name=f"{format}.{message['role']}", data=message)]
    rest = {
        key: value for key, value in message.items() if key not in _PLACED[role] and value not in (None, [])
    }
    if rest:
        events.append(CustomEvent(name=f"{format}.{role}", data=rest))
    return events or [CustomEvent(name=f"{format}.{role}", data=message)]


def said(message: dict[str, Any], format: str, role: str) -> Iterator[Event]:
    """The events of a message's content, a text or a list of parts. Raises Malformed."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part["text"] for part in content if _is_text(part)]
        text = "\n".join(texts) if texts else None
        others = [part for part in content if not _is_text(part)]
    else:
        text, others = content, []
    if role == "user" and content is None:
        raise Malformed("the user's message has no content")
    if text is not None and not isinstance(text, str):
        raise Malformed(f"the content is neither a text nor a list of parts, but {type(text).__name__}")
    if text is not None and role == "user":
        yield UserMessageAdded(content=text)
    elif text:
        yield AgentResponseAdded(content=text)
    for part in others:
        kind = part.get("type") if isinstance(part, dict) else None
        yield CustomEvent(name=f"{format}.{kind if isinstance(kind, str) else 'part'}", data=part)


def _is_text(part: object) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() == {"type", "text"}
        and part["type"] == "text"
        and isinstance(part["text"], str)
    )


def calls(message: dict[str, Any], format: str) -> Iterator[Event]:
    """The events of the tools that a message asks for. Raises Malformed."""
    asked = message.get("tool_calls")
    if asked is None:
        return
    if not isinstance(asked, list):
        raise Malformed("tool_calls is no list")
    for call in asked:
        match call:
            case {"id": str(call_id), "function": {"name": str(name), **function}}:
                yield ToolCalled(
                    call_id=call_id, name=name, arguments=parsed_arguments(function.get("arguments"))
                )
            case _:
                yield CustomEvent(name=f"{format}.tool_call", data=call)


def parsed_arguments(written: Any) -> Json:
    """What a model wrote as arguments is JSON in a text, mostly."""
    return json_in(written) if isinstance(written, str) else cast(Json, written)
