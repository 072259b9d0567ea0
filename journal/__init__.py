"""A session journal for conversations between people and agents: append, fold, replay, prove."""

from journal.aio import AsyncStateStore
from journal.catalog import SessionPage
from journal.errors import (
    CorruptRecordError,
    CorruptSnapshotError,
    DurabilityError,
    InvalidEventError,
    InvalidNameError,
    JournalClosedError,
    JournalError,
    JournalWarning,
    OwnerMismatchError,
    SessionNotFoundError,
    VersionConflictError,
)
from journal.handle import ANY
from journal.store import StateStore
from journal.trail import Followed
from projections import AgentResponse, Change, Projection, Record, Session, SessionSummary, UserMessage

__all__ = [
    "ANY",
    "AgentResponse",
    "AsyncStateStore",
    "Change",
    "CorruptRecordError",
    "CorruptSnapshotError",
    "DurabilityError",
    "Followed",
    "InvalidEventError",
    "InvalidNameError",
    "JournalClosedError",
    "JournalError",
    "JournalWarning",
    "OwnerMismatchError",
    "Projection",
    "Record",
    "Session",
    "SessionNotFoundError",
    "SessionPage",
    "SessionSummary",
    "StateStore",
    "UserMessage",
    "VersionConflictError",
]
