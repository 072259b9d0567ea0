"""The trace of tool calls: what was called with what, when, for how long, and how it ended."""

import json
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from projections.branch import Branch
from projections.document import Json
from projections.events import Record, SessionRewound, ToolCalled, ToolReturned
from projections.pairing import is_call, is_return, returns_of

_MS: Final = timedelta(milliseconds=1)


class TracedCall(Struct, frozen=True, kw_only=True):
    """A tool call, and what became of it.

    version      the number of the record that says so
    finished_at  when its return was recorded
    duration_ms  as the return says, else the time between the two records; None where they tell nothing
    error        what a call that failed gave: a text, or JSON
    outcome      "unknown" where no return is on record, or one whose content was erased
    """

    name: str
    call_id: str
    arguments: Json
    version: int
    started_at: datetime
    finished_at: datetime | None = None
    duration_ms: float | None = None
    error: str | None = None
    outcome: Literal["ok", "failed", "unknown"] = "unknown"


class Trace:
    """The state of ToolTrace. `calls` pairs what was taken in, each time anew."""

    def __init__(self) -> None:
        self._records: Branch[Record] = Branch()

    def calls(self) -> list[TracedCall]:
        """The calls that stand, in the order in which they were made. An erased one is not among them."""
        records = list(self._records)
        returns = returns_of(records)
        return [
            _traced(record, record.event, returns.get(record.id))
            for record in records
            if isinstance(record.event, ToolCalled)
        ]

    def __eq__(self, other: object) -> bool:
        return self._records == other._records if isinstance(other, Trace) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class ToolTrace:
    """The fold that gives the Trace. What a rewind took back, calls or returns, is not in it."""

    name = "tool_trace"
    version = 1

    def initial(self) -> Trace:
        """Nothing was called yet."""
        return Trace()

    def apply(self, state: Trace, record: Record) -> Trace:
        """The trace after one more record."""
        if isinstance(record.event, SessionRewound):
            state._records.rewind(record.event.to, record.seq)
        elif is_call(record) or is_return(record):
            state._records.append(record, record.seq)
        return state


def _traced(record: Record, called: ToolCalled, returned: Record | None) -> TracedCall:
    event = returned.event if returned is not None else None
    error: str | None = None
    outcome: Literal["ok", "failed", "unknown"] = "unknown"
    if isinstance(event, ToolReturned):
        outcome = "failed" if event.is_error else "ok"
        error = _text(event.result) if event.is_error else None
    return TracedCall(
        name=called.name,
        call_id=called.call_id,
        arguments=called.arguments,
        version=record.seq,
        started_at=record.at,
        finished_at=returned.at if returned is not None else None,
        duration_ms=_duration(record, returned),
        error=error,
        outcome=outcome,
    )


def _duration(called: Record, returned: Record | None) -> float | None:
    if returned is None:
        return None
    recorded = returned.event.duration_ms if isinstance(returned.event, ToolReturned) else None
    if recorded is not None:
        return recorded
    # Clocks go backwards, and what was imported may have no times.
    return (returned.at - called.at) / _MS if returned.at > called.at else None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
