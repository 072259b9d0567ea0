"""What every campaign shares: how long it may go on, what it counts, and what broke."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass
class Campaign:
    """One run of one campaign.

    seed     reproduces it: all chance comes from `random`
    count    how many units (states, kills, inputs) at most; None: as many as fit in `seconds`
    seconds  how long at most
    folder   an empty folder of its own
    """

    seed: int
    count: int | None
    seconds: float
    folder: Path
    figures: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._end = time.monotonic() + self.seconds

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() >= self._end

    def units(self) -> Iterator[int]:
        """0, 1, 2 … until the count is reached or the time is up."""
        unit = 0
        while (self.count is None or unit < self.count) and not self.is_over:
            yield unit
            unit += 1

    def breach(self, what: str) -> None:
        """Note a broken promise: what was seen, and what reproduces it."""
        self.breaches.append(what)

    def skip(self, why: str) -> None:
        """Note what could not be tried here, and why; it is printed, never passed over."""
        self.skipped.append(why)
