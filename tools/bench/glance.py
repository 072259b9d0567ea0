"""How long a look at a large session and at a large store takes, as the commands take it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from listing import fill
from measure import Row, best, ms, seconds

from journal import Change, StateStore
from projections import AgentResponseAdded, SessionCreated, ToolCalled, ToolReturned, UserMessageAdded


def rows(folder: Path) -> Iterator[Row]:
    """`info` of 100,000 records beside reading them; `stats` of 10,000 sessions beside `ls`; `--deep`."""
    with StateStore(folder / "glance", durability="os") as store:
        _write(store, "long", 100_000)
        reading = min(seconds(lambda: sum(1 for _ in store.records("long"))) for _ in range(3))
    info = min(_command(folder / "glance", "info", "long") for _ in range(3))
    nothing = min(_command(folder / "glance", "--version") for _ in range(3))
    yield Row(
        "`journal info` of 100,000 records",
        ms(info),
        f"reading them {ms(reading)}, starting the command {ms(nothing)}",
        "≤ 3 times that",
        info <= 3 * (reading + nothing),
    )
    with StateStore(folder / "many", durability="os") as store:
        fill(store, 10_000)
        store.list_sessions()
    stats = min(_command(folder / "many", "stats") for _ in range(3))
    listing = min(_command(folder / "many", "ls") for _ in range(3))
    floor = f"`journal ls` {ms(listing)}"
    yield Row("`journal stats` of 10,000 sessions", ms(stats), floor, "≤ 1,000 ms", stats <= 1)
    yield _deep_row(folder / "deep")


def _deep_row(base: Path) -> Row:
    with StateStore(base, durability="os") as store:
        for number in range(64):
            _write(store, f"s{number}", 5_000)
        ids = store.session_ids()
        size = sum(each.size_bytes for each in store.list_sessions())
        ask = store._questions  # what the command asks
        ours, alone = best(
            3, lambda: dict(ask.measure_each(ids)), lambda: [ask.measure(each) for each in ids]
        )
    return Row(
        f"`journal stats --deep` of {size / 1e6:,.0f} MB in 64 sessions, what it reads",
        f"{size / ours / 1e6:,.0f} MB/s = {alone / ours:.2f} ×",
        f"one core {size / alone / 1e6:,.0f} MB/s",
        "both cores: ≥ 1.6 ×",
        alone >= 1.6 * ours,
    )


def _command(store: Path, *args: str) -> float:
    command = [sys.executable, "-m", "journal.cli", *args]
    environment = {**os.environ, "JOURNAL_STORE": str(store)}
    return seconds(lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL))


def _write(store: StateStore, session_id: str, count: int) -> None:
    """A session of turns with two calls each, a second apart, in batches."""
    turn = [
        UserMessageAdded(content="u" * 100),
        *(
            event
            for name in ("search", "book")
            for event in (
                ToolCalled(call_id=name, name=name, arguments={"q": "x" * 50}),
                ToolReturned(call_id=name, result="r" * 200),
            )
        ),
        AgentResponseAdded(content="a" * 300),
    ]
    start, version = datetime(2026, 1, 1, tzinfo=UTC), 0
    while version < count:
        events = [SessionCreated(session_id=session_id, user_id="ada")] if not version else turn * 100
        changes = [
            Change(event=event, at=start + timedelta(seconds=version + n)) for n, event in enumerate(events)
        ]
        version = store.append(session_id, changes, expected_version=version)
