"""The format "seed": the session files of the seed's program, adopted as they are.

How a file that grew is found: the journal itself knows what was imported last. It is the fold of the
adopted document and of the records whose key says that they came from this file; nothing else is kept.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from journal.errors import InvalidEventError, SessionNotFoundError, VersionConflictError
from journal.importers.ingest import SESSION_ERRORS, Run, short_hash, stem
from journal.names import check_session_id
from journal.snapshot import Marker
from projections.difference import difference
from projections.document import parse_document
from projections.events import Change, CustomEvent, SessionAdopted, SessionReplaced
from projections.session import Session, apply_event

NAME: Final = "seed"
LOOKS: Final = "JSON with `user_messages` or `agent_responses`"
_KEY: Final = "seed/"


class _Marked(msgspec.Struct):
    journal: Marker


_decode_marked = msgspec.json.Decoder(_Marked).decode


class _Refused(Exception):
    """A file that cannot be taken in; the text is the reason."""


def recognises(keys: dict[str, Any]) -> bool:
    """Whether a document with these keys is of this format."""
    return "user_messages" in keys or "agent_responses" in keys or {"user_id", "created_at"} <= keys.keys()


def import_file(run: Run, path: str) -> None:
    """Take in one session file: adopted the first time, afterwards what it has grown by.

    A file that does not go on from what was imported before is a Problem, and changes nothing.
    """
    data = run.read(path)
    if data is None:
        return
    try:
        text = _text(data)
        session = _session(text, run.session_id or stem(path))
        _retried(lambda: _take_in(run, session, text))
    except (_Refused, InvalidEventError, *SESSION_ERRORS) as error:
        run.problem(path, None, error)
    except ValueError as error:  # the document's reader names the place
        run.problem(path, getattr(error, "lineno", None), f"no session file: {error}")


def _text(data: bytes) -> str:
    if not data.strip():
        raise _Refused("the file is empty")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _Refused(f"no session file: byte {error.start} is not UTF-8") from None


def _session(text: str, session_id: str) -> Session:
    check_session_id(session_id)
    session = Session.from_document(parse_document(text))
    if session.id != session_id:
        raise _Refused(f"it holds the session {session.id!r}, and its name says {session_id!r}")
    try:
        version = _decode_marked(text).journal.version
    except (msgspec.MsgspecError, RecursionError):
        return session
    raise _Refused(f"a snapshot of a journal at version {version}; the journal beside it is what to keep")


def _retried(step: Callable[[], None]) -> None:
    while True:
        try:
            return step()
        except VersionConflictError:
            continue  # another writer was first: look again


def _take_in(run: Run, session: Session, text: str) -> None:
    key = _KEY + short_hash(text.encode())
    stored = run.store.load_session(session.id)
    if stored is None:
        adopted = Change(event=SessionAdopted(document=text), at=run.now, key=key)
        run.store.append(session.id, [adopted], expected_version=0)
        run.outcome.created += 1
        run.outcome.appended += 1
    else:
        before, version = _imported(run, session.id)
        changes = _growth(before, session)
        for index, change in enumerate(changes):
            change.key = f"{key}.{index}"
        # Nothing new is appended, too: that what is there be on disk.
        run.store.append(session.id, changes, expected_version=version)
        run.outcome.appended += len(changes)
    run.found(session.id)


def _imported(run: Run, session_id: str) -> tuple[Session | None, int]:
    """The session as the last import left it, without what others wrote; and the journal's version."""
    imported: Session | None = None
    version = 0
    try:
        for record in run.store.records(session_id):
            version = record.seq
            if isinstance(record.event, SessionAdopted):
                imported = Session.from_document(parse_document(record.event.document))
            elif imported is not None and (record.key or "").startswith(_KEY):
                apply_event(imported, record.event, record.at)
    except SessionNotFoundError:
        raise VersionConflictError(session_id, 0, version) from None  # deleted meanwhile
    return imported, version


def _growth(before: Session | None, after: Session) -> list[Change]:
    """What leads from one state of the file to the next. Raises _Refused where it does not go on."""
    if before is None:
        raise _Refused(f"session {after.id!r} is there already, and did not come from such a file")
    changes = difference(before, after, now=after.updated_at)
    if not any(isinstance(change.event, SessionReplaced) for change in changes):
        return changes
    updated_at, before.updated_at = before.updated_at, after.updated_at
    if difference(before, after, now=after.updated_at):
        raise _Refused(
            f"it does not go on from what was imported of session {after.id!r} (last changed {updated_at}): "
            "something was altered or taken away. Nothing was changed; import it under another id."
        )
    # Only its time moved on: an event that says no more than that.
    return [Change(event=CustomEvent(name="seed.touched"), at=after.updated_at)]
