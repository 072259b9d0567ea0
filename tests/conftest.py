"""What all tests share: a store in a folder of its own, and real conversations where they are at hand."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from journal import StateStore

SHARED = Path(__file__).parents[2] / "shared"

_checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
# The same examples on every machine; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile(
    "usual", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_checks, database=None
)
settings.register_profile("explore", max_examples=1000, deadline=None, suppress_health_check=_checks)
# For newer interpreters: each law, and few examples of it.
settings.register_profile("few", settings.get_profile("usual"), max_examples=10)
settings.load_profile("usual")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[StateStore]:
    """A store that does not wait for the disk: the tests that are about the disk open their own."""
    with StateStore(folder, durability="os") as opened:
        yield opened


@pytest.fixture
def journal_file(folder: Path) -> Callable[[str], Path]:
    """The journal of a session."""
    return lambda session_id: folder / "sessions" / f"{session_id}.jsonl"


@pytest.fixture
def snapshot_file(folder: Path) -> Callable[[str], Path]:
    """The snapshot of a session."""
    return lambda session_id: folder / "sessions" / f"{session_id}.json"


@pytest.fixture(scope="session")
def data() -> Path:
    """Real conversations, with their sources and licences beside them."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no folder of real conversations beside the project")
    return SHARED / "data"


@pytest.fixture(scope="session")
def seed_files(data: Path) -> Path:
    """Files that the seed's own program wrote, and inputs that it accepts and rejects."""
    return data / "seed-sessions"
