"""The disk is full at every byte of every operation: nothing changes, and all goes on once there is room.

Three ways to run out of room: a disk of the engine's own that takes so many bytes (everywhere); the kernel's
limit on a file's size, which cuts a write short to the byte (everywhere); a small file system in memory with
so many pages or names left (needs root).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from crash.campaign import Campaign
from crash.full_disk import FullDisk, files_of_at_most, names_left, pages_left, small_file_system
from crash.ground import Ground, in_memory
from crash.scenarios import SCENARIOS, Scenario
from crash.trial import attempt, note
from journal import StateStore

WRITING = tuple(scenario for scenario in SCENARIOS if scenario.writes)
# How often the whole store is listed afterwards, which costs as much as all else.
LISTED = 0.05
SMALL_BYTES, SMALL_NAMES = 1 << 20, 100
# More than any operation here takes.
MOST_PAGES, MOST_NAMES = 24, 12

Trouble = Callable[[FullDisk, int], AbstractContextManager[None]]


class Case(NamedTuple):
    """An operation, and how much room there is for it."""

    ground: Ground
    what: str
    room: int
    trouble: Trouble

    def __str__(self) -> str:
        return f"{self.ground.scenario.name}, room for {self.room} {self.what}"


def run(campaign: Campaign, *, kind: type[StateStore] = StateStore) -> None:
    """Units are trials: operations with so much room, drawn from all that there are."""
    small_one = small_file_system(campaign.folder, SMALL_BYTES, SMALL_NAMES)
    with in_memory(campaign.folder) as folder, small_one as small:
        if small is None:
            campaign.skip("a small file system that is full: to mount one needs root")
        cases = [
            case for number, each in enumerate(WRITING) for case in _cases(each, folder / str(number), small)
        ]
        campaign.figures["operations"] = len(WRITING)
        campaign.figures["points at which there can be no room"] = len(cases)
        campaign.random.shuffle(cases)
        cases.sort(key=_taking_turns())  # there are few of some kinds
        for case, _ in zip(cases, campaign.units(), strict=False):
            disk = FullDisk()
            trouble, lists = case.trouble(disk, case.room), campaign.random.random() < LISTED
            problems = list(attempt(case.ground, disk, trouble, lists=lists, kind=kind))
            campaign.figures[f"no room for {case.what}"] += 1
            note(campaign, str(case), problems)


def _cases(scenario: Scenario, folder: Path, small: Path | None) -> Iterator[Case]:
    ground = Ground.survey(scenario, folder)
    for room in range(ground.size_bytes):
        yield Case(ground, "bytes", room, partial(FullDisk.full_after, names_need_room=False))
        yield Case(ground, "bytes, nor names", room, partial(FullDisk.full_after, names_need_room=True))
    written = [path for path in ground.folder.rglob("*") if path.is_file() and "catalog" not in path.name]
    largest = max(path.stat().st_size for path in written)
    for room in range(largest):
        yield Case(ground, "bytes in a file", room, lambda _, room: files_of_at_most(room))
    if small is not None:
        ground = replace(ground, folder=small / "state")
        for room in range(MOST_PAGES):
            yield Case(ground, "pages", room, lambda _, room: pages_left(small, room))
        for room in range(MOST_NAMES):
            yield Case(ground, "names", room, lambda _, room: names_left(small, room))


def _taking_turns() -> Callable[[Case], int]:
    """A sort key by which the kinds of cases alternate."""
    seen: Counter[str] = Counter()

    def turn(case: Case) -> int:
        seen[case.what] += 1
        return seen[case.what]

    return turn
