"""The quarantine: bytes that were cut from a damaged file, kept. Nothing here ever removes them."""

import os
import secrets

from journal import disk as disks
from journal.disk import Disk


def keep(disk: Disk, folder: str, name: str, fd: int, offset: int) -> str:
    """Copy an open file from a byte on into a new file of the folder; its path. On disk when this returns."""
    disks.make_folders(disk, folder, durable=True)
    path = os.path.join(folder, f"{name}.{secrets.token_hex(4)}")
    copy = disk.open(path, write=True, create=True, exclusive=True)
    try:
        for chunk in disks.chunks(disk, fd, offset):
            disks.write_whole(disk, copy, chunk)
        disk.sync(copy)
    finally:
        disk.close(copy)
    disk.sync_folder(folder)
    return path
