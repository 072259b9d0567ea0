"""The ground of a trial: a folder that is made anew, and what an operation does there if nothing is wrong."""

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from crash.full_disk import FullDisk
from crash.scenarios import Scenario, state
from journal import JournalWarning, StateStore
from journal.disk import Disk


@contextlib.contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder in memory, where the system has that: a trial needs a disk for nothing but its names."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else folder) as found:
        yield Path(found)


@dataclass
class Ground:
    """What an operation does where nothing is wrong: to hold one against where something is.

    after       what the folder holds then
    answer      what the operation returned
    calls       what it asked of the disk, call by call
    size_bytes  how much it wrote
    """

    scenario: Scenario
    folder: Path
    template: Path
    after: dict[str, object] = field(default_factory=dict)
    answer: object = None
    calls: list[str] = field(default_factory=list)
    size_bytes: int = 0

    @classmethod
    def survey(cls, scenario: Scenario, folder: Path) -> "Ground":
        """Do it once, and see."""
        ground = cls(scenario, folder / "state", folder / "template")
        scenario.prepare(ground.template)
        ground.reset()
        disk = FullDisk()
        with closing(ground.open(disk)) as store:
            deed = scenario.begin(store)
            size_bytes = disk.size_bytes
            with disk.failing(), warnings.catch_warnings():
                warnings.simplefilter("ignore", JournalWarning)
                ground.answer = deed.act()
            ground.after, ground.calls = state(ground.folder), [*disk.calls]
            ground.size_bytes = disk.size_bytes - size_bytes
        return ground

    def reset(self) -> None:
        """Make the folder what it is before the operation."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.template.exists():
            shutil.copytree(self.template, self.folder)

    def open(self, disk: Disk, kind: type[StateStore] = StateStore) -> StateStore:
        """A store on this disk."""
        opened = type("Store", (kind,), {"_new_disk": staticmethod(lambda: disk)})
        store: StateStore = opened(self.folder, snapshots=self.scenario.snapshots)
        return store
