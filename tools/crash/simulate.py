"""Simulated crashes: what one may leave, after every operation of many workloads, against what was promised.

A state is named by its case (workload, seed, variant) and its path: the point and the number of the image,
and for a crash of what mended that one, the same once more: "14.523/3.17".
"""

import argparse
import contextlib
import gc
import itertools
import multiprocessing
import os
import re
import sys
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash import workloads_alone, workloads_together  # noqa: F401 — they add their workloads
from crash.campaign import Campaign
from crash.images import Image, Images, fingerprint
from crash.simulate_check import check
from crash.simulate_promises import Broken, Promise
from crash.simulate_world import World
from crash.simulated_disk import Endless
from crash.simulated_volume import File
from crash.workloads import WORKLOADS
from journal import JournalError, JournalWarning

# At most so many in a row: then come those of the next workload.
STATES_OF_A_WORKLOAD: Final = 3_000
# Of breaches that differ in numbers alone, so many are told; all are counted.
_MOST_TOLD: Final = 3
# What mends a crash is crashed, too: after one state of so many, into so many others.
_MENDED_ONE_OF: Final = 60
_STATES_OF_A_MENDING: Final = 20
_LEAST_OF_A_POINT: Final = 5
# Of the states of a point, at least one in so many is of each part of its images.
_LEAST_SHARE: Final = {"kills": 8, "names": 4, "holes": 4, "ends": 4, "mixtures": 8}
# What takes longer is looked at in one state of so many.
_CLOSELY_ONE_OF: Final = 4
_MOST_CLOSELY_ONE_OF: Final = 16


class Case(NamedTuple):
    """One run of one variant of a workload, and how many of the states that it may crash into are checked."""

    workload: str
    seed: str
    variant: int
    states: int

    def world(self) -> World:
        """What the workload does."""
        script, _, base = WORKLOADS[self.workload]
        world = World(base=base)
        script(world, Random(f"{self.seed} {self.workload} {self.variant}"), self.variant)
        return world

    def __str__(self) -> str:
        return f"{self.workload} --seed {self.seed} --variant {self.variant}"


@dataclass
class Result:
    """What came of a case."""

    states: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)


def run_case(case: Case) -> Result:
    """Run a workload and check states that it may crash into."""
    explorer = _Explorer(case)
    explorer.result.figures["workloads run"] += 1
    # What is checked leaves rings behind; all else need not be looked at when they are collected.
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
    try:
        with _warnings_as_errors():
            try:
                world = case.world()
            except (Broken, JournalError, OSError, Endless) as error:
                explorer.tell(f"without any crash, {type(error).__name__}: {error}")
            else:
                explorer.explore(world, case.states)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    return explorer.result


@contextlib.contextmanager
def _warnings_as_errors() -> Iterator[None]:
    """All but the one that says what was mended."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", JournalWarning)
        yield


class _Explorer:
    """Crashes one case, as often as it may."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.result = Result()
        self._told: Counter[str] = Counter()

    def tell(self, what: str, path: str = "") -> None:
        """Note a breach, with the command that shows it again."""
        self.result.figures["states that broke a promise"] += 1
        self._told[_kind(what)] += 1
        if self._told[_kind(what)] <= _MOST_TOLD:
            again = f"python tools/crash/simulate.py {self._case}" + (f" --state {path}" if path else "")
            self.result.breaches.append(f"{what}\n  {again}")

    def explore(self, world: World, states: int, path: str = "") -> None:
        """Crash a world at its points, into so many states together."""
        figures, random = self.result.figures, Random(f"{self._case} {path}")
        number_of_points = world.now - world.first + 1
        # Of a workload, all; of what mends a crash, some.
        most = states // _LEAST_OF_A_POINT if path else number_of_points
        points = random.sample(range(number_of_points), min(number_of_points, most))
        figures["operations"] += number_of_points - 1
        figures["crash points"] += len(points)
        goal, left = self.result.states + states, len(points)
        seen: set[tuple[object, ...]] = set()
        for point, volume, under_way in world.points():
            if point - world.first not in points:
                continue
            images = Images(volume, under_way, f"{path}{point}")
            promises = {power: world.promise(point, power=power) for power in (True, False)}
            told = _told(world, point)
            share = max((goal - self.result.states) // left, _LEAST_OF_A_POINT)
            left -= 1
            for number in chosen(images.parts, share, random):
                image = images[number]
                figures["images"] += 1
                # Of a kill, what is not on disk yet matters as well.
                state = (fingerprint(image.volume), *told, None if image.power else point)
                if state in seen:
                    figures["images that were the same"] += 1
                    continue
                seen.add(state)
                mends = self._mends(image, number, path, random)
                mended = self._check(
                    world, image, point, promises[image.power], f"{path}{point}.{number}", mends=mends
                )
                if mends and mended is not None:
                    self.explore(mended, _STATES_OF_A_MENDING, f"{path}{point}.{number}/")

    def _check(
        self, world: World, image: Image, point: int, promise: Promise, path: str, *, mends: bool
    ) -> World | None:
        figures = self.result.figures
        self.result.states += 1
        figures["states checked"] += 1
        figures["after a power cut" if image.power else "after a kill"] += 1
        figures["after a crash of what mended another"] += "/" in path
        try:
            return check(world, image, point, promise, figures, closeness=closeness(path), ends=not mends)
        except Broken as broken:
            self.tell(f"{broken}\n  {image.what}", path)
            return None

    @staticmethod
    def _mends(image: Image, number: int, path: str, random: Random) -> bool:
        """Whether the mending of a state is to be crashed."""
        # The first is a kill, which leaves everything, and nothing of it on disk.
        often = _MENDED_ONE_OF // 8 if number == 0 else _MENDED_ONE_OF
        return random.randrange(often) == 0 and "/" not in path and not _is_doubtful(image)


def _is_doubtful(image: Image) -> bool:
    """Whether a sync failed, and its process was killed before it could say so.

    Nothing tells what it left in memory from what is on disk: there is no answer to a power cut after that.
    """
    return any(isinstance(node, File) and node.doubtful for node in image.volume.nodes.values())


def _kind(breach: str) -> str:
    """The same for breaches that differ in numbers alone."""
    return re.sub(r"[\d']+", "#", breach)[:60]


def _told(world: World, point: int) -> tuple[bool, ...]:
    """Which calls were made and answered by then: from one to the next, the same image is the same state."""
    return tuple(
        told
        for call in world.calls
        if call.begun <= point
        for told in (call.is_under_way(point), call.ended is not None and call.ended <= point)
    )


def closeness(path: str) -> int:
    """How closely a state is looked at."""
    number = int(path.rpartition(".")[2])
    return (number % _CLOSELY_ONE_OF == 1) + (number % _MOST_CLOSELY_ONE_OF == 1)


def chosen(parts: dict[str, int], share: int, random: Random) -> Iterator[int]:
    """The numbers of so many images, some of each part; all, where there are no more."""
    taken = {part: min(size, max(share // _LEAST_SHARE[part], 1)) for part, size in parts.items()}
    # What one part does not need, another may have.
    for part in sorted(parts, key=parts.__getitem__, reverse=True):
        free = max(share - sum(taken.values()), 0)
        taken[part] = min(parts[part], taken[part] + free)
    first = 0
    for part, size in parts.items():
        if size:
            yield first  # of kills and of names, the one where all is there
            yield from (first + n for n in sorted(random.sample(range(1, size), taken[part] - 1)))
        first += size


# The campaign


def cases(seed: int, states: int) -> Iterator[Case]:
    """All variants of all workloads, again and again, each time with other texts and other states.

    So many states of each workload, however many variants it has; but some of each point of each variant.
    """
    for turn in itertools.count():
        for name, (_, variants, _) in WORKLOADS.items():
            for variant in range(variants):
                yield Case(name, f"{seed}.{turn}", variant, states // variants)


def run(campaign: Campaign) -> None:
    """Units are states. Which ones depends on the seed and the count alone, not on the machine's cores."""
    goal = campaign.count
    states = min(STATES_OF_A_WORKLOAD, (goal or 20_000) // len(WORKLOADS) + 1)
    queue = cases(campaign.seed, states)
    cores = os.cpu_count() or 1
    done = 0
    told: Counter[str] = Counter()
    # Begun anew, not forked: whoever calls this may have threads.
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[Result]] = deque()
        while not campaign.is_over and (goal is None or done < goal):
            while len(waiting) < 2 * cores:
                waiting.append(pool.submit(run_case, next(queue)))
            result = waiting.popleft().result()
            done += result.states
            campaign.figures.update(result.figures)
            for breach in result.breaches:
                told[_kind(breach)] += 1
                if told[_kind(breach)] <= _MOST_TOLD:
                    campaign.breach(breach)
        for future in waiting:
            future.cancel()


# One state


def check_one(case: Case, path: str) -> str:
    """Crash a case into one state; what is broken there, or nothing."""
    with _warnings_as_errors():
        world, walked = case.world(), ""
        for step in path.split("/"):
            at, number = map(int, step.split("."))
            volume, under_way = next((v, operation) for point, v, operation in world.points() if point == at)
            image = Images(volume, under_way, f"{walked}{at}")[number]
            promise = world.promise(at, power=image.power)
            try:
                world = check(world, image, at, promise, Counter(), closeness=closeness(step), ends=False)
            except Broken as broken:
                return f"{broken}\n  {image.what}"
            walked += f"{step}/"
    return ""


def main() -> int:
    """Show again what a breach told of."""
    parser = argparse.ArgumentParser(description="Crash a workload into one state, or into many.")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--variant", type=int, default=0)
    parser.add_argument("--state", help="its path; many states unless given")
    parser.add_argument("--states", type=int, default=STATES_OF_A_WORKLOAD, help="so many")
    options = parser.parse_args()
    case = Case(options.workload, options.seed, options.variant, options.states)
    if options.state:
        broken = check_one(case, options.state)
        print(broken or "nothing is broken there")
        return 1 if broken else 0
    result = run_case(case)
    print(*(f"{number:8,} {what}" for what, number in result.figures.items()), *result.breaches, sep="\n")
    return 1 if result.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
