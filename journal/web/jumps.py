"""Jumps: to the next record of a kind, to the first of which an expression is true."""

from collections.abc import Callable

from journal.web.answers import bad_input
from journal.web.columns import NONE, Columns
from journal.web.past import Past
from projections.expression import parse_expression


def next_record(past: Past, seq: int, direction: int, by: str) -> int | None:
    """The next record, or the one before: a user's message, an error, one of the same type, or of a type.

    `by`: "turn", "error", "same" or "type:NAME". Raises Problem for anything else.
    """
    is_wanted, last = _wanted(past.columns, seq, by), past.version
    indices = range(max(seq, 0), last) if direction > 0 else range(min(seq - 2, last - 1), -1, -1)
    return next((index + 1 for index in indices if is_wanted(index)), None)


def _wanted(columns: Columns, seq: int, by: str) -> Callable[[int], bool]:
    """Whether the record at an index is one to stop at."""
    kinds, errors, turns = columns.kinds, columns.errors, columns.turns
    if by == "error":
        return lambda index: errors[index] == 1
    if by == "turn":
        return lambda index: turns[index] > (turns[index - 1] if index else 0)
    if by == "same":
        kind = kinds[seq - 1] if 1 <= seq <= len(columns) else NONE
        return lambda index: kinds[index] == kind
    if by.startswith("type:"):
        kind = columns.known(by.removeprefix("type:"))
        return lambda index: kinds[index] == kind
    raise bad_input(f"`by` is turn, error, same or type:NAME, not {by!r:.100}")


def first_true(past: Past, text: str) -> int | None:
    """The first version of which an expression is true. Raises ExpressionError."""
    expression = parse_expression(text)
    if expression.uses_state:
        return next((record.seq for record, state in past.steps() if expression.matches(record, state)), None)
    return next((record.seq for record in past.records if expression.matches(record, None)), None)
