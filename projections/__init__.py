"""What history means: events, and folds that make states of them. Pure: no files, locks or network."""

from projections.activity import Activity
from projections.difference import difference
from projections.document import SessionDocument
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    Change,
    ContentErased,
    CustomEvent,
    Erased,
    Event,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)
from projections.messages import AgentResponse, UserMessage
from projections.projection import Projection, fold
from projections.session import Session, SessionProjection
from projections.summary import SessionSummary
from projections.transcript import Transcript

__all__ = [
    "ActivePersonaSet",
    "ActiveSeedSet",
    "Activity",
    "AgentResponse",
    "AgentResponseAdded",
    "Change",
    "ContentErased",
    "CustomEvent",
    "Erased",
    "Event",
    "JournalRepaired",
    "MetadataSet",
    "Projection",
    "ReasoningAdded",
    "Record",
    "Session",
    "SessionAdopted",
    "SessionCreated",
    "SessionDocument",
    "SessionForked",
    "SessionProjection",
    "SessionReplaced",
    "SessionRewound",
    "SessionSummary",
    "ToolCalled",
    "ToolReturned",
    "Transcript",
    "UnknownEvent",
    "UserMessage",
    "UserMessageAdded",
    "difference",
    "fold",
]
