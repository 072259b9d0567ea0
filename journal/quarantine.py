"""The quarantine: bytes that were cut from a damaged file, kept. Nothing here ever removes them."""

import os
import secrets

from journal import disk as disks
from journal.disk import CHUNK_BYTES, Disk

_HOLE = bytes(CHUNK_BYTES)


def keep(disk: Disk, folder: str, name: str, fd: int, offset: int) -> str:
    """Copy an open file from a byte on into a new file of the folder; its path. On disk when this returns."""
    disks.check_folders(disk, os.path.dirname(os.path.dirname(folder)), folder)
    disks.make_folders(disk, folder)
    path = os.path.join(folder, f"{name}.{secrets.token_hex(4)}")
    copy = disk.open(path, write=True, create=True, exclusive=True)
    try:
        size = 0
        for chunk in disks.chunks(disk, fd, offset):
            size += len(chunk)
            if chunk == _HOLE:
                disk.truncate(copy, size)  # a hole stays one: it may be larger than the disk
            else:
                disks.write_whole(disk, copy, chunk)
        disk.sync(copy)
    finally:
        disks.close(disk, copy, path)
    disks.sync_names(disk, path)
    return path
