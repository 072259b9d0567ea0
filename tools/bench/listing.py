"""How long a list of sessions takes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Row, best, medians, ms, seconds

from journal import Session, StateStore

# What a program does that shows a store's first page, from its start on.
FIRST_PAGE = """
import sys
from journal import StateStore
with StateStore(sys.argv[1]) as store:
    assert len(store.list_sessions(limit=50)) == 50
"""


def rows(folder: Path) -> Iterator[Row]:
    """All of 10,000 sessions; the first page of 100,000: in a new process, again, and with no catalog."""
    base = folder / "list"
    with StateStore(base, durability="os") as store:
        fill(store, 10_000)
        (first,) = best(1, store.list_sessions)
        time.sleep(0.2)  # a new catalog compares every file for a moment
        (ours,) = medians(20, store.list_sessions)
        yield Row(
            "list 10,000 sessions, nothing changed",
            ms(ours),
            f"reading them all the first time {ms(first)}",
            "≤ 50 ms",
            ours <= 0.05,
        )
        fill(store, 90_000)
        store.list_sessions(limit=50)
        time.sleep(0.2)
        (warm,) = medians(20, lambda: store.list_sessions(limit=50))
    cold = min(_first_page(base) for _ in range(3))
    shutil.rmtree(base / ".journal")
    anew = _first_page(base)
    nothing = seconds(lambda: subprocess.run([sys.executable, "-c", "import journal"], check=True))
    yield Row(
        "cold: a process opens a store of 100,000 and has its first page",
        ms(cold),
        f"starting Python and importing journal {ms(nothing)}",
        "≤ 1,500 ms",
        cold <= 1.5,
    )
    yield Row("the same, where nobody ever listed it", ms(anew), "every journal read", "(no target)", True)
    yield Row("warm: the first page again", ms(warm), "", "≤ 30 ms", warm <= 0.03)


def _first_page(base: Path) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-c", FIRST_PAGE, base], check=True))


def fill(store: StateStore, sessions: int) -> None:
    """Put so many small sessions into a store."""
    for n in range(sessions):
        session = Session.new(f"user-{n % 100}")
        session.add_user_message("hello")
        store.save_session(session)
