"""Export: a session as its journal's lines, as the seed's JSON, or as a page to read."""

from collections.abc import Callable
from datetime import datetime

from journal.errors import CorruptRecordError, SessionNotFoundError
from journal.log import Log
from journal.snapshot import document_json
from journal.store import StateStore
from projections.transcript import Transcript, to_markdown


def export_lines(store: StateStore, session_id: str, write: Callable[[bytes], object]) -> int:
    """Write the journal's own lines, byte for byte and checked on the way; return how many.

    They alone prove what was said (docs/reference/format.md). `write` gets one line at a time, with its
    newline; memory stays flat. Ends at the last complete batch.

    Raises:
        SessionNotFoundError: there is none, or it is another program's file that has no record yet.
        CorruptRecordError: at damage, when every line before it was written.

    """
    store._handles.check_usable()
    log = Log(store._disk, store._layout.journal(session_id), session_id, durable=False)
    count = 0
    try:
        log.look()
        for _, line in log.read_new():
            write(line + b"\n")
            count += 1
        if isinstance(log.rest, CorruptRecordError):
            raise log.rest
    finally:
        log.close()
    if count == 0:
        raise SessionNotFoundError(session_id, "it has no journal to export")
    return count


def export_json(store: StateStore, session_id: str, at: int | datetime | None = None) -> bytes:
    """The session as the seed's program would write it, now or `at` a version or moment.

    Raises SessionNotFoundError, and what load_session raises.
    """
    session = store.load_session(session_id, at=at)
    if session is None:
        raise _not_found(session_id, at)
    return document_json(session)


def export_markdown(store: StateStore, session_id: str, at: int | datetime | None = None) -> str:
    """All that was said and done, in the order in which it happened, as Markdown.

    Raises SessionNotFoundError, CorruptRecordError.
    """
    entries = store.project(Transcript(), session_id, at=at)
    if not entries:
        raise _not_found(session_id, at)
    return to_markdown(session_id, entries)


def _not_found(session_id: str, at: int | datetime | None) -> SessionNotFoundError:
    return SessionNotFoundError(session_id, "check its id" if at is None else f"it did not exist at {at}")
