"""What a process holds, memory and open files, looked at from time to time: does it grow?"""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

# Where this system tells what a process holds.
PROCESSES: Final = Path("/proc")
CAN_LOOK: Final = (PROCESSES / "self" / "fd").is_dir() and (PROCESSES / "self" / "status").is_file()


class Gauge:
    """What one process held, look by look."""

    def __init__(self, pid: int) -> None:
        self._folder = PROCESSES / str(pid)
        self.memory_bytes: list[int] = []
        self.open_files: list[int] = []

    def look(self) -> None:
        """Look once more, unless it has ended."""
        try:
            files = len(os.listdir(self._folder / "fd"))
            status = (self._folder / "status").read_text()
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                self.memory_bytes.append(int(line.split()[1]) * 1024)
                self.open_files.append(files)


def quarter(values: Sequence[int], number: int) -> float:
    """The mean of the first, second, third or fourth quarter of at least four values."""
    return fmean(values[len(values) * (number - 1) // 4 : len(values) * number // 4])


def growth(values: Sequence[int]) -> float:
    """How much higher the last quarter is than the second: the first is for getting started."""
    return quarter(values, 4) - quarter(values, 2)
