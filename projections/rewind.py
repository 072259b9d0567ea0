"""Rewinding a session to what it was: as one event that says all that it takes."""

from collections.abc import Sequence
from datetime import UTC

from projections.difference import same_json
from projections.events import SessionRewound
from projections.messages import Message, in_utc
from projections.session import Session


def rewound(now: Session, then: Session) -> SessionRewound:
    """The event that makes a session what it was at the version of `then`. Pure.

    Messages that both have at the beginning are only counted, so it is as small as what differs.
    """
    said = _common(now.user_messages, then.user_messages)
    answered = _common(now.agent_responses, then.agent_responses)
    return SessionRewound(
        to=then.version,
        user_id=then.user_id,
        created_at=then.created_at.astimezone(UTC),
        updated_at=then.updated_at.astimezone(UTC),
        active_seed_id=then.active_seed_id,
        active_persona_id=then.active_persona_id,
        user_messages_kept=said,
        user_messages=[in_utc(message) for message in then.user_messages[said:]],
        agent_responses_kept=answered,
        agent_responses=[in_utc(response) for response in then.agent_responses[answered:]],
        metadata={
            key: value
            for key, value in then.metadata.items()
            if key not in now.metadata or not same_json(now.metadata[key], value)
        },
        metadata_removed=[key for key in now.metadata if key not in then.metadata],
    )


def _common(one: Sequence[Message], other: Sequence[Message]) -> int:
    """How many messages two lists have in common at their beginning."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a is not b and a != b:
            return index
    return min(len(one), len(other))
