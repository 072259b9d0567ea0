"""Adoption: the records with which the journal of another program's session begins."""

from journal.chain import first_chain
from journal.errors import InvalidEventError
from journal.record import encode_batch, prepare
from journal.snapshot import Snapshot
from projections.difference import difference
from projections.events import Change, SessionAdopted
from projections.messages import utc_now


def adopted(snapshot: Snapshot) -> bytes:
    """The lines with which such a journal begins: the file verbatim, or if no record can hold it, its events.

    Drawn anew each time, ids and salts: no two are the same bytes.
    """
    session = snapshot.session
    try:
        batch = [prepare(Change(event=SessionAdopted(document=snapshot.text.decode()), at=utc_now()))]
    except InvalidEventError:
        batch = [prepare(change) for change in difference(None, session, now=session.updated_at)]
    lines, _, _ = encode_batch(batch, 0, first_chain(session.id))
    return lines
