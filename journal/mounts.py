"""Network file systems: what must not hold a store unless somebody says so."""

import os
import re
from typing import Final

from journal.disk import Disk
from journal.errors import JournalError

# As the systems call them. 9p, virtiofs and their like are not among them: by those a machine shares a folder
# with its own guest. What is not named here is allowed.
NETWORK_TYPES: Final = frozenset(
    """
    afpfs afs beegfs ceph cifs coda ftp glusterfs lustre ncpfs nfs nfs3 nfs4 orangefs smb2 smb3 smbfs webdav
    fuse.blobfuse fuse.blobfuse2 fuse.ceph fuse.curlftpfs fuse.davfs fuse.gcsfuse fuse.glusterfs fuse.goofys
    fuse.gvfsd-fuse fuse.juicefs fuse.mfs fuse.rclone fuse.s3fs fuse.smbnetfs fuse.sshfs
    """.split()  # noqa: SIM905 — a list of words is easier to read than of texts
)

# The place and the type in a line of Linux's /proc/self/mountinfo, and of what macOS' `mount` prints.
_LINUX: Final = re.compile(r"\d+ \d+ \d+:\d+ \S+ (/\S*) .* - (\S+) ")
_MACOS: Final = re.compile(r".* on (/.*) \((\w+)[,)]")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def refuse_network(disk: Disk, folder: str) -> None:
    """Raise JournalError where a folder lies, or will lie, on a file system of the network."""
    place, kind = mount_of(os.path.realpath(folder), disk.mounts())
    if kind in NETWORK_TYPES:
        raise JournalError(
            f"{folder} is on {place}, a network file system ({kind}): there, locks may not keep two writers "
            "apart, nor a sync outlive a power cut. Nothing was read or written. Keep the store on a disk of "
            "this machine; or open it with allow_network=True, if no second machine ever writes to it."
        )


def mount_of(path: str, mounts: str) -> tuple[str, str]:
    """Where what a real path lies on is mounted, and its type; two empty texts where that is unknown.

    The longest place that the path begins with; of two mounts on one place, the later.
    """
    found = "", ""
    for line in mounts.splitlines():
        if match := _LINUX.match(line) or _MACOS.match(line):
            place, kind = _ESCAPED.sub(_character, match[1]), match[2]
            if len(place) >= len(found[0]) and f"{path}/".startswith(f"{place.rstrip('/')}/"):
                found = place, kind
    return found


def _character(escaped: re.Match[str]) -> str:
    """What stands in Linux's list as three octal digits: a space and the like."""
    return chr(int(escaped[1], 8))
