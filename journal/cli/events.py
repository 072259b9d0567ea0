"""A record in words: one line for a list, fields for a page, an object for a program."""

import json
from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from journal.cli.text import safe_json, visible, visible_lines
from journal.event_json import event_type
from journal.faults import records_text
from projections.attachment import attachment_of, attachments_in
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    Erased,
    Event,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
)

# What a list shows of a type; a person reads these all day.
_COLORS = {
    "user_message_added": "cyan",
    "agent_response_added": "green",
    "reasoning_added": "magenta",
    "tool_called": "yellow",
    "tool_returned": "yellow",
    "step_finished": "yellow",
    "journal_repaired": "red",
    "content_erased": "red",
    "erased": "red",
    "session_rewound": "blue",
    "session_forked": "blue",
    "context_compacted": "blue",
}
_MAX_JSON_PREVIEW = 2000


def record_object(session_id: str, record: Record) -> dict[str, Any]:
    """The record as JSON: its header's keys in their order, then its event as it was stored."""
    found: dict[str, Any] = {"session_id": session_id, "seq": record.seq, "id": record.id}
    found["at"] = moment_text(record)
    for name in ("by", "cause", "key"):
        if (value := getattr(record, name)) is not None:
            found[name] = value
    return found | {"digest": record.digest, "chain": record.chain, "event": event_object(record.event)}


def event_object(event: Event) -> Any:
    """The event as JSON values, its type among them."""
    raw = event.raw if isinstance(event, UnknownEvent) else msgspec.json.encode(event)
    return msgspec.json.decode(raw)


def moment_text(record: Record) -> str:
    """The record's time as it is stored."""
    return f"{record.at:%Y-%m-%dT%H:%M:%S.%f}Z"


def color_of(record: Record) -> str | None:
    """The colour of the record's type, None for the terminal's own."""
    return "red" if _failed(record.event) else _COLORS.get(event_type(record.event))


def gist(event: Event) -> str:
    """What the event says, as text that a list cuts to its width."""
    match event:
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            return event.content
        case ToolCalled():
            return f"{event.name}({_short(event.arguments)})"
        case ToolReturned():
            return ("failed: " if event.is_error else "") + _short(event.result)
        case SessionCreated():
            return f"for {event.user_id}"
        case MetadataSet():
            return f"{event.key} = {_short(event.value)}"
        case ActiveSeedSet():
            return event.seed_id or "(none)"
        case ActivePersonaSet():
            return event.persona_id or "(none)"
        case StepFinished():
            return f"{event.name}: " + (f"failed: {event.error}" if _failed(event) else _short(event.result))
        case UsageRecorded():
            price = "" if event.cost is None else f", cost {event.cost:g}"
            return f"{event.model}: {event.input_tokens:,} tokens in, {event.output_tokens:,} out{price}"
        case ContextCompacted():
            return f"up to version {event.through}: {event.summary}"
        case CustomEvent():
            return event.name if event.data is None else f"{event.name} {_short(event.data)}"
        case SessionReplaced():
            return f"with {_size(event.session.user_messages)}, {len(event.session.agent_responses)} replies"
        case SessionAdopted():
            return f"another program's file of {len(event.document.encode()):,} bytes"
        case JournalRepaired():
            return f"{event.size_bytes:,} bytes cut at byte {event.offset:,}: {event.reason}"
        case SessionForked():
            return f"of {event.origin} at version {event.version}, for {event.user_id}"
        case SessionRewound():
            return f"to version {event.to}"
        case ContentErased():
            return f"{records_text(event.versions)}: {event.reason}"
        case Erased():
            return f"it was {event.was}"
        case UnknownEvent():
            return event.raw[:_MAX_JSON_PREVIEW].decode(errors="replace")
        case unreachable:
            assert_never(unreachable)


def page(session_id: str, record: Record) -> Iterator[tuple[str, str]]:
    """The record in full, as names with visible texts; a text of several lines is a block of its own."""
    yield "session", visible(session_id)
    yield "record", str(record.seq)
    yield "type", event_type(record.event)
    yield "at", moment_text(record)
    for name in ("by", "cause", "key", "id", "digest", "chain"):
        if value := getattr(record, name):
            yield name, visible(value)
    yield "", ""
    event = event_object(record.event)
    for name, value in event.items():
        if name != "type":
            yield visible(name), _in_full(value)
    for attachment in dict.fromkeys(attachments_in(event)):
        yield "attached", visible(f"{attachment}; `journal attachment {session_id}@{record.seq}`")


def _in_full(value: Any) -> str:
    if isinstance(value, str):
        return visible_lines(value)
    return safe_json(json.dumps(value, ensure_ascii=False, indent=2))


def _short(value: Any) -> str:
    if (attachment := attachment_of(value)) is not None:
        return f"[{attachment}]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_MAX_JSON_PREVIEW]


def _size(messages: list[Any]) -> str:
    return f"{len(messages)} message{'s' * (len(messages) != 1)}"


def _failed(event: Event) -> bool:
    if isinstance(event, StepFinished):
        return event.error is not None
    return isinstance(event, ToolReturned) and event.is_error
