"""Replay: an agent's program run against a record, which answers in place of its tools and its model.

What the program says and asks for is compared with what is on record; the first difference ends the replay.
"""

import asyncio
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec

from journal.errors import InvalidEventError
from journal.event_json import event_type
from journal.live.aio import AsyncLiveSession
from journal.live.outcome import Step, as_json
from journal.live.session import LiveSession
from journal.live.steps import Claim
from journal.live.tools import Done, ToolCall, UnfinishedCall
from journal.live.writing import Ground
from projections.conversation import Conversation
from projections.document import Json
from projections.events import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    Change,
    ContextCompacted,
    CustomEvent,
    Erased,
    Event,
    MetadataSet,
    ReasoningAdded,
    Record,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from projections.projection import fold
from projections.prompt import Message, Shape, messages
from projections.session import Session, SessionProjection
from projections.standing import Standing

# What a program does itself; the rest of a history is what came of it, or housekeeping.
_DEEDS: Final = (
    *(UserMessageAdded, AgentResponseAdded, ReasoningAdded, ToolCalled, MetadataSet, ActiveSeedSet),
    *(ActivePersonaSet, CustomEvent, UsageRecorded, ContextCompacted),
)
# The key of a step that is in no scope.
_OF_TURN: Final = re.compile(r"turn:(\d{1,18})/(.*)#(\d{1,18})", re.DOTALL)
_DEED_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in _DEEDS)

Agent = Callable[[Any], Any]
"""A function of a live session, or a coroutine function of an AsyncLiveSession."""


@dataclass(frozen=True)
class Divergence:
    """Where a program first did something else than the record says.

    version   of the record, 0 where the record has nothing more
    recorded  what is on record, as JSON; None where there is nothing
    asked     what the program did instead, as JSON; None where it ended
    """

    version: int
    recorded: Json
    asked: Json

    def __str__(self) -> str:
        recorded = "nothing more" if self.recorded is None else _text(self.recorded)
        asked = "nothing more" if self.asked is None else _text(self.asked)
        place = f"record {self.version}" if self.version else "behind the last record"
        return f"the replay differs at {place}\n  recorded: {recorded}\n  asked:    {asked}"


@dataclass(frozen=True)
class Replayed:
    """What came of a replay.

    divergence  the first difference, None if there is none
    served      how many records answered, or were done again alike
    fork        the id of the session in which the program went on, where `until` let it; None else
    result      what the program returned the last time
    """

    divergence: Divergence | None
    served: int
    fork: str | None = None
    result: Any = None


class _End(BaseException):
    """The replay is over; no `except Exception` of the program may catch it."""


def replay(ground: Ground, session_id: str, agent: Agent, until: int | None, new_id: str | None) -> Replayed:
    """See StateStore.replay."""
    run = _Replay(ground, session_id, until, new_id)
    if inspect.iscoroutinefunction(agent):
        return asyncio.run(run.run_async(agent))
    return run.run(agent)


class _Replay:
    """One replay: the program is called for each turn, until the record is used up."""

    def __init__(self, ground: Ground, session_id: str, until: int | None, new_id: str | None) -> None:
        self.session = ReplaySession(ground, session_id, until, new_id)
        self._result: Any = None

    def run(self, agent: Agent) -> Replayed:
        try:
            while self._is_due():
                self._result = agent(self.session)
        except _End:
            pass
        return self._end()

    async def run_async(self, agent: Agent) -> Replayed:
        async def in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
            return call(*args, **options)  # nothing waits for a disk here, until it goes live

        live = AsyncLiveSession(lambda: self.session, in_thread)
        try:
            async with live:
                while self._is_due():
                    self._result = await agent(live)
        except _End:
            pass
        return self._end()

    def _is_due(self) -> bool:
        return self.session.begin_call()

    def _end(self) -> Replayed:
        session = self.session
        if session.divergence is None and not session.is_live:
            session.divergence = session.left_over()
        return Replayed(session.divergence, session.served, session.fork, self._result)


class ReplaySession(LiveSession):
    """A live session whose record answers. It writes nothing, until it goes live in a fork."""

    def __init__(self, ground: Ground, session_id: str, until: int | None, new_id: str | None) -> None:
        super().__init__(ground, session_id, "ask")
        self.divergence: Divergence | None = None
        self.served = 0
        self.fork: str | None = None
        self._until, self._new_id = until, new_id
        self._mutex = threading.RLock()
        records = list(_standing(ground.records(session_id)))
        if until is not None and not any(record.seq == until for record in records):
            raise InvalidEventError(f"session {session_id!r} has no record {until} that stands")
        within = [record for record in records if until is None or record.seq <= until]
        self._history = within
        self._deeds = [record for record in within if _is_deed(record)]
        self._next = 0
        self._returns = {record.cause: record for record in within if _was(record) == "tool_returned"}
        self._returns_by_id = {
            record.event.call_id: record for record in within if isinstance(record.event, ToolReturned)
        }
        self._steps = _steps(within)
        self._by_turn: dict[str, list[str]] = {}
        for key in sorted(filter(_OF_TURN.fullmatch, self._steps), key=_parts):
            self._by_turn.setdefault(_parts(key)[1], []).append(key)
        self._done_keys: dict[str, int] = {}
        self._folded = 0
        self._now = SessionProjection().initial()
        self._calls = 0
        # Messages that are there, and that the program may still add itself.
        self._unclaimed: list[Record] = []
        self._fold_to(self._deeds[0].seq if self._deeds else (within[-1].seq + 1 if within else 0))

    @property
    def is_live(self) -> bool:
        """Whether the record was left behind, for a fork."""
        return self.fork is not None

    # The course of it

    def begin_call(self) -> bool:
        """Whether the program is to be called (again): there is a turn that nobody has handled."""
        self._calls += 1
        before = self._next
        if not self.is_live:
            undone = (record.seq for key, record in self._steps.items() if key not in self._done_keys)
            self._take_inputs(before=min(undone, default=sys.maxsize))
        return self._calls == 1 or self._next > before

    def left_over(self) -> Divergence | None:
        """What is on record, and was not done."""
        for record in self._deeds[self._next :]:
            if not _is_input(record):
                return Divergence(record.seq, _deed(record.event), None)
        for key, record in self._steps.items():
            if key not in self._done_keys:
                return Divergence(record.seq, {"step": key, **_deed(record.event)}, None)
        return None

    def _expect(self, event: Event) -> Record | None:
        """The record that says the same as the program does now; None where the program goes live here."""
        asked = self._hidden(event)
        if not isinstance(asked, UserMessageAdded):
            self._take_inputs()
            self._unclaimed.clear()
        elif self._unclaimed:
            return self._compared(self._unclaimed.pop(0), asked)
        record = self._deeds[self._next] if self._next < len(self._deeds) else None
        if record is None:
            self._go_live(_deed(asked))
            return None
        self._serve(self._compared(record, asked))
        return record

    def _compared(self, record: Record, asked: Event) -> Record:
        asked = self._as_stored(asked, record.event)
        if not _is_same(record, asked):
            self._diverge(record.seq, _deed(record.event), _deed(asked))
        return record

    def _take_inputs(self, before: int = sys.maxsize) -> None:
        """Messages of the user that the program may not add itself: they are there."""
        while self._next < len(self._deeds):
            record = self._deeds[self._next]
            if not _is_input(record) or record.seq > before:
                break
            self._unclaimed.append(record)
            self._serve(record)

    def _serve(self, record: Record) -> None:
        self._next += 1
        self.served += 1
        if _is_input(record):
            self._begin_turn(record.seq)
        later = self._deeds[self._next].seq if self._next < len(self._deeds) else self._history[-1].seq + 1
        self._fold_to(later)

    def _fold_to(self, seq: int) -> None:
        """Bring the state up to what stood before a record."""
        while self._folded < len(self._history) and self._history[self._folded].seq < seq:
            record = self._history[self._folded]
            self._now = SessionProjection().apply(self._now, record)
            self._version = record.seq
            self._folded += 1

    def _diverge(self, version: int, recorded: Json, asked: Json) -> NoReturn:
        self.divergence = Divergence(version, recorded, asked)
        raise _End

    def _go_live(self, asked: Json) -> None:
        """Leave the record, which says nothing of what is asked, for a fork, if there is to be one."""
        rest = self.left_over()
        if self._until is None or rest is not None:
            self._diverge(rest.version if rest else 0, rest.recorded if rest else None, asked)
        self.fork = self._ground.fork(self.id, at=self._until, new_id=self._new_id).id
        turn, counts = self._turn, self._counts
        super().__init__(self._ground, self.fork, "retry")
        self._turn, self._counts = turn, counts

    # What a live session does, answered from the record

    @property
    def state(self) -> Session:
        """The session as it was when the program stood where it stands now."""
        if not hasattr(self, "_now") or self.is_live:
            return super().state
        with self._mutex:
            state = self._now.copy()
            state._unsaved = None
            return state

    def messages(self, shape: Shape = "openai") -> list[Message]:
        """The prompt as it was when the program stood where it stands now."""
        if self.is_live:
            return super().messages(shape)
        with self._mutex:
            return messages(fold(self._history[: self._folded], Conversation()), shape)

    def unfinished(self) -> list[UnfinishedCall]:
        """None: each call has its outcome on record, or ends the replay."""
        return super().unfinished() if self.is_live else []

    def settle(self, call_id: str, result: Json = None, *, error: str | None = None) -> int:
        """Nothing: what became of the call is on record."""
        return super().settle(call_id, result, error=error) if self.is_live else self._version

    def rewind(self, to: int) -> int:
        """Not in a replay: the record has no such thing that stands."""
        if not self.is_live:
            self._diverge(0, None, {"type": "session_rewound", "to": to})
        return super().rewind(to)

    def _add_change(self, change: Change) -> int:
        with self._mutex:
            if self.is_live:
                return super()._add_change(change)
            if change.key is not None and change.key in self._done_keys:
                return self._done_keys[change.key]
            record = self._expect(change.event)
            if record is None:
                return super()._add_change(change)
            if change.key is not None:
                self._done_keys[change.key] = record.seq
            return record.seq

    def _recall_call(
        self, name: str, given: Mapping[str, Any], call_id: str | None
    ) -> tuple[ToolCall, Done | None]:
        with self._mutex:
            if self.is_live:
                return super()._recall_call(name, given, call_id)
            asked = as_json(dict(given), None, f"the arguments of {name!r}")
            asked_for = ToolCalled(call_id=call_id or "", name=name, arguments=asked)
            record = self._expect(asked_for)
            if record is None:
                return super()._recall_call(name, given, call_id)
            known_id = record.event.call_id if isinstance(record.event, ToolCalled) else call_id or ""
            call = ToolCall(self, name, asked, known_id, None)
            returned = self._returns.get(record.id) or self._returns_by_id.get(known_id)
            if returned is not None:
                return call, Done(name, returned.event)
            if self._until is None:
                unknown = {**_deed(record.event), "outcome": "not on record"}
                self._diverge(record.seq, unknown, _deed(asked_for))
            self._go_live(_deed(asked_for))
            call.begun = record.id
            return call, None

    def _begin_call(self, event: ToolCalled) -> str:
        if self.is_live:
            return super()._begin_call(event)
        raise InvalidEventError(
            f"a replay cannot keep the block of `with live.tool_call({event.name!r}, …)` from running: use "
            "`live.run_tool` or `@live.tool`"
        )

    def _recall_step(self, claim: Claim, name: str, args: tuple[Any, ...]) -> tuple[Step, Event | None]:
        with self._mutex:
            if self.is_live:
                return super()._recall_step(claim, name, args)
            arguments = as_json(args, None, f"what the step {name!r} was given")
            key = self._find_step(claim, name)
            self._take_inputs(self._steps[key].seq if key is not None else sys.maxsize)
            if key is None:
                self._go_live({"step": name, "arguments": arguments})
                return super()._recall_step(claim, name, args)
            if claim.scope is None:
                self._stand_at(key)
            record = self._steps[key]
            self._done_keys[key] = record.seq
            self.served += 1
            step = Step(key, name, arguments)
            event = record.event
            if isinstance(event, StepFinished):
                asked = self._as_recorded(arguments, event.arguments)
                if not _same(event.arguments, asked):
                    recorded: Json = {"step": key, "arguments": event.arguments}
                    self._diverge(record.seq, recorded, {"step": key, "arguments": asked})
            return step, event

    def _find_step(self, claim: Claim, name: str) -> str | None:
        if claim.scope is not None:
            key = self._key(claim, name)
            return key if key in self._steps else None
        # The next one of this name, whichever turn it is in: another's message may have come in between.
        undone = (key for key in self._by_turn.get(name, ()) if key not in self._done_keys)
        return next(undone, None)

    def _stand_at(self, key: str) -> None:
        """Count from where this step stands: there may be more of its turn, when the program goes live."""
        turn, name, number = _parts(key)
        if turn != self._turn:
            self._begin_turn(turn)
        self._counts[None, name] = max(self._counts.get((None, name), 0), number)

    def _hidden(self, event: Event) -> Event:
        redact = self._handle()._setting.redact
        return event if redact is None else redact(event)


def _standing(records: Iterable[Record]) -> list[Record]:
    found = list(records)
    standing = Standing()
    for record in found:
        if isinstance(record.event, SessionRewound):
            standing.rewind(record.seq, record.event.to)
    standing_ones = (record for record in found if standing.stands(record.seq))
    return [record for record in standing_ones if not isinstance(record.event, SessionRewound)]


def _steps(records: Iterable[Record]) -> dict[str, Record]:
    return {record.key: record for record in records if record.key and _was(record) == "step_finished"}


def _parts(key: str) -> tuple[int, str, int]:
    """The turn, the name and the number of a step's key."""
    found = _OF_TURN.fullmatch(key)
    assert found is not None
    return int(found[1]), found[2], int(found[3])


def _was(record: Record) -> str:
    return record.event.was if isinstance(record.event, Erased) else event_type(record.event)


def _is_deed(record: Record) -> bool:
    return _was(record) in _DEED_TYPES


def _is_input(record: Record) -> bool:
    return _was(record) == "user_message_added"


def _is_same(record: Record, asked: Event) -> bool:
    """Whether a program does what is on record; of what was erased, whether it is of that kind."""
    if isinstance(record.event, Erased):
        return record.event.was == event_type(asked)
    return _same(_deed(record.event), _deed(asked))


def _deed(event: Event) -> dict[str, Any]:
    """What of an event a program decides: not its time, nor the id of a call, which may be drawn."""
    made: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("timestamp", "call_id", "extra", "duration_ms"):
        made.pop(name, None)
    return made


def _same(one: Json, other: Json) -> bool:
    return _text(one) == _text(other)


def _text(value: Json) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
