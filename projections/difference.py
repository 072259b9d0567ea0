"""The difference of two sessions, as the events that lead from one to the other."""

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import structs

from projections.document import Json
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    Change,
    Event,
    MetadataSet,
    SessionCreated,
    SessionReplaced,
    UserMessageAdded,
)
from projections.messages import UserMessage, in_utc
from projections.session import Session, answered


def difference(old: Session | None, new: Session, *, now: datetime) -> list[Change]:
    """The changes that turn `old` into `new`; None for `old` means that there is no session yet.

    Small events where they express it all, else one SessionReplaced. Pure: where `new` was edited
    without touching its `updated_at`, the edit happened `now`.
    """
    changes: list[Change] = []
    if old is None:
        created = SessionCreated(session_id=new.id, user_id=new.user_id)
        changes.append(Change(event=created, at=new.created_at))
        old = Session(id=new.id, user_id=new.user_id, created_at=new.created_at)
    elif is_same(old, new):
        return []
    updated_at = now if new.updated_at == old.updated_at and changes == [] else new.updated_at
    if not _only_grew(old, new):
        return [_replacement(new, updated_at)]
    events = [*_messages_added(old, new), *_settings_changed(old, new)]
    changes += [Change(event=event, at=_moment(event, updated_at)) for event in events]
    _end_at(changes, updated_at)
    return changes if changes else [_replacement(new, updated_at)]


def is_same(old: Session, new: Session) -> bool:
    """Whether two sessions have the same content; unlike `==` it tells 1 from True and from 1.0."""
    return (
        old.header() == new.header()
        and same_json(old.metadata, new.metadata)
        and old.user_messages == new.user_messages
        and old.agent_responses == new.agent_responses
    )


def same_json(one: Json, other: Json) -> bool:
    """Whether two JSON values are the same, types included. Nested too deep to tell: no."""
    try:
        return _same(one, other)
    except RecursionError:
        return False


def _same(one: Json, other: Json) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and (one != 0 or str(one) == str(other))  # 0.0 is not -0.0


def _only_grew(old: Session, new: Session) -> bool:
    return (
        (old.id, old.user_id, old.created_at) == (new.id, new.user_id, new.created_at)
        and old.user_messages == new.user_messages[: len(old.user_messages)]
        and old.agent_responses == new.agent_responses[: len(old.agent_responses)]
        and old.metadata.keys() <= new.metadata.keys()
    )


def _messages_added(old: Session, new: Session) -> Iterator[Event]:
    """The new messages of both lists, merged by time; each list keeps its own order."""
    users = new.user_messages[len(old.user_messages) :]
    agents = new.agent_responses[len(old.agent_responses) :]
    while users or agents:
        if users and (not agents or users[0].timestamp <= agents[0].timestamp):
            yield _said(users.pop(0))
        else:
            yield answered(agents.pop(0))


def _said(message: UserMessage) -> Event:
    return UserMessageAdded(content=message.content, timestamp=message.timestamp)


def _settings_changed(old: Session, new: Session) -> Iterator[Event]:
    if old.active_seed_id != new.active_seed_id:
        yield ActiveSeedSet(seed_id=new.active_seed_id)
    if old.active_persona_id != new.active_persona_id:
        yield ActivePersonaSet(persona_id=new.active_persona_id)
    for key, value in new.metadata.items():
        if key not in old.metadata or not same_json(old.metadata[key], value):
            yield MetadataSet(key=key, value=value)


def _moment(event: Event, updated_at: datetime) -> datetime:
    if isinstance(event, UserMessageAdded | AgentResponseAdded) and event.timestamp is not None:
        return event.timestamp
    return updated_at


def _end_at(changes: list[Change], updated_at: datetime) -> None:
    # The last record sets `updated_at`; what was said earlier keeps its own time in the event.
    if changes and changes[-1].at != updated_at:
        if isinstance(changes[-1].event, SessionCreated):
            changes.clear()
        else:
            changes[-1].at = updated_at
    for change in changes:
        event = change.event
        if isinstance(event, UserMessageAdded | AgentResponseAdded) and event.timestamp == change.at:
            change.event = structs.replace(event, timestamp=None)


def _replacement(new: Session, updated_at: datetime) -> Change:
    document = new.copy().to_document()
    document.created_at = new.created_at.astimezone(UTC)
    document.updated_at = updated_at.astimezone(UTC)
    document.user_messages = [in_utc(message) for message in new.user_messages]
    document.agent_responses = [in_utc(response) for response in new.agent_responses]
    return Change(event=SessionReplaced(session=document), at=updated_at)
