"""The simulated disk: the engine's system calls, on a volume in memory. Nothing reaches the real one.

One for each process that is simulated; those of one volume see each other's files and locks. It can be told
to fail a call, to run out of room, and to kill its process.
"""

import errno
import fcntl
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from crash.simulated_volume import (
    Cut,
    Dropped,
    File,
    Folder,
    Made,
    Operation,
    Removed,
    Renamed,
    Synced,
    SyncFailed,
    Volume,
    Written,
    parts,
)
from journal.disk import Disk, Entry
from journal.errors import UnsafePathError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

# Where simulated stores are: below something that is no folder, so that no real call could go through.
BASE: Final = "/dev/null"
# No real descriptor is that high: one that gets to a real call is refused there.
_FIRST_FD: Final = 1 << 30
_PLAIN: Final = "is no plain file but a folder, a pipe, a socket or a device"
_BELOW_A_FILE: Final = "lies below something that is no folder"

_processes = itertools.count(1)


class Killed(BaseException):
    """The process was killed: no `except Exception` of it runs on, and no call of it does anything."""


class Endless(BaseException):
    """The process makes call after call and comes to no end."""


class _Open:
    __slots__ = ("file", "writable")

    def __init__(self, file: File, writable: bool) -> None:
        self.file, self.writable = file, writable


class SimulatedDisk(Disk):
    """The system calls of one process.

    watch  called before every call with its name: another process may be given its turn there
    wait   called where the call must wait for a lock of another process; unless given, that is an error
    room   how many bytes can still be written, on this volume; None: as many as one likes
    """

    def __init__(self, volume: Volume, *, most_calls: int = 100_000) -> None:
        super().__init__()
        super().__init__()
        self.volume = volume
        self.process = next(_processes)
        self.watch: Callable[[str], None] | None = None
        self.wait: Callable[[], None] | None = None
        self.room: int | None = None
        self.calls = self.operations = 0
        self.is_dead = False
        self._most_calls = most_calls
        self._open: dict[int, _Open] = {}
        self._folders: dict[str, Folder] = {}  # by path: no folder ever goes
        self._fds = itertools.count(_FIRST_FD)
        self._failures: dict[tuple[str, int], int] = {}
        self._counts: Counter[str] = Counter()
        self._stop: tuple[int, int] | None = None

    # What may go wrong

    def fail(self, call: str, nth: int, number: int) -> None:
        """Let the n-th call of a kind from now on (1 is the next) fail with an errno."""
        self._failures[call, self._counts[call] + nth] = number

    def kill_at(self, operation: int, *, written: int = 0) -> None:
        """Kill the process instead of its n-th operation from now on (0 is the next).

        Where that is a write, so many bytes of it were written.
        """
        self._stop = self.operations + operation, written

    def kill(self) -> None:
        """The process is gone: its locks and its files are let go of."""
        self.is_dead = True
        for inode in [opened.file.inode for opened in self._open.values()]:
            holders = self.volume.locks.get(inode, {})
            for holder in [each for each in holders if each[0] == self.process]:
                del holders[holder]
        self._open.clear()

    def _call(self, name: str) -> None:
        if self.is_dead:
            raise Killed
        self.calls += 1
        if self.calls > self._most_calls:
            raise Endless(f"{self.calls - 1:,} calls, the last one {name}")
        if self.watch is not None:
            self.watch(name)
            if self.is_dead:
                raise Killed
        if self._failures:
            self._counts[name] += 1
            number = self._failures.pop((name, self._counts[name]), None)
            if number is not None:
                raise _error(number, name)

    def _do(self, operation: Operation) -> None:
        if self._stop is not None and self.operations == self._stop[0]:
            if isinstance(operation, Written) and self._stop[1]:
                self.volume.do(operation._replace(data=operation.data[: self._stop[1]]))
            self.kill()
            raise Killed
        self.operations += 1
        self.volume.do(operation)

    # Files

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        self._call("open")
        try:
            folder, name = self._folder_of(path)
        except NotADirectoryError as error:
            raise UnsafePathError(path, _BELOW_A_FILE) from error
        inode = folder.names.get(name)
        if inode is None:
            if not create:
                raise _error(errno.ENOENT, path)
            inode = self.volume.next_inode
            self._do(Made(folder.inode, name, inode))
        elif exclusive:
            raise _error(errno.EEXIST, path)
        file = self.volume.nodes[inode]
        if isinstance(file, Folder):
            raise UnsafePathError(path, _PLAIN)
        fd = next(self._fds)
        self._open[fd] = _Open(file, write)
        return fd

    def close(self, fd: int) -> None:
        self._call("close")
        file = self._opened(fd).file
        del self._open[fd]
        self._unlock(file.inode, fd)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self._call("read")
        return self._opened(fd).file.data[offset : offset + size]

    def seek(self, fd: int, offset: int, whence: int) -> int:
        """Only the end is ever asked for: what is written goes there, and reads say where."""
        self._call("seek")
        assert (offset, whence) == (0, os.SEEK_END), "the engine does not need a file's position"
        return len(self._opened(fd).file.data)

    def write(self, fd: int, data: "Buffer") -> int:
        self._call("write")
        opened = self._opened(fd)
        if not opened.writable:
            raise _error(errno.EBADF, str(fd))
        return self._write(opened.file, len(opened.file.data), bytes(data))

    def _write(self, file: File, offset: int, data: bytes) -> int:
        if self.room is not None and data:
            data = data[: self.room]
            self.room -= len(data)
            if not data:
                raise _error(errno.ENOSPC, "write")
        if data:
            self._do(Written(file.inode, offset, data))
        return len(data)

    def overwrite(self, path: str, data: bytes) -> None:
        self._call("overwrite")
        folder, name = self._folder_of(path)
        inode = folder.names.get(name)
        if inode is None:
            raise _error(errno.ENOENT, path)
        file = self.volume.nodes[inode]
        if isinstance(file, Folder):
            raise UnsafePathError(path, _PLAIN)
        self._write(file, 0, data)

    def truncate(self, fd: int, size: int) -> None:
        self._call("truncate")
        opened = self._opened(fd)
        if not opened.writable:
            raise _error(errno.EINVAL, str(fd))
        freed = len(opened.file.data) - size
        self._do(Cut(opened.file.inode, size))
        self._free(freed)

    def sync(self, fd: int) -> None:  # type: ignore[override]
        file = self._opened(fd).file
        try:
            self._call("sync")
        except OSError:
            self.volume.do(SyncFailed(file.inode))
            raise
        self._do(Synced(file.inode))

    def drop_cache(self, fd: int) -> None:
        self._call("drop_cache")
        file = self._opened(fd).file
        if file.doubtful:
            self._do(Dropped(file.inode))

    def status_of(self, fd: int) -> os.stat_result:
        self._call("status_of")
        return _status(self._opened(fd).file)

    def flock(self, fd: int, operation: int) -> None:  # type: ignore[override]
        self._call("flock")
        inode = self._opened(fd).file.inode
        if operation & fcntl.LOCK_UN:
            self._unlock(inode, fd)
            return
        me = self.process, fd
        how = operation & (fcntl.LOCK_EX | fcntl.LOCK_SH)
        while any(
            fcntl.LOCK_EX in (how, held)
            for holder, held in self.volume.locks.get(inode, {}).items()
            if holder != me
        ):
            if operation & fcntl.LOCK_NB:
                raise _error(errno.EWOULDBLOCK, str(fd))
            assert self.wait is not None, "this waits for ever: nobody is there to release the lock"
            self.wait()
            if self.is_dead:
                raise Killed
        self.volume.locks.setdefault(inode, {})[me] = how

    def _unlock(self, inode: int, fd: int) -> None:
        self.volume.locks.get(inode, {}).pop((self.process, fd), None)

    # Names

    def unlink(self, path: str) -> None:  # type: ignore[override]
        self._call("unlink")
        folder, name = self._folder_of(path)
        inode = folder.names.get(name)
        if inode is None:
            raise _error(errno.ENOENT, path)
        node = self.volume.nodes[inode]
        if isinstance(node, Folder):
            raise _error(errno.EISDIR, path)
        self._do(Removed(folder.inode, name))
        self._free(len(node.data))

    def rename(self, path: str, to: str) -> None:  # type: ignore[override]
        self._call("rename")
        folder, name = self._folder_of(path)
        new_folder, new_name = self._folder_of(to)
        if name not in folder.names:
            raise _error(errno.ENOENT, path)
        if isinstance(self.volume.nodes[folder.names[name]], Folder):
            raise NotImplementedError("the engine renames no folders")
        there = self.volume.nodes.get(folder.names.get(new_name, 0))
        if isinstance(there, Folder):
            raise _error(errno.EISDIR, to)
        if (folder, name) == (new_folder, new_name):
            return
        self._do(Renamed(folder.inode, name, new_folder.inode, new_name))
        if there is not None:
            self._free(len(there.data))

    def make_folder(self, path: str) -> None:
        self._call("make_folder")
        folder, name = self._folder_of(path)
        if name in folder.names:
            raise _error(errno.EEXIST, path)
        self._do(Made(folder.inode, name, self.volume.next_inode, is_folder=True))

    def sync_folder(self, path: str) -> None:
        self._call("sync_folder")
        node = self._find(path)
        if not isinstance(node, Folder):
            raise _error(errno.ENOTDIR, path)
        self._do(Synced(node.inode))

    def entries(self, path: str) -> Iterator[Entry]:
        self._call("entries")
        try:
            folder = self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        if isinstance(folder, Folder):
            for name in list(folder.names):
                if name in folder.names:
                    yield Entry(name, f"{path}/{name}", _status(self.volume.nodes[folder.names[name]]))

    def lstat(self, path: str | bytes) -> os.stat_result:  # type: ignore[override]
        self._call("lstat")
        return _status(self._find(os.fsdecode(path)))

    def status(self, path: str) -> os.stat_result | None:
        try:
            return self.lstat(path)
        except FileNotFoundError:
            return None

    def mounts(self) -> str:
        return ""

    def may_write(self, path: str) -> bool:
        """No: the catalog, which is SQLite's, would be a real file. So it stays in memory."""
        return False

    # Helpers

    def _opened(self, fd: int) -> _Open:
        if self.is_dead:
            raise Killed
        try:
            return self._open[fd]
        except KeyError:
            raise _error(errno.EBADF, str(fd)) from None

    def _find(self, path: str) -> File | Folder:
        if path.strip("/"):
            folder, name = self._folder_of(path)
            if name not in folder.names:
                raise _error(errno.ENOENT, path)
            return self.volume.nodes[folder.names[name]]
        return self.volume.root

    def _folder_of(self, path: str) -> tuple[Folder, str]:
        """The folder that holds a path, and the name there."""
        above, _, name = path.rpartition("/")
        folder = self._folders.get(above)
        if folder is None:
            node: File | Folder = self.volume.root
            for part in parts(above):
                inode = node.names.get(part) if isinstance(node, Folder) else None
                if inode is None:
                    raise _error(errno.ENOENT if isinstance(node, Folder) else errno.ENOTDIR, path)
                node = self.volume.nodes[inode]
            if not isinstance(node, Folder):
                raise _error(errno.ENOTDIR, path)
            folder = self._folders[above] = node
        return folder, name

    def _free(self, size: int) -> None:
        if self.room is not None:
            self.room += max(size, 0)


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)


def _status(node: File | Folder) -> os.stat_result:
    if isinstance(node, File):
        size, links = len(node.data), node.links
    else:
        size, links = 0, 2
    ns = node.mtime_ns
    s = ns // 1_000_000_000
    times = ns / 1e9, ns / 1e9, ns / 1e9, ns, ns, ns
    return os.stat_result((node.mode, node.inode, 1, links, 0, 0, size, s, s, s, *times))
