"""A database that is derived from the journals, in SQLite: it may be deleted at any time and is made anew."""

import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from journal import disk as disks
from journal.disk import Disk
from journal.errors import JournalError, UnsafePathError, unreadable
from journal.layout import Layout

T = TypeVar("T")

# What SQLite keeps beside a database.
_BESIDE: Final = ("-wal", "-shm", "-journal")
# What SQLite says of a file that is not what we wrote (any more): an error in the query, corruption, not a
# database.
_DAMAGED: Final = (
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
)


class Derived:
    """One such database: opened when it is asked, and made anew where it is damaged.

    Where nothing may be written it is in memory, this process's alone. What is deleted in it is overwritten.
    """

    def __init__(
        self,
        disk: Disk,
        layout: Layout,
        path: str,
        *,
        version: int,
        schema: str,
        begin: Callable[[sqlite3.Connection], object],
    ) -> None:
        self._disk, self._layout, self.path = disk, layout, path
        self._version, self._schema, self._begin = version, schema, begin
        self._mutex = threading.Lock()
        self._inode = 0  # of the database's file; 0 for one in memory
        self.database: sqlite3.Connection | None = None

    @property
    def is_shared(self) -> bool:
        """Whether the open database is a file, which other processes see."""
        return self._inode != 0

    def ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What `ask` returns of the open database; a damaged one is made anew: the journals have it all.

        `ask` may run twice. One thread at a time.
        """
        disk, layout = self._disk, self._layout
        with self._mutex:
            nothing = False
            try:
                disks.check_folders(disk, layout.base, layout.sessions)
                # To ask about what is not there must not create it.
                nothing = disk.status(layout.base) is None
                in_memory = nothing or not disk.may_write(layout.internal)
                try:
                    return ask(self._open(in_memory=in_memory))
                except (sqlite3.DatabaseError, msgspec.MsgspecError, TypeError, ValueError) as error:
                    if isinstance(error, sqlite3.DatabaseError) and not _is_damage(error):
                        raise
                self._let_go()
                remove_database(disk, self.path)  # it holds nothing that the journals do not
                return ask(self._open(in_memory=False))
            except sqlite3.DatabaseError as error:
                raise JournalError(f"{self.path}: {error}; try again") from error
            except UnsafePathError:
                raise
            except OSError as error:
                self._let_go()
                raise unreadable(layout.internal, error) from error
            finally:
                if nothing:
                    self._let_go()

    def close(self) -> None:
        """Close the database."""
        with self._mutex:
            self._let_go()

    def _open(self, *, in_memory: bool) -> sqlite3.Connection:
        if self.database is not None and self._is_in_place():
            return self.database
        self._let_go()
        if not in_memory:
            disks.make_folders(self._disk, self._layout.internal)
            check_files(self._disk, self.path)
            # For its owner alone.
            fd = self._disk.open(self.path, write=True, create=True)
            disks.close(self._disk, fd, self.path)
        database = connect(None if in_memory else self.path)
        try:
            self._set_up(database)
            self._inode = 0 if in_memory else self._inode_in_place()
        except BaseException:
            database.close()
            raise
        self.database = database
        return database

    def _is_in_place(self) -> bool:
        """Whether the open database is the one that everybody else sees: two would share the marks."""
        return self._inode in (0, self._inode_in_place())

    def _inode_in_place(self) -> int:
        status = self._disk.status(self.path)
        return -1 if status is None else status.st_ino

    def _let_go(self) -> None:
        if self.database is not None:
            self.database.close()
        self.database = None

    def _set_up(self, database: sqlite3.Connection) -> None:
        if database.execute("pragma user_version").fetchone() == (self._version,):
            return
        # Switching to the write-ahead log does not wait for others who do the same.
        for pause in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
            try:
                database.execute("pragma journal_mode = wal")
                break
            except sqlite3.OperationalError:
                time.sleep(pause)
        with Transaction(database):
            # Another process may have been first.
            if database.execute("pragma user_version").fetchone() != (self._version,):
                tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
                for (name,) in tables:
                    # Of a virtual table some go with it.
                    database.execute(f'drop table if exists "{name}"')
                for statement in filter(str.strip, self._schema.split(";")):
                    database.execute(statement)
                self._begin(database)
                database.execute(f"pragma user_version = {self._version}")


class Transaction:
    """`with Transaction(database):` — all of it or nothing, and no other writer meanwhile."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._database.execute("commit")
        finally:
            if self._database.in_transaction:  # on a full disk SQLite has ended it itself
                self._database.execute("rollback")


def connect(path: str | None) -> sqlite3.Connection:
    """Open a database that is there, or one in memory. It overwrites what is deleted."""
    # SQLite must not make it: others could read that.
    source = ":memory:" if path is None else f"file:{urllib.parse.quote(path)}?mode=rw"
    database = sqlite3.connect(source, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
    try:
        database.execute("pragma synchronous = normal")
        database.execute("pragma secure_delete = on")
        database.execute("pragma temp_store = memory")
    except BaseException:
        database.close()
        raise
    return database


def check_files(disk: Disk, path: str) -> None:
    """Raise UnsafePathError where something that is no plain file stands in the place of one of SQLite's."""
    for ending in ("", *_BESIDE):
        disks.check_file(disk, path + ending)


def has_log(disk: Disk, path: str) -> bool:
    """Whether some of a database still stands in its write-ahead log: it is in use, or a crash left it so."""
    status = disk.status(path + _BESIDE[0])
    return status is not None and status.st_size > 0


def remove_database(disk: Disk, path: str, *, durable: bool = False) -> None:
    """Remove a derived database, with what SQLite keeps beside it; whoever asks it next makes it anew."""
    for ending in ("", *_BESIDE):
        disks.remove_file(disk, path + ending, durable=durable)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode & 0xFF in _DAMAGED
