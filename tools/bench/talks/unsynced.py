"""SQLite that does not wait for the disk: what durability="os" is for us."""

import sqlite3
from pathlib import Path
from typing import Any

_connect = sqlite3.connect
_folders: set[str] = set()


def open_unsynced(folder: Path) -> None:
    """From now on, whoever opens a database in this folder gets it with `synchronous = off`.

    The frameworks open their databases themselves, some of them for each call.
    """
    _folders.add(str(folder))
    setattr(sqlite3, "connect", _connect_unsynced)  # noqa: B010


def _connect_unsynced(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
    connection = _connect(database, *arguments, **options)
    if str(Path(database).parent) in _folders:
        connection.execute("pragma synchronous = off")
    return connection
