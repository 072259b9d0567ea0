"""A session journal for conversations between people and agents: append, fold, replay, prove."""

from journal.aio import AsyncStateStore
from journal.catalog import SessionPage
from journal.errors import (
    AttachmentError,
    CorruptRecordError,
    CorruptSnapshotError,
    DurabilityError,
    InvalidEventError,
    InvalidKeyError,
    InvalidNameError,
    JournalClosedError,
    JournalError,
    JournalWarning,
    MissingExtraError,
    NondeterminismError,
    OutcomeUnknownError,
    OwnerMismatchError,
    RecordedError,
    SealError,
    SessionNotFoundError,
    UnreachableError,
    VersionConflictError,
)
from journal.handle import ANY
from journal.live import AsyncLiveSession, LiveSession, UnfinishedCall
from journal.search import SearchHit, SearchPage
from journal.store import StateStore
from journal.trail import Followed
from projections import AgentResponse, Change, Projection, Record, Session, SessionSummary, UserMessage

__all__ = [
    "ANY",
    "AgentResponse",
    "AsyncLiveSession",
    "AsyncStateStore",
    "AttachmentError",
    "Change",
    "CorruptRecordError",
    "CorruptSnapshotError",
    "DurabilityError",
    "Followed",
    "InvalidEventError",
    "InvalidKeyError",
    "InvalidNameError",
    "JournalClosedError",
    "JournalError",
    "JournalWarning",
    "LiveSession",
    "MissingExtraError",
    "NondeterminismError",
    "OutcomeUnknownError",
    "OwnerMismatchError",
    "Projection",
    "Record",
    "RecordedError",
    "SealError",
    "SearchHit",
    "SearchPage",
    "Session",
    "SessionNotFoundError",
    "SessionPage",
    "SessionSummary",
    "StateStore",
    "UnfinishedCall",
    "UnreachableError",
    "UserMessage",
    "VersionConflictError",
]
