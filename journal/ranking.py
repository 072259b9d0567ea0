"""Ranking: which rows of the search index fit a query best."""

import math
import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from journal.search_index import MOST_US
from journal.words import Query

# Of a word that stands in more records than that, the latest that were indexed are weighed, and no others.
MOST_WEIGHED: Final = 5_000

# The parts that may hold such records, the latest first.
_PARTS: Final = (
    "select number, rows from part where latest_us >= ? and earliest_us < ? and (? is null or number in "
    "(select part from run join session on session.number = run.session where user_id = ?)) "
    "order by number desc"
)
_HITS: Final = "select rank, rowid from words_%d where words_%d match ? order by rank limit ?"
# The same of some records alone: whose session is a user's, and whose time is between two.
_HITS_OF: Final = (
    "select rank, row from words_%d cross join record on record.row = words_%d.rowid "
    "and at_us >= ? and at_us < ? cross join session on session.number = record.session "
    "and (? is null or session.user_id = ?) where words_%d match ? order by rank limit ?"
)
_COUNT: Final = "select count(*) from words_%d where words_%d match ?"

# A score, the higher the better, and the index's row of a record.
Ranked: TypeAlias = tuple[float, int]


class Wanted(NamedTuple):
    """What is asked for, and of which records: of a user's sessions, of a time, and how many."""

    query: Query
    user_id: str | None
    since_us: int
    until_us: int
    limit: int | None


def ranked(database: sqlite3.Connection, wanted: Wanted) -> Iterator[Ranked]:
    """The best of each part of the index, the latest part first.

    SQLite weighs a word by how many records of a part have it. Each part's scores are scaled by what its
    words weigh in all that have a hit; else what is rare there would win, and what is new would be nothing.
    """
    found: list[tuple[list[Ranked], float]] = []
    counts = [0] * len(wanted.query.terms)
    total = weighed = hits = 0
    values = (wanted.since_us, wanted.until_us, wanted.user_id, wanted.user_id)
    for part, rows in database.execute(_PARTS, values).fetchall():
        matching = _matching(database, part, wanted)
        if not matching:
            continue
        looked_at = _count(database, part, wanted.query.match)
        is_one_word = wanted.query.terms == [wanted.query.match]
        counted = [looked_at if is_one_word else _count(database, part, each) for each in wanted.query.terms]
        found.append((matching, _weight(counted, rows)))
        counts = [a + b for a, b in zip(counts, counted, strict=True)]
        total, hits, weighed = total + rows, hits + len(matching), weighed + looked_at
        if wanted.limit is not None and hits >= wanted.limit and weighed >= MOST_WEIGHED:
            break
    weight = _weight(counts, total)
    for best, part_weight in found:
        yield from ((-rank * weight / part_weight, row) for rank, row in best)


def _matching(database: sqlite3.Connection, part: int, wanted: Wanted) -> list[Ranked]:
    """The best rows of a part that match, and are wanted, as SQLite ranks them: the lower the better."""
    limit = -1 if wanted.limit is None else wanted.limit
    match, user_id, since_us, until_us = wanted.query.match, wanted.user_id, wanted.since_us, wanted.until_us
    if user_id is None and (since_us, until_us) == (-MOST_US, MOST_US):
        return database.execute(_HITS % (part, part), (match, limit)).fetchall()
    values = (since_us, until_us, user_id, user_id, match, limit)
    return database.execute(_HITS_OF % (part, part, part), values).fetchall()


def _count(database: sqlite3.Connection, part: int, match: str) -> int:
    (count,) = database.execute(_COUNT % (part, part), (match,)).fetchone()
    return int(count)


def _weight(counts: list[int], rows: int) -> float:
    """What FTS5's bm25 makes of words that stand in so many of the rows."""
    return sum(max(math.log((rows - count + 0.5) / (count + 0.5)), 1e-6) for count in counts)
