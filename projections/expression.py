"""Expressions: conditions as a person writes them, `event.type = "tool_returned" and event.is_error`."""

import re
from difflib import get_close_matches
from typing import Final, Literal, NoReturn

from projections.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Constant,
    Count,
    Exists,
    IsTrue,
    Matches,
    Not,
    Operand,
    PathOperand,
    moment_of,
)
from projections.events import Record
from projections.paths import EVENT_FIELDS, FIELDS, Step
from projections.scanner import CONSTANTS, MAX_SHOWN, WORD, ExpressionError, Scanner
from projections.session import Session

__all__ = ["Expression", "ExpressionError", "parse_expression"]


class Expression:
    """A condition on a record and on the session as that left it.

    uses_event  whether it asks for the record; else that may be None
    uses_state  whether it asks for the session; else that may be None, and need not be folded
    """

    __slots__ = ("_condition", "uses_event", "uses_state")

    def __init__(self, condition: Condition, *, uses_event: bool, uses_state: bool) -> None:
        self._condition = condition
        self.uses_event = uses_event
        self.uses_state = uses_state

    def matches(self, record: Record | None, state: Session | None) -> bool:
        """Whether it is true. Values that do not compare make it false, never an error.

        A pattern is Python's and may take very long, if it was made to. Raises TypeError if what the
        expression uses is None.
        """
        return self._condition.holds(record, state)

    def __str__(self) -> str:
        """An expression of the same meaning."""
        return str(self._condition)

    def __repr__(self) -> str:
        return f"<Expression {self}>"


def parse_expression(text: str) -> Expression:
    """The expression that a text stands for. Grammar: docs/reference/expressions.md.

    Raises ExpressionError, a ValueError that shows where it fails and says what was expected there.
    """
    return _Parser(text).expression()


_SIGN: Final = re.compile(r"~=|!=|<=|>=|==|[=<>]|(?:not\s+)?in(?![\w-])")
_ANYTHING: Final = re.compile(".", re.DOTALL)
_KEYWORDS: Final = ("and", "or", "not", "in", "exists")
# What other languages write.
_FOREIGN_SIGN: Final = re.compile(r"&&|\|\||!(?!=)|===|=~|<>")
_FOREIGN: Final = (
    {"&&": "and", "||": "or", "!": "not", "===": "=", "=~": "~=", "<>": "!="}
    | {"is": "=", "contains": "in", "matches": "~=", "like": "~=", "none": "null", "nil": "null"}
    | {each: each for each in (*_KEYWORDS, *CONSTANTS)}
    | dict.fromkeys(("len", "length", "size"), "count(…)")
)
_TIMES: Final = ("at", "timestamp", "created_at", "updated_at")


class _Parser(Scanner):
    """From what binds loosest to what binds tightest: or, and, not, a comparison."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._roots: set[str] = set()

    def expression(self) -> Expression:
        condition = self._any_of()
        if self.peek(_ANYTHING):
            self._check_signs()
            self.fail_for("'and', 'or' or the end")
        return Expression(condition, uses_event="event" in self._roots, uses_state="state" in self._roots)

    def _any_of(self) -> Condition:
        conditions = [self._all_of()]
        while self.word("or"):
            conditions.append(self._all_of())
        return AnyOf(tuple(conditions)) if len(conditions) > 1 else conditions[0]

    def _all_of(self) -> Condition:
        conditions = [self._one()]
        while self.word("and"):
            conditions.append(self._one())
        return AllOf(tuple(conditions)) if len(conditions) > 1 else conditions[0]

    def _one(self) -> Condition:
        self._check_signs()
        if self.word("not"):
            with self.nested():
                return Not(self._one())
        if self.word("exists"):
            return self._exists()
        if self.sign("("):
            with self.nested():
                condition = self._any_of()
            self.close(")")
            problem = "what stands in parentheses is true or false; it does not compare"
        else:
            condition = self._comparison()
            problem = "comparisons do not chain; join two of them with 'and'"
        self._check_signs()
        if self.peek(_SIGN):
            self.fail(problem)
        return condition

    def _exists(self) -> Condition:
        if not self.sign("("):
            return Exists(self._path())
        path = self._path()
        self.close(")")
        return Exists(path)

    def _comparison(self) -> Condition:
        start = self.skip()
        left = self._operand()
        self._check_signs()
        sign = " ".join((self.take(_SIGN) or "").split())
        if not sign:
            if isinstance(left, PathOperand) or (isinstance(left, Constant) and isinstance(left.value, bool)):
                return IsTrue(left)
            self.fail_for("a comparison (= != < <= > >= ~= in)")
        if sign == "~=":
            return Matches(left, self.pattern())
        middle = self.skip()
        right = self._operand()
        if sign == "not in":
            return Not(Comparison(left, "in", right))
        if sign == "in":
            return Comparison(left, "in", right)
        left, right = self._timed(left, right, start), self._timed(right, left, middle)
        return Comparison(left, "=" if sign == "==" else sign, right)

    def _timed(self, operand: Operand, other: Operand, position: int) -> Operand:
        """A text that is compared with what is a time in every session: a moment, or a mistake."""
        if not (isinstance(operand, Constant) and isinstance(operand.value, str) and _is_time(other)):
            return operand
        if (moment := moment_of(operand.value)) is None:
            self.fail(f'{other} is a time; write one with its offset, "2026-11-22T12:00Z"', position)
        return Constant(moment)

    def _operand(self) -> Operand:
        word = self.peek(WORD)
        if word is None or word[0] in CONSTANTS:
            return Constant(self.constant())
        if word[0] in ("event", "state"):
            return self._path()
        if word[0] != "count":
            self._unknown(word)
        self.word("count")
        self.close("(")
        path = self._path()
        self.close(")")
        return Count(path)

    def _path(self) -> PathOperand:
        word = self.peek(WORD)
        if word is None:
            self.fail_for("a path, event.… or state.…")
        if word[0] not in ("event", "state"):
            self._unknown(word)
        root: Literal["event", "state"] = "event" if word[0] == "event" else "state"
        self.word(root)
        self._roots.add(root)
        path = [self._field(root)]
        while (step := self.step()) is not None:
            path.append(step)
        return PathOperand(root, tuple(path))

    def _field(self, root: str) -> Step:
        """A path's first step: a field that there is. In brackets, any that a newer version may write."""
        start = self._position
        name = self.step()
        if name is None:
            self.fail_for(f"a field behind it, {root}.{'type' if root == 'event' else 'metadata'}")
        fields = sorted(EVENT_FIELDS) if root == "event" else FIELDS
        is_free = root == "event" and isinstance(name, str) and self._text[start] == "["
        if name not in fields and not is_free:
            name = str(name)[:MAX_SHOWN]
            close = get_close_matches(name, fields, n=1)
            some = "type, seq, at, by, content, name …" if root == "event" else ", ".join(fields)
            hint = f"did you mean {root}.{close[0]}?" if close else f"its fields are {some}"
            self.fail(f"there is no {root}.{name}; {hint}", start + 1)
        return name

    def _check_signs(self) -> None:
        if found := self.peek(_FOREIGN_SIGN):
            self.fail(f"write {_FOREIGN[found[0]]!r} for {found[0]!r}")

    def _unknown(self, found: re.Match[str]) -> NoReturn:
        """Say what a word might have been meant to be that stands where a path or a value should."""
        word = found[0][:MAX_SHOWN]
        lower = word.lower()
        if word in (*_KEYWORDS, "count"):
            self.fail_for("a path or a value")
        if lower in _FOREIGN:
            self.fail(f"write {_FOREIGN[lower]!r} for {word!r}")
        if self._text[found.end() : found.end() + 1] in (".", "["):
            close = get_close_matches(lower, ("event", "state"), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "a path begins with 'event' or 'state'"
            self.fail(f"there is no {word!r}; {hint}")
        if lower in FIELDS or lower in EVENT_FIELDS:
            root = "state" if lower in FIELDS else "event"
            self.fail(f"{word!r} is no value; did you mean {root}.{lower}?")
        self.fail(f'{word!r} is no value; a text stands in quotes, "{word}"')


def _is_time(operand: Operand) -> bool:
    match operand:
        case PathOperand(root="event", path=(name,)):
            return name in _TIMES
        case PathOperand(root="state", path=(name, *rest)):
            return name != "metadata" and (rest or [name])[-1] in _TIMES
        case _:
            return False
