"""States: the session's document as it was at a version, short enough to look at."""

from typing import Any, Final

from journal.objects import moment_text
from journal.web.cutting import cut_texts
from journal.web.past import Past
from projections.activity import to_moment
from projections.blame import counted_from_the_start, value_in
from projections.document import Json
from projections.messages import AgentResponse, UserMessage
from projections.paths import ABSENT, DOCUMENT_FIELDS, Absent, parse_path, to_json

# Of a list of messages so many are shown, the last ones.
_MOST_MESSAGES: Final = 50


def state_at(past: Past, version: int, path: str = "") -> dict[str, Any]:
    """The session's document at a version, or the value at a path of it; long texts are cut, and named."""
    with past.mutex:
        value = _value(past, version, path) if path else _document(past, version)
    found = cut_texts(None if value is ABSENT else value)
    return {
        "version": version,
        "at": moment_at(past, version),
        "state": found.value,
        "is_absent": value is ABSENT,
        "cut": found.places,
    }


def moment_at(past: Past, version: int) -> str | None:
    """The time of a record; None before the first."""
    return moment_text(to_moment(past.columns.at_us[version - 1])) if version else None


def _document(past: Past, version: int) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in DOCUMENT_FIELDS:
        if (value := _field(past, name, version)) is not ABSENT:
            found[name] = value
    return found


def _field(past: Past, name: str, version: int) -> Json | Absent:
    spans = {"user_messages": past.history.user_messages, "agent_responses": past.history.agent_responses}
    if name not in spans:
        part = past.history.part(name, version)
        return part if part is ABSENT else to_json(part)
    messages: list[UserMessage] | list[AgentResponse] = spans[name].at(version)  # type: ignore[attr-defined]
    return {"count": len(messages), "last": [to_json(each) for each in messages[-_MOST_MESSAGES:]]}


def _value(past: Past, version: int, path: str) -> Json | Absent:
    steps = parse_path(path)
    if len(steps) == 1:
        return _field(past, str(steps[0]), version)
    return value_in(past.history, counted_from_the_start(past.history, steps, version), version)
