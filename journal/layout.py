"""Where each file of a store is."""

import os
from typing import Final

from journal.names import SESSIONS, check_category, check_name, check_session_id

JOURNAL_ENDING: Final = ".jsonl"
SNAPSHOT_ENDING: Final = ".json"


class Layout:
    """Paths below one base folder. Session ids and names are checked on the way: no path escapes it."""

    def __init__(self, base_path: str | os.PathLike[str]) -> None:
        self.base = os.path.abspath(os.fspath(base_path))
        self.sessions = os.path.join(self.base, SESSIONS)
        self.internal = os.path.join(self.base, ".journal")
        self.catalog = os.path.join(self.internal, "catalog.sqlite3")
        self.search = os.path.join(self.internal, "search.sqlite3")
        self.quarantine = os.path.join(self.internal, "quarantine")
        self.attachments = os.path.join(self.internal, "attachments")
        self.tombstones = os.path.join(self.internal, "tombstones.jsonl")

    def journal(self, session_id: str) -> str:
        """The journal of a session."""
        return f"{self.sessions}/{check_session_id(session_id)}{JOURNAL_ENDING}"

    def snapshot(self, session_id: str) -> str:
        """The snapshot of a session."""
        return f"{self.sessions}/{check_session_id(session_id)}{SNAPSHOT_ENDING}"

    def category(self, category: str) -> str:
        """The folder of a category of documents."""
        return os.path.join(self.base, check_category(category))

    def document(self, category: str, name: str, ending: str) -> str:
        """The file of a document."""
        return os.path.join(self.category(category), check_name(name) + ending)
