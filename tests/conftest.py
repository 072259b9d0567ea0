"""What all tests share: a store in a folder of its own, and real conversations where they are at hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal import StateStore

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[StateStore]:
    """A store that does not wait for the disk: the tests that are about the disk open their own."""
    with StateStore(folder, durability="os") as opened:
        yield opened


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
