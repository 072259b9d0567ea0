"""What it costs to travel in time: a timeline, any state of it, and what it is asked."""

import gc
import math
import random
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

from measure import Row, best, ms, seconds

from journal import Session, StateStore
from projections import (
    AgentResponseAdded,
    Event,
    MetadataSet,
    SessionCreated,
    SessionProjection,
    Timeline,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
    fold,
)

RECORDS = 100_000
# Then half as many are undone: states do not only grow.
REWIND_EVERY = 2_000
KEYS = 100
STATES = 2_000


def rows(folder: Path) -> Iterator[Row]:
    """One session of turns, settings and rewinds: its timeline, any state of it, and the questions."""
    with StateStore(folder / "travel", durability="os") as store:
        write(store, "long", RECORDS)
        write(store, "short", RECORDS // 10)
        build, once = best(3, partial(store.timeline, "long"), partial(_folded, store, "long"))
        yield Row(
            f"timeline of {RECORDS:,} records",
            f"{ms(build)} = {build / once:.2f} ×",
            f"reading and folding them once {ms(once)}",
            "≤ 2 ×",
            build <= 2 * once,
        )
        yield _memory_row(store)
        timeline = store.timeline("long")
    yield from _state_rows(timeline)
    yield from _diff_rows(timeline)
    yield from _question_rows(timeline)


def write(store: StateStore, session_id: str, count: int) -> None:
    """A session of so many records: turns with a call and a setting, 1 kB in each; rewinds."""
    created = SessionCreated(session_id=session_id, user_id="ada")
    version = store.append(session_id, [created], expected_version=0)
    while version < count:
        if version % REWIND_EVERY == 0:
            version = store.rewind(session_id, version - REWIND_EVERY // 2)
        most = min(count, version - version % REWIND_EVERY + REWIND_EVERY) - version
        events = list(islice(_turns(version), most))
        version = store.append(session_id, events, expected_version=version)


def _turns(number: int) -> Iterator[Event]:
    """Turn after turn; no two say the same, for what is said twice is erased twice."""
    while True:
        number += 1
        text = f"{number} ".ljust(200, "x")
        yield UserMessageAdded(content=text)
        yield ToolCalled(call_id=str(number), name="search", arguments={"query": text})
        yield ToolReturned(call_id=str(number), result=text)
        yield MetadataSet(key=f"key-{number % KEYS}", value={"step": number, "plan": ["search", "book"]})
        yield AgentResponseAdded(content=text)


def _folded(store: StateStore, session_id: str) -> object:
    return store.project(SessionProjection(), session_id)


def _memory_row(store: StateStore) -> Row:
    """What a record takes: with ten times the history behind it no more."""
    long, short = (
        _held_bytes(partial(store.timeline, each)) / count
        for each, count in (("long", RECORDS), ("short", RECORDS // 10))
    )
    alone = _held_bytes(lambda: list(store.records("long"))) / RECORDS
    return Row(
        "memory of that timeline",
        f"{long:,.0f} bytes a record, {long / alone:.2f} × the record",
        f"of {RECORDS // 10:,} records {short:,.0f} bytes a record",
        "≤ 1.1 × that",
        long <= 1.1 * short,
    )


def _held_bytes(make: Callable[[], object]) -> int:
    """How much memory it takes, until it is thrown away."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        del made
    finally:
        tracemalloc.stop()
    return held


def _state_rows(timeline: Timeline) -> Iterator[Row]:
    draw = random.Random(1)
    versions = [draw.randint(1, timeline.version) for _ in range(STATES)]
    gc.collect()
    taken = [seconds(partial(timeline.__getitem__, version)) for version in versions]
    anew = median(seconds(partial(_folded_to, timeline, version)) for version in versions[:40])
    floor = f"folding the records up to there {ms(anew)}"
    yield Row("any state of it", ms(median(taken)), floor, "< 5 ms", median(taken) < 0.005)
    yield Row(f"the slowest of {STATES:,} states", ms(max(taken)), "", "< 5 ms", max(taken) < 0.005)


def _folded_to(timeline: Timeline, version: int) -> Session:
    return fold(islice(timeline.records, version), SessionProjection())


def _diff_rows(timeline: Timeline) -> Iterator[Row]:
    last = timeline.version
    for what, since in (("its last 1,000 records", last - 1_000), ("the whole of it", 1)):
        found = len(timeline.diff(since))
        ours, *folding = best(
            5,
            partial(timeline.diff, since),
            partial(_folded_to, timeline, since),
            partial(_folded_to, timeline, last),
        )
        yield Row(
            f"timeline.diff over {what}: {found:,} differences",
            f"{ms(ours)} = {ours / sum(folding):.2f} ×",
            f"folding both states {ms(sum(folding))}",
            "≤ 5 ×",
            ours <= 5 * sum(folding),
        )


def _question_rows(timeline: Timeline) -> Iterator[Row]:
    """Blame, first and bisect, beside a fold that passes every state."""
    folded = partial(_folded_to, timeline, timeline.version)
    for path in ("metadata.key-7.step", "user_messages.5000.content"):
        found = len(timeline.blame(path))
        ours, folding = best(5, partial(timeline.blame, path), folded)
        floor = f"folding the records {ms(folding)}"
        yield Row(f"timeline.blame of {path}: {found:,} records", ms(ours), floor, "≤ that", ours <= folding)
    first, folding = best(5, partial(timeline.first, lambda state: False), folded)
    yield Row(
        "timeline.first of what is never true",
        f"{ms(first)} = {first / folding:.2f} ×",
        f"folding the records {ms(folding)}",
        "≤ 2 ×",
        first <= 2 * folding,
    )
    asked, bisect = _bisected(timeline)
    most = math.ceil(math.log2(timeline.version + 1))
    yield Row(
        "timeline.bisect",
        f"{asked} questions, {ms(bisect)}",
        f"log₂ of {timeline.version:,} is {math.log2(timeline.version):.1f}",
        f"≤ {most} questions",
        asked <= most,
    )


def _bisected(timeline: Timeline) -> tuple[int, float]:
    """The most questions of some bisections, and how long one takes."""
    most, taken = 0, []
    draw = random.Random(2)
    for wanted in (draw.randint(1, timeline.version) for _ in range(40)):
        asked: list[int] = []

        def is_there(state: Session, wanted: int = wanted, asked: list[int] = asked) -> bool:
            asked.append(state.version)
            return state.version >= wanted

        taken.append(seconds(partial(timeline.bisect, is_there)))
        most = max(most, len(asked))
    return most, median(taken)
