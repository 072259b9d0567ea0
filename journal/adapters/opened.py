"""The sessions that an adapter used last, kept up to date, and each for one thread at a time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from journal.kept import Kept
from journal.store import StateStore
from projections.projection import Projection

State = TypeVar("State")
T = TypeVar("T")

# As many as the store holds open itself; each is about as large as its journal.
MAX_OPEN: Final = 128


class Opened(Generic[State]):
    """A projection of each of many sessions; each look at one of them reads only what is new.

    projection_of  the projection of a session, by its id
    """

    def __init__(self, store: StateStore, projection_of: Callable[[str], Projection[State]]) -> None:
        self._store, self._projection_of = store, projection_of
        self._mutex = threading.Lock()
        self._open: OrderedDict[str, tuple[Kept[State], threading.RLock]] = OrderedDict()

    @contextmanager
    def session(self, session_id: str) -> Iterator[Kept[State]]:
        """Inside the `with` no other thread uses the session through this object: its state stands still."""
        with self._mutex:
            if session_id not in self._open:
                kept = self._store.keep(self._projection_of(session_id), session_id)
                self._open[session_id] = kept, threading.RLock()
                if len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(session_id)
            kept, lock = self._open[session_id]
        with lock:
            yield kept

    def look(self, session_id: str, question: Callable[[State], T]) -> T | None:
        """What `question` makes of a session's state; None if it is not there.

        One that was not open does not stay open: for a look at many of them.
        """
        with self._mutex:
            is_open = session_id in self._open
        if not is_open:
            state = self._store.project(self._projection_of(session_id), session_id)
            return None if state is None else question(state)
        with self.session(session_id) as kept:
            state = kept.now()
            return None if state is None else question(state)
