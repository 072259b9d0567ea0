"""Ways to be full: a disk with room for so many bytes, a limit on files, a file system that is filled up."""

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crash.faulty_disk import FaultyDisk


class FullDisk(FaultyDisk):
    """A disk with room for so many bytes, while it is `full_after` them. `size_bytes` is what was written."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._room: int | None = None
        self._names_need_room = False
        super().__init__()

    @contextlib.contextmanager
    def full_after(self, room: int, *, names_need_room: bool) -> Iterator[None]:
        """There is room for `room` bytes; and then none for new names either, if they need some."""
        self._room, self._names_need_room = room, names_need_room
        try:
            yield
        finally:
            self._room = None

    def write(self, fd: int, data: Any) -> int:
        """Write as much as there is room for."""
        if data and self._room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(fd, memoryview(data)[: self._room])
        self.size_bytes += written
        if self._room is not None:
            self._room -= written
        return written

    def _call(self, name: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        is_new = name == "make_folder" or (
            name == "open" and options.get("create") and not os.path.lexists(arguments[0])
        )
        if is_new and self._names_need_room and self._room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])
        return super()._call(name, call, *arguments, **options)


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file may grow past this size: the kernel writes up to the byte, and then says EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def pages_left(mount: Path, pages: int) -> Iterator[None]:
    """A small file system has so many pages left."""
    ballast = mount / "ballast"
    status = os.statvfs(mount)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(status.f_bavail - pages, 1) * status.f_bsize)
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def names_left(mount: Path, names: int) -> Iterator[None]:
    """A small file system has room for so many new files and folders."""
    ballast = mount / "ballast"
    ballast.mkdir()
    for number in range(max(os.statvfs(mount).f_favail - names, 0)):
        (ballast / str(number)).touch()
    try:
        yield
    finally:
        for path in ballast.iterdir():
            path.unlink()
        ballast.rmdir()


@contextlib.contextmanager
def small_file_system(folder: Path, size_bytes: int, names: int) -> Iterator[Path | None]:
    """Mount one in memory; None where that may not be."""
    mount = folder / "small"
    mount.mkdir()
    options = f"size={size_bytes},nr_inodes={names},mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount)]
    try:
        mounted = not subprocess.run(command, capture_output=True, timeout=10, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        mounted = False
    try:
        yield mount if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", mount], timeout=10, check=False)
