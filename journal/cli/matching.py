"""Which records of a session an expression is true of."""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from journal.store import StateStore
    from projections.events import Record
    from projections.expression import Expression
    from projections.session import Session


class ExpressionType(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic from click 8.4 on
    """An expression, as an option's value or an argument."""

    name = "expression"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Expression":
        """The expression; where it is none, an error that shows the place."""
        from projections.expression import Expression, ExpressionError, parse_expression

        if isinstance(value, Expression):
            return value
        try:
            return parse_expression(str(value))
        except ExpressionError as error:
            failure = click.UsageError(error.reason, ctx)
            failure.__notes__ = str(error).split("\n")[-2:]
            raise failure from None


def matching(
    store: "StateStore",
    session_id: str,
    records: "Iterable[Record]",
    expression: "Expression | None",
    keep: "Callable[[Record], bool]" = lambda record: True,
) -> "Iterator[Record]":
    """Those of a session's records, which follow each other, that are to be kept and of which it is true.

    The states are folded only if it asks for them, and only as far as the records are read.
    """
    if expression is None:
        yield from filter(keep, records)
    elif not expression.uses_state:
        yield from (record for record in records if keep(record) and expression.matches(record, None))
    else:
        for record, state in _with_states(store, session_id, records):
            if keep(record) and expression.matches(record, state):
                yield record


def _with_states(
    store: "StateStore", session_id: str, records: "Iterable[Record]"
) -> "Iterator[tuple[Record, Session]]":
    """Each record with the session as it left it; the next step changes that in place."""
    from projections.session import SessionProjection

    projection = SessionProjection()
    state: Session | None = None
    for record in records:
        if state is None:
            state = _state_before(store, session_id, record.seq)
        state = projection.apply(state, record)
        yield record, state


def _state_before(store: "StateStore", session_id: str, seq: int) -> "Session":
    from projections.projection import fold
    from projections.session import SessionProjection

    earlier = takewhile(lambda record: record.seq < seq, store.records(session_id))
    return fold(earlier, SessionProjection())
