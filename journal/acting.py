"""Acting: who writes through a store and what for, said once for all that happens inside a `with`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import NamedTuple

from journal.record import check_texts


class Act(NamedTuple):
    """Who writes, and the id of the record that led to it."""

    by: str | None
    cause: str | None


class Acting:
    """What holds for one store: its own actor, until a `with` in this thread or task says otherwise."""

    def __init__(self, actor: str | None) -> None:
        self.usual = Act(actor, None)

    def now(self) -> Act:
        """What holds here and now. Each save asks."""
        return _acts.get().get(self, self.usual)

    @contextmanager
    def as_(self, by: str | None, cause: str | None) -> Iterator[None]:
        """Let this hold inside the `with`; None leaves what holds around it. Raises InvalidEventError."""
        check_texts(by=by, cause=cause)
        around = self.now()
        act = Act(by or around.by, cause or around.cause)
        token = _acts.set({**_acts.get(), self: act})
        try:
            yield
        finally:
            _acts.reset(token)


# One for all stores: contexts keep every variable that was ever set in them. Its values are never changed.
_acts: ContextVar[Mapping[Acting, Act]] = ContextVar("journal_acts", default=MappingProxyType({}))
