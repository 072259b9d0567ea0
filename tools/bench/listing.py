"""How long a list of sessions takes."""

import time
from collections.abc import Iterator
from pathlib import Path

from measure import Row, best, medians, ms

from journal import Session, StateStore


def rows(folder: Path) -> Iterator[Row]:
    """All of 10,000 sessions; a page of 50 out of 100,000; and the first call, which reads them all."""
    with StateStore(folder / "list", durability="os") as store:
        _fill(store, 10_000)
        (first,) = best(1, store.list_sessions)
        store.save_session(Session.new("one more"))  # a change, which the next list takes in
        assert len(store.list_sessions()) == 10_001
        time.sleep(3.5)  # a new catalog compares every file for three seconds
        (ours,) = medians(20, store.list_sessions)
        again = StateStore(folder / "list", durability="os")
        (opened,) = best(1, again.list_sessions)
        again.close()
        yield Row(
            "list 10,000 sessions, nothing changed",
            ms(ours),
            f"reading them all the first time {ms(first)}",
            "≤ 50 ms",
            ours <= 0.05,
        )
        yield Row(
            "the same, first call of a new process", ms(opened), "every file compared", "(no target)", True
        )
        _fill(store, 90_000)
        (first,) = best(1, lambda: store.list_sessions(limit=50))
        (ours,) = medians(20, lambda: store.list_sessions(limit=50))
        yield Row(
            "a page of 50 out of 100,000, after the first call",
            ms(ours),
            f"reading the 90,000 new ones {ms(first)}",
            "≤ 30 ms",
            ours <= 0.03,
        )


def _fill(store: StateStore, sessions: int) -> None:
    for n in range(sessions):
        session = Session.new(f"user-{n % 100}")
        session.add_user_message("hello")
        store.save_session(session)
