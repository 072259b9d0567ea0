"""What a record says, in one line."""

import json
from typing import Any, Final, assert_never

from journal.faults import records_text
from projections.attachment import attachment_of
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

_MAX_JSON: Final = 2000


def gist(event: Event) -> str:
    """What the event says, as text that a list cuts to its width."""
    match event:
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            return event.content
        case ToolCalled():
            return f"{event.name}({short(event.arguments)})"
        case ToolReturned():
            return ("failed: " if event.is_error else "") + short(event.result)
        case SessionCreated():
            return f"for {event.user_id}"
        case MetadataSet():
            return f"{event.key} = {short(event.value)}"
        case ActiveSeedSet():
            return event.seed_id or "(none)"
        case ActivePersonaSet():
            return event.persona_id or "(none)"
        case StepFinished():
            return f"{event.name}: " + (f"failed: {event.error}" if failed(event) else short(event.result))
        case UsageRecorded():
            price = "" if event.cost is None else f", cost {event.cost:g}"
            return f"{event.model}: {event.input_tokens:,} tokens in, {event.output_tokens:,} out{price}"
        case ContextCompacted():
            return f"up to version {event.through}: {event.summary}"
        case CustomEvent():
            return event.name if event.data is None else f"{event.name} {short(event.data)}"
        case SessionReplaced():
            return (
                f"with {_messages(event.session.user_messages)}, {len(event.session.agent_responses)} replies"
            )
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
            return event.raw[:_MAX_JSON].decode(errors="replace")
        case unreachable:
            assert_never(unreachable)


def failed(event: Event) -> bool:
    """Whether it tells of a tool or a step that failed."""
    if isinstance(event, StepFinished):
        return event.error is not None
    return isinstance(event, ToolReturned) and event.is_error


def short(value: Any) -> str:
    """JSON as text, cut at what a list can use; an attachment in words."""
    if (attachment := attachment_of(value)) is not None:
        return f"[{attachment}]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_MAX_JSON]


def _messages(messages: list[Any]) -> str:
    return f"{len(messages)} message{'s' * (len(messages) != 1)}"
