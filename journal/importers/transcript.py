"""Transcript: a file of JSON lines, read into the sessions that they name; what these formats share."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from journal.importers.feed import Feed
from journal.importers.ingest import Run, safe_id, stem
from journal.importers.messages import Malformed
from journal.importers.source import BAD_JSON, Place, first_known, lines, reason_of
from projections.events import Event

T = TypeVar("T")


class Parsed(NamedTuple):
    """What a line says: its events, and whose and when they are, where it tells."""

    events: list[Event]
    session_id: str | None = None
    at: datetime | None = None
    times: Sequence[datetime | None] = ()
    """Those of the events, where they are not `at`."""


Read = Callable[[bytes], Parsed]
"""A reader of lines, given all of a file in their order. Raises Malformed, or one of BAD_JSON."""


class Transcript:
    """A file being read; `read_on` takes in what it has grown by.

    A line that names no session, or has no time, goes with the one before; the first ones with the one after.
    """

    def __init__(self, run: Run, path: str, new_reader: Callable[[], Read], *, place: Place | None = None):
        self._run, self._path, self._read, self._place = run, path, new_reader(), place
        session_id = None if run.session_id else _first(path, new_reader(), lambda parsed: parsed.session_id)
        self._session_id = run.session_id or safe_id(session_id or _name(path))
        self._at = _first(path, new_reader(), lambda parsed: parsed.at)
        self._feeds: dict[str, Feed] = {}

    def read_on(self) -> None:
        """Take in the lines up to the end of the file."""
        for number, line in lines(self._run, self._path, self._place):
            try:
                parsed = self._read(line)
            except Malformed as error:
                self._run.problem(self._path, number, error)
            except BAD_JSON as error:
                self._run.problem(self._path, number, reason_of(error))
            else:
                self._take(number, line, parsed)
        for feed in self._feeds.values():
            feed.finish()

    @property
    def is_stuck(self) -> bool:
        """Whether a session does not take what comes: to read the file anew may help."""
        return any(feed.is_closed for feed in self._feeds.values())

    def _take(self, number: int, line: bytes, parsed: Parsed) -> None:
        self._at = parsed.at or self._at
        if parsed.session_id and self._run.session_id is None:
            self._session_id = safe_id(parsed.session_id)
        feed = self._feeds.get(self._session_id)
        if feed is None:
            feed = self._feeds[self._session_id] = Feed(self._run, self._path, self._session_id)
        feed.add(line, self._at or self._run.now, parsed.events, line=number, times=parsed.times)


def _first(path: str, read: Read, tell: Callable[[Parsed], T | None]) -> T | None:
    def find(line: bytes) -> T | None:
        try:
            return tell(read(line)) if line.strip() else None
        except (Malformed, *BAD_JSON):
            return None

    return first_known(path, find)


def _name(path: str) -> str:
    """What a file is called; where its folder is the session's, what that is called."""
    name = stem(path)
    return os.path.basename(os.path.dirname(path)) or name if name == "events" else name
