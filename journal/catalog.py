"""The derived index over all sessions, in SQLite: it may be deleted at any time."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from journal import disk as disks
from journal.derived import Derived, Transaction
from journal.disk import Disk
from journal.errors import InvalidNameError
from journal.layout import JOURNAL_ENDING, SNAPSHOT_ENDING, Layout
from journal.marks import COUNTS_FOR_SECONDS, Marks, OwnMarks, Taken
from journal.names import is_session_id
from projections.summary import SessionSummary

T = TypeVar("T")

SCHEMA_VERSION: Final = 2
# Writers notice so late that their marks are gone with a catalog that someone removed: until they have, a
# new catalog trusts none.
_MARKS_GONE_NS: Final = int(3 * COUNTS_FOR_SECONDS * 1e9)
# A folder's time moves in ticks of some milliseconds: one that is this fresh may hide a later change.
_TICK_NS: Final = 100_000_000

_SCHEMA = """
create table session (
    id text primary key, file text not null, problem text, user_id text, updated_at text, summary blob,
    change integer not null
) without rowid;
create index by_time on session (updated_at desc, id);
create index by_problem on session (id) where problem is not null;
create index by_user on session (user_id, updated_at desc, id);
create index by_change on session (change);
create table looked (made_ns integer not null, folder_ns integer not null, changes integer not null);
"""


_decode = msgspec.json.Decoder(list[SessionSummary]).decode


class Unreadable(NamedTuple):
    """A session that is there and could not be read, and why."""

    id: str
    reason: str


class Problem(NamedTuple):
    """Why a session could not be read, and whether that lasts as long as its file is the same."""

    reason: str
    lasts: bool


class Known(NamedTuple):
    """What the catalog knows of a session: whose it is, what is wrong with it."""

    id: str
    user_id: str | None
    problem: str | None


class Changes(NamedTuple):
    """What changed: up to where, as `changes` takes it; the sessions, oldest first; how many there are."""

    until: tuple[int, int]
    sessions: list[Known]
    total: int


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
        self,
        disk: Disk,
        layout: Layout,
        marks: Marks | OwnMarks,
        summarize: Callable[[Iterable[str]], Iterable[tuple[str, SessionSummary | Problem | None]]],
    ) -> None:
        self._disk, self._layout, self._marks, self._summarize = disk, layout, marks, summarize
        self._file = Derived(
            disk, layout, layout.catalog, version=SCHEMA_VERSION, schema=_SCHEMA, begin=_begin
        )
        # The open database for which this process has compared every file once.
        self._looked_for: sqlite3.Connection | None = None

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
        check_text("user id", user_id)
        check_text("page", page)
        where, values = ["problem is null"], []
        for condition, value in (
            ("user_id = ?", user_id),
            ("updated_at >= ?", utc_text(since)),
            ("updated_at < ?", utc_text(until)),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        if page is not None:
            updated_at, _, session_id = page.partition(" ")
            where.append("(updated_at < ? or (updated_at = ? and id > ?))")
            values += [updated_at, updated_at, session_id]
        query = (
            f"select summary from session where {' and '.join(where)} order by updated_at desc, id limit ?"
        )

        def ask(database: sqlite3.Connection) -> SessionPage:
            rows = database.execute(query, [*values, -1 if limit is None else limit + 1]).fetchall()
            problems = database.execute(
                "select id, problem from session where problem is not null order by id"
            )
            found = SessionPage(_decode(b"[%b]" % b",".join(summary for (summary,) in rows[:limit])))
            found.unreadable = [Unreadable(*row) for row in problems]
            if limit is not None and len(rows) > limit:
                found.next_page = f"{utc_text(found[-1].updated_at)} {found[-1].id}" if found else page
            return found

        return self._ask(ask)

    def changes(self, since: tuple[int, int]) -> Changes:
        """The sessions that changed since an earlier call said `until`; all for whom none has."""

        def ask(database: sqlite3.Connection) -> Changes:
            made_ns, changes = database.execute("select made_ns, changes from looked").fetchone()
            (total,) = database.execute("select count(*) from session").fetchone()
            rows = database.execute(
                "select id, user_id, problem from session where change > ? order by change, updated_at",
                (since[1] if since[0] == made_ns else 0,),
            )
            return Changes((made_ns, changes), [Known(*row) for row in rows], total)

        return self._ask(ask)

    def ids(self) -> list[str]:
        """The ids of all sessions, unreadable ones too, sorted."""
        return self._ask(
            lambda database: [row[0] for row in database.execute("select id from session order by id")]
        )

    def origins(self) -> dict[str, str]:
        """Of each fork, the session that it is a fork of."""
        query = "select summary from session where problem is null"

        def ask(database: sqlite3.Connection) -> dict[str, str]:
            rows = database.execute(query).fetchall()
            found = _decode(b"[%b]" % b",".join(summary for (summary,) in rows))
            return {each.id: each.origin for each in found if each.origin is not None}

        return self._ask(ask)

    def close(self) -> None:
        """Close the database."""
        self._file.close()

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the catalog, brought up to date."""

        def ask_fresh(database: sqlite3.Connection) -> T:
            self._refresh(database)
            return ask(database)

        return self._file.ask(ask_fresh)

    # Bringing it up to date

    def _refresh(self, database: sqlite3.Connection) -> None:
        folder = self._layout.sessions
        self._disk.hear_all()
        with self._disk.settled, Transaction(database):
            # A catalog in memory is this process's alone: it must not take the marks from the others.
            taken = self._marks.take() if self._file.is_shared else Taken(set(), [], True)
            stale = {each: self._file_of(each) for each in taken.session_ids if is_session_id(each)}
            status = self._disk.status(folder)
            modified_ns = status.st_mtime_ns if status else 0
            made_ns, folder_ns = database.execute("select made_ns, folder_ns from looked").fetchone()
            now_ns = time.time_ns()
            has_looked = self._looked_for is database
            if not has_looked or (
                not self._marks.tell_all
                and (
                    not (self._file.is_shared and taken.is_all)
                    or folder_ns != modified_ns
                    or not made_ns + _MARKS_GONE_NS < now_ns
                )
            ):
                stale |= self._compare(database)
                is_settled = modified_ns < now_ns - _TICK_NS
                database.execute("update looked set folder_ns = ?", (modified_ns if is_settled else -1,))
            self._looked_for = database
            if stale:
                self._read_again(database, stale)
        self._marks.forget(taken)

    def _compare(self, database: sqlite3.Connection) -> dict[str, str | None]:
        """The ids, and the files, where the file is not the one that was read; no file where it is gone."""
        files = dict.fromkeys(self._disk.unopened_ids(), "")
        foreign: dict[str, str] = {}
        for entry in self._disk.entries(self._layout.sessions):
            # A name that is no Unicode is an id that cannot be read; it is listed as that.
            name = entry.name.encode(errors="backslashreplace").decode()
            if name.startswith("."):
                disks.sweep_if_stale(self._disk, entry)
                continue
            if name.endswith(JOURNAL_ENDING):
                if entry.status.st_size:
                    files[name[: -len(JOURNAL_ENDING)]] = file_identity(entry.status)
            elif name.endswith(SNAPSHOT_ENDING):
                foreign[name[: -len(SNAPSHOT_ENDING)]] = file_identity(entry.status)
        files = foreign | files
        known = dict(database.execute("select id, file from session"))
        stale: dict[str, str | None] = dict.fromkeys(known.keys() - files.keys())
        stale.update(
            (session_id, file) for session_id, file in files.items() if known.get(session_id) != file
        )
        return stale

    def _read_again(self, database: sqlite3.Connection, stale: dict[str, str | None]) -> None:
        database.execute("update looked set changes = changes + 1")
        (change,) = database.execute("select changes from looked").fetchone()
        gone: list[tuple[str]] = []
        rows: list[tuple[object, ...]] = []
        for session_id, summary in self._summarize(stale):
            file = stale[session_id]
            if file is None or summary is None:
                gone.append((session_id,))
            elif isinstance(summary, Problem):
                known_file = file if summary.lasts else ""
                rows.append((session_id, known_file, summary.reason, None, None, None, change))
                if not summary.lasts:
                    self._looked_for = None
            else:
                updated_at, encoded = utc_text(summary.updated_at), msgspec.json.encode(summary)
                rows.append((session_id, file, None, summary.user_id, updated_at, encoded, change))
        database.executemany("delete from session where id = ?", gone)
        database.executemany("insert or replace into session values (?, ?, ?, ?, ?, ?, ?)", rows)

    def _file_of(self, session_id: str) -> str | None:
        if self._marks.tell_all:
            return ""  # what is not there yet may be there when it is read, and then no other mark tells
        for ending in (JOURNAL_ENDING, SNAPSHOT_ENDING):
            status = self._disk.status(f"{self._layout.sessions}/{session_id}{ending}")
            if status is not None and (status.st_size or ending == SNAPSHOT_ENDING):
                return file_identity(status)
        return None


def _begin(database: sqlite3.Connection) -> None:
    database.execute("insert into looked values (?, -1, 0)", (time.time_ns(),))


def check(database: sqlite3.Connection) -> None:
    """Raise sqlite3.Error where its tables are not the catalog's; those of another version are made anew."""
    if database.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,):
        database.execute(
            "select id, file, problem, user_id, updated_at, summary, change from session limit 0"
        )
        database.execute("select made_ns, folder_ns, changes from looked limit 0")


def file_identity(status: os.stat_result) -> str:
    """What tells a file from another one, and from itself when it has changed."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def check_text(kind: str, text: str | None) -> None:
    """Refuse what no database takes. Raises InvalidNameError."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InvalidNameError(kind, text, "is not valid Unicode") from None


def utc_text(moment: datetime | None) -> str | None:
    """A moment as texts of moments compare. Raises ValueError for one without an offset."""
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no offset; give it a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
