"""Foreign files: a session file beside a journal that another program wrote."""

from journal.chain import Damage
from journal.disk import Disk
from journal.log import Log
from journal.reader import Reader, beginning
from journal.record import decode_record
from journal.snapshot import Snapshot
from projections.events import SessionAdopted


def is_foreign(disk: Disk, log: Log, snapshot: Snapshot) -> bool:
    """Whether the file says something that its journal does not know.

    It does not, where it is a snapshot of ours, or still the file with which the journal began, or where
    there is no record yet.
    """
    if snapshot.marker is not None or log.fd is None:
        return False
    for _, line in Reader(disk, log.fd, log.path, beginning(log.session_id)):
        try:
            first = decode_record(line).event
        except Damage:
            return True
        return not (isinstance(first, SessionAdopted) and first.document.encode() == snapshot.text)
    return False
