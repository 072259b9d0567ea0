"""References: which attachments a store's files refer to, by their bytes alone.

A reference counts wherever it stands, also in a text that holds JSON, and in bytes that were cut from a
damaged journal: rather keep an attachment that nobody wants than lose one.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from journal import disk as disks
from journal.disk import Disk
from journal.event_json import encode_json
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout
from journal.reader import lines
from projections.events import Event, UnknownEvent

# In a JSON text that holds JSON, the quotation marks are escaped.
_REFERENCE: Final = re.compile(rb'\$attachment\\{0,8}"\s{0,8}:\s{0,8}\\{0,8}"([0-9a-f]{64})')
_LONGEST: Final = 128


def references_in(data: bytes) -> set[str]:
    """The digests of the attachments that these bytes refer to."""
    return {digest.decode() for digest in _REFERENCE.findall(data)}


def references_in_events(events: Iterable[Event]) -> set[str]:
    """The digests of the attachments that events refer to."""
    found: set[str] = set()
    for event in events:
        found |= references_in(event.raw if isinstance(event, UnknownEvent) else encode_json(event))
    return found


def references_of(disk: Disk, path: str, without: Collection[int] = ()) -> set[str]:
    """The digests that a file refers to, but for its lines of these numbers, from 1; none without a file."""
    found: set[str] = set()
    try:
        fd = disk.open(path)
    except FileNotFoundError:
        return found
    try:
        for piece in _pieces(disk, fd, without):
            if b"$attachment" in piece:
                found |= references_in(piece)
    finally:
        disks.close(disk, fd, path)
    return found


def referring_files(disk: Disk, layout: Layout) -> Iterator[str]:
    """Every file of a store in which a reference may stand."""
    disk.refresh(layout.sessions)
    disk.refresh(f"{layout.quarantine}/")
    for entry in disk.entries(layout.sessions):
        if entry.name.endswith((JOURNAL_ENDING, SNAPSHOT_ENDING)):
            yield entry.path
    for entry in disk.entries(layout.quarantine):
        yield entry.path


def unreferred(
    disk: Disk,
    layout: Layout,
    digests: Collection[str],
    without: Mapping[str, Collection[int] | None] | None = None,
) -> set[str]:
    """Those of these digests to which nothing in the store refers; one pass over all.

    `without`: lines of files that do not count, by the files' paths; None for a whole file.
    """
    rest, leaving = set(digests), without or {}
    for path in referring_files(disk, layout) if rest else ():
        left_out = leaving.get(path, ())
        if left_out is not None:
            rest -= references_of(disk, path, left_out)
        if not rest:
            break
    return rest


def _pieces(disk: Disk, fd: int, without: Collection[int]) -> Iterator[bytes]:
    """The bytes of a file, in pieces that overlap by the longest reference."""
    if without:
        yield from (line for seq, (_, line) in enumerate(lines(disk, fd, 0), 1) if seq not in without)
        return
    before = b""
    for chunk in disks.chunks(disk, fd, 0):
        yield (piece := before + chunk)
        before = piece[-_LONGEST:]
