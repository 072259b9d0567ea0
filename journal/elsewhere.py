"""What a store asks of a disk whose folder stands for a store elsewhere, see journal/replica.

A folder of this machine has the answers that stand here: nothing is elsewhere.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Self

from journal.news import Names

if TYPE_CHECKING:
    from journal.waiting import Lock


class Elsewhere:
    """All that is not a system call.

    name      of the store, where it is not the folder's
    promise   what is promised of what was acknowledged
    new_lock  makes locks that may be held over all of this
    settled   inside, what is here of the sessions counts as up to date: all were refreshed a moment ago
    """

    name = ""
    promise = ""
    new_lock: "Callable[[], Lock]" = staticmethod(threading.RLock)
    settled: "contextlib.AbstractContextManager[object]" = contextlib.nullcontext()
    pause = staticmethod(time.sleep)
    write: Any  # a system call

    def refresh(self, path: str) -> None:
        """Take in what others wrote to a file, a session, all sessions; with a `/` at its end, a folder."""

    def has_news(self, path: str) -> bool:
        """As `refresh`, of a session; whether there was anything."""
        return False

    def hear_all(self) -> None:
        """As `refresh` of all sessions; of those that nobody opened here, what `unopened` says will do."""

    def unopened_ids(self) -> Iterable[str]:
        """The sessions of which there is no file here yet."""
        return ()

    def unopened(self, session_id: str) -> bytes | None:
        """The journal of a session of which there is no file here yet; None of any other one."""
        return None

    def keeps(self, path: str, data: bytes) -> Callable[[], None] | None:
        """What puts a file anew, when there is a reason for it on record; None where a lock does as well.

        Who removes it may have looked before there was one.
        """
        return None

    def append(self, fd: int, data: bytes, end: int) -> int:
        """Write to the end of a journal, which is `end`. Raises Overtaken where it is not any more."""
        written: int = self.write(fd, data)
        return written

    def told(
        self, session_id: str | None, is_over: Callable[[], bool]
    ) -> Generator[Names | None, None, None] | None:
        """Who tells of changes of a session, or of all, as `watching.changes`; None where one must watch."""
        return None

    @property
    def unrefreshed(self) -> Self:
        """The same files as they are here, for who is told of changes."""
        return self

    def end(self) -> None:
        """Nobody needs it any more."""
