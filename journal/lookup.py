"""One record, by its place: for what keeps places instead of texts."""

from typing import Final

from journal import disk as disks
from journal.chain import MAX_LINE_BYTES, Damage
from journal.disk import Disk
from journal.errors import JournalError
from journal.layout import Layout
from journal.record import decode_record
from journal.snapshot import Snapshot, read_snapshot
from projections.events import Record, SessionAdopted

# The number of what another program's file says, as long as there is no record beside it.
FOREIGN: Final = 0


def record_at(
    disk: Disk, layout: Layout, session_id: str, seq: int, offset: int, size_bytes: int
) -> Record | None:
    """The record that stands there, None where another one does, or none. Its chain is not checked."""
    try:
        if seq == FOREIGN:
            found = read_snapshot(disk, layout.snapshot(session_id))
            return None if found is None or disk.status(layout.journal(session_id)) else adopted(found)
        if not 0 <= size_bytes <= MAX_LINE_BYTES or offset < 0:
            return None
        fd = disk.open(layout.journal(session_id))
        try:
            line = disk.read(fd, size_bytes, offset)
        finally:
            disks.close(disk, fd, session_id)
        record = decode_record(line)
    except (JournalError, OSError, Damage):
        return None
    return record if record.seq == seq else None


def adopted(snapshot: Snapshot) -> Record:
    """Another program's session file as the record that the first change will make of it."""
    session = snapshot.session
    return Record(
        seq=FOREIGN,
        id="",
        at=session.updated_at,
        event=SessionAdopted(document=snapshot.text.decode()),
        digest="",
        chain="",
    )
