"""The derived index over all sessions, in SQLite: it may be deleted at any time."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from journal import disk as disks
from journal.disk import Disk
from journal.errors import InvalidNameError, JournalError
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout
from journal.marks import Marks
from journal.names import check_session_id
from projections.summary import SessionSummary

SCHEMA_VERSION: Final = 1
# A folder's time moves in ticks of some milliseconds: one that is this fresh may hide a later change.
_TICK_NS: Final = 100_000_000

_SCHEMA = """
create table session (
    id text primary key, file text not null, problem text,
    user_id text, message_count integer, response_count integer, active_seed_id text,
    created_at text, updated_at text, version integer, size_bytes integer
) without rowid;
create index by_time on session (updated_at desc, id);
create index by_user on session (user_id, updated_at desc, id);
create table folder (modified_ns integer not null);
"""


class Unreadable(NamedTuple):
    """A session that is there and could not be read, and why."""

    id: str
    reason: str


class SessionPage(list[SessionSummary]):
    """Summaries, newest first.

    unreadable  the sessions that could not be read, whatever the filter; none is skipped in silence
    next_page   what `list_sessions(page=…)` takes to go on; None at the end
    """

    unreadable: list[Unreadable]
    next_page: str | None

    def __init__(self, summaries: Iterable[SessionSummary] = ()) -> None:
        super().__init__(summaries)
        self.unreadable = []
        self.next_page = None


class Catalog:
    """Answers for all sessions of a store; brings itself up to date first."""

    def __init__(
        self, disk: Disk, layout: Layout, marks: Marks, summarize: Callable[[str], SessionSummary | None]
    ) -> None:
        self._disk, self._layout, self._marks, self._summarize = disk, layout, marks, summarize
        self._mutex = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._has_looked = False  # whether this process has compared every file once

    def page(
        self,
        *,
        user_id: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int | None,
        page: str | None,
    ) -> SessionPage:
        """See StateStore.list_sessions."""
        where, values = ["problem is null"], []
        for condition, value in (
            ("user_id = ?", user_id),
            ("updated_at >= ?", _text(since)),
            ("updated_at < ?", _text(until)),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        if page is not None:
            updated_at, _, session_id = page.partition(" ")
            where.append("(updated_at < ? or (updated_at = ? and id > ?))")
            values += [updated_at, updated_at, session_id]
        query = (
            "select id, user_id, message_count, active_seed_id, created_at, updated_at, response_count, "
            f"version, size_bytes from session where {' and '.join(where)} "
            "order by updated_at desc, id limit ?"
        )
        with self._fresh() as database:
            rows = database.execute(query, [*values, -1 if limit is None else limit + 1]).fetchall()
            problems = database.execute(
                "select id, problem from session where problem is not null order by id"
            )
            unreadable = [Unreadable(*row) for row in problems]
        more = limit is not None and len(rows) > limit
        found = SessionPage(_summary(row) for row in (rows[:limit] if more else rows))
        found.unreadable = unreadable
        found.next_page = f"{rows[limit - 1][5]} {rows[limit - 1][0]}" if more and limit else None
        return found

    def ids(self) -> list[str]:
        """The ids of all sessions, unreadable ones too, sorted."""
        with self._fresh() as database:
            return [row[0] for row in database.execute("select id from session order by id")]

    def close(self) -> None:
        """Close the database."""
        with self._mutex:
            self._let_go()

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            # To list what is not there must not create it.
            nothing = self._disk.status(self._layout.base) is None
            try:
                database = self._open(in_memory=nothing or not self._is_writable())
                self._refresh(database)
            except sqlite3.DatabaseError:
                self._remove()  # damaged: it holds nothing that the journals do not
                database = self._open()
                self._refresh(database)
            yield database
            if nothing:
                self._let_go()

    # Bringing it up to date

    def _refresh(self, database: sqlite3.Connection) -> None:
        folder = self._layout.sessions
        database.execute("begin immediate")
        try:
            marked, taken = self._marks.take()
            stale = {session_id for session_id in marked if _is_safe(session_id)}
            status = self._disk.status(folder)
            modified_ns = status.st_mtime_ns if status else 0
            known_ns = database.execute("select modified_ns from folder").fetchone()
            if not self._has_looked or known_ns != (modified_ns,):
                trusted = modified_ns < time.time_ns() - _TICK_NS
                stale |= self._compare(database)
                database.execute("delete from folder")
                database.execute("insert into folder values (?)", (modified_ns if trusted else -1,))
            for session_id in stale:
                self._read_again(database, session_id)
            database.execute("commit")
        except BaseException:
            database.execute("rollback")
            raise
        self._marks.forget(taken)
        self._has_looked = True

    def _compare(self, database: sqlite3.Connection) -> set[str]:
        """The ids whose file is not the one that was read. Ids without a file are taken out."""
        disks.sweep_temporaries(self._disk, self._layout.sessions)
        files: dict[str, str] = {}
        foreign: dict[str, str] = {}
        for entry in self._disk.entries(self._layout.sessions):
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(JOURNAL_ENDING):
                status = entry.stat(follow_symlinks=False)
                if status.st_size:
                    files[name[: -len(JOURNAL_ENDING)]] = _file(status)
            elif name.endswith(SNAPSHOT_ENDING):
                foreign[name[: -len(SNAPSHOT_ENDING)]] = entry.path
        for session_id in foreign.keys() - files.keys():
            if (status_or_none := self._disk.status(foreign[session_id])) is not None:
                files[session_id] = _file(status_or_none)
        known = dict(database.execute("select id, file from session"))
        gone = [(session_id,) for session_id in known.keys() - files.keys()]
        database.executemany("delete from session where id = ?", gone)
        return {session_id for session_id, file in files.items() if known.get(session_id) != file}

    def _read_again(self, database: sqlite3.Connection, session_id: str) -> None:
        file = self._file_of(session_id)
        problem, summary = None, None
        try:
            summary = self._summarize(check_session_id(session_id))
        except (JournalError, OSError) as error:
            problem = str(error)
        if file is None or (summary is None and problem is None):
            database.execute("delete from session where id = ?", (session_id,))
            return
        values: list[object] = [None] * 8
        if summary is not None:
            values = [
                *(summary.user_id, summary.message_count, summary.response_count, summary.active_seed_id),
                *(_text(summary.created_at), _text(summary.updated_at), summary.version, summary.size_bytes),
            ]
        row = [session_id, file, problem, *values]
        database.execute(f"insert or replace into session values ({','.join('?' * len(row))})", row)

    def _file_of(self, session_id: str) -> str | None:
        for ending in (JOURNAL_ENDING, SNAPSHOT_ENDING):
            status = self._disk.status(f"{self._layout.sessions}/{session_id}{ending}")
            if status is not None and (status.st_size or ending == SNAPSHOT_ENDING):
                return _file(status)
        return None

    # The database

    def _open(self, *, in_memory: bool = False) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        if not in_memory:
            disks.make_folders(self._disk, self._layout.internal, durable=False)
            self._disk.close(
                self._disk.open(self._layout.catalog, write=True, create=True)
            )  # for its owner alone
        database = sqlite3.connect(
            ":memory:" if in_memory else self._layout.catalog,
            timeout=60,
            isolation_level=None,
            check_same_thread=False,
        )
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = normal")
        if database.execute("pragma user_version").fetchone() != (SCHEMA_VERSION,):
            tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
            script = "".join(f"drop table {name};" for (name,) in tables)
            database.executescript(
                f"begin; {script} {_SCHEMA} pragma user_version = {SCHEMA_VERSION}; commit;"
            )
        self._database = database
        return database

    def _is_writable(self) -> bool:
        folders = (self._layout.internal, self._layout.base)
        return os.access(next(filter(os.path.exists, folders)), os.W_OK)

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database, self._has_looked = None, False

    def _remove(self) -> None:
        self._let_go()
        for ending in ("", "-wal", "-shm"):
            disks.remove_file(self._disk, self._layout.catalog + ending, durable=False)


def _file(status: os.stat_result) -> str:
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _is_safe(session_id: str) -> bool:
    try:
        check_session_id(session_id)
    except InvalidNameError:
        return False
    return True


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no offset; give it a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def _summary(row: tuple[str, str, int, str | None, str, str, int, int, int]) -> SessionSummary:
    return SessionSummary(
        id=row[0],
        user_id=row[1],
        message_count=row[2],
        active_seed_id=row[3],
        created_at=datetime.fromisoformat(row[4]),
        updated_at=datetime.fromisoformat(row[5]),
        response_count=row[6],
        version=row[7],
        size_bytes=row[8],
    )
