"""What following costs: how soon a record of another process is seen, and how many are in a second."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from measure import Row, best, ms
from saving import TEXT

from journal import StateStore
from projections import SessionCreated, UserMessageAdded
from projections.messages import utc_now

PACED = 300
PACE_SECONDS = 0.01
FAST = 40_000

# A record: when it was made, when it was seen.
Seen = tuple[datetime, datetime]
Reader = Callable[[Path, int], Iterator[Seen]]


def rows(folder: Path) -> Iterator[Row]:
    """Each beside a bare loop, which only reads the file's new bytes, every millisecond."""
    ours, bare = (
        statistics.median(
            (seen - made).total_seconds() for made, seen in _read(folder / name, read, paced=True)
        )
        for name, read in (("paced", _follow), ("paced-bare", _tail))
    )
    yield Row(
        "from a save to its follower, 100 a second",
        ms(ours),
        f"a loop that reads what is new each millisecond {ms(bare)}",
        "≤ 50 ms",
        ours <= 0.050,
    )
    followed, tailed = _read(folder / "fast", _follow), _read(folder / "fast-bare", _tail)
    ours, bare = (FAST / (seen[-1][1] - seen[0][0]).total_seconds() for seen in (followed, tailed))
    written = FAST / (followed[-1][0] - followed[0][0]).total_seconds()
    yield Row(
        "behind a writer at full speed, until its last record is seen",
        f"{ours:,.0f} events/s of {written:,.0f} that it wrote",
        f"the same loop {bare:,.0f} events/s",
        "≥ 10,000 events/s",
        ours >= 10_000,
    )
    with StateStore(folder / "fast") as store:
        ours, bare = best(
            3,
            lambda: sum(1 for _ in store.follow("s", timeout=0)),
            lambda: sum(1 for _ in store.records("s")),
        )
    yield Row(
        "history, until all that is there was given out",
        f"{FAST / ours:,.0f} events/s = {ours / bare:.2f} ×",
        f"store.records {FAST / bare:,.0f} events/s",
        "≤ 1.5 ×",
        ours <= 1.5 * bare,
    )


def _read(folder: Path, read: Reader, *, paced: bool = False) -> list[Seen]:
    """What one reader saw of a writer."""
    count, pause = (PACED, PACE_SECONDS) if paced else (FAST, 0.0)
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(folder, count, pause))
    with StateStore(folder, durability="os") as store:
        store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
        writer.start()
        seen = list(read(folder, count))
        writer.join()
    return seen


def write(folder: Path, count: int, pause: float) -> None:
    """Append so many records, one by one."""
    with StateStore(folder, durability="os") as store:
        for version in range(1, count + 1):
            store.append("s", [UserMessageAdded(content=TEXT)], expected_version=version)
            if pause:
                time.sleep(pause)


def _follow(folder: Path, count: int) -> Iterator[Seen]:
    with StateStore(folder) as store:
        for record in store.follow("s", after=1):
            yield record.at, utc_now()
            if record.seq == count + 1:
                return


def _tail(folder: Path, count: int) -> Iterator[Seen]:
    rest = b""
    with (folder / "sessions" / "s.jsonl").open("rb") as file:
        file.seek(0, os.SEEK_END)
        while count:
            time.sleep(0.001)
            *lines, rest = (rest + file.read()).split(b"\n")
            now = utc_now()
            for line in lines:
                made = line[line.index(b'"at":"') + 6 :][:27].decode()
                yield datetime.fromisoformat(made), now
            count -= len(lines)
