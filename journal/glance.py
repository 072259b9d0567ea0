"""What is read of a session for a look at it: all of its journal in one pass, up to damage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journal.disk import Disk
    from journal.errors import CorruptRecordError
    from journal.layout import Layout
    from journal.snapshot import Marker
    from journal.store import StateStore
    from projections.activity import Figures
    from projections.session import Session
    from projections.usage import Spending

# A record without its event takes about so much.
_ENVELOPE_BYTES = 250
_PROGRESS_RECORDS = 500


@dataclass(kw_only=True)
class Snapshot:
    """The snapshot's file, and how it stands to the journal."""

    size_bytes: int = 0
    state: str = "none"
    version: int | None = None


class Beside:
    """The snapshot's file beside a journal, as it is now, with its `marker` if it is one of ours."""

    def __init__(self, disk: "Disk", layout: "Layout", session_id: str) -> None:
        from journal.snapshot import read_marker

        path = layout.snapshot(session_id)
        self._status = disk.status(path)
        self.marker = read_marker(disk, path) if self._status else None

    def compared(self, marked: str, version: int) -> Snapshot:
        """How it stands to a journal of this version, whose chain at the marker's version is `marked`."""
        if self._status is None:
            return Snapshot()
        return Snapshot(
            size_bytes=self._status.st_size,
            state=_snapshot_state(self.marker, marked, version),
            version=self.marker.version if self.marker else None,
        )


@dataclass(kw_only=True)
class Seen:
    """What was read of a session, up to damage if there is any; how large its attachments are now."""

    session_id: str
    session: "Session"
    figures: "Figures"
    spending: "Spending"
    head: str
    origin: tuple[str, int] | None
    journal_bytes: int
    snapshot: Snapshot
    attached: list[int] | None
    damage: "CorruptRecordError | None"


def read_session(
    store: "StateStore", session_id: str, until: int | None, progress: Callable[[str, int, int], object]
) -> Seen:
    """Read it, up to a record or all. Raises SessionNotFoundError where it has no such record.

    Raises CorruptRecordError where not even its first record can be read.
    """
    from journal.errors import CorruptRecordError, SessionNotFoundError
    from projections.activity import Activity
    from projections.events import SessionForked
    from projections.session import SessionProjection
    from projections.usage import Usage

    fold, activity, usage = SessionProjection(), Activity(), Usage()
    session, figures, spending = fold.initial(), activity.initial(), usage.initial()
    disk, layout = store._disk, store._layout
    status = disk.status(layout.journal(session_id))
    size = status.st_size if status else 0
    beside = Beside(disk, layout, session_id)
    marker = beside.marker
    head, marked, origin, damage = "", "", None, None
    try:
        for record in store.records(session_id):
            session, figures = fold.apply(session, record), activity.apply(figures, record)
            spending = usage.apply(spending, record)
            head = record.chain
            if marker is not None and record.seq == marker.version:
                marked = head
            if isinstance(record.event, SessionForked):
                origin = record.event.origin, record.event.version
            if record.seq % _PROGRESS_RECORDS == 0:
                progress(session_id, figures.size_bytes + _ENVELOPE_BYTES * figures.records, size)
            if record.seq == until:
                break
        else:
            if until is not None:
                detail = f"its records are 1 to {session.version}, there is no record {until}"
                raise SessionNotFoundError(session_id, detail, exists=True)
    except CorruptRecordError as error:
        if not session.version:
            raise
        damage = error
    return Seen(
        session_id=session_id,
        session=session,
        figures=figures,
        spending=spending,
        head=head,
        origin=origin,
        journal_bytes=size,
        snapshot=beside.compared(marked, session.version),
        attached=attached_sizes(store, session_id) if until is None else None,
        damage=damage,
    )


def attached_sizes(store: "StateStore", session_id: str) -> list[int]:
    """How large each of a session's attachments is."""
    return store._attachments.sizes_of(store._attachments.of_session(session_id))


def _snapshot_state(marker: "Marker | None", marked: str, version: int) -> str:
    from journal.snapshot import FOLD

    if marker is None:
        return "foreign" if version else "adopted"
    if marker.fold == FOLD and marker.version > version:
        return "ahead"
    if marker.fold != FOLD or marker.chain != marked:
        return "outdated"
    return "current" if marker.version == version else "behind"
