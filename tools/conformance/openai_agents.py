"""The OpenAI Agents SDK's tests of sessions: ours stand in the place of its own."""

import importlib
import tempfile
from pathlib import Path
from typing import Any, Final

from conformance.outcome import Outcome
from conformance.suite import outcome, skip_not_applicable, source

VERSION: Final = "0.24.0"
PACKAGES: Final = [
    f"openai-agents[encrypt]=={VERSION}",
    "sqlalchemy[asyncio]>=2",
    "aiosqlite",
    "pytest>=9",
    "pytest-asyncio>=1.3",
]
SUITE: Final = f"session, limit, human-in-the-loop and encrypted-session tests of openai-agents {VERSION}"
_TESTS: Final = (
    "tests/memory/test_session.py",
    "tests/memory/test_session_limit.py",
    "tests/test_hitl_session_scenario.py",
    "tests/extensions/memory/test_encrypt_session.py",
)
_SQL: Final = "looks at SQLiteSession's connections, locks, rows or statements"
_POP: Final = "EncryptedSession looks before it pops only where SQLiteSession itself is below it"
NOT_APPLICABLE: Final = {
    "test_sqlite_session_close*": _SQL,
    "test_sqlite_session_reaps_*": _SQL,
    "test_sqlite_session_keeps_*": _SQL,
    "test_sqlite_session_file_lock_*": _SQL,
    "test_sqlite_session_rollback_*": _SQL,
    "test_sqlite_session_failed_*": _SQL,
    "test_sqlite_session_post_commit_*": _SQL,
    "test_sqlite_session_*_corrupt*": "writes bad JSON into the table; a journal with such a line is damaged",
    "test_encrypted_pop_wrong_key_*": _POP,
    "test_encrypted_pop_rechecks_*": _POP,
    "test_encrypted_pop_authentication_*": _POP,
    "test_encrypted_pop_cancellation_*": _POP,
    "test_encrypted_compaction_skips_*": "the SDK compacts a part of the items only in its own stores",
    "test_*_redis_*": "is about sessions in Redis",
    "test_openai_conversations_*": "is about sessions that OpenAI keeps, and needs a key",
}


def run(python: str, checkout: Path | None, work: Path) -> Outcome:
    """Run the suite of a checkout of openai/openai-agents-python; without one, that of the source archive."""
    folder = checkout or source(python, "openai-agents", VERSION, work)
    return outcome(python, "openai_agents", _TESTS, folder, work)


# As a plugin of pytest, in the framework's environment


def pytest_configure(config: Any) -> None:
    import agents

    from journal import AsyncStateStore
    from journal.adapters.openai_agents import JournalSession
    from journal.adapters.openai_agents_items import event_of
    from projections import SessionCreated

    class InItsPlace(JournalSession):
        """In a folder beside the database that is none."""

        def __init__(
            self, session_id: str, db_path: str | Path = ":memory:", session_settings: Any = None
        ) -> None:
            folder = tempfile.mkdtemp() if db_path == ":memory:" else f"{db_path}.journal"
            super().__init__(
                session_id, AsyncStateStore(folder, durability="os"), session_settings=session_settings
            )

        def _close(self) -> None:
            self._store._close()

        close: Any = _close  # nobody awaits theirs

    class InTheListsPlace(InItsPlace):
        def __init__(self, session_id: str = "test", history: list[Any] | None = None) -> None:
            super().__init__(session_id)
            created = SessionCreated(session_id=session_id, user_id="user")
            events = [created, *map(event_of, history or ())]
            self._store._store.append(session_id, events, expected_version=0)

    agents.SQLiteSession = InItsPlace
    simple_session: Any = importlib.import_module("tests.utils.simple_session")  # theirs: pytest runs there
    simple_session.SimpleListSession = InTheListsPlace


def pytest_collection_modifyitems(items: list[Any]) -> None:
    skip_not_applicable(items, NOT_APPLICABLE)
