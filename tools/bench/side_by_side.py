"""A turn in a framework's own store and in ours, in one run. Called by tools/bench/agents."""

import argparse
import asyncio
import gc
import importlib
import logging
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

from measure import us
from talks.talk import Durability, Talk
from talks.unsynced import connect

SIZES: Final = (10, 1_000, 10_000)
DURABILITIES: Final[tuple[Durability, ...]] = ("os", "disk")
# What may lie between the cost at the most turns and at the fewest, and is noise.
FLAT: Final = 1.5
# Talks take turns in blocks, as short as this, so that what else the machine does hits all alike.
BLOCK: Final = 3
LONGEST_BLOCK: Final = 0.5


@dataclass(frozen=True)
class Case:
    """A framework, and how much of the session it asks for in a turn."""

    name: str
    talk: str  # its module and class
    what: str
    recent: int | None = None
    is_flat: bool = True  # what it asks for does not grow with the session

    @property
    def type(self) -> type[Talk]:
        """The class of its talks. Raises ImportError where the framework is not installed."""
        module, _, name = self.talk.partition(":")
        found: type[Talk] = getattr(importlib.import_module(f"talks.{module}"), name)
        return found


CASES: Final = (
    Case("openai-agents", "openai_agents:OpenAITalk", "all items read", is_flat=False),
    Case("openai-agents", "openai_agents:OpenAITalk", "20 items read", recent=20),
    Case("langgraph", "langgraph:LangGraphTalk", "all messages in the state", is_flat=False),
    Case("langgraph", "langgraph:LangGraphTalk", "20 messages in the state", recent=20),
    Case("adk", "adk:AdkTalk", "all events read", is_flat=False),
    Case("adk", "adk:AdkTalk", "20 events read", recent=20),
    Case("strands", "strands:StrandsTalk", "nothing read"),
)


class Kind(NamedTuple):
    """One of the sessions that are compared."""

    turns: int
    is_ours: bool
    durability: Durability


@dataclass
class Cost:
    """What each of many turns took, in seconds: by the clock, and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """By the clock."""
        return statistics.median(self.clock)

    def ratio(self, other: "Cost") -> float:
        """By the clock."""
        return self.median / other.median

    def processor_ratio(self, other: "Cost") -> float:
        """Of the processor, whatever else it does and however slow the disk is."""
        return statistics.median(self.processor) / statistics.median(other.processor)


@patch("sqlite3.connect", connect)
async def built(case: Case, folder: Path, sizes: Sequence[int]) -> dict[Kind, Path]:
    """A folder with a session of each kind: made turn by turn, and copied."""
    found: dict[Kind, Path] = {}
    for is_ours in (False, True):
        growing = folder / "growing"
        growing.mkdir()
        turns = 0
        for size in sizes:
            async with case.type(
                growing, is_ours=is_ours, durability="os", turns=turns, recent=case.recent
            ) as talk:
                await talk.grow(size)
            turns = size
            for durability in DURABILITIES:
                copy = folder / f"{'ours' if is_ours else 'theirs'}-{durability}-{size}"
                found[Kind(size, is_ours, durability)] = shutil.copytree(growing, copy)
        shutil.rmtree(growing)
    return found


@patch("sqlite3.connect", connect)
async def measured(case: Case, folders: dict[Kind, Path], rounds: int) -> dict[Kind, Cost]:
    """What a turn costs in each of these sessions. They take turns; each one's first block does not count."""
    costs = {kind: Cost() for kind in folders}
    async with AsyncExitStack() as stack:
        talks = {}
        for kind, folder in folders.items():
            talks[kind] = case.type(folder, **kind._asdict(), recent=case.recent)
            await stack.enter_async_context(talks[kind])
        for talk in talks.values():
            await _block(talk, Cost())
        # A program has one of these sessions in memory: no turn may pay for looking through all of them.
        gc.collect()
        gc.freeze()
        for _ in range(rounds):
            for kind, talk in talks.items():
                await _block(talk, costs[kind])
    gc.unfreeze()
    return costs


async def _block(talk: Talk, cost: Cost) -> None:
    end = time.perf_counter() + LONGEST_BLOCK
    for _ in range(BLOCK):
        messages = talk.messages()
        processor, clock = time.process_time(), time.perf_counter()
        await talk.turn(messages)
        cost.clock.append(time.perf_counter() - clock)
        cost.processor.append(time.process_time() - processor)
        if time.perf_counter() > end:
            return


def lines(case: Case, costs: dict[Kind, Cost]) -> Iterator[tuple[str, bool]]:
    """The lines of the table for one case, and whether each holds."""
    sizes = sorted({kind.turns for kind in costs})
    for durability in DURABILITIES:
        for size in sizes:
            ours = costs[Kind(size, True, durability)]
            theirs = costs[Kind(size, False, case.type.AS_IT_COMES)]
            alike = costs[Kind(size, False, durability)]
            grown = ours.ratio(costs[Kind(sizes[0], True, durability)])
            holds = ours.median < theirs.median and (grown <= FLAT or not case.is_flat)
            cells = (
                f"{case.name}, {case.what}",
                f"{size:,}",
                f'"{durability}"',
                us(ours.median),
                us(theirs.median),
                f"{ours.ratio(theirs):.2f} ×",
                f"{ours.ratio(alike):.2f} ×",
                f"{ours.processor_ratio(alike):.2f} ×",
                f"{grown:.2f} ×",
                "yes" if holds else "**no**",
            )
            yield f"| {' | '.join(cells)} |", holds


HEAD: Final = (
    "| a turn | turns there | ours with durability | ours | theirs as it comes | ratio "
    f"| … to theirs made as durable | … of processor time | ours to the smallest | holds |\n{'|---' * 10}|"
)


def main() -> int:
    """Print the table; 1 where ours was not ahead of theirs, or not flat."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--turns", nargs="+", type=int, default=SIZES, help="how many are there already")
    parser.add_argument("--rounds", type=int, default=20, help="how often each session is used")
    parser.add_argument("--folder", type=Path, help="where the sessions are kept meanwhile")
    options = parser.parse_args()
    names = list(dict.fromkeys(case.name for case in CASES))
    if unknown := set(options.names) - set(names):
        parser.error(f"no framework named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    logging.disable(logging.WARNING)
    cases = [case for case in CASES if not options.names or case.name in options.names]
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores\n")
    print(HEAD)
    missed = 0
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="journal-agents-", dir=options.folder) as folder:
            folders = asyncio.run(built(case, Path(folder), sorted(options.turns)))
            os.sync()  # what was built must not be the cost of what is measured
            costs = asyncio.run(measured(case, folders, options.rounds))
        for line, holds in lines(case, costs):
            print(line, flush=True)
            missed += not holds
    for theirs, durability in dict.fromkeys((case.type.THEIRS, case.type.AS_IT_COMES) for case in cases):
        print(f'\n{theirs}, as it comes: as our "{durability}".', end="")
    print()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
