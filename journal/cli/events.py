"""A record for a person: its colour in a list, its fields on a page."""

import json
from collections.abc import Iterator
from typing import Any

from journal.cli.text import safe_json, visible, visible_lines
from journal.gist import failed
from journal.objects import event_object, moment_text
from projections.attachment import attachments_in
from projections.events import Record, event_type

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


def color_of(record: Record) -> str | None:
    """The colour of the record's type, None for the terminal's own."""
    return "red" if failed(record.event) else _COLORS.get(event_type(record.event))


def page(session_id: str, record: Record) -> Iterator[tuple[str, str]]:
    """The record in full, as names with visible texts; a text of several lines is a block of its own."""
    yield "session", visible(session_id)
    yield "record", str(record.seq)
    yield "type", event_type(record.event)
    yield "at", moment_text(record.at)
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
