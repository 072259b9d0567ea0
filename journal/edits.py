"""Edits by hand: what a session says that its noted changes do not, checked, as events."""

from datetime import datetime

from journal.errors import InvalidEventError
from journal.event_json import MAX_DEPTH, check_json
from projections.difference import difference, same_json
from projections.events import Change
from projections.messages import AgentResponse, UserMessage, utc_now
from projections.session import Session


def is_edited(state: Session, session: Session) -> bool:
    """Whether a session differs from the state that its noted changes led to.

    Its messages need no comparison: they are immutable, and their lists note edits.
    """
    return (
        session._user_messages.edited
        or session._agent_responses.edited
        or (state.updated_at is not session.updated_at and state.updated_at != session.updated_at)
        or state.user_id != session.user_id
        or state.id != session.id
        or state.active_seed_id != session.active_seed_id
        or state.active_persona_id != session.active_persona_id
        or (state.created_at is not session.created_at and state.created_at != session.created_at)
        or (bool(state.metadata or session.metadata) and not same_json(state.metadata, session.metadata))
    )


def edits(state: Session, session: Session) -> list[Change]:
    """The changes from a state to what a session says. Raises InvalidEventError."""
    for messages, kind in (
        (session.user_messages, UserMessage),
        (session.agent_responses, AgentResponse),
    ):
        for message in messages:
            if type(message) is not kind:
                raise InvalidEventError(f"a {type(message).__name__} stands where a {kind.__name__} belongs")
            _check_moment(message.timestamp)
    _check_moment(session.created_at)
    _check_moment(session.updated_at)
    if not isinstance(session.metadata, dict):
        raise InvalidEventError(f"metadata is a {type(session.metadata).__name__}, not a dict")
    check_json(session.metadata, deepest=MAX_DEPTH + 1)
    try:
        return difference(state if state.id else None, session, now=utc_now())
    except OverflowError as error:
        raise InvalidEventError(f"a time cannot be told in UTC: {error}") from None


def _check_moment(moment: object) -> None:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidEventError(f"{moment!r} is no time with an offset; give it a time zone")
