"""What an erasure takes away: which records repeat the same content, and what the session is without it."""

from collections.abc import Iterator
from datetime import datetime

from projections.difference import same_json
from projections.document import Json, SessionDocument, parse_document
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    Erased,
    Event,
    JournalRepaired,
    MetadataSet,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    UserMessageAdded,
)
from projections.messages import AgentResponse, Message, UserMessage
from projections.session import Session


class ErasedContent:
    """The content of some records: what was said, and when; settings; the ids of seeds and personas."""

    def __init__(self) -> None:
        self._messages: set[tuple[type, str, datetime]] = set()
        self._settings: list[tuple[str, Json]] = []
        self._active: set[str | None] = set()

    def add(self, record: Record) -> None:
        """Take in what a record says."""
        self._messages.update(map(_key, _messages_of(record)))
        match record.event:
            case MetadataSet(key=key, value=value):
                self._settings.append((key, value))
            case ActiveSeedSet(seed_id=active) | ActivePersonaSet(persona_id=active) if active is not None:
                self._active.add(active)
            case event if (state := _state_in(event)) is not None:
                self._settings += state.metadata.items()

    def keys(self) -> set[str]:
        """The names of the settings."""
        return {key for key, _ in self._settings}

    def is_repeated_by(self, record: Record) -> bool:
        """Whether another record says the same message again, or holds a state in which some of it stands."""
        if any(_key(message) in self._messages for message in _messages_of(record)):
            return True
        state = _state_in(record.event)
        return state is not None and (
            any(
                key in state.metadata and same_json(state.metadata[key], value)
                for key, value in self._settings
            )
            or state.active_seed_id in self._active
            or state.active_persona_id in self._active
        )

    def without(self, session: Session, folded: Session) -> Session:
        """What a session is without it: messages keep their places, empty; settings are as `folded` has them.

        `folded`: the session that is left when the records without their content are folded.
        """
        rest = session.copy()
        rest.user_messages = [self._emptied(message) for message in rest.user_messages]
        rest.agent_responses = [self._emptied(response) for response in rest.agent_responses]
        for key, value in self._settings:
            if key in rest.metadata and same_json(rest.metadata[key], value):
                del rest.metadata[key]
                if key in folded.metadata:
                    rest.metadata[key] = folded.metadata[key]
        if rest.active_seed_id in self._active:
            rest.active_seed_id = folded.active_seed_id
        if rest.active_persona_id in self._active:
            rest.active_persona_id = folded.active_persona_id
        return rest

    def _emptied(self, message: Message) -> Message:
        if _key(message) not in self._messages:
            return message
        return type(message)("", timestamp=message.timestamp)


def keys_said_by(event: Event) -> set[str]:
    """The names of the settings that an event makes."""
    if isinstance(event, MetadataSet):
        return {event.key}
    state = _state_in(event)
    return set() if state is None else set(state.metadata)


def keys_taken_by(event: Event) -> set[str]:
    """The names of the settings that an event takes away, and so says, too."""
    return set(event.metadata_removed) if isinstance(event, SessionRewound) else set()


def holds_a_state(event: Event) -> bool:
    """Whether an event holds a whole session, or a part of one: without it, more than its own is missing."""
    return _state_in(event) is not None


def why_kept(event: Event) -> str | None:
    """Why an event's content must stay, in words; None where it can be erased."""
    match event:
        case SessionCreated():
            return "it says whose the session is"
        case SessionForked(document=None):
            return "it says where the session is from"
        case JournalRepaired() | ContentErased():
            return "it says what was done to the journal"
        case Erased():
            return "its content is gone already"
        case _:
            return None


def _state_in(event: Event) -> SessionDocument | SessionRewound | None:
    match event:
        case SessionReplaced(session=document):
            return document
        case SessionForked(document=state):
            return state
        case SessionAdopted(document=text):
            return parse_document(text)
        case SessionRewound():
            return event
        case _:
            return None


def _messages_of(record: Record) -> Iterator[UserMessage | AgentResponse]:
    match record.event:
        case UserMessageAdded(content=content, timestamp=timestamp):
            yield UserMessage(content, timestamp or record.at)
        case AgentResponseAdded(content=content, timestamp=timestamp):
            yield AgentResponse(content, timestamp=timestamp or record.at)
        case event if (state := _state_in(event)) is not None:
            yield from state.user_messages
            yield from state.agent_responses


def _key(message: UserMessage | AgentResponse) -> tuple[type, str, datetime]:
    # What was said at the same microsecond is the same message; the same words at another time are not.
    return type(message), message.content, message.timestamp
