"""Every change that a session can undergo, and Record: what a fold sees of one."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from projections.document import Json, SessionDocument
from projections.messages import AgentResponse, Moment, UserMessage

Count = Annotated[int, msgspec.Meta(ge=0)]


def _tag(class_name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=_tag):
    """A shape may only grow, by optional fields with defaults; anything else is a new type."""


class UserMessageAdded(_Event, frozen=True, kw_only=True):
    """A user said something. `timestamp` only where it is not the record's own time.

    `extra`, here and below: what the program that wrote it keeps beside, any JSON; nothing is made of it.
    """

    content: str
    timestamp: Moment | None = None
    extra: Json = None


class AgentResponseAdded(_Event, frozen=True, kw_only=True):
    """An agent answered. `timestamp` only where it is not the record's own time."""

    content: str
    session_id: str | None = None
    seed_id: str | None = None
    phase_reached: str | None = None
    evaluation_passed: bool | None = None
    timestamp: Moment | None = None
    extra: Json = None


class SessionCreated(_Event, frozen=True, kw_only=True):
    """A session began; it says whose it is. The record's time is its `created_at`."""

    session_id: str
    user_id: str


class ActiveSeedSet(_Event, frozen=True, kw_only=True):
    """The active seed was chosen, or with None taken back."""

    seed_id: str | None


class ActivePersonaSet(_Event, frozen=True, kw_only=True):
    """The active persona was chosen, or with None taken back."""

    persona_id: str | None


class MetadataSet(_Event, frozen=True, kw_only=True):
    """One key of the metadata got a value, any JSON."""

    key: str
    value: Json


class ToolCalled(_Event, frozen=True, kw_only=True):
    """The agent asked for a tool; `call_id` pairs the call with its return."""

    call_id: str
    name: str
    arguments: Json
    extra: Json = None


class ToolReturned(_Event, frozen=True, kw_only=True):
    """A tool gave its result, or failed (`is_error`)."""

    call_id: str
    result: Json
    is_error: bool = False
    duration_ms: float | None = None
    extra: Json = None


class ReasoningAdded(_Event, frozen=True, kw_only=True):
    """What the agent thought before it answered; `signature` proves it to its provider."""

    content: str
    signature: str | None = None
    extra: Json = None


class StepFinished(_Event, frozen=True, kw_only=True):
    """A step of the agent's program came to its end: it gave `result`, or raised `error_type` with `error`.

    Which step it is says the record's key.
    """

    name: str
    arguments: Json = None
    result: Json = None
    error: str | None = None
    error_type: str | None = None
    duration_ms: float | None = None


class UsageRecorded(_Event, frozen=True, kw_only=True):
    """A model was used: how many tokens went in and came out, and what it cost, in the caller's currency."""

    model: str
    input_tokens: Count
    output_tokens: Count
    cost: float | None = None
    extra: Json = None


class ContextCompacted(_Event, frozen=True, kw_only=True):
    """The prompt was shortened: for the model, `summary` stands for all records up to version `through`.

    The history stays as it is. The tokens are those of the prompt.
    """

    summary: str
    through: Count
    tokens_before: Count | None = None
    tokens_after: Count | None = None


class CustomEvent(_Event, frozen=True, kw_only=True):
    """Anything that has no type of its own here: a name, and any JSON."""

    name: str
    data: Json = None


class SessionReplaced(_Event, frozen=True, kw_only=True):
    """The whole session was set to a new state that no smaller event expresses."""

    session: SessionDocument


class SessionAdopted(_Event, frozen=True, kw_only=True):
    """A session that another program kept goes on here; `document` is its file's text, verbatim."""

    document: str


class JournalRepaired(_Event, frozen=True, kw_only=True):
    """Damaged bytes were cut from the journal at `offset` and kept in the file `quarantine`.

    `erased`: the ids of the records whose content could not be saved; they keep their place in the chain
    without it. `erased_types`: what they were.
    """

    offset: int
    size_bytes: int
    reason: str
    quarantine: str
    erased: tuple[str, ...] = ()
    erased_types: tuple[str, ...] = ()


class SessionForked(_Event, frozen=True, kw_only=True):
    """A session began as a copy of another one, up to a version of that.

    It takes the place of the other's first record; the records from 2 to `version` are copies, with the same
    numbers, ids and digests. So the other's chain can be computed from them:
    `first_chain` is what it was behind record 1, `chain` what it was at `version`. Of the last copied batch
    `cut` records were left out. `document` is the state after the first record, where that was a whole one.
    `erased`: the ids of copies without content of which only a later record of the other says so, and
    `erased_types` what they were.
    """

    session_id: str
    user_id: str
    created_at: Moment
    origin: str
    version: Count
    chain: str
    first_chain: str
    cut: Count = 0
    document: SessionDocument | None = None
    erased: tuple[str, ...] = ()
    erased_types: tuple[str, ...] = ()


class SessionRewound(_Event, frozen=True, kw_only=True):
    """The session is again what it was at version `to`. The history stays, and this can be rewound, too.

    It says all that it takes to get there from the state before it: of each list how many messages are kept,
    and which follow those; what of the metadata is set and removed; the rest as it was.
    """

    to: Count
    user_id: str
    created_at: Moment
    updated_at: Moment
    active_seed_id: str | None = None
    active_persona_id: str | None = None
    user_messages_kept: Count
    user_messages: list[UserMessage] = []
    agent_responses_kept: Count
    agent_responses: list[AgentResponse] = []
    metadata: dict[str, Json] = {}
    metadata_removed: list[str] = []


class ContentErased(_Event, frozen=True, kw_only=True):
    """The content of these records was taken out, for good: their numbers, and the types that they had.

    `quarantine`: the files of damaged bytes that went with it, because they might hold some of it.
    """

    versions: list[Count]
    types: list[str]
    reason: str
    quarantine: list[str] = []


class Erased(_Event, frozen=True, kw_only=True):
    """What stands in the place of an event whose content was taken out: the type that it `was`."""

    was: str


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event from a newer version: its type, and its JSON byte for byte. It folds to nothing."""

    type: str
    raw: bytes


KnownEvent = (
    UserMessageAdded
    | AgentResponseAdded
    | SessionCreated
    | ActiveSeedSet
    | ActivePersonaSet
    | MetadataSet
    | ToolCalled
    | ToolReturned
    | ReasoningAdded
    | StepFinished
    | UsageRecorded
    | ContextCompacted
    | CustomEvent
    | SessionReplaced
    | SessionAdopted
    | JournalRepaired
    | SessionForked
    | SessionRewound
    | ContentErased
    | Erased
)
Event = KnownEvent | UnknownEvent

if TYPE_CHECKING:
    _Stored = Event
else:
    _Stored = KnownEvent  # an UnknownEvent is what the reader makes of any other type


def event_type(event: Event) -> str:
    """The name of an event's type, as it is stored."""
    return event.type if isinstance(event, UnknownEvent) else str(type(event).__struct_config__.tag)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An event as stored: who, when, which number, and the hashes that prove it.

    seq     1, 2, 3 …: the version that the session had after it
    id      UUIDv7; identity for retries and causes, never for order
    at      when the change happened, UTC, microseconds; order is by seq only
    by      the actor; cause: id of the record that led to this one; key: the caller's idempotency key
    digest  hash of the event; chain: hash of everything up to and including this record
    """

    seq: int
    id: str
    at: Moment
    event: _Stored
    digest: str
    chain: str
    by: str | None = None
    cause: str | None = None
    key: str | None = None


class Change(msgspec.Struct, kw_only=True):
    """An event that is not stored yet, with the moment at which it happened.

    `id` stays empty until the first try to store it; a retry with the same id is known as one.
    """

    event: Event
    at: datetime
    id: str | None = None
    by: str | None = None
    cause: str | None = None
    key: str | None = None
