"""A file system in a file: mounted, cut off from its disk as if the power failed, and mounted again."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# How each kind is made, quickly; and no smaller than xfs accepts.
MAKERS: Final = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_SIZE_BYTES: Final = 320 * 1024 * 1024
# FS_IOC_SHUTDOWN, _IOR('X', 125, __u32): from here on nothing reaches the disk. Its flags: whether the file
# system's own log still does.
_SHUTDOWN: Final = 0x8004587D
_FLUSH_LOG, _FLUSH_NOTHING = 1, 2
_WITHIN_SECONDS: Final = 20.0


class VolumeError(Exception):
    """There can be no such file system here; says why."""


class LoopVolume:
    """A file system of its own in an image file. `root` is where it is mounted."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind, self.image, self.root = kind, folder / "image", folder / "root"

    def make(self) -> None:
        """Make an empty one."""
        maker, *options = MAKERS[self.kind]
        self.root.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        _run(maker, *options, str(self.image))

    def mount(self) -> None:
        """Mount it, from what reached the image: its log is replayed. The loop device goes with the mount."""
        _run("mount", "-o", "loop", "-t", self.kind, str(self.image), str(self.root))

    def cut(self, *, flush_log: bool = False) -> None:
        """Cut it off, whoever is writing."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _FLUSH_LOG if flush_log else _FLUSH_NOTHING))
        except OSError as error:
            raise VolumeError(f"{self.kind} cannot be shut down: {error}") from error
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Let it go, now if its users are gone within a while, else with the last of them."""
        end = time.monotonic() + _WITHIN_SECONDS
        while True:
            try:
                _run("umount", str(self.root))
            except VolumeError as error:
                if "not mounted" in str(error):
                    return
                if time.monotonic() > end:
                    _run("umount", "-l", str(self.root))
                    raise
                time.sleep(0.02)
            else:
                return


@contextlib.contextmanager
def loop_volume(folder: Path, kind: str) -> Iterator[LoopVolume]:
    """An empty one, mounted; no mount and no loop device outlives it. Raises VolumeError."""
    volume = LoopVolume(folder, kind)
    try:
        volume.make()
        volume.mount()
        yield volume
    finally:
        volume.unmount()
        volume.image.unlink(missing_ok=True)


def why_not(folder: Path, kind: str) -> str | None:
    """Why such a file system cannot be mounted and cut here; None if it can."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    try:
        with loop_volume(folder, kind) as volume:
            volume.cut()
    except VolumeError as error:
        return str(error)
    return None


def _run(tool: str, *arguments: str) -> None:
    path = shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise VolumeError(f"there is no {tool} here")
    # In a session of its own: a Ctrl-C must not leave it half done.
    done = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        timeout=3 * _WITHIN_SECONDS,
        check=False,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise VolumeError(f"{tool}: {done.stderr.strip() or f'exit code {done.returncode}'}")
