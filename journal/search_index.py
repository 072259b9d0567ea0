"""The search index: which words stand in which record, in SQLite's FTS5. No text is kept, only its words.

FTS5 cannot take a text's words out again without the text. So the records are indexed in parts, a table
each: where a session goes, or its content, the parts that know it are dropped whole, and made anew from the
other records in them, which the journals have.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from journal import disk as disks
from journal.derived import Transaction, check_files, connect, remove_database
from journal.disk import Disk
from journal.reader import Position
from journal.words import TOKENIZER

VERSION: Final = 1
# A part is full with so many bytes of text, or so many records: that much is read again when one is dropped.
PART_BYTES: Final = 16 * 1024 * 1024
PART_ROWS: Final = 10_000
# FTS5 sorts the words of a part in memory, up to so many bytes, and need not merge what it wrote before.
_HASH_BYTES: Final = 32 * 1024 * 1024
# How long `forget` tries to rid the write-ahead log of what it removed, before it removes all.
_FORGET_SECONDS: Final = 5.0

# Later than any moment.
MOST_US: Final = 2**62

SCHEMA: Final = """
create table seen (made_ns integer not null, change integer not null);
create table session (
    number integer primary key, id text not null unique, user_id text, file text not null,
    inode integer not null, version integer not null, chain blob not null, offset integer not null,
    problem text
);
create index by_problem on session (id) where problem is not null;
create index by_nothing on session (id) where file = '';
create index by_user on session (user_id);
create table part (
    number integer primary key, first_row integer not null, last_row integer not null,
    rows integer not null, size_bytes integer not null, is_lost integer not null,
    earliest_us integer not null, latest_us integer not null
);
create table record (
    row integer primary key, session integer not null, seq integer not null, offset integer not null,
    size_bytes integer not null, at_us integer not null
);
create table run (session integer, part integer, primary key (session, part)) without rowid;
"""
_CREATE: Final = f"create virtual table words_%d using fts5(text, content='', tokenize='{TOKENIZER}')"
_SIZE: Final = f"insert into words_%d (words_%d, rank) values ('hashsize', {_HASH_BYTES})"
_FILL: Final = "insert into words_%d (rowid, text) values (?, ?)"
_LOOK: Final = "select rowid from words_%d limit 1"
_DROP: Final = "drop table if exists words_%d"


class Head(NamedTuple):
    """How far a session is indexed: its file as it was before it was read, its inode, the place in it.

    file     empty where it could not be read, and may be the next time
    problem  why the rest of it could not be read
    """

    id: str
    user_id: str | None
    file: str
    inode: int
    position: Position
    problem: str | None = None


class Row(NamedTuple):
    """One record with its text, as `spaced`, and where it stands in its session's file."""

    session_id: str
    seq: int
    offset: int
    size_bytes: int
    at_us: int
    text: str


class Kept(NamedTuple):
    """A record that a lost part knew, and where it stands."""

    row: int
    session_id: str
    seq: int
    offset: int
    size_bytes: int


def begin(database: sqlite3.Connection) -> None:
    """Make a new index: it has seen nothing of any catalog."""
    database.execute("insert into seen values (0, 0)")


def seen(database: sqlite3.Connection) -> tuple[int, int]:
    """Up to which of the catalog's changes the index goes."""
    made_ns, change = database.execute("select made_ns, change from seen").fetchone()
    return made_ns, change


def see(database: sqlite3.Connection, until: tuple[int, int]) -> None:
    """Note that it goes up to there."""
    database.execute("update seen set made_ns = ?, change = ?", until)


def head_of(database: sqlite3.Connection, session_id: str) -> Head | None:
    """How far a session is indexed; None where it is not."""
    row = database.execute(
        "select user_id, file, inode, version, chain, offset, problem from session where id = ?",
        (session_id,),
    ).fetchone()
    if row is None:
        return None
    user_id, file, inode, version, chain, offset, problem = row
    return Head(session_id, user_id, file, inode, Position(version, chain, offset), problem)


def check(database: sqlite3.Connection) -> None:
    """Raise sqlite3.Error where its tables are not the index's; those of another version are made anew."""
    if database.execute("pragma user_version").fetchone() != (VERSION,):
        return
    seen(database)
    database.execute("select id, user_id, file, inode, version, chain, offset, problem from session limit 0")
    database.execute("select session, seq, offset, size_bytes, at_us from record limit 0")
    database.execute("select session, part from run limit 0")
    for (part,) in database.execute("select number from part where not is_lost").fetchall():
        database.execute(_LOOK % part).fetchone()


def count(database: sqlite3.Connection) -> int:
    """How many sessions it knows."""
    (found,) = database.execute("select count(*) from session").fetchone()
    return int(found)


def session_ids(database: sqlite3.Connection) -> set[str]:
    """The sessions that it knows."""
    return {session_id for (session_id,) in database.execute("select id from session")}


def unsettled(database: sqlite3.Connection) -> list[str]:
    """The sessions that could not be read, and may be the next time."""
    return [session_id for (session_id,) in database.execute("select id from session where file = ''")]


def lost_parts(database: sqlite3.Connection) -> list[int]:
    """The parts that were dropped, and hold records that are there still."""
    return [number for (number,) in database.execute("select number from part where is_lost order by number")]


def add(database: sqlite3.Connection, heads: Iterable[Head], rows: list[Row]) -> None:
    """Add records, and note how far their sessions are indexed. Within a transaction."""
    numbers: dict[str, int] = {}
    for head in heads:
        values = (head.user_id, head.file, head.inode, *head.position, head.problem)
        database.execute(
            "insert into session (user_id, file, inode, version, chain, offset, problem, id) "
            "values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set user_id = excluded.user_id, "
            "file = excluded.file, inode = excluded.inode, version = excluded.version, "
            "chain = excluded.chain, offset = excluded.offset, problem = excluded.problem",
            (*values, head.id),
        )
        (numbers[head.id],) = database.execute(
            "select number from session where id = ?", (head.id,)
        ).fetchone()
    if not rows:
        return
    size_bytes = sum(len(row.text) for row in rows)
    part, first = _part_for(database, size_bytes)
    places = [
        (first + index, numbers[row.session_id], row.seq, row.offset, row.size_bytes, row.at_us)
        for index, row in enumerate(rows)
    ]
    database.executemany("insert into record values (?, ?, ?, ?, ?, ?)", places)
    runs = {(numbers[row.session_id], part) for row in rows}
    database.executemany("insert or ignore into run values (?, ?)", runs)
    database.executemany(_FILL % part, ((first + index, row.text) for index, row in enumerate(rows)))
    database.execute(
        "update part set last_row = ?, rows = rows + ?, size_bytes = size_bytes + ?, "
        "earliest_us = min(earliest_us, ?), latest_us = max(latest_us, ?) where number = ?",
        (
            *(first + len(rows) - 1, len(rows), size_bytes),
            *(min(row.at_us for row in rows), max(row.at_us for row in rows), part),
        ),
    )


def _part_for(database: sqlite3.Connection, size_bytes: int) -> tuple[int, int]:
    """The part that has room for more, a new one if none has, and the row to begin with."""
    (row,) = database.execute("select 1 + coalesce(max(last_row), 0) from part").fetchone()
    last = database.execute(
        "select number, rows, size_bytes, is_lost from part order by number desc limit 1"
    ).fetchone()
    number = 0
    if last is not None:
        number, rows, held, is_lost = last
        if not is_lost and rows < PART_ROWS and held + size_bytes <= PART_BYTES:
            return number, row
    number += 1
    database.execute(
        "insert into part values (?, ?, ?, 0, 0, 0, ?, ?)", (number, row, row - 1, MOST_US, -MOST_US)
    )
    _create(database, number)
    return number, row


def _create(database: sqlite3.Connection, part: int) -> None:
    database.execute(_DROP % part)
    database.execute(_CREATE % part)
    database.execute(_SIZE % (part, part))


def drop(database: sqlite3.Connection, session_ids: Iterable[str]) -> None:
    """Take sessions out. The parts that know them are lost until they are refilled. Within a transaction."""
    for session_id in session_ids:
        parts = database.execute(
            "select part.number, first_row, last_row, session.number from session "
            "join run on run.session = session.number join part on part.number = run.part where id = ?",
            (session_id,),
        ).fetchall()
        for part, first, last, number in parts:
            database.execute(_DROP % part)
            database.execute("update part set is_lost = 1 where number = ?", (part,))
            database.execute(
                "delete from record where row between ? and ? and session = ?", (first, last, number)
            )
        database.execute(
            "delete from run where session = (select number from session where id = ?)", (session_id,)
        )
        database.execute("delete from session where id = ?", (session_id,))


def kept_in(database: sqlite3.Connection, part: int) -> Iterator[Kept]:
    """The records that a lost part knew and that are there still."""
    rows = database.execute(
        "select record.row, session.id, seq, record.offset, record.size_bytes from part "
        "cross join record on record.row between first_row and last_row "
        "cross join session on session.number = record.session where part.number = ? order by record.row",
        (part,),
    )
    return (Kept(*row) for row in rows)


def refill(database: sqlite3.Connection, part: int, texts: dict[int, str]) -> None:
    """Make a lost part anew of the texts of its rows, as far as these are still wanted. In a transaction."""
    wanted = {kept.row for kept in kept_in(database, part)} & texts.keys()
    if not wanted:
        database.execute("delete from run where part = ?", (part,))
        database.execute("delete from part where number = ?", (part,))
        return
    _create(database, part)
    database.executemany(_FILL % part, ((row, texts[row]) for row in sorted(wanted)))
    size_bytes = sum(len(texts[row]) for row in wanted)
    database.execute(
        "update part set is_lost = 0, rows = ?, size_bytes = ? where number = ?",
        (len(wanted), size_bytes, part),
    )


def wipe_log(database: sqlite3.Connection) -> bool:
    """Empty the write-ahead log, which holds what was removed; False where a reader keeps it from that."""
    busy, _, _ = database.execute("pragma wal_checkpoint(truncate)").fetchone()
    return not busy


def forget(disk: Disk, path: str, session_ids: Iterable[str]) -> None:
    """Leave nothing of these sessions in the index's files, whoever works with them, for good.

    Call it when what is to be forgotten is no longer in the journal: the next search reads that again. It
    waits for no session. Where the index cannot be rid of them, it is removed, and made anew.
    Raises UnsafePathError.
    """
    if disk.status(path) is None:
        return
    check_files(disk, path)
    try:
        with contextlib.closing(connect(path)) as database:
            database.execute("pragma busy_timeout = 2000")
            with Transaction(database):
                drop(database, session_ids)
            until = time.monotonic() + _FORGET_SECONDS
            while not wipe_log(database):
                if time.monotonic() > until:
                    raise sqlite3.OperationalError("a reader does not let go")
            _sync(disk, f"{path}-wal")
    except sqlite3.Error:
        remove_database(disk, path, durable=True)


def _sync(disk: Disk, path: str) -> None:
    """SQLite syncs what it writes, and not that it emptied its log."""
    with contextlib.suppress(FileNotFoundError):
        fd = disk.open(path)
        try:
            disk.sync(fd)
        finally:
            disks.close(disk, fd, path)
