"""Live sessions: what an agent's loop holds in its hand while it works on one session."""

from journal.live.aio import AsyncLiveSession, AsyncToolCall
from journal.live.session import LiveSession
from journal.live.tools import OnUnknown, Policy, ToolCall, UnfinishedCall

__all__ = [
    "AsyncLiveSession",
    "AsyncToolCall",
    "LiveSession",
    "OnUnknown",
    "Policy",
    "ToolCall",
    "UnfinishedCall",
]
