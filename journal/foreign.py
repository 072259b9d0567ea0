"""Foreign files: a session file beside a journal that another program wrote."""

from journal.disk import Disk
from journal.log import Log
from journal.reader import Reader, beginning
from journal.record import Damage, decode_record
from journal.snapshot import Snapshot
from projections.events import SessionAdopted


def is_foreign(disk: Disk, log: Log, snapshot: Snapshot) -> bool:
    """Whether the file says something that its journal does not know.

    It is not, where it is a snapshot of ours, or still the file with which the journal began.
    """
    return snapshot.marker is None and snapshot.text != _adopted_text(disk, log)


def _adopted_text(disk: Disk, log: Log) -> bytes | None:
    if log.fd is None:
        return None
    for _, line in Reader(disk, log.fd, log.path, beginning(log.session_id)):
        try:
            event = decode_record(line).event
        except Damage:
            return None
        return event.document.encode() if isinstance(event, SessionAdopted) else None
    return None
