"""Blame: which records made a value what it is."""

from collections.abc import Sequence
from typing import NamedTuple

from projections.difference import same_json
from projections.document import Json
from projections.events import Record
from projections.messages import AgentResponse, UserMessage
from projections.paths import ABSENT, DOCUMENT_FIELDS, Absent, Part, Path, child, path_text, to_json, value_at
from projections.spans import Spans
from projections.state_history import StateHistory


class Blame(NamedTuple):
    """A record that made the value at a path another one."""

    record: Record
    path: Path
    history: StateHistory

    @property
    def version(self) -> int:
        """The record's number."""
        return self.record.seq

    @property
    def before(self) -> Json | Absent:
        """The value in the state before it; ABSENT where there was none."""
        return value_in(self.history, self.path, self.version - 1)

    @property
    def after(self) -> Json | Absent:
        """The value in the state behind it."""
        return value_in(self.history, self.path, self.version)

    def __repr__(self) -> str:
        return f"<Blame {path_text(self.path)!r}: {type(self.record.event).__name__}, record {self.version}>"


def blamed(history: StateHistory, records: Sequence[Record], path: Path, until: int) -> list[Blame]:
    """The records up to a version that made the value at a path another one, the last first."""
    path = counted_from_the_start(history, path, until)
    return [Blame(records[version - 1], path, history) for version in reversed(turns(history, path, until))]


def last_turn(history: StateHistory, path: Path, until: int) -> int | None:
    """The last record, up to a version, that made the value at a path another one."""
    spans = _spans(history, path)
    if spans is not None and len(path) > 1 and isinstance(path[1], int) and path[1] >= 0:
        found = spans.item(path[1], until)
        if found is not None:
            until = found[1]  # since it came it is the same message
            if _is_turn(history, path, until):
                return until
    candidates = (each for each in reversed(_candidates(history, path)) if each <= until)
    return next((each for each in candidates if _is_turn(history, path, each)), None)


def value_in(history: StateHistory, path: Path, version: int) -> Json | Absent:
    """The value at a path of a state, without making the state."""
    if not path:
        return value_at(history.state(version), path)
    name, *rest = path
    spans = _spans(history, path)
    part: Part | Absent
    if rest and spans is not None:
        index = rest.pop(0)
        found = spans.item(index, version) if isinstance(index, int) and index >= 0 else None
        part = ABSENT if found is None else found[0]
    elif rest and name == "metadata":
        part = history.setting(str(rest.pop(0)), version)
    else:
        part = history.part(str(name), version)
    for step in rest:
        part = child(part, step)
    return part if part is ABSENT else to_json(part)


def turns(history: StateHistory, path: Path, until: int) -> list[int]:
    """The versions, in order, that made the value at a path another one."""
    if not path:  # the whole: whatever made a part of it another one
        return sorted({turn for name in DOCUMENT_FIELDS for turn in turns(history, (name,), until)})
    found = (each for each in _candidates(history, path) if each <= until)
    return [each for each in found if _is_turn(history, path, each)]


def _candidates(history: StateHistory, path: Path) -> list[int]:
    """The versions, in order, that may have changed what is at a path."""
    spans = _spans(history, path)
    if spans is not None:
        index = path[1] if len(path) > 1 else None
        return spans.touched(index if isinstance(index, int) else None)
    if path[0] == "metadata":
        return history.setting_versions(str(path[1]) if len(path) > 1 else None)
    if path[0] in ("updated_at", "version"):
        return list(range(1, history.version + 1))
    return [version for version in history.header_versions if version]


def _is_turn(history: StateHistory, path: Path, version: int) -> bool:
    # Whole lists and objects are large: what did not touch them needs no comparison of all that they hold.
    spans = _spans(history, path)
    if len(path) == 1 and spans is not None:
        if spans.length(version) != spans.length(version - 1):
            return True
        return spans.at(version) != spans.at(version - 1)
    if path == ("metadata",):
        return any(_is_turn(history, (*path, key), version) for key in history.settings_at(version))
    before, after = value_in(history, path, version - 1), value_in(history, path, version)
    if before is ABSENT or after is ABSENT:
        return before is not after
    return not same_json(before, after)


def _spans(history: StateHistory, path: Path) -> Spans[UserMessage] | Spans[AgentResponse] | None:
    match path[:1]:
        case ("user_messages",):
            return history.user_messages
        case ("agent_responses",):
            return history.agent_responses
        case _:
            return None


def counted_from_the_start(history: StateHistory, path: Path, version: int) -> Path:
    """The path of the message that it means at a version, whatever number of messages comes later."""
    spans = _spans(history, path)
    if spans is None or len(path) < 2 or not isinstance(path[1], int) or path[1] >= 0:
        return path
    return (path[0], path[1] + spans.length(version), *path[2:])
