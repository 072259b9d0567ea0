"""What history means: events, and folds that make states of them. Pure: no files, locks or network."""

from projections.activity import Activity
from projections.conversation import Conversation
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
from projections.prompt import messages
from projections.redaction import Redaction
from projections.session import Session, SessionProjection
from projections.summary import SessionSummary
from projections.timeline import Timeline
from projections.tool_trace import ToolTrace
from projections.transcript import Transcript
from projections.usage import Usage

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
    "Conversation",
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
    "ToolTrace",
    "Transcript",
    "UnknownEvent",
    "Usage",
    "UsageRecorded",
    "UserMessage",
    "UserMessageAdded",
    "difference",
    "fold",
    "messages",
    "parse_path",
    "path_text",
    "value_at",
]
