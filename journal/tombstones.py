"""Tombstones: the note that a session was deleted, by whom and why."""

import contextlib
import os
from collections.abc import Iterator

import msgspec

from journal import disk as disks
from journal.disk import LOCK_EX, LOCK_UN, Disk
from journal.reader import lines
from projections.messages import Moment


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted session: its id, its last version and chain, when, and if told by whom and why."""

    id: str
    version: int
    chain: str
    at: Moment
    by: str | None = None
    why: str | None = None


def read_tombstones(disk: Disk, path: str) -> Iterator[Tombstone | int]:
    """The tombstones in their order; in the place of one that cannot be read, the number of its line."""
    try:
        fd = disk.open(path)
    except FileNotFoundError:
        return
    try:
        for number, (_, line) in enumerate(lines(disk, fd, 0), 1):
            try:
                yield _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                yield number
    finally:
        disks.close(disk, fd, path)


_decode = msgspec.json.Decoder(Tombstone).decode


def id_of(line: bytes) -> str:
    """The session of which a line is the tombstone."""
    return _decode(line).id


def end_of(line: bytes) -> tuple[int, str]:
    """Where the session ended: its last version and chain; 0 and no text where the line is no tombstone."""
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0, ""
    return found.version, found.chain


def add_tombstone(disk: Disk, path: str, tombstone: Tombstone, *, durable: bool) -> None:
    """Append a note; on disk when this returns, if durable."""
    disks.make_folders(disk, os.path.dirname(path))
    fd = disk.open(path, write=True, create=True)
    try:
        disk.flock(fd, LOCK_EX)
        size = disk.status_of(fd).st_size
        # A crash may have left half a line: it must not swallow the new one.
        torn = size and disk.read(fd, 1, size - 1) != b"\n"
        try:
            disks.write_whole(disk, fd, (b"\n" if torn else b"") + msgspec.json.encode(tombstone) + b"\n")
            if durable:
                disk.sync(fd)
                disks.sync_names(disk, path, disk.status_of(fd).st_ino)
        except OSError:
            # What may not be on disk must not stand in front of the next note.
            with contextlib.suppress(OSError):
                disk.drop_cache(fd)
                disk.truncate(fd, size)
            raise
    finally:
        disk.flock(fd, LOCK_UN)
        disks.close(disk, fd, path)
