"""Parquet: the records of a whole store as one table, a row a record, ready for DuckDB and its like.

pyarrow, not polars: both weigh as much, and only pyarrow writes a table row group by row group, so that a
store of any size takes the memory of one.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from journal.catalog import Unreadable
from journal.chain import event_bytes
from journal.errors import CorruptRecordError, CorruptSnapshotError, SessionNotFoundError
from journal.event_json import encode_event, event_type
from journal.export import journal_lines, whole_file
from journal.history import read_record
from journal.store import StateStore
from projections.document import parse_document
from projections.events import (
    AgentResponseAdded,
    Event,
    ReasoningAdded,
    Record,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionReplaced,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.redaction import Redaction

# A row group is held in memory until it is whole.
MAX_GROUP_BYTES: Final = 16 * 1024 * 1024
MAX_GROUP_ROWS: Final = 131_072


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: so many sessions and records; and the sessions of which not all could be read.

    Of those, everything before the damage was written.
    """

    sessions: int
    records: int
    unreadable: list[Unreadable] = field(default_factory=list)


def export_parquet(
    store: StateStore,
    path: str | os.PathLike[str],
    session_ids: Iterable[str] | None = None,
    *,
    redaction: Redaction | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Exported:
    """Write the records of all sessions, or of those named, as one Parquet file; a row a record.

    The columns are those of docs/how-to/export.md. The file is there whole or, after an error, not at all.
    Memory stays flat. Redacted rows have no hashes: they would prove nothing.
    `progress(session_id, done, total)` is called before each session.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        SessionNotFoundError: one that was named is not there.

    """
    pyarrow, parquet = _pyarrow()
    ids = store.session_ids() if session_ids is None else list(session_ids)
    unreadable = []
    sessions = 0
    with (
        whole_file(path) as file,
        parquet.ParquetWriter(file, _schema(pyarrow), compression="zstd") as writer,
    ):
        table = _Table(pyarrow, writer)
        for done, session_id in enumerate(ids):
            if progress is not None:
                progress(session_id, done, len(ids))
            before = table.rows
            try:
                for row, size in _rows(store, session_id, redaction):
                    table.add(row, size)
            except SessionNotFoundError:
                if session_ids is not None:
                    raise
                continue  # deleted this very moment
            except (CorruptRecordError, CorruptSnapshotError) as error:
                unreadable.append(Unreadable(session_id, str(error)))
            sessions += table.rows > before
        table.flush()
    return Exported(sessions=sessions, records=table.rows, unreadable=unreadable)


class _Row(NamedTuple):
    """The columns, in their order."""

    session_id: str
    user_id: str | None
    seq: int
    id: str
    at: Any
    by: str | None
    cause: str | None
    key: str | None
    type: str
    role: str | None
    text: str | None
    tool: str | None
    call_id: str | None
    is_error: bool | None
    duration_ms: float | None
    event: str
    digest: str | None
    chain: str | None


def _rows(store: StateStore, session_id: str, redaction: Redaction | None) -> Iterator[tuple[_Row, int]]:
    """The rows of a session, each with about how many bytes it holds."""
    user_id = None
    tools: dict[str, str] = {}  # of the calls that have not returned
    for record, raw in _records(store, session_id):
        if redaction is not None:
            record, _ = redaction.redact_record(record)
            raw, _ = redaction.redact_event_json(raw, owner=True)
        event = record.event
        user_id = _owner(event) or user_id
        role, text = _said(event)
        tool = None
        if isinstance(event, ToolCalled):
            tool = tools[event.call_id] = event.name
        elif isinstance(event, ToolReturned):
            tool = tools.pop(event.call_id, None)
        yield (
            _Row(
                session_id=session_id,
                user_id=user_id,
                seq=record.seq,
                id=record.id,
                at=record.at,
                by=record.by,
                cause=record.cause,
                key=record.key,
                type=event_type(event),
                role=role,
                text=text,
                tool=tool,
                call_id=event.call_id if isinstance(event, ToolCalled | ToolReturned) else None,
                is_error=_is_error(event),
                duration_ms=event.duration_ms if isinstance(event, ToolReturned | StepFinished) else None,
                event=raw.decode(),
                digest=record.digest if redaction is None else None,
                chain=record.chain if redaction is None else None,
            ),
            2 * len(raw) + 500,
        )


def _records(store: StateStore, session_id: str) -> Iterator[tuple[Record, bytes]]:
    """The records, each with its event's JSON as it is stored: a decoded one may know fewer fields."""
    seq = 0
    for seq, (log, offset, line) in enumerate(journal_lines(store, session_id), 1):
        yield read_record(log, offset, seq, line), event_bytes(line)
    if not seq:  # another program's file, which has no line yet
        for record in store.records(session_id):
            yield record, encode_event(record.event)


def _owner(event: Event) -> str | None:
    match event:
        case SessionCreated() | SessionForked() | SessionRewound():
            return event.user_id
        case SessionReplaced(session=session):
            return session.user_id
        case SessionAdopted(document=text):
            return parse_document(text).user_id
        case _:
            return None


def _said(event: Event) -> tuple[str | None, str | None]:
    """Who said what; of a tool, what it was given and what it gave."""
    match event:
        case UserMessageAdded(content=content):
            return "user", content
        case AgentResponseAdded(content=content):
            return "agent", content
        case ReasoningAdded(content=content):
            return "reasoning", content
        case ToolCalled(arguments=value):
            return "tool_call", _text(value)
        case ToolReturned(result=value):
            return "tool_result", _text(value)
        case _:
            return None, None


def _is_error(event: Event) -> bool | None:
    match event:
        case ToolReturned(is_error=is_error):
            return is_error
        case StepFinished(error=error):
            return error is not None
        case _:
            return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class _Table:
    """Rows that become row groups of bounded size."""

    def __init__(self, pyarrow: Any, writer: Any) -> None:
        self._pyarrow, self._writer = pyarrow, writer
        self._waiting: list[_Row] = []
        self._bytes = 0
        self.rows = 0

    def add(self, row: _Row, size_bytes: int) -> None:
        self._waiting.append(row)
        self._bytes += size_bytes
        self.rows += 1
        if self._bytes >= MAX_GROUP_BYTES or len(self._waiting) >= MAX_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            schema = self._writer.schema
            arrays = [
                self._pyarrow.array(values, type=field.type)
                for values, field in zip(columns, schema, strict=True)
            ]
            self._writer.write_batch(self._pyarrow.record_batch(arrays, schema=schema))
        self._waiting.clear()
        self._bytes = 0


def _schema(pyarrow: Any) -> Any:
    kinds = {
        "seq": pyarrow.int64(),
        "at": pyarrow.timestamp("us", tz="UTC"),
        "is_error": pyarrow.bool_(),
        "duration_ms": pyarrow.float64(),
    }
    required = ("session_id", "seq", "id", "at", "type", "event")
    return pyarrow.schema(
        [
            pyarrow.field(name, kinds.get(name, pyarrow.string()), nullable=name not in required)
            for name in _Row._fields
        ]
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Parquet needs pyarrow: pip install 'session-journal[parquet]'", name=error.name
        ) from None
    return pyarrow, pyarrow.parquet
