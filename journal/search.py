"""Search: the records that say what is asked for, the best first."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from journal import search_index as index
from journal.catalog import Catalog, Unreadable, check_text, utc_text
from journal.derived import Derived
from journal.disk import Disk
from journal.event_json import event_type
from journal.excerpts import Excerpt, Excerpts, Span
from journal.indexing import Indexer, Progress, microseconds
from journal.layout import Layout
from journal.lookup import record_at
from journal.ranking import Ranked, Wanted, ranked
from journal.words import parse_query
from projections.events import Record
from projections.searchable import texts_of

# So many records are looked at together.
_TOGETHER: Final = 100
_PLACE: Final = (
    "select session.id, session.user_id, seq, record.offset, record.size_bytes from record "
    "join session on session.number = record.session where row = ?"
)


@dataclass(frozen=True, kw_only=True)
class SearchHit:
    """A record that was found.

    address   where it is, as the command takes it: ID@7
    type      its event's; role: whose words they are, as in the transcript
    snippet   a piece of the text; spans: where in that the matches begin and end
    score     the higher the better; it compares hits of one search, no more
    """

    session_id: str
    seq: int
    at: datetime
    user_id: str | None
    type: str
    role: str
    snippet: str
    spans: tuple[Span, ...]
    score: float

    @property
    def address(self) -> str:
        """Where the record is."""
        return f"{self.session_id}@{self.seq}"


class SearchPage(list[SearchHit]):
    """What was found, the best first.

    unreadable  the sessions that could not be read, or not to their end; none is skipped in silence
    """

    unreadable: list[Unreadable]

    def __init__(self, hits: Iterable[SearchHit] = ()) -> None:
        super().__init__(hits)
        self.unreadable = []


class Search:
    """Searches the sessions of a store; brings its index up to date first."""

    def __init__(self, disk: Disk, layout: Layout, catalog: Catalog) -> None:
        self._disk, self._layout, self._catalog = disk, layout, catalog
        self._file = Derived(
            disk,
            layout,
            layout.search,
            version=index.VERSION,
            schema=index.SCHEMA,
            begin=index.begin,
        )
        self._mutex = threading.Lock()
        self._excerpts: Excerpts | None = None

    def page(
        self,
        text: str,
        *,
        user_id: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int | None,
        progress: Progress | None,
    ) -> SearchPage:
        """See StateStore.search."""
        check_text("user id", user_id)
        for moment in (since, until):
            utc_text(moment)  # refuses one without an offset
        wanted = Wanted(
            parse_query(text),
            user_id,
            -index.MOST_US if since is None else microseconds(since),
            index.MOST_US if until is None else microseconds(until),
            limit,
        )
        excerpts = self._open_excerpts()

        def ask(database: sqlite3.Connection) -> SearchPage:
            indexer = Indexer(self._disk, self._layout, self._catalog, database, progress)
            with self._up_to_date(database, indexer):
                best = sorted(ranked(database, wanted), reverse=True)
                page = SearchPage(self._hits(database, best, wanted, excerpts))
                problems = database.execute(
                    "select id, problem from session where problem is not null order by id"
                )
                page.unreadable = [Unreadable(*row) for row in problems]
            return page

        self._disk.refresh(self._layout.sessions)
        with self._disk.settled:
            return self._file.ask(ask)

    def forget(self, session_ids: Iterable[str]) -> None:
        """Leave nothing of these sessions in the index's files. See `search_index.forget`."""
        index.forget(self._disk, self._layout.search, session_ids)

    def close(self) -> None:
        """Close the index."""
        self._file.close()
        with self._mutex:
            if self._excerpts is not None:
                self._excerpts.close()
            self._excerpts = None

    def _open_excerpts(self) -> Excerpts:
        with self._mutex:
            if self._excerpts is None:
                self._excerpts = Excerpts()
            return self._excerpts

    @contextlib.contextmanager
    def _up_to_date(self, database: sqlite3.Connection, indexer: Indexer) -> Iterator[None]:
        """The index as it is at one moment, with all of its parts."""
        while True:
            indexer.run(is_shared=self._file.is_shared)
            database.execute("begin")
            try:
                if index.lost_parts(database):
                    continue  # it was made to forget something this very moment
                yield
                return
            finally:
                if database.in_transaction:  # on an error SQLite may have ended it itself
                    database.execute("rollback")

    def _hits(
        self, database: sqlite3.Connection, best: list[Ranked], wanted: Wanted, excerpts: Excerpts
    ) -> Iterator[SearchHit]:
        """What the records say now, in this order; one that does not say it any more is left out."""
        left = len(best) if wanted.limit is None else wanted.limit
        while best and left > 0:
            some, best = best[: min(left, _TOGETHER)], best[min(left, _TOGETHER) :]
            found = [self._record(database, row) for _, row in some]
            texts = [[] if each is None else list(texts_of(each[2].event)) for each in found]
            shown = excerpts.of(wanted.query, ["\n".join(text for _, text in each) for each in texts])
            for number, each in enumerate(found):
                if each is not None and number in shown:
                    left -= 1
                    yield _hit(*each, some[number][0], texts[number], shown[number])

    def _record(self, database: sqlite3.Connection, row: int) -> tuple[str, str | None, Record] | None:
        """The record of a row, with its session and user; None where it is not there any more."""
        session_id, user_id, *place = database.execute(_PLACE, (row,)).fetchone()
        record = record_at(self._disk, self._layout, session_id, *place)
        return None if record is None else (session_id, user_id, record)


def _hit(
    session_id: str,
    user_id: str | None,
    record: Record,
    score: float,
    texts: list[tuple[str, str]],
    excerpt: Excerpt,
) -> SearchHit:
    return SearchHit(
        session_id=session_id,
        seq=record.seq,
        at=record.at,
        user_id=user_id,
        type=event_type(record.event),
        role=_role_at(texts, excerpt.at),
        snippet=excerpt.text,
        spans=excerpt.spans,
        score=score,
    )


def _role_at(texts: list[tuple[str, str]], at: int) -> str:
    """Whose words stand at a place in these texts, one a line."""
    for role, text in texts:
        if at <= len(text):
            return role
        at -= len(text) + 1
    return ""
