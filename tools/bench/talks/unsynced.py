"""SQLite that does not wait for the disk: what durability="os" is for us."""

import sqlite3
from pathlib import Path
from typing import Any

_connect: Any = sqlite3.connect
_folders: set[str] = set()


def open_unsynced(folder: Path) -> None:
    """`connect` opens the databases of this folder with `synchronous = off`."""
    _folders.add(str(folder))


def connect(database: Any, *arguments: Any, **options: Any) -> Any:
    """In the place of sqlite3.connect: frameworks open their databases themselves, some for each call."""
    connection = _connect(database, *arguments, **options)
    if str(Path(database).parent) in _folders:
        connection.execute("pragma synchronous = off")
    return connection
