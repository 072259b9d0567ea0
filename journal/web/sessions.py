"""The sessions that were looked at last, kept up to date; of the others nothing stays in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from journal.errors import JournalError, SessionNotFoundError
from journal.store import StateStore
from journal.web.past import Past, Replaced

T = TypeVar("T")

# A past takes about as much memory as its journal takes disk, or less.
_MOST: Final = 16
_MOST_BYTES: Final = 128 * 1024 * 1024
_LEAST: Final = 2  # for whoever compares two
_TRIES: Final = 20


class Sessions:
    """The pasts of one store's sessions, for all threads."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._recent: OrderedDict[str, Past] = OrderedDict()
        # Whoever follows a session holds its past: it stays that one, however many others are looked at.
        self._known: WeakValueDictionary[str, Past] = WeakValueDictionary()

    def ask(self, session_id: str, question: Callable[[Past], T], *, until: int | None = None) -> T:
        """What `question` makes of a session's past: as it is now, or read until a record is there.

        Asked again where the file is replaced meanwhile. Raises SessionNotFoundError, InvalidNameError, and
        what `question` raises.
        """
        for _ in range(_TRIES):
            past = self.past(session_id, until=until)
            try:
                return question(past)
            except Replaced:
                past.is_void = True
        raise JournalError(f"session {session_id!r} is replaced again and again; try it when that is over")

    def past(self, session_id: str, *, until: int | None = None) -> Past:
        """The past of a session. Raises SessionNotFoundError, InvalidNameError."""
        for _ in range(_TRIES):
            past = self._of(session_id)
            try:
                if past.catch_up(until):
                    return past
            except JournalError:
                self._forget(session_id, past)
                raise
        raise SessionNotFoundError(session_id, "it is replaced again and again")

    def _of(self, session_id: str) -> Past:
        with self._mutex:
            past = self._known.get(session_id)
            if past is None or past.is_void:
                store = self._store

                def adopting() -> str | None:
                    return store._handles.glance(session_id).adopting()

                past = Past(store._disk, store._layout, session_id, adopting)
                self._known[session_id] = past
            self._recent[session_id] = past
            self._recent.move_to_end(session_id)
            held = sum(each.size_bytes for each in self._recent.values())
            while len(self._recent) > _MOST or (held > _MOST_BYTES and len(self._recent) > _LEAST):
                _, oldest = self._recent.popitem(last=False)
                held -= oldest.size_bytes
            return past

    def _forget(self, session_id: str, past: Past) -> None:
        with self._mutex:
            if self._recent.get(session_id) is past:
                del self._recent[session_id]
            past.is_void = True
