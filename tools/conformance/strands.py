"""Strands' tests of session repositories: they run ours in the place of its files, and of its mock."""

import importlib
import tempfile
from pathlib import Path
from typing import Any, Final

from conformance.outcome import Outcome
from conformance.suite import outcome, skip_not_applicable, source

VERSION: Final = "1.62.0"
PACKAGES: Final = [f"strands-agents=={VERSION}", "pytest>=9", "pytest-asyncio", "moto", "boto3"]
SUITE: Final = (
    f"tests/strands/session/test_{{repository,file}}_session_manager.py of strands-agents {VERSION}"
)
_FILES: Final = "looks at the files that FileSessionManager writes"
NOT_APPLICABLE: Final = {
    "test_create_session": _FILES,
    "test_delete_session": _FILES,
    "test_create_agent": _FILES,
    "test_create_message": _FILES,
    "test_message_durable_id_persists": _FILES,
    "test_corrupted_json_file": _FILES,
    "test_permission_error_handling": _FILES,
    "test__get_*_path_*": _FILES,
    "test_create_multi_agent": _FILES,
    "test_create_session_multi_agent_directory_structure": _FILES,
}


def run(python: str, checkout: Path | None, work: Path) -> Outcome:
    """Run the suite of a checkout of strands-agents/sdk-python; without one, that of the source archive."""
    folder = Path("tests/strands/session")
    tests = [folder / "test_repository_session_manager.py", folder / "test_file_session_manager.py"]
    return outcome(
        python, "strands", tests, checkout or source(python, "strands-agents", VERSION, work), work
    )


# As a plugin of pytest, in the framework's environment


def pytest_configure(config: Any) -> None:
    from strands.session import file_session_manager
    from strands.session.repository_session_manager import RepositorySessionManager

    from journal.adapters.strands import JournalSessionRepository

    class InFilesPlace(RepositorySessionManager, JournalSessionRepository):
        """A manager that is its own repository, as FileSessionManager is."""

        def __init__(self, session_id: str, storage_dir: str, **kwargs: Any) -> None:
            JournalSessionRepository.__init__(self, storage_dir, durability="os")
            RepositorySessionManager.__init__(self, session_id, self)

    class InMocksPlace(JournalSessionRepository):
        """In a folder of its own."""

        def __init__(self) -> None:
            self._folder = tempfile.TemporaryDirectory()
            super().__init__(self._folder.name, durability="os")

    file_session_manager.FileSessionManager = InFilesPlace
    mock: Any = importlib.import_module("tests.fixtures.mock_session_repository")
    mock.MockedSessionRepository = InMocksPlace


def pytest_collection_modifyitems(items: list[Any]) -> None:
    skip_not_applicable(items, NOT_APPLICABLE)
