"""Paths: the parts of a session and of a record, by the steps that lead to them in their JSON."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, structs

from projections.document import Json
from projections.events import Event, KnownEvent, Record, UnknownEvent, event_type
from projections.messages import AgentResponse, UserMessage
from projections.session import MessageList, Session

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]


class Absent(Enum):
    """The type of ABSENT, so that a type checker can tell it from a value."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""What a path leads to where there is nothing; None is a value, JSON's null."""

# What a path leads to, before it is made JSON: messages and moments as the session holds them.
Part: TypeAlias = Json | datetime | UserMessage | AgentResponse | list[UserMessage] | list[AgentResponse]

DOCUMENT_FIELDS: Final = (
    *("id", "user_id", "user_messages", "agent_responses", "active_seed_id", "active_persona_id"),
    *("created_at", "updated_at", "metadata"),
)
"""The keys of a session's JSON document."""
FIELDS: Final = (*DOCUMENT_FIELDS, "version")
"""What a path may begin with: the keys of the document, and `version`, which the document has not."""

_HEADER: Final = ("seq", "id", "at", "by", "cause", "key", "digest", "chain")
EVENT_FIELDS: Final = frozenset(
    ("type", *_HEADER, *(name for kind in KnownEvent.__args__ for name in kind.__struct_fields__))
)
"""What a path into a record may begin with, where its event is of a known type."""

# As JSON writes it, so that a number is read and printed as one and the same text.
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")


def parse_path(text: str) -> Path:
    """The path `metadata.plan.0`, or the JSON pointer `/metadata/plan/0`; the empty text is the whole.

    A step that looks like a number counts the items of a list, from the end if it is negative; in an
    object it is a key as any other. A key with a dot in it needs the pointer, where `~1` is a slash and
    `~0` a tilde.
    """
    if text.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]
    else:
        steps = text.split(".") if text else []
    return tuple(int(step) if _NUMBER.fullmatch(step) else step for step in steps)


def path_text(path: Iterable[Step]) -> str:
    """The text that `parse_path` reads as this path: with dots where they will do, else a JSON pointer."""
    steps = [str(step) for step in path]
    if all(steps) and not any("." in step for step in steps) and not "".join(steps[:1]).startswith("/"):
        return ".".join(steps)
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def value_at(session: Session, path: Path) -> Json | Absent:
    """The JSON value at a path of a session, ABSENT where there is none. Do not edit it: it may be shared.

    What the session's JSON document has there, without making that document: the cost is that of the part.
    """
    part = part_at(session, path)
    return part if part is ABSENT else to_json(part)


def part_at(session: Session, path: Path) -> Part | Absent:
    """As `value_at`, but as the session holds it, not as JSON: whatever its size, it costs the same."""
    if not path:
        return {
            name: to_json(each) for name in DOCUMENT_FIELDS if (each := _field(session, name)) is not ABSENT
        }
    part: Part | Absent = _field(session, path[0])
    for step in path[1:]:
        part = child(part, step)
    return part


def record_part_at(record: Record, path: Path) -> Part | Absent:
    """What a record has at a path that begins with the name of a field.

    Of its event, `type` among them, else of its header: `seq`, `id`, `at`, `by`, `cause`, `key`, `digest`,
    `chain`. A field that the record leaves out is absent, unless that stands for a value: no `is_error` is
    false.
    """
    name, *steps = path
    part = _event_field(record.event, str(name))
    if part is ABSENT and name in _HEADER and (found := getattr(record, str(name))) is not None:
        part = found
    for step in steps:
        part = child(part, step)
    return part


def child(part: Part | Absent, step: Step) -> Part | Absent:
    """What is one step below a part, ABSENT where there is nothing."""
    match part:
        case dict():
            return part.get(str(step), ABSENT)
        case list():
            is_there = isinstance(step, int) and -len(part) <= step < len(part)
            return part[step] if is_there else ABSENT  # type: ignore[index]
        case UserMessage() | AgentResponse() if step in part.__struct_fields__:
            return getattr(part, str(step))  # type: ignore[no-any-return]
        case _:
            return ABSENT


def to_json(part: Part) -> Json:
    """A part as the JSON document has it; messages are made anew, the metadata is the session's own."""
    match part:
        case datetime():
            return time_text(part)
        case UserMessage() | AgentResponse():
            return {name: to_json(getattr(part, name)) for name in part.__struct_fields__}
        case MessageList():
            return [to_json(message) for message in part]
        case _:
            return part  # type: ignore[return-value]


def time_text(at: datetime) -> str:
    """A moment as a snapshot has it: UTC, a Z, and microseconds where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _field(session: Session, name: Step) -> Part | Absent:
    if name not in FIELDS:
        return ABSENT
    part: Part = getattr(session, str(name))
    # Of the two active ids, the document leaves out the one that is not set.
    return ABSENT if part is None else part


def _event_field(event: Event, name: str) -> Part | Absent:
    if name == "type":
        return event_type(event)
    if isinstance(event, UnknownEvent):
        return child(msgspec.json.decode(event.raw), name)
    if name not in event.__struct_fields__:
        return ABSENT
    part: Any = getattr(event, name)
    if part is None and (type(event), name) in _LEFT_OUT:
        return ABSENT
    if isinstance(part, list | tuple | Struct):  # of messages, or a whole document: rare, and made JSON
        part = msgspec.json.decode(msgspec.json.encode(part))
    return part  # type: ignore[no-any-return]


# The fields whose null is not stored.
_LEFT_OUT: Final = frozenset(
    (kind, field.name)
    for kind in KnownEvent.__args__
    for field in structs.fields(kind)
    if field.default is None
)
