"""Grep: the lines of a session's records that a regular expression matches, with no index at all."""

import contextlib
import re
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from journal.errors import CorruptRecordError
from journal.event_json import event_type
from journal.history import placed
from journal.log import Log
from journal.store import StateStore
from projections.events import Event, Record, SessionAdopted, UnknownEvent
from projections.searchable import leaves


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line of a record's text, and where in it the matches begin and end.

    One that goes beyond its line ends with it here.
    """

    session_id: str
    seq: int
    type: str
    line: str
    spans: list[tuple[int, int]]

    @property
    def address(self) -> str:
        """Where the record is, as the command takes it."""
        return f"{self.session_id}@{self.seq}"


def grep(
    store: StateStore,
    session_id: str,
    pattern: re.Pattern[str],
    *,
    types: Collection[str] = (),
    raw: bool = False,
) -> Iterator[Match]:
    """The lines that match, record by record; with `types`, of events of these types alone.

    Searched are an event's texts, numbers and keys, each for itself, as they were said: a newline in a text
    is one. `raw`: the journal's own lines, whole.

    Raises SessionNotFoundError; CorruptRecordError at damage, when every match before it was given out.
    """
    with contextlib.closing(_with_lines(store, session_id) if raw else _records(store, session_id)) as found:
        for record, line in found:
            kind = event_type(record.event)
            if types and kind not in types:
                continue
            for text in (line,) if line is not None else leaves(_content(record.event)):
                for matching, spans in _lines(pattern, text):
                    yield Match(session_id=session_id, seq=record.seq, type=kind, line=matching, spans=spans)


_Found: TypeAlias = Generator[tuple[Record, str | None], None, None]


def _records(store: StateStore, session_id: str) -> _Found:
    for record in store.records(session_id):
        yield record, None


def _with_lines(store: StateStore, session_id: str) -> _Found:
    """The records with their lines in the journal; of another program's file, with its text."""
    store._handles.check_usable()
    log = Log(store._disk, store._layout.journal(session_id), session_id, durable=False)
    with contextlib.closing(log):
        log.look()
        for _, raw, record in placed(log):
            yield record, raw.decode()
        if isinstance(log.rest, CorruptRecordError):
            raise log.rest
        if not log.size():
            for record in store.records(session_id):
                yield record, record.event.document if isinstance(record.event, SessionAdopted) else None


def _content(event: Event) -> dict[str, object]:
    """The event as JSON values, without its type."""
    raw = event.raw if isinstance(event, UnknownEvent) else msgspec.json.encode(event)
    content: dict[str, object] = msgspec.json.decode(raw)
    del content["type"]
    return content


def _lines(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """The lines of a text in which a match begins, with the matches in them."""
    start = end = -1
    spans: list[tuple[int, int]] = []
    for found in pattern.finditer(text):
        if found.start() > end:
            if spans:
                yield text[start:end], spans
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.start())
            end = len(text) if end < 0 else end
            spans = []
        spans.append((found.start() - start, min(found.end(), end) - start))
    if spans:
        yield text[start:end], spans
