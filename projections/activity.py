"""Activity: what happened when, by whom, with which tools, how fast and how large; in numbers."""

import heapq
import json
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from projections.document import Json, SessionDocument, parse_document
from projections.events import (
    AgentResponseAdded,
    ContentErased,
    Erased,
    Event,
    JournalRepaired,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionForked,
    SessionRewound,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UserMessageAdded,
)
from projections.totals import ROLES, Share, ToolUse, Totals

USER, AGENT, REASONING, TOOL_CALL, TOOL_RESULT, ERROR, NOTE = range(len(ROLES))

# So many of the largest records, of the first errors and of the first landmarks are kept.
MOST_KEPT: Final = 20
_MOST_TEXT: Final = 200

_ROLE_OF: Final[dict[type[msgspec.Struct], int]] = {
    UserMessageAdded: USER,
    AgentResponseAdded: AGENT,
    ReasoningAdded: REASONING,
    ToolCalled: TOOL_CALL,
    ToolReturned: TOOL_RESULT,
}
# An erased record keeps its place.
_ROLE_OF_ERASED: Final = {str(kind.__struct_config__.tag): role for kind, role in _ROLE_OF.items()}
_LANDMARKS: Final = (JournalRepaired, ContentErased, SessionRewound, SessionForked)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Large(NamedTuple):
    """A record, and how many bytes of JSON its event is."""

    size_bytes: int
    seq: int
    type: str


class Failure(NamedTuple):
    """A tool that failed: the record that says so, its tool ("" where no call is known), and its words."""

    seq: int
    at: datetime
    tool: str
    text: str


class Landmark(NamedTuple):
    """A repair, an erasure, a rewind or a fork."""

    seq: int
    at: datetime
    type: str


class _Call(NamedTuple):
    tool: str
    at_us: int


@dataclass(slots=True, kw_only=True)
class Figures(Totals):
    """What Activity knows of a history: its totals, and what stands for itself.

    moments_us   when each of what is counted was, in microseconds since 1970, in the journal's order;
                 `seqs`: which record it is of, `roles`: which of ROLES it is
    failures, landmarks, largest   the first or the largest ones; see MOST_KEPT
    """

    moments_us: "array[int]" = field(default_factory=lambda: array("q"))
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    roles: bytearray = field(default_factory=bytearray)
    failures: list[Failure] = field(default_factory=list)
    landmarks: list[Landmark] = field(default_factory=list)
    _largest: list[Large] = field(default_factory=list)
    _open_calls: dict[str, _Call] = field(default_factory=dict)
    _waiting_since_us: int | None = None

    @property
    def first_at(self) -> datetime | None:
        """The earliest moment. Clocks go back: it need not be the first record's."""
        return to_moment(min(self.moments_us)) if self.moments_us else None

    @property
    def last_at(self) -> datetime | None:
        """The latest moment."""
        return to_moment(max(self.moments_us)) if self.moments_us else None

    @property
    def largest(self) -> list[Large]:
        """The largest records, the largest first, of equals the first."""
        return [each._replace(seq=-each.seq) for each in sorted(self._largest, reverse=True)]

    @property
    def open_calls(self) -> int:
        """How many calls have no result."""
        return len(self._open_calls)


class Activity:
    """The fold that counts and measures.

    Memory: 17 bytes a record, 32 for each time that a tool or an answer took, and what is distinct.
    """

    name = "activity"
    version = 1

    def initial(self) -> Figures:
        """Nothing happened yet."""
        return Figures()

    def apply(self, state: Figures, record: Record) -> Figures:
        """The figures after one more record."""
        event = record.event
        role = _role_of(event)
        if record.seq:  # else it is no record yet: another program's file, as it will be adopted
            _measure(state, record)
            at = record.at
            if role <= AGENT:
                at = getattr(event, "timestamp", None) or at
            _note(state, record.seq, to_us(at), role)
            _follow_tools(state, record, role)
        if isinstance(event, SessionAdopted):
            _note_said_in(state, record.seq, parse_document(event.document))
        elif isinstance(event, SessionForked) and event.document is not None:
            _note_said_in(state, record.seq, event.document)
        return state


def to_us(moment: datetime) -> int:
    """Microseconds since 1970; exact, where a float would not be."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_moment(us: int) -> datetime:
    """The moment so many microseconds after 1970, UTC."""
    return _EPOCH + timedelta(microseconds=us)


def _role_of(event: Event) -> int:
    role = _ROLE_OF.get(type(event), NOTE)
    if role == TOOL_RESULT:
        return ERROR if event.is_error else role  # type: ignore[union-attr]
    return _ROLE_OF_ERASED.get(event.was, NOTE) if isinstance(event, Erased) else role


def _measure(state: Figures, record: Record) -> None:
    """Count a record by its type, its size and who wrote it."""
    event = record.event
    if isinstance(event, UnknownEvent):
        kind, size = event.type, len(event.raw)
    else:
        kind, size = str(event.__struct_config__.tag), len(_encode(event))
    state.records += 1
    state.size_bytes += size
    share = state.types.get(kind)
    if share is None:
        share = state.types[kind] = Share()
    share.records += 1
    share.size_bytes += size
    by = record.by or ""
    state.by[by] = state.by.get(by, 0) + 1
    largest = state._largest
    # The smallest of them is in front; of equals the first is kept.
    if len(largest) < MOST_KEPT:
        heapq.heappush(largest, Large(size, -record.seq, kind))
    elif size > largest[0].size_bytes:
        heapq.heapreplace(largest, Large(size, -record.seq, kind))
    if isinstance(event, _LANDMARKS) and len(state.landmarks) < MOST_KEPT:
        state.landmarks.append(Landmark(record.seq, record.at, kind))


def _note(state: Figures, seq: int, at_us: int, role: int) -> None:
    """Put something that was said or done on the line of time."""
    state.moments_us.append(at_us)
    state.seqs.append(seq)
    state.roles.append(role)
    state.counts[role] += 1
    since = state._waiting_since_us
    if role == USER and since is None:
        state.turns += 1
        state._waiting_since_us = at_us
    elif role == AGENT and since is not None:
        state._waiting_since_us = None
        if at_us > since:  # what was imported without times tells nothing
            state.answers_ms.append((at_us - since) / 1000)


def _note_said_in(state: Figures, seq: int, document: SessionDocument) -> None:
    """What was said before the journal began. The two lists' times are the only order there is."""
    said = [(to_us(each.timestamp), USER) for each in document.user_messages]
    said += [(to_us(each.timestamp), AGENT) for each in document.agent_responses]
    for at_us, role in sorted(said):
        _note(state, seq, at_us, role)


def _follow_tools(state: Figures, record: Record, role: int) -> None:
    """Pair calls with results by their id."""
    event = record.event
    if isinstance(event, ToolCalled):
        _tool(state, event.name).calls += 1
        state._open_calls[event.call_id] = _Call(event.name, to_us(record.at))
    elif isinstance(event, ToolReturned):
        call = state._open_calls.pop(event.call_id, None)
        if role == ERROR and len(state.failures) < MOST_KEPT:
            tool = call.tool if call is not None else ""
            state.failures.append(Failure(record.seq, record.at, tool, _text(event.result)))
        if call is None:
            return
        use = _tool(state, call.tool)
        use.errors += role == ERROR
        elapsed_us = to_us(record.at) - call.at_us
        if event.duration_ms is not None:
            use.durations_ms.append(event.duration_ms)
        elif elapsed_us > 0:
            use.durations_ms.append(elapsed_us / 1000)


def _tool(state: Figures, name: str) -> ToolUse:
    use = state.tools.get(name)
    if use is None:
        use = state.tools[name] = ToolUse()
    return use


def _text(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_MOST_TEXT]
