"""A session in one line, from the bytes of its journal: for lists of sessions of which no file is here."""

from journal.chain import Damage, check_lines, first_chain
from journal.history import belongs
from journal.lineage import origin_of
from journal.record import decode_record
from projections.session import SessionProjection, apply_event
from projections.summary import SessionSummary, summarize


def summary_of(session_id: str, journal: bytes) -> SessionSummary | None:
    """The summary of a whole journal; None where something is wrong with it, which whoever opens it tells."""
    lines = journal.split(b"\n")[:-1]
    _, places, damage = check_lines(lines, 1, first_chain(session_id))
    if damage is not None or not lines or (places[-1] is not None and places[-1][0]):
        return None
    state = SessionProjection().initial()
    try:
        for line in lines:
            record = decode_record(line)
            if not belongs(record, session_id):
                return None
            apply_event(state, record.event, record.at)
            state.version = record.seq
    except (Damage, ValueError):
        return None
    return summarize(state, size_bytes=len(journal), origin=origin_of(lines[0]))
