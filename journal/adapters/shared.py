"""What was read of a session, for all objects that stand for it: a server makes one for each request."""

import threading
from collections import OrderedDict
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from journal.aio import AsyncKept, AsyncStateStore
from journal.kept import Kept
from projections.projection import Projection

State = TypeVar("State")

_mutex: Final = threading.Lock()
# Of each store, the sessions that were used last.
MOST_KEPT: Final = 64
_kept: WeakKeyDictionary[AsyncStateStore, OrderedDict[tuple[str, str], Kept[Any]]] = WeakKeyDictionary()


def kept(store: AsyncStateStore, projection: Projection[State], session_id: str) -> AsyncKept[State]:
    """As `store.keep`: the same one for the same store, name of a projection, and session."""
    with _mutex:
        # The store must not be reachable from what is kept for it, or nobody could let go of it.
        known = _kept.setdefault(store, OrderedDict())
        name = projection.name, session_id
        found = known.get(name) or store._store.keep(projection, session_id)
        known[name] = found
        known.move_to_end(name)
        while len(known) > MOST_KEPT:
            known.popitem(last=False)
    return AsyncKept(found, store._in_thread)
