"""Steps: functions that run once; after a crash and a restart the record answers in their place."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from time import perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple

from journal.live.outcome import Decode, Encode, Step, as_json, check_same
from journal.live.writing import LiveWriter
from projections.events import Change, Event, StepFinished
from projections.messages import utc_now


class Claim(NamedTuple):
    """A step's place: its scope, or the turn that it is in, if that is known yet; and which of its name."""

    scope: str | None
    turn: int | None
    number: int


class LiveSteps(LiveWriter):
    """The steps of a live session."""

    _turn: int | None  # the message of the user since which steps are counted; None: not looked up yet
    _counts: dict[tuple[str | None, str], int]

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        *args: Any,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> Any:
        """Call `function(*args)` once: after a crash and a restart its recorded result is returned instead.

        A step is known by its name, and by how many of that name came before it in its turn (since the last
        message of the user) or `scope`; so the program must come to its steps in the same order, with the
        same arguments. The result is what is on record: JSON, or what `decode` makes of it; `encode` makes
        JSON of a result that is none. An exception is recorded, too, and raised again after a restart.

        If the program ends while the function runs, it runs again: for what may happen only once, as a
        payment, there is `run_tool`.

        Raises what `function` raised; NondeterminismError, before anything runs; RecordedError.
        """
        step, event = self._recall_step(self._claim(name), name, args)
        if event is not None:
            return step.result_of(event, self._attachments, decode)
        started = perf_counter()
        try:
            result = function(*args)
        except Exception as error:
            self._record_step(step, step.failed(error, (perf_counter() - started) * 1000))
            raise
        event = step.finished(result, encode, (perf_counter() - started) * 1000)
        ended = self._record_step(step, event)
        return step.result_of(ended, None if ended is event else self._attachments, decode)

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Count the steps inside the `with` by themselves, under this name, and that of a scope around it.

        For steps that run side by side, each task or thread in a scope of its own, and for work that does not
        begin with a message of the user.
        """
        around = _scopes.get().get(self)
        inner = name if around is None else f"{around}/{name}"
        token = _scopes.set({**_scopes.get(), self: inner})
        try:
            yield
        finally:
            _scopes.reset(token)

    def _begin_turn(self, version: int | None) -> None:
        """Count the steps that are in no scope anew, from this message of the user on."""
        self._turn = version
        self._counts = {place: count for place, count in self._counts.items() if place[0] is not None}

    def _claim(self, name: str) -> Claim:
        """Take the place of a step, at the moment when it is asked for: nothing is read, nothing awaited."""
        scope = _scopes.get().get(self)
        number = self._counts[scope, name] = self._counts.get((scope, name), 0) + 1
        return Claim(scope, self._turn, number)

    def _recall_step(self, claim: Claim, name: str, args: tuple[Any, ...]) -> tuple[Step, Event | None]:
        """The step that has this place, and how it ended, if it did."""
        arguments = as_json(args, None, f"what the step {name!r} was given")
        with self._handle().log.using:
            self._recall.catch_up()
            if self._turn is None:
                self._turn = self._recall.turn
            step = Step(self._key(claim, name), name, arguments)
            return step, self._ended(step)

    def _key(self, claim: Claim, name: str) -> str:
        turn = self._turn if claim.turn is None else claim.turn
        place = f"turn:{turn}" if claim.scope is None else f"scope:{claim.scope}"
        return f"{place}/{name}#{claim.number}"

    def _ended(self, step: Step) -> Event | None:
        if (record := self._recall.keyed(step.key)) is None:
            return None
        if isinstance(record.event, StepFinished):
            check_same(
                step.key, record.event.arguments, self._as_recorded(step.arguments, record.event.arguments)
            )
        return record.event

    def _record_step(self, step: Step, event: StepFinished) -> Event:
        """Put a step's end on record. Where another process was faster, its end holds, for both."""
        handle = self._handle()
        with handle.log.exclusive:
            self._look(handle)
            self._recall.take_in(handle)
            if (there := self._ended(step)) is None:
                offset = handle.log.offset
                self._append(handle, Change(event=event, at=utc_now(), key=step.key))
                self._recall.note_own(handle, offset, step.key)
            return there or event


# One variable for all: each context keeps every variable that was ever set in it.
_scopes: ContextVar[Mapping[LiveSteps, str]] = ContextVar("journal_scopes", default=MappingProxyType({}))
