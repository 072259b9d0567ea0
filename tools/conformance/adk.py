"""Google ADK's tests of session services: they run ours in the place of its two SQL services."""

import tempfile
from pathlib import Path
from typing import Any, Final

from conformance.outcome import Outcome
from conformance.suite import outcome, skip_not_applicable

PACKAGES: Final = ["google-adk==2.13.0", "sqlalchemy>=2", "aiosqlite", "pytest>=9", "pytest-asyncio"]
# Of the sources of 2.5.0: a checkout of another version may have other tests.
SUITE: Final = "tests/unittests/sessions/test_session_service.py of google/adk-python 2.5.0"
_SQL: Final = "looks at the tables, engines or statements of DatabaseSessionService"
_PATHS: Final = "is about URLs of SQLite files"
_OTHER: Final = "makes another service itself"
NOT_APPLICABLE: Final = {
    "test_database_session_service_*": _SQL,
    "test_append_event_raises_if_*_state_row_missing": _SQL,
    "test_*_calls_rollback_on_commit_failure": _SQL,
    "test_*_reads_storage_revision_before_commit": _SQL,
    "test_service_recovers_after_multiple_failures": _SQL,
    "test_*prepare_tables*": _SQL,
    "test_get_or_create_state_*": _SQL,
    "test_append_event_locks_only_scopes_with_deltas*": _SQL,
    "test_session_type_decorators_*": _SQL,
    "test_dynamic_json_column_*": _SQL,
    "test_sqlite_session_service_*": _PATHS,
    "test_append_event_when_session_is_same_ref_as_storage_session": _OTHER,
    "test_create_session_with_padded_duplicate_id_raises_error": _OTHER,
    "test_create_session_with_blank_id_generates_one": _OTHER,
    "test_vertex_ai_session_service_*": _OTHER,
    "test_*_sync_*": _OTHER,
    "test_append_event_is_idempotent_for_same_event_id*": _OTHER,
    "test_append_different_events_not_deduplicated*": _OTHER,
    "test_get_session_config_*": "is about no service",
    "test_recorded_divergences_*": "is about the list of ADK's own services",
    "test_get_session_orders_tied_timestamps_by_id*": "a journal gives events back in the order of appending",
}


def run(python: str, checkout: Path | None, work: Path) -> Outcome:
    """Run the suite of a checkout of google/adk-python."""
    if checkout is None:
        raise SystemExit("ADK's tests are in its repository only: give a checkout of google/adk-python")
    return outcome(python, "adk", ["tests/unittests/sessions/test_session_service.py"], checkout, work)


# As a plugin of pytest, in the framework's environment


def pytest_configure(config: Any) -> None:
    from google.adk.sessions import database_session_service, sqlite_session_service

    from journal.adapters.adk import JournalSessionService

    class InTheirPlace(JournalSessionService):
        """In a folder of its own, whatever is said of a database."""

        def __init__(self, *_: object, **__: object) -> None:
            self._folder = tempfile.TemporaryDirectory()
            super().__init__(self._folder.name, durability="os")

    database_session_service.DatabaseSessionService = InTheirPlace
    sqlite_session_service.SqliteSessionService = InTheirPlace


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Of a test that runs with several services, only the one whose place is taken."""
    ours = {item.originalname for item in items if _is_sqlite(item)}
    others = [item for item in items if item.originalname in ours and not _is_sqlite(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    skip_not_applicable(items, NOT_APPLICABLE)


def _is_sqlite(item: Any) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "sqlite" in callspec.id.lower()
