"""The threads of a store, kept folded: each look reads only what is new, each change is one batch."""

import contextlib
import functools
import random
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Final

from journal.adapters.ids import joined, parted, prefix
from journal.adapters.langgraph_thread import Thread, ThreadNamed, ThreadProjection
from journal.adapters.opened import Opened
from journal.errors import JournalWarning, VersionConflictError
from journal.store import StateStore
from projections.events import Change, SessionCreated
from projections.messages import utc_now

_FRAMEWORK: Final = "langgraph"


class Threads:
    """Hands out one thread at a time to one caller at a time."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._opened: Opened[Thread] = Opened(
            store, lambda session_id: ThreadProjection(functools.partial(store.records, session_id))
        )

    @contextlib.contextmanager
    def reading(self, thread_id: str) -> Iterator[Thread]:
        """The thread as it is now; one of which nothing is known where there is none."""
        with self._opened.session(session_id(thread_id)) as kept:
            yield kept.now() or Thread()

    def change(self, thread_id: str, user_id: str, decide: Callable[[Thread], list[Change]]) -> None:
        """Append what `decide` makes of the thread as it is; again where another writer was first."""
        pause = 0.0005
        while True:
            try:
                with self.reading(thread_id) as thread:
                    changes = decide(thread)
                    if changes and not thread.version:
                        changes = [*_beginning(thread_id, user_id), *changes]
                    if changes:
                        self._store.append(session_id(thread_id), changes, expected_version=thread.version)
                    return
            except VersionConflictError:
                time.sleep(random.uniform(0, pause))
                pause = min(pause * 2, 0.05)

    def fork(self, source_id: str, target_id: str) -> None:
        """Make a new thread with the history of another one."""
        self._store.fork(session_id(source_id), new_id=session_id(target_id))
        if (named := _name(target_id)) is not None:
            self.change(target_id, "", lambda thread: [named])

    def ids(self) -> Iterator[str]:
        """The ids of all threads."""
        for each in self._store.session_ids():
            if not each.startswith(prefix(_FRAMEWORK)):
                continue
            if (parts := parted(each)) is not None:
                yield "+".join(parts[1:])
                continue
            with self._opened.session(each) as kept:
                thread = kept.now() or Thread()
                thread_id = thread.thread_id or ""
            if session_id(thread_id) == each:
                yield thread_id
            else:
                message = f"session {each!r} is a fork whose thread id nobody noted: it is not listed"
                warnings.warn(message, JournalWarning, stacklevel=2)


@functools.lru_cache
def session_id(thread_id: str) -> str:
    """The id of a thread's session."""
    return joined(_FRAMEWORK, thread_id)


def _beginning(thread_id: str, user_id: str) -> list[Change]:
    created = SessionCreated(session_id=session_id(thread_id), user_id=user_id)
    named = _name(thread_id)
    return [Change(event=created, at=utc_now()), *([] if named is None else [named])]


def _name(thread_id: str) -> Change | None:
    """What tells the thread's id where the session's was too long to hold it."""
    if parted(session_id(thread_id)) is not None:
        return None
    return Change(event=ThreadNamed(thread_id=thread_id).event(), at=utc_now())
