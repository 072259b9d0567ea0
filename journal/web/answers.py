"""What went wrong, as an answer: a status, and what happened and what to do in words."""

import contextlib
from dataclasses import dataclass
from typing import Any, Final

from journal.errors import (
    AttachmentError,
    CorruptRecordError,
    CorruptSnapshotError,
    InvalidEventError,
    InvalidNameError,
    JournalClosedError,
    JournalError,
    OwnerMismatchError,
    SessionNotFoundError,
    UnsafePathError,
    VersionConflictError,
)
from journal.objects import moment_text
from journal.store import StateStore
from journal.tombstones import Tombstone, read_tombstones
from projections.expression import ExpressionError

_MOST: Final = 2000


@dataclass(eq=False)
class Problem(Exception):
    """A call that is not answered, and why."""

    status: int
    kind: str
    message: str
    what_to_do: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": {"kind": self.kind, "message": _cut(self.message), "what_to_do": self.what_to_do}}


def _cut(message: str) -> str:
    """A message may quote what was asked for, which may be of any length."""
    return message if len(message) <= _MOST else f"{message[:_MOST]}…"


def bad_input(message: str, what_to_do: str | None = None) -> Problem:
    """A call that makes no sense."""
    return Problem(400, "BadInput", message, what_to_do)


def problem_of(error: Exception, store: StateStore) -> Problem | None:
    """What an error comes to; None for one that nobody expected."""
    kind = type(error).__name__
    match error:
        case Problem():
            return error
        case SessionNotFoundError():
            return _not_found(error, store)
        case InvalidNameError() | InvalidEventError() | ExpressionError():
            return Problem(400, kind, str(error))
        case OwnerMismatchError():
            return Problem(403, kind, str(error))
        case VersionConflictError():
            return Problem(409, kind, str(error), "look at the session as it is now, then decide again")
        case CorruptRecordError():
            return Problem(422, kind, str(error), f"journal repair {_session_in(error.path)}")
        case CorruptSnapshotError() | AttachmentError() | UnsafePathError():
            return Problem(422, kind, str(error))
        case JournalClosedError():
            return Problem(503, kind, str(error), "start `journal view` again")
        case JournalError():
            return Problem(500, kind, str(error))
        case OSError():
            return Problem(500, kind, f"{error.filename or 'the store'}: {error.strerror}")
        case _:
            return None


def _not_found(error: SessionNotFoundError, store: StateStore) -> Problem:
    stone = last_tombstone(store, error.session_id)
    if stone is None or "has no such point" in str(error):
        return Problem(404, "SessionNotFoundError", str(error))
    return Problem(410, "SessionDeletedError", deletion_text(error.session_id, stone))


def deletion_text(session_id: str, stone: Tombstone | None) -> str:
    """That a session was deleted, when, by whom and why, as far as that was noted."""
    if stone is None:
        return f"session {session_id!r} is not there any more, and nothing tells why"
    by = f" by {stone.by}" if stone.by else ""
    why = f": {stone.why}" if stone.why else ""
    return (
        f"session {session_id!r} was deleted{by} at {moment_text(stone.at)}, at version {stone.version}{why}"
    )


def last_tombstone(store: StateStore, session_id: str) -> Tombstone | None:
    """The note of a session's last deletion."""
    found = None
    store._disk.refresh(store._layout.sessions)
    with contextlib.suppress(OSError):  # `doctor` tells of notes that cannot be read
        for each in read_tombstones(store._disk, store._layout.tombstones):
            if isinstance(each, Tombstone) and each.id == session_id:
                found = each
    return found


def _session_in(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".jsonl")
