"""Projection: what to make of a history; and fold, which makes it."""

import copy
from collections.abc import Iterable
from typing import Protocol, TypeVar

from projections.events import Record

State = TypeVar("State")


class Projection(Protocol[State]):
    """A fold and its state. Pure: `apply` reads no clock, no file, no network.

    name     what it is called, for snapshots and messages
    version  raise it when `initial` or `apply` changes its meaning
    """

    @property
    def name(self) -> str:
        """What the projection is called."""
        ...

    @property
    def version(self) -> int:
        """Which meaning of it this is."""
        ...

    def initial(self) -> State:
        """The state before the first record."""
        ...

    def apply(self, state: State, record: Record) -> State:
        """The state after one more record: `state` itself, changed, or a new one."""
        ...


def fold(records: Iterable[Record], projection: Projection[State], *, start: State | None = None) -> State:
    """Apply all records in order and return the state. `start` is left as it is."""
    state = projection.initial() if start is None else copy.deepcopy(start)
    apply = projection.apply
    for record in records:
        state = apply(state, record)
    return state
