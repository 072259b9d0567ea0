"""The only door to the operating system: open, lock, read, write, sync, rename, list."""

import contextlib
import errno
import os
import re
import secrets
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from journal.elsewhere import Elsewhere
from journal.errors import JournalWarning, UnsafePathError

try:
    import fcntl
except ImportError:  # pragma: no cover
    raise ImportError(
        "session-journal needs POSIX file locks (Linux or macOS); this system has none"
    ) from None

LOCK_EX, LOCK_SH, LOCK_NB, LOCK_UN = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB, fcntl.LOCK_UN
CHUNK_BYTES = 1 << 18
FILE_MODE = 0o600
FOLDER_MODE = 0o700
# What is read at once, a snapshot or a document, may be so long: parsed, it can take fifty times as much.
MAX_WHOLE_BYTES: Final = 64 * 1024 * 1024
# What `replace_file` calls its temporary files, and nobody else calls theirs; attachments have no ending.
TEMPORARY: Final = re.compile(r"\.(.+\.(md|jsonl?)|[0-9a-f]{64})\.[0-9a-f]+\.tmp")
# Nobody writes a temporary file for that long: what is older was left by a crash.
STALE_AFTER_SECONDS = 3600.0
# Known names cost memory, unknown ones a sync.
_MOST_NAMES: Final = 100_000
# What a folder says that this process may not sync.
_NOT_OURS: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)

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


class Disk(Elsewhere):
    """What the engine asks of an operating system, one method a system call. Tests put a simulated one in.

    durable_names  the names, each with its file's inode, that are known to be on disk
    """

    def __init__(self) -> None:
        self.durable_names: set[tuple[str, int]] = set()

    read = staticmethod(os.pread)
    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    seek = staticmethod(os.lseek)
    close = staticmethod(os.close)
    unlink = staticmethod(os.unlink)
    rename = staticmethod(os.rename)
    status_of = staticmethod(os.fstat)
    lstat = staticmethod(os.lstat)
    # flock, not lockf: closing another descriptor of the file must not drop the lock.
    flock = staticmethod(fcntl.flock)

    def open(self, path: str, *, write: bool = False, create: bool = False, exclusive: bool = False) -> int:
        """Open a plain file. What is written goes to its end; a new one is for its owner alone.

        Raises UnsafePathError for whatever else stands in its place, a link, a folder, a pipe.
        """
        # Without O_NONBLOCK a pipe would make its opener wait.
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        flags |= os.O_RDWR | os.O_APPEND if write else os.O_RDONLY
        if create:
            try:
                fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
            except FileExistsError:
                if exclusive:
                    raise
            else:
                try:
                    with contextlib.suppress(PermissionError):  # a file system that knows no modes
                        os.fchmod(fd, FILE_MODE)  # the umask may have taken some of it away
                except BaseException:
                    os.close(fd)
                    os.unlink(path)
                    raise
                return fd
        try:
            return _open_plain(path, flags)
        except FileNotFoundError:
            if create:  # it went this very moment
                return self.open(path, write=write, create=True)
            raise

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

    def drop_cache(self, fd: int) -> None:
        """Let the next reader of a file read what is on the disk, where the system can do that."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_folder(self, path: str) -> None:
        """Return when the folder's entries are on disk: a file's name is only durable once its folder is."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def overwrite(self, path: str, data: bytes) -> None:
        """Write over the first bytes of a file that is there."""
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = _open_plain(path, flags)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def make_folder(self, path: str) -> None:
        """Create one folder, for its owner alone. FileExistsError where there is one."""
        os.mkdir(path, FOLDER_MODE)
        if stat.S_IMODE(os.lstat(path).st_mode) & 0o777 != FOLDER_MODE:  # the umask took some of it away
            os.chmod(path, FOLDER_MODE)

    def entries(self, path: str) -> Iterator[Entry]:
        """The entries of a folder; none where there is no folder, and none that is gone by its turn."""
        try:
            with os.scandir(path) as found:
                for entry in found:
                    with contextlib.suppress(FileNotFoundError):
                        yield Entry(entry.name, entry.path, entry.stat(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return

    def mounts(self) -> str:
        """The system's own list of what is mounted where; empty where it has none to show."""
        try:
            if sys.platform == "darwin":
                return subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout
            with open("/proc/self/mountinfo", errors="surrogateescape") as file:
                return file.read()
        except (OSError, subprocess.SubprocessError):
            return ""

    def may_write(self, path: str) -> bool:
        """Whether this process may create files in a folder, or in the nearest one above it that is there."""
        while not os.path.exists(path):
            path = os.path.dirname(path)
        return os.access(path, os.W_OK)


_LINK: Final = "is a symbolic link"
_SPECIAL: Final = "is no plain file but a folder, a pipe, a socket or a device"
# What `open` says of something that is no plain file.
_OPEN_SAYS: Final = {
    errno.ELOOP: _LINK,
    errno.EMLINK: _LINK,  # BSD
    errno.EISDIR: _SPECIAL,
    errno.ENXIO: _SPECIAL,
    errno.EOPNOTSUPP: _SPECIAL,
    errno.ENOTDIR: "lies below something that is no folder",
}


def _open_plain(path: str, flags: int) -> int:
    """Open a file that is there, if it is a plain one. Raises UnsafePathError."""
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno in _OPEN_SAYS:
            raise UnsafePathError(path, _OPEN_SAYS[error.errno]) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UnsafePathError(path, _SPECIAL)
    except BaseException:
        os.close(fd)
        raise
    return fd


def close(disk: Disk, fd: int, path: str) -> None:
    """Close a file. What a system says against that comes too late to change anything: it is a warning.

    What must be on disk was synced before.
    """
    try:
        disk.close(fd)
    except OSError as error:
        warnings.warn(
            f"{path}: closing it failed: {error.strerror}. "
            "What was read or synced stands; look after the disk.",
            JournalWarning,
            stacklevel=2,
        )


def write_whole(disk: Disk, fd: int, data: bytes) -> None:
    """Write all of `data`; a short write goes on where it stopped."""
    written = disk.write(fd, data)
    while written < len(data):
        written += disk.write(fd, memoryview(data)[written:])


def make_folders(disk: Disk, path: str) -> None:
    """Create a folder and those above it that are missing. `sync_names` makes them durable.

    Raises UnsafePathError where the folder itself is a link: only those above a store may be.
    """
    missing = []
    at = path
    while (status := disk.status(at)) is None:
        missing.append(at)
        at = os.path.dirname(at)
    if not missing:
        _check_folder(path, status)
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was first
            disk.make_folder(folder)


def sync_names(disk: Disk, path: str, inode: int = 0) -> None:
    """Return when the name of a file, and of each folder above it, is on disk, whoever made them.

    Another process may have made them, and not have come to this point. `inode` tells a file from another one
    that had its name before. What is known to be durable costs nothing.
    """
    synced = []
    while (path, inode) not in disk.durable_names and (folder := os.path.dirname(path)) != path:
        try:
            disk.sync_folder(folder)
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            break  # a folder above the store that is not ours to write
        synced.append((path, inode))
        path, inode = folder, 0
    # Only now: a name is of no use while one above it may be lost.
    if len(disk.durable_names) >= _MOST_NAMES:
        disk.durable_names.clear()
    disk.durable_names.update(synced)


def check_folders(disk: Disk, base: str, folder: str) -> None:
    """Raise UnsafePathError where a folder below `base`, down to `folder`, is a link or no folder.

    A link there would lead out of the store. What is missing is fine.
    """
    path = base
    for part in filter(None, folder.removeprefix(base).split(os.sep)):
        path = os.path.join(path, part)
        status = disk.status(path)
        if status is None:
            return
        _check_folder(path, status)


def _check_folder(path: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise UnsafePathError(path, _LINK)
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafePathError(path, "stands in a folder's place")


def check_file(disk: Disk, path: str) -> None:
    """Raise UnsafePathError where something stands that is no plain file. What is missing is fine."""
    status = disk.status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise UnsafePathError(path, _LINK if stat.S_ISLNK(status.st_mode) else _SPECIAL)


def read_file(disk: Disk, path: str) -> bytes | None:
    """The bytes of a file, None where there is none.

    Raises OSError (EFBIG) where it is over MAX_WHOLE_BYTES long: it must not take all memory.
    """
    try:
        fd = disk.open(path)
    except FileNotFoundError:
        return None
    try:
        chunks: list[bytes] = []
        offset = 0
        size = disk.status_of(fd).st_size
        while offset <= MAX_WHOLE_BYTES >= size:
            chunk = disk.read(fd, max(size - offset, 0) + 1, offset)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            offset += len(chunk)
        raise OSError(errno.EFBIG, f"it is over {MAX_WHOLE_BYTES:,} bytes long", path)
    finally:
        close(disk, fd, path)


def chunks(disk: Disk, fd: int, start: int, end: int | None = None) -> Iterator[bytes]:
    """The bytes of an open file from `start` to `end`, or to its own end, in pieces."""
    while end is None or start < end:
        chunk = disk.read(fd, CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def replace_file(
    disk: Disk, path: str, pieces: Iterable[bytes], *, durable: bool, temporary_of: str | None = None
) -> None:
    """Put a whole new file in the place of `path`: after a crash the old one is there, or the new one.

    Unique temporary file in the same folder, write, sync, rename, sync the folder. Without the first
    sync the rename can outlive the bytes. `temporary_of`: the temporary file's name says that it is of this
    file of the folder, not of `path`.
    """
    folder, name = os.path.split(path)
    make_folders(disk, folder)
    check_file(disk, path)
    temporary = os.path.join(folder, f".{temporary_of or name}.{secrets.token_hex(8)}.tmp")
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
        sync_names(disk, folder)


def remove_file(disk: Disk, path: str, *, durable: bool) -> bool:
    """Remove a file; True if it was there."""
    was_there = True
    try:
        disk.unlink(path)
    except FileNotFoundError:
        was_there = False
    if durable:
        # Where it was not there, too: whoever removed it may not have come to this.
        with contextlib.suppress(FileNotFoundError):
            disk.sync_folder(os.path.dirname(path))
    return was_there


def sweep_temporaries(disk: Disk, folder: str) -> None:
    """Remove what crashed writers left in a folder."""
    for entry in disk.entries(folder):
        sweep_if_stale(disk, entry)


def is_stale(entry: Entry) -> bool:
    """Whether an entry is a temporary file of ours that is older than an hour."""
    return (
        TEMPORARY.fullmatch(entry.name) is not None
        and stat.S_ISREG(entry.status.st_mode)
        and entry.status.st_mtime < time.time() - STALE_AFTER_SECONDS
    )


def sweep_if_stale(disk: Disk, entry: Entry) -> None:
    """Remove an entry if it is a stale temporary file of ours."""
    if is_stale(entry):
        with contextlib.suppress(OSError):  # gone already, or nobody may write here
            disk.unlink(entry.path)
