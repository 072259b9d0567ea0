"""The only door to the operating system: open, lock, read, write, sync, rename, list."""

import contextlib
import mmap
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # pragma: no cover
    raise ImportError(
        "session-journal needs POSIX file locks (Linux or macOS); this system has none"
    ) from None

LOCK_EX, LOCK_SH, LOCK_UN = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN
CHUNK_BYTES = 1 << 18
FILE_MODE = 0o600
FOLDER_MODE = 0o700
TEMPORARY_ENDING = ".tmp"
# Nobody writes a temporary file for that long: what is older was left by a crash.
STALE_AFTER_SECONDS = 3600.0

# Counts the forks that led to this process; a handle opened before the last one must not write.
fork_generation = 0


def _note_fork() -> None:
    global fork_generation
    fork_generation += 1


os.register_at_fork(after_in_child=_note_fork)


class Entry(NamedTuple):
    """A name in a folder, with the path and the status of what it leads to; symlinks are not followed."""

    name: str
    path: str
    status: os.stat_result


class Disk:
    """What the engine asks of an operating system, one method a system call. Tests put a simulated one in."""

    read = staticmethod(os.pread)
    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)
    unlink = staticmethod(os.unlink)
    rename = staticmethod(os.rename)
    status_of = staticmethod(os.fstat)
    lstat = staticmethod(os.lstat)
    # flock, not lockf: closing another descriptor of the file must not drop the lock.
    flock = staticmethod(fcntl.flock)

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        """Open a file; a symlink in its place is refused. What is written goes to its end."""
        flags = (
            os.O_CLOEXEC
            | os.O_NOFOLLOW
            | (
                # Whatever stands in a file's place, a pipe too, must not make a reader wait.
                os.O_RDWR | os.O_APPEND if write else os.O_RDONLY | os.O_NONBLOCK
            )
        )
        if create:
            flags |= os.O_CREAT
        if exclusive:
            flags |= os.O_EXCL
        return os.open(path, flags, FILE_MODE)

    def status(self, path: str) -> os.stat_result | None:
        """The status of a path, None where there is nothing. Symlinks are not followed."""
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None

    if sys.platform == "darwin":

        def sync(self, fd: int) -> None:
            """Return when the file's bytes are on the disk itself; fsync alone stops at its cache."""
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        sync = staticmethod(os.fdatasync)

    def sync_folder(self, path: str) -> None:
        """Return when the folder's entries are on disk: a file's name is only durable once its folder is."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def overwrite(self, path: str, data: bytes) -> None:
        """Write over the first bytes of a file that is there."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def make_folder(self, path: str) -> None:
        """Create one folder, for its owner alone. FileExistsError where there is one."""
        os.mkdir(path, FOLDER_MODE)

    def entries(self, path: str) -> Iterator[Entry]:
        """The entries of a folder; none where there is no folder, and none that is gone by its turn."""
        try:
            with os.scandir(path) as found:
                for entry in found:
                    with contextlib.suppress(FileNotFoundError):
                        yield Entry(entry.name, entry.path, entry.stat(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return

    def map_first_byte(self, fd: int) -> mmap.mmap:
        """The first byte of an open file as it is at any time, whoever writes it; costs no system call."""
        return mmap.mmap(fd, 1, prot=mmap.PROT_READ)

    def may_write(self, path: str) -> bool:
        """Whether this process may create files in a folder, or in the nearest one above it that is there."""
        while not os.path.exists(path):
            path = os.path.dirname(path)
        return os.access(path, os.W_OK)


def write_whole(disk: Disk, fd: int, data: bytes) -> None:
    """Write all of `data`; a short write goes on where it stopped."""
    written = disk.write(fd, data)
    while written < len(data):
        written += disk.write(fd, memoryview(data)[written:])


def make_folders(disk: Disk, path: str, *, durable: bool) -> None:
    """Create a folder and those above it that are missing, durably if asked."""
    missing = []
    while disk.status(path) is None:
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was first
            disk.make_folder(folder)
        if durable:
            disk.sync_folder(os.path.dirname(folder))


def read_file(disk: Disk, path: str) -> bytes | None:
    """The bytes of a file, None where there is none."""
    try:
        fd = disk.open(path)
    except FileNotFoundError:
        return None
    try:
        chunks = []
        offset = 0
        size = disk.status_of(fd).st_size
        while chunk := disk.read(fd, max(size - offset, 0) + 1, offset):
            chunks.append(chunk)
            offset += len(chunk)
        return b"".join(chunks)
    finally:
        disk.close(fd)


def chunks(disk: Disk, fd: int, start: int, end: int | None = None) -> Iterator[bytes]:
    """The bytes of an open file from `start` to `end`, or to its own end, in pieces."""
    while end is None or start < end:
        chunk = disk.read(fd, CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def replace_file(disk: Disk, path: str, pieces: Iterable[bytes], *, durable: bool) -> None:
    """Put a whole new file in the place of `path`: after a crash the old one is there, or the new one.

    Unique temporary file in the same folder, write, sync, rename, sync the folder. Without the first
    sync the rename can outlive the bytes.
    """
    folder, name = os.path.split(path)
    make_folders(disk, folder, durable=durable)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}{TEMPORARY_ENDING}")
    fd = disk.open(temporary, write=True, create=True, exclusive=True)
    try:
        try:
            for piece in pieces:
                write_whole(disk, fd, piece)
            if durable:
                disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    if durable:
        disk.sync_folder(folder)


def remove_file(disk: Disk, path: str, *, durable: bool) -> bool:
    """Remove a file; True if it was there."""
    try:
        disk.unlink(path)
    except FileNotFoundError:
        return False
    if durable:
        disk.sync_folder(os.path.dirname(path))
    return True


def sweep_temporaries(disk: Disk, folder: str) -> None:
    """Remove what crashed writers left in a folder."""
    for entry in disk.entries(folder):
        sweep_if_stale(disk, entry)


def sweep_if_stale(disk: Disk, entry: Entry) -> None:
    """Remove an entry if it is a temporary file of ours that is older than an hour."""
    if (
        entry.name.startswith(".")
        and entry.name.endswith(TEMPORARY_ENDING)
        and entry.status.st_mtime < time.time() - STALE_AFTER_SECONDS
    ):
        with contextlib.suppress(OSError):  # gone already, or nobody may write here
            disk.unlink(entry.path)
