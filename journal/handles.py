"""The sessions that a store touched last, held open within bounds."""

import threading
from collections import OrderedDict
from types import TracebackType
from typing import Final

from journal import disk as disks
from journal.errors import JournalClosedError
from journal.handle import Handle, Setting

MAX_OPEN: Final = 128
# A folded state takes about as much memory as its journal takes disk.
MAX_BYTES: Final = 256 * 1024 * 1024


class Handles:
    """Lends out the one handle of each session. What is in use stays open; of the rest, the oldest go."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._mutex = threading.Lock()
        self._handles: OrderedDict[str, Handle] = OrderedDict()
        self._is_closed = False
        self._fork_generation = disks.fork_generation

    def of(self, session_id: str) -> "_Use":
        """`with handles.of(id) as handle:`. Raises JournalClosedError, InvalidNameError."""
        return _Use(self, session_id, keep=True)

    def glance(self, session_id: str) -> "_Use":
        """As `of`, for a look in passing: a session that was not open is not kept open."""
        return _Use(self, session_id, keep=False)

    def open_ones(self) -> list[Handle]:
        """Every handle that is open now."""
        with self._mutex:
            return list(self._handles.values())

    def drop(self, session_id: str) -> None:
        """Forget a session; its file closes as soon as nobody uses it."""
        with self._mutex:
            handle = self._handles.pop(session_id, None)
            if handle is not None and handle.users == 0:
                handle.close()

    def close(self) -> None:
        """Close every file. Whoever asks for a handle afterwards gets JournalClosedError."""
        with self._mutex:
            self._is_closed = True
            handles = list(self._handles.values())
            self._handles.clear()
        for handle in handles:
            handle.close()

    def check_usable(self) -> None:
        """Raise JournalClosedError if the store was closed, or opened before the process forked."""
        if self._is_closed:
            raise JournalClosedError("this store is closed")
        if self._fork_generation != disks.fork_generation:
            raise JournalClosedError("this store was opened before the process forked")

    def _take(self, session_id: str, *, keep: bool) -> Handle:
        self.check_usable()
        with self._mutex:
            handle = self._handles.get(session_id)
            if handle is not None and not handle.log.is_dead:
                self._handles.move_to_end(session_id)
                handle.users += 1
                return handle
            handle = Handle(self._setting, session_id)
            handle.users += 1
            if keep:
                self._handles[session_id] = handle
                self._handles.move_to_end(session_id)
                self._make_room()
            return handle

    def _give_back(self, handle: Handle) -> None:
        with self._mutex:
            handle.users -= 1
            if handle.users == 0 and self._handles.get(handle.session_id) is not handle:
                handle.close()

    def _make_room(self) -> None:
        excess = len(self._handles) - MAX_OPEN
        held_bytes = sum(handle.log.position.offset for handle in self._handles.values())
        for session_id, handle in list(self._handles.items()):
            if excess <= 0 and held_bytes <= MAX_BYTES:
                return
            if handle.users == 0:
                handle.close()
                del self._handles[session_id]
                excess -= 1
                held_bytes -= handle.log.position.offset


class _Use:
    __slots__ = ("_handle", "_handles", "_keep", "_session_id")

    def __init__(self, handles: Handles, session_id: str, *, keep: bool) -> None:
        self._handles, self._session_id, self._keep = handles, session_id, keep

    def __enter__(self) -> Handle:
        self._handle = self._handles._take(self._session_id, keep=self._keep)
        return self._handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handles._give_back(self._handle)
