"""Search: the records that say what is asked for, the best first."""

import contextlib
import math
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from journal import search_index as index
from journal.catalog import Catalog, Unreadable, check_text, utc_text
from journal.derived import Derived
from journal.disk import Disk
from journal.event_json import event_type
from journal.excerpts import Excerpt, Excerpts, Span
from journal.indexing import Indexer, Progress, microseconds
from journal.layout import Layout
from journal.lookup import record_at
from journal.words import Query, parse_query
from projections.events import Record
from projections.searchable import texts_of

# Of a word that stands in more records than that, the latest that were indexed are weighed, and no others.
MOST_WEIGHED: Final = 10_000

_EVER: Final = (-(2**63), 2**63 - 1)
_COUNT: Final = "select count(*) from words_%d where words_%d match ?"
_BEST: Final = (
    "select hit.score, row, session.id, session.user_id, seq, record.offset, record.size_bytes from "
    "(select rowid, rank as score from words_%d where words_%d match ? order by rank limit ?) as hit "
    "cross join record on record.row = hit.rowid cross join session on session.number = record.session"
)
# The same of some records alone: whose session is a user's, and whose time is between two.
_BEST_OF: Final = (
    "select rank, row, session.id, session.user_id, seq, record.offset, record.size_bytes from words_%d "
    "cross join record on record.row = words_%d.rowid and at_us >= ? and at_us < ? "
    "cross join session on session.number = record.session and (? is null or session.user_id = ?) "
    "where words_%d match ? order by rank limit ?"
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


class _Candidate(NamedTuple):
    """A record that the index names: how well it fits, and where it stands."""

    score: float
    row: int
    session_id: str
    user_id: str | None
    place: tuple[int, int, int]


class _Wanted(NamedTuple):
    """What is asked for, and of which records."""

    query: Query
    user_id: str | None
    since_us: int
    until_us: int
    limit: int | None

    @property
    def is_of_all(self) -> bool:
        """Whether it is asked of all records."""
        return self.user_id is None and (self.since_us, self.until_us) == _EVER


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
        utc_text(since), utc_text(until)
        wanted = _Wanted(
            parse_query(text),
            user_id,
            _EVER[0] if since is None else microseconds(since),
            _EVER[1] if until is None else microseconds(until),
            limit,
        )
        excerpts = self._open_excerpts()

        def ask(database: sqlite3.Connection) -> SearchPage:
            indexer = Indexer(self._disk, self._layout, self._catalog, database, progress)
            with self._up_to_date(database, indexer):
                candidates = sorted(_candidates(database, wanted), key=lambda each: (-each.score, -each.row))
                page = SearchPage(self._hits(candidates, wanted, excerpts))
                problems = database.execute(
                    "select id, problem from session where problem is not null order by id"
                )
                page.unreadable = [Unreadable(*row) for row in problems]
            return page

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

    def _hits(self, candidates: list[_Candidate], wanted: _Wanted, excerpts: Excerpts) -> Iterator[SearchHit]:
        """What the candidates say now, in their order; one that does not say it any more is left out."""
        left = len(candidates) if wanted.limit is None else wanted.limit
        while candidates and left > 0:
            some, candidates = candidates[: min(left, 100)], candidates[min(left, 100) :]
            records = [record_at(self._disk, self._layout, each.session_id, *each.place) for each in some]
            texts = [list(texts_of(record.event)) if record else [] for record in records]
            found = excerpts.of(wanted.query, ["\n".join(text for _, text in each) for each in texts])
            for number, (candidate, record) in enumerate(zip(some, records, strict=True)):
                if record is not None and number in found:
                    left -= 1
                    yield _hit(candidate, record, texts[number], found[number])


def _hit(candidate: _Candidate, record: Record, texts: list[tuple[str, str]], excerpt: Excerpt) -> SearchHit:
    behind = 0
    role = ""
    for role, text in texts:  # noqa: B007 # the one where the first match is
        behind += len(text) + 1
        if excerpt.at < behind:
            break
    return SearchHit(
        session_id=candidate.session_id,
        seq=record.seq,
        at=record.at,
        user_id=candidate.user_id,
        type=event_type(record.event),
        role=role,
        snippet=excerpt.text,
        spans=excerpt.spans,
        score=candidate.score,
    )


def _candidates(database: sqlite3.Connection, wanted: _Wanted) -> list[_Candidate]:
    """The best of each part of the index, the latest part first.

    SQLite weighs a word by how many records of a part have it. Each part's scores are scaled by what its
    words weigh in all that have a hit; else what is rare there would win, and what is new would be nothing.
    """
    match, terms = wanted.query
    found: list[tuple[list[_Candidate], float]] = []
    counts = [0] * len(terms)
    total = weighed = hits = 0
    for part, rows in database.execute("select number, rows from part order by number desc").fetchall():
        best = _best_of(database, part, wanted)
        if not best:
            continue
        counted = [_count(database, part, term) for term in terms]
        found.append((best, _weight(counted, rows)))
        counts = [a + b for a, b in zip(counts, counted, strict=True)]
        total, hits = total + rows, hits + len(best)
        weighed += _count(database, part, match)
        if wanted.limit is not None and hits >= wanted.limit and weighed >= MOST_WEIGHED:
            break
    weight = _weight(counts, total)
    return [
        each._replace(score=each.score * weight / part_weight) for best, part_weight in found for each in best
    ]


def _best_of(database: sqlite3.Connection, part: int, wanted: _Wanted) -> list[_Candidate]:
    limit = -1 if wanted.limit is None else wanted.limit
    match, user_id = wanted.query.match, wanted.user_id
    if wanted.is_of_all:
        rows = database.execute(_BEST % (part, part), (match, limit))
    else:
        values = (wanted.since_us, wanted.until_us, user_id, user_id, match, limit)
        rows = database.execute(_BEST_OF % (part, part, part), values)
    return [_Candidate(-score, row, id, user, tuple(place)) for score, row, id, user, *place in rows]


def _count(database: sqlite3.Connection, part: int, match: str) -> int:
    (count,) = database.execute(_COUNT % (part, part), (match,)).fetchone()
    return int(count)


def _weight(counts: list[int], rows: int) -> float:
    """What FTS5's bm25 makes of words that stand in so many of the rows."""
    return sum(max(math.log((rows - count + 0.5) / (count + 0.5)), 1e-6) for count in counts)
