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
    ContextCompacted,
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
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
)
from projections.messages import AgentResponse, UserMessage
from projections.paths import ABSENT, parse_path, path_text, value_at
from projections.projection import Projection, fold
from projections.redaction import Redaction
from projections.session import Session, SessionProjection
from projections.summary import SessionSummary
from projections.timeline import Timeline
from projections.transcript import Transcript

__all__ = [
    "ABSENT",
    "ActivePersonaSet",
    "ActiveSeedSet",
    "Activity",
    "AgentResponse",
    "AgentResponseAdded",
    "Change",
    "ContentErased",
    "ContextCompacted",
    "CustomEvent",
    "Erased",
    "Event",
    "JournalRepaired",
    "MetadataSet",
    "Projection",
    "ReasoningAdded",
    "Record",
    "Redaction",
    "Session",
    "SessionAdopted",
    "SessionCreated",
    "SessionDocument",
    "SessionForked",
    "SessionProjection",
    "SessionReplaced",
    "SessionRewound",
    "SessionSummary",
    "StepFinished",
    "Timeline",
    "ToolCalled",
    "ToolReturned",
    "Transcript",
    "UnknownEvent",
    "UsageRecorded",
    "UserMessage",
    "UserMessageAdded",
    "difference",
    "fold",
    "parse_path",
    "path_text",
    "value_at",
]
