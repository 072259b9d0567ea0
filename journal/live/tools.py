"""Tool calls: that one is about to run is on record before it does, and what came of it afterwards."""

import functools
import inspect
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, ParamSpec, Self, TypeAlias

from journal.attachments import Attachments
from journal.errors import InvalidEventError, OutcomeUnknownError
from journal.live.outcome import Decode, Encode, as_json, check_same, recorded_error
from journal.live.writing import LiveWriter
from projections.document import Json
from projections.events import Change, Event, Record, ToolCalled, ToolReturned
from projections.messages import utc_now

P = ParamSpec("P")


class UnfinishedCall(NamedTuple):
    """A tool call that was begun, and whose outcome is not on record: it may have run, or run still."""

    call_id: str
    name: str
    arguments: Json
    version: int
    at: datetime
    by: str | None


Policy: TypeAlias = Literal["ask", "retry", "fail"]
"""What is to become of a call with an unknown outcome: OutcomeUnknownError, another run, or a failure."""
OnUnknown: TypeAlias = Policy | Callable[[UnfinishedCall], Policy]


class LiveTools(LiveWriter):
    """The tools of a live session."""

    _on_unknown: OnUnknown

    def tool_call(
        self, name: str, arguments: Json, *, call_id: str | None = None, extra: Json = None
    ) -> "ToolCall":
        """`with live.tool_call(name, arguments) as call: call.result = …`

        That it is about to run is on record before the block, its outcome and duration after it. An exception
        is recorded as the tool's failure, and goes on. If the program ends in between, or the task is
        cancelled, the outcome is unknown: see `unfinished`. `call_id` is the model's; one is drawn otherwise.

        For a call that may be on record already, after a crash or in a replay, there is `run_tool`.
        """
        return ToolCall(self, name, arguments, call_id or f"call_{uuid.uuid4().hex}", extra)

    def run_tool(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """Call `function(**arguments)` as a tool, once: where this `call_id` is on record, it does not run.

        Then the recorded result is returned, or the recorded error raised. A call that was begun and has no
        outcome is for the session's `on_unknown` to decide. The result is what is on record: JSON, or what
        `decode` makes of it; `encode` makes JSON of a result that is none.

        Raises what `function` raises; OutcomeUnknownError; RecordedError; NondeterminismError where the call
        is on record with another name or other arguments; InvalidEventError for what no record can hold.
        """
        given = by_name(name, arguments)
        return self._run(name, given, lambda: function(**given), call_id, encode, decode)

    def _run(
        self,
        name: str,
        given: Mapping[str, Any],
        function: Callable[[], Any],
        call_id: str | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Any:
        call, done = self._recall_call(name, given, call_id)
        if done is not None:
            return done.result(self._attachments, decode)
        with call:
            call.result = as_json(function(), encode, f"what the tool {name!r} gave")
        return call.result if decode is None else decode(call.result)

    def tool(self, function: Callable[P, Any]) -> Callable[P, Any]:
        """A function whose calls are recorded as tool calls, under its name: `@live.tool`.

        What it is called with must be JSON, or what msgspec makes JSON of; what it returns comes back so.
        """
        signature = inspect.signature(function)

        @functools.wraps(function)
        def recorded(*args: P.args, **kwargs: P.kwargs) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            return self._run(name_of(function), given, lambda: function(*args, **kwargs))

        return recorded

    def settle(self, call_id: str, result: Json = None, *, error: str | None = None) -> int:
        """Say what became of a call whose outcome was unknown: its result, or with `error` that it failed.

        Raises InvalidEventError where no such call is open.
        """
        with self._handle().log.exclusive:
            self._recall.catch_up()
            call = self._recall.call(call_id)
            if call is None or call.returned is not None:
                what = "has its outcome on record" if call else "is not on record"
                raise InvalidEventError(f"the call {call_id!r} {what}")
            said = as_json(result, None, "the result") if error is None else error
            event = ToolReturned(call_id=call_id, result=said, is_error=error is not None)
            return self._end_call(call.called.id, event)

    def unfinished(self) -> list[UnfinishedCall]:
        """The tool calls whose outcome is not on record, the oldest first.

        After a crash these are the ones that may have run. One that another process runs right now is among
        them.
        """
        with self._handle().log.using:
            self._recall.catch_up()
            return [_unfinished(record) for record in self._recall.unfinished()]

    def _recall_call(
        self, name: str, given: Mapping[str, Any], call_id: str | None
    ) -> "tuple[ToolCall, Done | None]":
        """The call, and if it is on record what came of it; None where it may run."""
        call = self.tool_call(name, as_json(dict(given), None, f"the arguments of {name!r}"), call_id=call_id)
        if call_id is None:
            return call, None
        with self._handle().log.exclusive:
            self._recall.catch_up()
            found = self._recall.call(call_id)
            if found is None:
                return call, None
            event = found.called.event
            assert isinstance(event, ToolCalled)
            asked = self._as_recorded(call.arguments, event.arguments)
            check_same(f"the call {call_id!r}", [event.name, event.arguments], [name, asked])
            if found.returned is not None:
                return call, Done(name, found.returned.event)
            policy = self._on_unknown
            if callable(policy):
                policy = policy(_unfinished(found.called))
            if policy == "ask":
                raise OutcomeUnknownError(self.id, call_id, name, found.called.seq)
            if policy == "retry":
                call.begun = found.called.id
                return call, None
            failed = ToolReturned(call_id=call_id, result=_UNKNOWN, is_error=True)
            self._end_call(found.called.id, failed)
            return call, Done(name, failed)

    def _begin_call(self, event: ToolCalled) -> str:
        """Put on record that a tool is called; the id of that record."""
        with self._handle().log.exclusive:
            self._recall.catch_up()
            if (found := self._recall.call(event.call_id)) is not None:
                raise InvalidEventError(
                    f"the call {event.call_id!r} is record {found.called.seq} already: use `run_tool`"
                )
            change = Change(event=event, at=utc_now())
            self._add_change(change)
            assert change.id is not None
            return change.id

    def _end_call(self, begun: str, event: ToolReturned) -> int:
        return self._add_change(Change(event=event, at=utc_now(), cause=begun))


class ToolCall:
    """A tool call under way; set its `result`, or call `fail`. See LiveSession.tool_call."""

    def __init__(self, live: LiveTools, name: str, arguments: Json, call_id: str, extra: Json) -> None:
        self.call_id, self.name, self.arguments = call_id, name, arguments
        self.result: Json = None
        self.begun: str | None = None  # the id of the record that tells of it
        self._extra = extra
        self._live = live
        self._error: str | None = None
        self._started = 0.0

    def fail(self, error: str) -> None:
        """The tool failed, in words for the model; nothing is raised."""
        self._error = error

    def __enter__(self) -> Self:
        if self.begun is None:
            self.begun = self._live._begin_call(
                ToolCalled(call_id=self.call_id, name=self.name, arguments=self.arguments, extra=self._extra)
            )
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            return  # cancelled, or the program ends: whether it has run is not known
        assert self.begun is not None
        duration_ms = (perf_counter() - self._started) * 1000
        if error is not None:
            self._error = f"{type(error).__name__}: {error}"
        event = ToolReturned(
            call_id=self.call_id,
            result=self.result if self._error is None else self._error,
            is_error=self._error is not None,
            duration_ms=round(duration_ms, 3),
        )
        self._live._end_call(self.begun, event)


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called, on record."""
    return getattr(function, "__name__", type(function).__name__)


def _unfinished(record: Record) -> UnfinishedCall:
    event = record.event
    assert isinstance(event, ToolCalled)
    return UnfinishedCall(event.call_id, event.name, event.arguments, record.seq, record.at, record.by)


class Done(NamedTuple):
    """How a call of an earlier run ended."""

    name: str
    event: Event

    def result(self, attachments: Attachments, decode: Decode | None) -> Any:
        """What the tool gave. Raises what it raised."""
        if not isinstance(self.event, ToolReturned):
            raise recorded_error(self.name, "Erased", "its result was erased")
        if self.event.is_error:
            kind, _, message = str(self.event.result).partition(": ")
            raise recorded_error(self.name, kind, message)
        result = attachments.moved_back(self.event.result)
        return result if decode is None else decode(result)


_UNKNOWN: Final = "OutcomeUnknown: the program ended while it ran"


def by_name(tool: str, arguments: object) -> dict[str, Any]:
    """A tool's arguments. Raises InvalidEventError where they have no names, as in a list."""
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping):
        kind = type(arguments).__name__
        raise InvalidEventError(f"the arguments of {tool!r} must be a dict, by their names, and are a {kind}")
    return dict(arguments)
