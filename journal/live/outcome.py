"""What a step or a tool was asked and gave, as JSON: how it goes on record, and comes back from there."""

import builtins
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from journal.attachments import Attachments
from journal.errors import InvalidEventError, NondeterminismError, RecordedError
from projections.difference import same_json
from projections.document import Json
from projections.events import Erased, Event, StepFinished

Encode = Callable[[Any], Json]
Decode = Callable[[Json], Any]


@dataclass(frozen=True)
class Step:
    """One step that was asked for: the key that it has on record, its name, its arguments as JSON."""

    key: str
    name: str
    arguments: Json

    def result_of(self, event: Event, attachments: Attachments | None, decode: Decode | None) -> Any:
        """What the step gave, as its end says. Raises what it raised.

        `attachments`: None where it ended just now, and is not moved out yet.
        """
        if isinstance(event, Erased):
            raise RecordedError(self.key, "Erased", "its result was erased; give the step another scope")
        if not isinstance(event, StepFinished) or event.name != self.name:
            raise InvalidEventError(f"{self.key!r} is the key of a record that is no such step")
        if event.error_type is not None:
            raise recorded_error(self.key, event.error_type, event.error or "")
        result = event.result if attachments is None else attachments.moved_back(event.result)
        return result if decode is None else decode(result)

    def finished(self, result: Any, encode: Encode | None, duration_ms: float) -> StepFinished:
        """The event that tells of its result. Raises InvalidEventError where that is no JSON."""
        value = as_json(result, encode, f"what the step {self.name!r} gave")
        return StepFinished(
            name=self.name, arguments=self.arguments, result=value, duration_ms=round(duration_ms, 3)
        )

    def failed(self, error: Exception, duration_ms: float) -> StepFinished:
        """The event that tells of its failure."""
        return StepFinished(
            name=self.name,
            arguments=self.arguments,
            error=str(error),
            error_type=type(error).__name__,
            duration_ms=round(duration_ms, 3),
        )


def check_same(what: str, recorded: Json, asked: Json) -> None:
    """Raise NondeterminismError where something is asked for with other arguments than those on record."""
    if not same_json(recorded, asked):
        raise NondeterminismError(what, recorded, asked)


def as_json(value: Any, encode: Encode | None, what: str) -> Json:
    """A value as JSON: dataclasses, Structs, times, sets and the like as msgspec writes them."""
    try:
        return _plain(value if encode is None else encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            f"{what} is no JSON: {error}; give the step `encode` and `decode`, and arguments that are JSON"
        ) from None


def _plain(value: Any) -> Json:
    """A value as it will come back: a tuple is a list, today as after a restart."""
    if value is None or isinstance(value, str | bool | int):
        return value if type(value) in _SCALARS else _plain(msgspec.to_builtins(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not JSON")
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: _plain(each) for key, each in value.items()}
    return _plain(msgspec.to_builtins(value, str_keys=True))


# What is of a subclass, as an enumeration of texts, msgspec makes plain.
_SCALARS: Final = (type(None), str, bool, int)


def recorded_error(name: str, error_type: str, error: str) -> Exception:
    """The error of an earlier run: of its own type where that is a built-in one."""
    kind = getattr(builtins, error_type, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(error)
        except TypeError:  # some take more than a text
            pass
    return RecordedError(name, error_type, error)
