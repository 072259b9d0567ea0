"""Rows: records as a list shows them, each with its role, a title in words and a preview of what it says."""

import json
from collections.abc import Iterator
from typing import Final, assert_never

from msgspec import UNSET, Struct, UnsetType

from journal.attached import attached_to
from journal.durations import duration_text
from journal.faults import records_text
from journal.gist import gist
from journal.objects import event_object, moment_text
from journal.web.columns import NONE
from journal.web.hidden import hides, may_hide
from journal.web.past import Past
from projections.attachment import attachment_of
from projections.document import Json
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
    event_type,
)

MOST_ROWS: Final = 1000
_MOST_PREVIEW: Final = 4000
# Names come from whoever wrote the record.
_MOST_NAME: Final = 100

_ROLES: Final[dict[str, str]] = {
    "user_message_added": "user",
    "agent_response_added": "agent",
    "reasoning_added": "reasoning",
    "tool_called": "tool",
    "tool_returned": "tool",
    "step_finished": "step",
    "usage_recorded": "usage",
    "active_seed_set": "setting",
    "active_persona_set": "setting",
    "metadata_set": "setting",
    "session_created": "journal",
    "session_adopted": "journal",
    "session_replaced": "journal",
    "session_forked": "journal",
    "session_rewound": "journal",
    "journal_repaired": "journal",
    "content_erased": "journal",
}


class Attached(Struct, frozen=True, kw_only=True):
    """What is attached to a record."""

    digest: str
    media_type: str
    size_bytes: int


class Row(Struct, frozen=True, kw_only=True):
    """A record in a list.

    role   user, agent, reasoning, tool, step, usage, setting, journal, or note
    turn   the number of the user's message that it belongs to, 0 before the first
    cut    how many characters the text has of which `preview` is the beginning
    """

    seq: int
    at: str
    by: str | None
    key: str | None
    type: str
    role: str
    title: str
    preview: str
    cut: int | UnsetType = UNSET
    size_bytes: int
    is_error: bool
    duration_ms: float | None
    call_id: str | None
    turn: int
    is_hidden: bool
    is_erased: bool
    attachments: list[Attached]


def rows(past: Past, first: int, count: int) -> list[Row]:
    """The rows of so many records from one on, as far as they are there. Raises Replaced."""
    first = max(first, 1)
    return list(each_row(past, first, min(first + min(count, MOST_ROWS) - 1, past.version)))


def each_row(past: Past, first: int, last: int) -> Iterator[Row]:
    """The rows of the records from one to another. Raises Replaced, CorruptRecordError."""
    for seq, line in enumerate(past.lines(first, last), first):
        yield row_of(past, past.decoded(seq, line), line)


def title_at(past: Past, seq: int) -> str:
    """The title of a record."""
    return _title(past, past.record(seq))


def row_of(past: Past, record: Record, line: bytes) -> Row:
    """The row of a record; it, or its line, may say less than what is stored."""
    columns, index, event = past.columns, record.seq - 1, record.event
    text, duration = preview(event), columns.durations_ms[index]
    kind = event_type(event)
    was = event.was if isinstance(event, Erased) else kind
    return Row(
        seq=record.seq,
        at=moment_text(record.at),
        by=record.by,
        key=record.key,
        type=kind,
        role=_ROLES.get(was, "note"),
        title=_title(past, record),
        preview=text[:_MOST_PREVIEW],
        cut=len(text) if len(text) > _MOST_PREVIEW else UNSET,
        size_bytes=columns.sizes[index],
        is_error=bool(columns.errors[index]),
        duration_ms=duration if duration >= 0 else None,
        call_id=event.call_id if isinstance(event, ToolCalled | ToolReturned) else None,
        turn=columns.turns[index],
        is_hidden=may_hide(line) and hides(event_object(event)),
        is_erased=isinstance(event, Erased),
        attachments=[
            Attached(digest=each.digest, media_type=each.media_type, size_bytes=each.size_bytes)
            for each in attached_to(line)
        ],
    )


def _title(past: Past, record: Record) -> str:
    """What happened, in a few words."""
    event, index = record.event, record.seq - 1
    duration = past.columns.durations_ms[index]
    took = f", {duration_text(duration / 1000)}" if duration >= 0 else ""
    match event:
        case UserMessageAdded():
            return "user said"
        case AgentResponseAdded():
            return "agent answered"
        case ReasoningAdded():
            return "agent thought"
        case ToolCalled():
            return f"called {_name(event.name)}"
        case ToolReturned():
            tool = past.columns.tools[index]
            name = f"{_name(past.columns.names[tool])} " if tool != NONE else ""
            return f"{name}{'failed' if event.is_error else 'returned'}{took}"
        case StepFinished():
            return f"step {_name(event.name)} {'finished' if event.error is None else 'failed'}{took}"
        case UsageRecorded():
            return f"used {_name(event.model)}"
        case MetadataSet():
            return f"set metadata {_name(event.key)}"
        case ActiveSeedSet():
            return "took the active seed back" if event.seed_id is None else "set the active seed"
        case ActivePersonaSet():
            return (
                "set the active persona" if event.persona_id is not None else "took the active persona back"
            )
        case ContextCompacted():
            return f"shortened the prompt up to record {event.through}"
        case CustomEvent():
            return f"noted {_name(event.name)}"
        case SessionCreated():
            return f"session created for {_name(event.user_id)}"
        case SessionAdopted():
            return "adopted another program's file"
        case SessionReplaced():
            return "set the whole session"
        case SessionForked():
            return f"forked from {_name(event.origin)} at version {event.version}"
        case SessionRewound():
            return f"rewound to version {event.to}"
        case JournalRepaired():
            return "journal repaired"
        case ContentErased():
            return f"content of {records_text(event.versions)} erased"
        case Erased():
            return f"erased; it was {_words(event.was)}"
        case UnknownEvent():
            return _words(event.type)
        case unreachable:
            assert_never(unreachable)


def preview(event: Event) -> str:
    """What it says, in full: what was said, or JSON as text."""
    match event:
        case UserMessageAdded() | AgentResponseAdded() | ReasoningAdded():
            return event.content
        case ToolCalled():
            return _text(event.arguments)
        case ToolReturned():
            return _text(event.result)
        case StepFinished():
            return _text(event.result) if event.error is None else event.error
        case MetadataSet():
            return json.dumps(event.value, ensure_ascii=False)
        case CustomEvent():
            return "" if event.data is None else _text(event.data)
        case ContextCompacted():
            return event.summary
        case ContentErased() | JournalRepaired():
            return event.reason
        case Erased():
            return ""
        case UnknownEvent():
            return event.raw.decode(errors="replace")
        case _:
            return gist(event)


def _text(value: Json) -> str:
    if (attachment := attachment_of(value)) is not None:
        return f"[{attachment}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(text: str) -> str:
    return text if len(text) <= _MOST_NAME else f"{text[:_MOST_NAME]}…"


def _words(kind: str) -> str:
    return _name(kind.replace("_", " "))
