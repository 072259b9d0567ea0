"""The folder of a replica: private, and gone with its process, however that ends."""

import contextlib
import os
import shutil
import tempfile
import time
import weakref
from typing import Final

from journal.disk import LOCK_EX, LOCK_NB
from journal.replica.files import PLAIN

_PREFIX: Final = "session-journal-"
_LOCK: Final = "in-use"
# A folder that is younger may not have been locked yet by whoever makes it.
_YOUNG_SECONDS: Final = 60.0


class ReplicaFolder:
    """A new folder. It is removed by `remove`, else when the program ends, else by the next one of this user.

    path  where the replica is, below it. Raises OSError where none can be made
    """

    def __init__(self) -> None:
        _remove_stale()
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        self.path, lock = os.path.join(folder, "store"), -1
        try:
            # Held as long as the process lives: whoever can take it knows that it does not.
            lock = PLAIN.open(os.path.join(folder, _LOCK), write=True, create=True)
            PLAIN.flock(lock, LOCK_EX)
            PLAIN.make_folder(self.path)
        except BaseException:
            _remove(folder, lock, os.getpid())
            raise
        self._finalizer = weakref.finalize(self, _remove, folder, lock, os.getpid())

    def remove(self) -> None:
        """Remove it; twice does no harm."""
        self._finalizer()


def _remove(folder: str, lock: int, process: int) -> None:
    if os.getpid() == process:  # and not one that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _remove_stale() -> None:
    """Remove what programs left that were killed: what they had looked at must not lie about."""
    try:
        found = list(PLAIN.entries(tempfile.gettempdir()))
    except PermissionError:
        return  # one may make a folder there, and not see those of others
    for entry in found:
        status = entry.status
        if not entry.name.startswith(_PREFIX) or status.st_uid != os.getuid():
            continue
        if status.st_mtime > time.time() - _YOUNG_SECONDS:
            continue
        try:
            lock = PLAIN.open(os.path.join(entry.path, _LOCK), write=True)
        except OSError:
            continue  # it is being made, or removed, this moment
        with contextlib.suppress(OSError):  # somebody works in it
            PLAIN.flock(lock, LOCK_EX | LOCK_NB)
            shutil.rmtree(entry.path, ignore_errors=True)
        os.close(lock)
