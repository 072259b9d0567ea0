"""The sessions that a store touched last, held open within bounds."""

import threading
from collections import OrderedDict
from typing import Final

from journal import disk as disks
from journal.errors import JournalClosedError
from journal.folded import Setting
from journal.handle import Handle
from journal.names import check_session_id

MAX_OPEN: Final = 128
# A folded state takes about as much memory as its journal takes disk.
MAX_BYTES: Final = 256 * 1024 * 1024


class Handles:
    """Hands out the handle of each session, one for all threads.

    The least recently used ones are retired: whoever still works with one may finish, and then it closes.
    Two handles of one session do no harm; they meet in the file's lock, as two processes do.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._mutex = threading.Lock()
        self._handles: OrderedDict[str, Handle] = OrderedDict()
        self._is_closed = False
        self._fork_generation = disks.fork_generation

    def of(self, session_id: str) -> Handle:
        """The handle of a session. Raises JournalClosedError, InvalidNameError."""
        try:
            handle = self._handles[session_id]
            self._handles.move_to_end(session_id)
        except (KeyError, TypeError):  # not open, retired this very moment, or no id at all
            return self._open(session_id)
        return self._open(session_id) if handle.log.is_dead else handle

    def glance(self, session_id: str) -> Handle:
        """As `of`, for a look in passing: a session that was not open is not kept open."""
        check_session_id(session_id)
        self.check_usable()
        handle = self._handles.get(session_id)
        if handle is None or handle.log.is_dead:
            handle = Handle(self._setting, session_id)
            handle.retire()
        return handle

    def open_ones(self) -> list[Handle]:
        """Every handle that is open now."""
        with self._mutex:
            return list(self._handles.values())

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def is_leaked(self) -> bool:
        """Whether files are open that this process opened and nobody closed."""
        return bool(self._handles) and not self._is_closed and self._fork_generation == disks.fork_generation

    def close(self) -> None:
        """Close every file. Whoever asks for a handle afterwards gets JournalClosedError."""
        with self._mutex:
            self._is_closed = True
            handles = list(self._handles.values())
            self._handles.clear()
        for handle in handles:
            handle.retire()

    def check_usable(self) -> None:
        """Raise JournalClosedError if the store was closed, or opened before the process forked."""
        if self._is_closed:
            raise JournalClosedError("this store is closed")
        if self._fork_generation != disks.fork_generation:
            raise JournalClosedError("this store was opened before the process forked")

    def _open(self, session_id: str) -> Handle:
        check_session_id(session_id)
        with self._mutex:
            self.check_usable()
            handle = self._handles.get(session_id)
            if handle is None or handle.log.is_dead:
                if handle is not None:
                    handle.retire()
                handle = self._handles[session_id] = Handle(self._setting, session_id)
                self._handles.move_to_end(session_id)
                self._make_room()
            return handle

    def _make_room(self) -> None:
        # A copy: `of` moves handles about without the mutex.
        held_bytes = sum(handle.log.offset for handle in list(self._handles.values()))
        while len(self._handles) > MAX_OPEN or (held_bytes > MAX_BYTES and len(self._handles) > 1):
            _, oldest = self._handles.popitem(last=False)
            held_bytes -= oldest.log.offset
            oldest.retire()
