"""What all tests share: a store in a folder of its own, and real conversations where they are at hand."""

import functools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from journal import StateStore
from tests.clusters import one_node, open_place, place, store_name, three_nodes
from tests.command import Call, invoke

__all__ = ["one_node", "open_place", "place", "store_name", "three_nodes"]

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


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """Nothing of what a developer's shell tells the command, or those that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        # A shell starts what runs behind with Ctrl-C ignored, and the programs that tests start inherit that.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ("JOURNAL_STORE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PAGER"):
            patch.delenv(name, raising=False)
        yield


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
def call(folder: Path) -> Call:
    """The command on the test's store."""
    return functools.partial(invoke, folder)


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
