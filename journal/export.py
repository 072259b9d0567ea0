"""Export: a session as its journal's lines, as the seed's JSON, or as a page to read."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, TypeVar

import msgspec

from journal.attached import attached_to
from journal.chain import event_bytes
from journal.errors import AttachmentError, CorruptRecordError, SessionNotFoundError
from journal.log import Log
from journal.snapshot import document_json
from journal.store import StateStore
from projections.events import Record
from projections.projection import Projection
from projections.redaction import Redaction
from projections.session import Session
from projections.transcript import Transcript, to_markdown

State = TypeVar("State")


def export_lines(
    store: StateStore,
    session_id: str,
    write: Callable[[bytes], object],
    *,
    redaction: Redaction | None = None,
) -> int:
    """Write the journal's own lines, byte for byte and checked on the way; return how many.

    They alone prove what was said (docs/reference/format.md). Redacted they would prove nothing: then each is
    an object of the session's id, the header and the event, without hashes, and no journal any more.
    `write` gets one line at a time, with its newline; memory stays flat. Ends at the last complete batch.

    Raises:
        SessionNotFoundError: there is none, or it is another program's file that has no record yet.
        CorruptRecordError: at damage, when every line before it was written.

    """
    count = 0
    for _, _, line in journal_lines(store, session_id):
        write((line if redaction is None else redacted_line(session_id, line, redaction)) + b"\n")
        count += 1
    if count == 0:
        raise SessionNotFoundError(session_id, "it has no journal to export")
    return count


def export_attachments(
    store: StateStore, session_id: str, folder: str | os.PathLike[str], written: dict[str, int] | None = None
) -> dict[str, int]:
    """Write what is attached to a session's records into a folder, which is made; their hashes and sizes.

    Each is a file under its hash; not those that are `written` already. Raises AttachmentError for one that
    the store has not, or not whole, and CorruptRecordError, when all others were written.
    """
    written = {} if written is None else written
    os.makedirs(folder, mode=0o700, exist_ok=True)
    failed: AttachmentError | None = None
    for _, _, line in journal_lines(store, session_id):
        for attachment in attached_to(line):
            if attachment.digest not in written:
                try:
                    data = store.attachment(attachment.to_json())
                except AttachmentError as error:
                    failed = failed or error
                    continue
                with whole_file(os.path.join(folder, attachment.digest)) as file:
                    file.write(data)
                written[attachment.digest] = len(data)
    if failed is not None:
        raise failed
    return written


def journal_lines(store: StateStore, session_id: str) -> Iterator[tuple[Log, int, bytes]]:
    """The checked lines of a journal, without newlines, each with its log and the byte where it stands.

    Raises CorruptRecordError at damage.
    """
    store._handles.check_usable()
    log = Log(store._disk, store._layout.journal(session_id), session_id, durable=False)
    try:
        log.look()
        for offset, line in log.read_new():
            yield log, offset, line
        if isinstance(log.rest, CorruptRecordError):
            raise log.rest
    finally:
        log.close()


class _Header(msgspec.Struct, omit_defaults=True):
    session_id: str
    seq: int
    id: str
    at: str
    event: msgspec.Raw
    by: str | None = None
    cause: str | None = None
    key: str | None = None


def redacted_line(session_id: str, line: bytes, redaction: Redaction) -> bytes:
    """A line as others may see it: an object of the session, the header and the event, without hashes."""
    stored = msgspec.json.decode(line)
    event, _ = redaction.redact_event_json(event_bytes(line), owner=True)
    by = stored.get("by")
    header = _Header(
        session_id=session_id,
        seq=stored["seq"],
        id=stored["id"],
        at=stored["at"],
        by=by and redaction.redact_text(by)[0],
        cause=stored.get("cause"),
        key=stored.get("key"),
        event=msgspec.Raw(event),
    )
    return msgspec.json.encode(header)


def export_json(
    store: StateStore,
    session_id: str,
    at: int | datetime | None = None,
    *,
    redaction: Redaction | None = None,
) -> bytes:
    """The session as the seed's program would write it, now or `at` a version or moment.

    Raises SessionNotFoundError, and what load_session raises.
    """
    session = store.load_session(session_id, at=at)
    if session is None:
        raise _not_found(session_id, at)
    if redaction is not None:
        redacted, _ = redaction.redact_document(msgspec.to_builtins(session.to_document()))
        session = Session.from_document(msgspec.convert(redacted, type=type(session.to_document())))
    return document_json(session)


def export_markdown(
    store: StateStore,
    session_id: str,
    at: int | datetime | None = None,
    *,
    redaction: Redaction | None = None,
) -> str:
    """All that was said and done, in the order in which it happened, as Markdown.

    Raises SessionNotFoundError, CorruptRecordError.
    """
    transcript = Transcript()
    entries = store.project(
        transcript if redaction is None else _Redacted(transcript, redaction), session_id, at=at
    )
    if not entries:
        raise _not_found(session_id, at)
    return to_markdown(session_id, entries)


class _Redacted(Projection[State]):
    """A projection of what the records say when they are redacted."""

    def __init__(self, inner: Projection[State], redaction: Redaction) -> None:
        self._inner, self._redaction = inner, redaction

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def version(self) -> int:
        return self._inner.version

    def initial(self) -> State:
        return self._inner.initial()

    def apply(self, state: State, record: Record) -> State:
        return self._inner.apply(state, self._redaction.redact_record(record)[0])


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` at the end, or, if that is an error, leaves it alone."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".export-", dir=folder)
    except OSError as error:  # it names the temporary file, of which nobody knows
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _not_found(session_id: str, at: int | datetime | None) -> SessionNotFoundError:
    return SessionNotFoundError(session_id, "check its id" if at is None else f"it did not exist at {at}")
