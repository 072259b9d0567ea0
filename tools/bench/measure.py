"""Measuring: medians of calls that take turns, so that what else the machine does hits all alike."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    floor: str
    target: str
    holds: bool

    def __str__(self) -> str:
        verdict = "yes" if self.holds else "**no**"
        return f"| {self.what} | {self.figure} | {self.floor} | {self.target} | {verdict} |"


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# Calls of one kind that follow each other, as they do in the programs that make them.
BLOCK = 20


def medians(times: int, *calls: Callable[[], object]) -> list[float]:
    """The median duration of each call, in seconds. They take turns in blocks; the first does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    gc.collect()
    for turn in range(times // BLOCK + 1):
        for each, call in zip(taken, calls, strict=True):
            durations = [seconds(call) for _ in range(BLOCK)]
            if turn:
                each.extend(durations)
    return [statistics.median(each) for each in taken]


def best(times: int, *calls: Callable[[], object]) -> list[float]:
    """The shortest duration of each call: for long ones, where whatever disturbs only adds."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for each, call in zip(taken, calls, strict=True):
            gc.collect()
            each.append(seconds(call))
    return [min(each) for each in taken]


def us(duration: float) -> str:
    """Microseconds, for people."""
    return f"{duration * 1e6:,.1f} µs"


def ms(duration: float) -> str:
    """Milliseconds, for people."""
    return f"{duration * 1e3:,.1f} ms"
