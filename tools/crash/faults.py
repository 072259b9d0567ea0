"""Every call of every operation fails: each caller learns the truth, and goes on once the disk is well.

Two ways to fail: a disk of the engine's own that raises (everywhere), and strace, which makes the kernel's
answer an error or kills the process there (where it can be had).
"""

import itertools
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from crash.campaign import Campaign
from crash.crew import Crew, Failed
from crash.faulty_disk import NEEDS_NO_DISK, TAKES_ROOM, Fault, FaultyDisk
from crash.ground import Ground, in_memory
from crash.scenarios import SCENARIOS, state
from crash.tracing import NOT_MADE, Answer, answers, traced, unheeded, why_not
from crash.trial import attempt, note, sound
from journal import JournalError, JournalWarning, StateStore
from journal.disk import Disk

# A fault through strace takes ten times as long as one of our own disk.
OWN_PER_TRACED: Final = 5
_ENDS_WITHIN_SECONDS: Final = 10.0


class Case(NamedTuple):
    """An operation and its fault: `tried` says which rules it broke."""

    name: str
    tried: Callable[[], Iterator[str]]


def run(campaign: Campaign, *, kind: type[StateStore] = StateStore) -> None:
    """Units are faults, drawn from all that there are."""
    with in_memory(campaign.folder) as folder:
        grounds = [Ground.survey(each, folder / str(number)) for number, each in enumerate(SCENARIOS)]
        own = [case for ground in grounds for case in _own_cases(ground, kind)]
        through_strace = []
        if reason := why_not():
            campaign.skip(f"faults of the kernel's calls: {reason}")
        else:
            through_strace = [case for each in grounds for case in _traced_cases(each, folder / "log", kind)]
        campaign.figures["operations"] = len(SCENARIOS)
        campaign.figures["faults of the engine's calls, in all"] = len(own)
        campaign.figures["faults of the kernel's calls, in all"] = len(through_strace)
        campaign.random.shuffle(own)
        campaign.random.shuffle(through_strace)
        for case, _ in zip(_mixed(own, through_strace), campaign.units(), strict=False):
            campaign.figures["faults tried"] += 1
            problems = list(case.tried())
            if NOT_MADE in problems:
                campaign.figures[NOT_MADE] += 1
                problems.remove(NOT_MADE)
            note(campaign, case.name, problems)


def _mixed(own: list[Case], through_strace: list[Case]) -> Iterator[Case]:
    """All of both, as long as there are some."""
    first, second = iter(own), iter(through_strace)
    while some := [*itertools.islice(first, OWN_PER_TRACED), *itertools.islice(second, 1)]:
        yield from some


# Through a disk of the engine's own


def _own_cases(ground: Ground, kind: type[StateStore]) -> Iterator[Case]:
    for call, times in Counter(ground.calls).items():
        for nth, how in itertools.product(range(times), _ways_to_fail(call)):
            name = f"{ground.scenario.name}, {how} at {call} number {nth}"
            yield Case(name, partial(_fail, ground, Fault(call, nth, how), kind))


def _ways_to_fail(call: str) -> Iterator[str]:
    if call not in ("unlock", "seek", "drop_cache"):  # these have no reason to
        yield "EIO"
    if call not in NEEDS_NO_DISK:
        yield "dead"
    if call in TAKES_ROOM:
        yield "ENOSPC"
    if call == "write":
        yield "short"
    # What a call opened or is about to release hangs in the air for a moment: no program can mend that.
    if call != "unlock":
        yield "interrupted"
        if call not in ("open", "close"):
            yield "interrupted late"


def _fail(ground: Ground, fault: Fault, kind: type[StateStore]) -> Iterator[str]:
    disk = FaultyDisk()
    return attempt(ground, disk, disk.failing(fault), lasting=fault.kind == "dead", kind=kind)


# Through strace


def _traced_cases(ground: Ground, log: Path, kind: type[StateStore]) -> Iterator[Case]:
    # Once without a fault: which calls does it make?
    list(attempt(ground, Disk(), traced(log=log), lists=False))
    for answer in answers(log, ground.folder):
        name = f"{ground.scenario.name}, {answer.what} at {answer.call} number {answer.nth}"
        if answer.what == "kill":
            yield Case(name, partial(_end, ground, answer, kind))
        else:
            yield Case(name, partial(_answer, ground, answer, log, kind))


def _answer(ground: Ground, answer: Answer, log: Path, kind: type[StateStore]) -> Iterator[str]:
    yield from attempt(ground, Disk(), traced(answer, log), kind=kind)
    yield from unheeded(answer, log)


def _end(ground: Ground, answer: Answer, kind: type[StateStore]) -> Iterator[str]:
    """A process that ends there leaves all or nothing of what it did, and the next one goes on."""
    ground.reset()
    with Crew() as crew:
        member = crew.start(_act, ground, answer, kind)
        told: list[Any] = []
        while not member.has_ended and crew.wait(_ENDS_WITHIN_SECONDS):
            told += member.heard()
        told += member.kill()
    if member.process.exitcode != -signal.SIGKILL:
        yield NOT_MADE
    yield from (each.trace for each in told if isinstance(each, Failed))
    before = [each for each in told if isinstance(each, dict)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        if (held := state(ground.folder)) in before:
            with closing(ground.open(Disk(), kind)) as store:
                try:
                    ground.scenario.begin(store).act()
                except (JournalError, OSError) as error:
                    yield f"ended, and refused to the next one: {error!r}"
        elif held != ground.after:
            yield f"ended, and there is {held}"
        yield from sound(ground)


def _act(tell: Callable[[Any], None], ground: Ground, answer: Answer, kind: type[StateStore]) -> None:
    with ground.open(Disk(), kind) as store:
        deed = ground.scenario.begin(store)
        tell(state(ground.folder))
        with traced(answer):
            deed.act()
