"""SessionSummary: what a list shows of a session."""

from datetime import datetime

from msgspec import Struct

from projections.session import Session


class SessionSummary(Struct, frozen=True, kw_only=True):
    """A session in one line. `message_count` counts the user's messages; `version` is its last record's.

    `origin`, `origin_version`: of which session it is a fork, and of which version of that.
    """

    id: str
    user_id: str
    message_count: int
    active_seed_id: str | None = None
    created_at: datetime
    updated_at: datetime
    response_count: int = 0
    version: int = 0
    size_bytes: int = 0
    origin: str | None = None
    origin_version: int | None = None


def summarize(
    session: Session, *, size_bytes: int = 0, origin: tuple[str, int] | None = None
) -> SessionSummary:
    """The summary of a session whose files hold `size_bytes`, maybe a fork of another one at a version."""
    return SessionSummary(
        id=session.id,
        user_id=session.user_id,
        message_count=len(session.user_messages),
        active_seed_id=session.active_seed_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        response_count=len(session.agent_responses),
        version=session.version,
        size_bytes=size_bytes,
        origin=origin[0] if origin else None,
        origin_version=origin[1] if origin else None,
    )
