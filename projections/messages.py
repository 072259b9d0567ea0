"""What was said: a user's message and an agent's answer, as values."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, field, structs

# A moment with its offset; a naive time is refused wherever one is decoded.
Moment = Annotated[datetime, Meta(tz=True)]


# The present moment, UTC, in microseconds. Not a function of its own: each change of a session asks for it.
utc_now = partial(datetime.now, UTC)


class UserMessage(Struct, frozen=True, gc=False):
    """What a user said, and when."""

    content: str
    timestamp: Moment = field(default_factory=utc_now)


class AgentResponse(Struct, frozen=True, gc=False):
    """What an agent answered, and when; `timestamp` is now unless given."""

    content: str
    session_id: str | None = None
    seed_id: str | None = None
    phase_reached: str | None = None
    evaluation_passed: bool | None = None
    timestamp: Moment = field(default_factory=utc_now)


Message = TypeVar("Message", UserMessage, AgentResponse)


def in_utc(message: Message) -> Message:
    """The message with its time in UTC: an offset with seconds has no place in a document."""
    if message.timestamp.tzinfo is UTC:
        return message
    return structs.replace(message, timestamp=message.timestamp.astimezone(UTC))
