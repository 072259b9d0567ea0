"""Conditions: what an expression says of a record and of the session after it, and how it is written."""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, Final, Literal, Protocol, TypeAlias

from projections.document import Json
from projections.events import Record
from projections.paths import (
    ABSENT,
    EVENT_FIELDS,
    Absent,
    Part,
    Path,
    part_at,
    record_part_at,
    time_text,
    to_json,
)
from projections.session import Session

MAX_SEARCHED: Final = 1_000_000
"""How many characters of a text a pattern is looked for in."""

Value: TypeAlias = Json | datetime


class Condition(Protocol):
    """Something that is true or false; `level` says how tightly its text holds together."""

    level: ClassVar[int]

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Whether it is true. Never raises, whatever the values are."""


class Operand(Protocol):
    """Something that has a value, or none."""

    def part(self, record: Record | None, state: Session | None) -> Part | Absent:
        """What stands there, as the record or the session holds it."""


@dataclass(frozen=True)
class PathOperand:
    """A path into the record or into the session."""

    root: Literal["event", "state"]
    path: Path

    def part(self, record: Record | None, state: Session | None) -> Part | Absent:
        """What the path leads to."""
        if self.root == "state":
            if state is None:
                raise TypeError(f"{self} is of a session, and none was given")
            return part_at(state, self.path)
        if record is None:
            raise TypeError(f"{self} is of a record, and none was given")
        return record_part_at(record, self.path)

    def __str__(self) -> str:
        first, *steps = self.path
        # In brackets, a field of an event that this version does not know.
        is_known = self.root == "state" or first in EVENT_FIELDS
        name = f".{first}" if is_known else f"[{_quoted(str(first))}]"
        return self.root + name + "".join(map(_step_text, steps))


@dataclass(frozen=True)
class Count:
    """How many items, keys or characters there are at a path."""

    of: PathOperand

    def part(self, record: Record | None, state: Session | None) -> Part | Absent:
        """The number; absent where nothing can be counted."""
        part = self.of.part(record, state)
        return len(part) if isinstance(part, list | dict | str) else ABSENT

    def __str__(self) -> str:
        return f"count({self.of})"


@dataclass(frozen=True)
class Constant:
    """A value that the expression holds."""

    value: Value

    def part(self, record: Record | None, state: Session | None) -> Part:
        """The value."""
        return self.value

    def __str__(self) -> str:
        value = time_text(self.value) if isinstance(self.value, datetime) else self.value
        return _quoted(value)


@dataclass(frozen=True)
class AnyOf:
    """At least one of them is true."""

    conditions: tuple[Condition, ...]
    level: ClassVar[int] = 0

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Asked from the left, and no further than to the first that is true."""
        return any(each.holds(record, state) for each in self.conditions)

    def __str__(self) -> str:
        return " or ".join(_text_in(self, each) for each in self.conditions)


@dataclass(frozen=True)
class AllOf:
    """Every one of them is true."""

    conditions: tuple[Condition, ...]
    level: ClassVar[int] = 1

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Asked from the left, and no further than to the first that is false."""
        return all(each.holds(record, state) for each in self.conditions)

    def __str__(self) -> str:
        return " and ".join(_text_in(self, each) for each in self.conditions)


@dataclass(frozen=True)
class Not:
    """It is false."""

    condition: Condition
    level: ClassVar[int] = 2

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """The opposite."""
        return not self.condition.holds(record, state)

    def __str__(self) -> str:
        return f"not {_text_in(self, self.condition)}"


@dataclass(frozen=True)
class Exists:
    """The path leads somewhere; to null, too."""

    operand: PathOperand
    level: ClassVar[int] = 3

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Whether there is something."""
        return self.operand.part(record, state) is not ABSENT

    def __str__(self) -> str:
        return f"exists {self.operand}"


@dataclass(frozen=True)
class IsTrue:
    """An operand that stands alone: it is true, and not merely something."""

    operand: PathOperand | Constant
    level: ClassVar[int] = 3

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Whether it is JSON's true."""
        return self.operand.part(record, state) is True

    def __str__(self) -> str:
        return str(self.operand)


@dataclass(frozen=True)
class Comparison:
    """Two operands and a sign between them. Where one of them is absent, it is false."""

    left: Operand
    sign: str
    right: Operand
    level: ClassVar[int] = 3

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Whether the sign tells the truth of these two."""
        left, right = self.left.part(record, state), self.right.part(record, state)
        if left is ABSENT or right is ABSENT:
            return False
        return SIGNS[self.sign](_value(left), _value(right))

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


@dataclass(frozen=True)
class Matches:
    """A text in which a regular expression finds something."""

    operand: Operand
    pattern: re.Pattern[str]
    level: ClassVar[int] = 3

    def holds(self, record: Record | None, state: Session | None) -> bool:
        """Whether there is a text, and a match in it."""
        part = self.operand.part(record, state)
        text = time_text(part) if isinstance(part, datetime) else part
        return isinstance(text, str) and self.pattern.search(text, 0, MAX_SEARCHED) is not None

    def __str__(self) -> str:
        pattern = self.pattern.pattern
        # It was read from between quotes of one kind, which so do not stand bare in it.
        quote = "'" if re.search(r'(?<!\\)(\\\\)*"', pattern) else '"'
        return f"{self.operand} ~= {quote}{pattern}{quote}"


@lru_cache(maxsize=256)
def moment_of(text: str) -> datetime | None:
    """The moment that a text with an offset names, else None."""
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _value(part: Part) -> Value:
    return part if isinstance(part, datetime) else to_json(part)


def _equal(left: Value, right: Value) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, but true is not 1."""
    if isinstance(left, datetime) or isinstance(right, datetime):
        return _ordered(operator.eq, left, right)
    try:
        return _same(left, right)
    except RecursionError:
        return False  # nested deeper than any store takes


def _same(left: Json, right: Json) -> bool:
    match left, right:
        case dict(), dict():
            return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
        case list(), list():
            return len(left) == len(right) and all(map(_same, left, right))
        case _:
            return isinstance(left, bool) == isinstance(right, bool) and left == right


def _ordered(holds: Callable[..., bool], left: Value, right: Value) -> bool:
    """Whether two numbers, two texts or two moments stand so; what does not compare does not."""
    if isinstance(left, datetime) or isinstance(right, datetime):
        one, other = _moment(left), _moment(right)
        return one is not None and other is not None and holds(one, other)
    return _kind(left) is not None and _kind(left) is _kind(right) and holds(left, right)


def _moment(value: Value) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return moment_of(value) if isinstance(value, str) else None


def _kind(value: Value) -> type | None:
    if isinstance(value, str):
        return str
    return float if isinstance(value, int | float) and not isinstance(value, bool) else None


def _contains(value: Value, container: Value) -> bool:
    if isinstance(container, list):
        return any(_equal(value, each) for each in container)
    return isinstance(value, str) and isinstance(container, str | dict) and value in container


SIGNS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": lambda left, right: _ordered(operator.lt, left, right),
    "<=": lambda left, right: _ordered(operator.le, left, right),
    ">": lambda left, right: _ordered(operator.gt, left, right),
    ">=": lambda left, right: _ordered(operator.ge, left, right),
    "in": _contains,
}


def _text_in(outer: Condition, inner: Condition) -> str:
    return f"({inner})" if inner.level < outer.level else str(inner)


_WORD: Final = re.compile(r"[^\W\d][\w-]*")


def _step_text(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _WORD.fullmatch(step) else f"[{_quoted(step)}]"


def _quoted(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
