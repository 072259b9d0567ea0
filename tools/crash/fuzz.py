"""Random and half-random bytes as every file of a store, and as every file that can be imported.

Nothing but an answer or a JournalError may come of them, soon and in little memory; reads change nothing, a
repair makes every session work that can be read at all, and no line of a journal is lost. What breaks a
promise is made as small as it can be, and printed.
"""

import faulthandler
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from crash.campaign import Campaign
from crash.fuzz_inputs import AROUND, DOCUMENT, IMPORTS, SNAPSHOTS, journal, mutated
from crash.fuzz_targets import JOURNAL, SNAPSHOT, TARGETS, Files, chunks_of
from crash.ground import in_memory
from journal import salvage

# How many of a thousand inputs go to each target: of the dear ones, fewer.
SHARES: Final = {"journal": 744, "snapshot": 200, "import": 35, "store": 20, "folder": 1}
SLICE: Final = 1000
HANGS_AFTER_SECONDS: Final = 20.0
MOST_MIB: Final = 2048
_MOST_TRIES: Final = 400
_KINDS: Final = [kind for kind, share in SHARES.items() for _ in range(share)]
_SQLITE: Final = b"SQLite format 3\0\x10\0\x02\x02\0\x40\x20\x20"


class Hang(BaseException):
    """It takes too long. Nothing that catches Exception catches it."""


@dataclass
class Tally:
    """What came of some inputs."""

    figures: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    peak_mib: int = 0


class Slice(NamedTuple):
    """Some inputs, for one process to try."""

    seed: int
    first: int
    size: int
    folder: Path


def run(campaign: Campaign) -> None:
    """A unit is an input."""
    peak = 0
    with in_memory(campaign.folder) as folder, ProcessPoolExecutor(initializer=_prepare) as pool:
        try:
            for tally in pool.map(try_slice, _slices(campaign, folder)):
                campaign.figures.update(tally.figures)
                peak = max(peak, tally.peak_mib)
                for breach in tally.breaches:
                    campaign.breach(breach)
                if campaign.is_over:
                    pool.shutdown(cancel_futures=True)
                    break
        except BrokenProcessPool:
            campaign.breach(
                f"an input of seed {campaign.seed} hung or killed a process; see the traceback above"
            )
    campaign.figures["MiB, the most that a process took"] = peak


def _slices(campaign: Campaign, folder: Path) -> Iterator[Slice]:
    """As many as the count says; else what any machine does in the time, and the rest is called off."""
    total = campaign.count if campaign.count is not None else int(campaign.seconds * 20_000)
    for first in range(0, total, SLICE):
        yield Slice(campaign.seed, first, min(SLICE, total - first), folder)


def _prepare() -> None:
    """Bound what a process of the campaign may take: it must not take the machine down."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MIB << 20, MOST_MIB << 20))
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _ring)
    # A repair tries to turn back every bit of a line, for a second: the campaign "flips" is about that.
    salvage._MOST_RESTORED = 0  # type: ignore[misc]


def _ring(*_: object) -> None:
    raise Hang(f"no answer after {HANGS_AFTER_SECONDS:.0f} s")


def try_slice(work: Slice) -> Tally:
    """Try some inputs, one after the other."""
    tally = Tally()
    folder = work.folder / str(os.getpid())
    random = Random((work.seed << 40) + work.first)
    known: set[str] = set()  # breaches of which a small input is shown already
    # The alarm ends what Python runs; this, what runs in C and never comes back.
    faulthandler.dump_traceback_later(60 + HANGS_AFTER_SECONDS * 20, exit=True)
    for number in range(work.first, work.first + work.size):
        kind = random.choice(_KINDS)
        files = input_of(random, kind)
        outcome, error = attempt(kind, files, folder)
        tally.figures["inputs"] += 1
        tally.figures[f"{kind}: {outcome}" if error is None else f"{kind}: BROKEN"] += 1
        if error is not None:
            least = files if outcome in known else smallest(kind, files, folder, outcome)
            known.add(outcome)
            tally.breaches.append(f"input {number} of seed {work.seed}, {kind}: {error}\n{least!r}")
    faulthandler.cancel_dump_traceback_later()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    tally.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
    return tally


def input_of(random: Random, kind: str) -> Files:
    """The files of an input: some made by chance, the others as they should be."""
    match kind:
        case "journal":
            return {JOURNAL: journal(random)}
        case "snapshot":
            return {SNAPSHOT: mutated(random, random.choice(SNAPSHOTS), SNAPSHOTS)}
        case "import":
            format = random.choice([*IMPORTS])
            others = [each for samples in IMPORTS.values() for each in samples]
            return {format: mutated(random, random.choice(IMPORTS[format]), others)}
    files = {}
    if random.random() < 0.95:
        files[JOURNAL] = journal(random)
    if random.random() < 0.5:
        files[SNAPSHOT] = mutated(random, random.choice(SNAPSHOTS), (DOCUMENT, files.get(JOURNAL, b"")))
    for place, data in AROUND.items():
        if random.random() < 0.2:
            files[place] = mutated(random, data, (DOCUMENT, data))
    if kind == "folder":
        for ending in ("", "-wal", "-shm", "-journal"):
            if random.random() < 0.2:
                files[f".journal/catalog.sqlite3{ending}"] = mutated(
                    random, _SQLITE + bytes(4000), (DOCUMENT,)
                )
    return files


def attempt(kind: str, files: Files, folder: Path) -> tuple[str, str | None]:
    """What came of an input, in a word; and where it broke a promise, how."""
    if kind in ("import", "folder"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER_SECONDS)
    try:
        return TARGETS[kind](files, folder), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if re.search(r"/(journal|projections)/", frame.filename)]
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (ours or frames)[-3:]]
        name = type(error).__name__
        # Two breaches are the same one if they come from the same place, whatever they say.
        return f"{name} {places[-1:]}", f"{name}: {str(error)[:300]} ({', '.join(places)})"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def smallest(kind: str, files: Files, folder: Path, outcome: str) -> Files:
    """The smallest files that chance finds to break the same promise at the same place."""
    tries, until = 0, time.monotonic() + HANGS_AFTER_SECONDS

    def breaks(candidate: Files) -> bool:
        nonlocal tries
        tries += 1
        return attempt(kind, candidate, folder)[0] == outcome

    for place in [*files]:
        without = {each: data for each, data in files.items() if each != place}
        if without and breaks(without):
            files = without
    for place in [*files]:
        size = len(files[place])
        while size >= 1 and tries < _MOST_TRIES and time.monotonic() < until:
            for start, end in reversed([*chunks_of(files[place], size)]):
                shorter = files | {place: files[place][:start] + files[place][end:]}
                if tries < _MOST_TRIES and breaks(shorter):
                    files = shorter
            size //= 2
    return files
