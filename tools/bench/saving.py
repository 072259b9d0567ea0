"""What a save costs: a turn, a batch, an update; beside bare writes and beside sqlite3."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from measure import Row, medians, us

from journal import Session, StateStore
from projections import UserMessageAdded

TEXT = "x" * 300


def turn_rows(folder: Path) -> Iterator[Row]:
    """Save of one message and save of one reply, at the 10th, the 1,000th and the 100,000th turn."""
    fd = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def floor() -> None:
        for role in ("user", "assistant"):
            os.write(fd, json.dumps({"role": role, "content": TEXT}).encode() + b"\n")

    def floor_on_disk() -> None:
        for role in ("user", "assistant"):
            os.write(fd, json.dumps({"role": role, "content": TEXT}).encode() + b"\n")
            os.fdatasync(fd)

    database = sqlite3.connect(folder / "turns.sqlite3", isolation_level=None)
    database.executescript(
        "pragma journal_mode = wal; pragma synchronous = normal;"
        "create table event (session text, seq integer, data text, primary key (session, seq)) without rowid"
    )
    seq = 0

    def in_sqlite() -> None:
        nonlocal seq
        for role in ("user", "assistant"):
            seq += 1
            data = json.dumps({"role": role, "content": TEXT})
            database.execute("insert into event values ('s', ?, ?)", (seq, data))

    with StateStore(folder / "turns", durability="os") as store:
        session = session_of(store, turns=0)
        for turns, times in ((10, 200), (1_000, 2_000), (100_000, 4_000)):
            _grow(store, session, turns)

            bare, ours, sqlite = medians(times, floor, _turn(store, session), in_sqlite)
            yield Row(
                f'a turn, durability="os", from turn {turns:,} on',
                f"{us(ours)} = {ours / bare:.2f} ×, {ours / sqlite:.2f} × sqlite3",
                f"{us(bare)}; sqlite3 {us(sqlite)}",
                "≤ 3 ×, < sqlite3",
                ours <= 3 * bare and ours < sqlite,
            )
    yield _on_disk(folder, floor_on_disk)
    database.close()
    os.close(fd)


def _on_disk(folder: Path, floor: Callable[[], object]) -> Row:
    with StateStore(folder / "disk", durability="disk") as store:
        session = session_of(store, turns=10)

        bare, ours = medians(400, floor, _turn(store, session))
    return Row(
        'a turn, durability="disk"',
        f"{us(ours)} = {ours / bare:.2f} ×",
        f"write + fdatasync {us(bare)}",
        "≤ 1.25 ×",
        ours <= 1.25 * bare,
    )


def batch_rows(folder: Path) -> Iterator[Row]:
    """A batch of 100 events."""
    fd = os.open(folder / "batches", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = json.dumps({"role": "user", "content": TEXT}).encode() + b"\n"
    with StateStore(folder / "batch", durability="os") as store:
        session = session_of(store, turns=1)
        events = [UserMessageAdded(content=TEXT) for _ in range(100)]
        version = session.version

        def batch() -> None:
            nonlocal version
            version = store.append(session.id, events, expected_version=version)

        ours, bare = medians(300, batch, lambda: os.write(fd, line * 100))
    os.close(fd)
    yield Row(
        "a batch of 100 events",
        f"{100 / ours:,.0f} events/s",
        f"one bare write of as many lines {us(bare)}",
        "≥ 120,000 events/s",
        100 / ours >= 120_000,
    )


def update_rows(folder: Path) -> Iterator[Row]:
    """`update_session_with` that adds one message, in sessions of 200 and of 20,000 messages."""
    with StateStore(folder / "updates", durability="os") as store:
        for messages in (200, 20_000):
            big, plain = (session_of(store, turns=messages // 2) for _ in range(2))
            bare, ours = medians(1_000, partial(_save, store, plain), partial(_update, store, big.id))
            yield Row(
                f"update of a session of {messages:,} messages",
                f"{us(ours)} = {ours / bare:.2f} ×",
                f"save of one message {us(bare)}",
                "≤ 3 ×",
                ours <= 3 * bare,
            )


def _save(store: StateStore, session: Session) -> None:
    session.add_user_message(TEXT)
    store.save_session(session)


def _update(store: StateStore, session_id: str) -> None:
    store.update_session_with(session_id, lambda session: session.add_user_message(TEXT))


def _turn(store: StateStore, session: Session) -> Callable[[], None]:
    def turn() -> None:
        session.add_user_message(TEXT)
        store.save_session(session)
        session.add_agent_response(TEXT)
        store.save_session(session)

    return turn


def session_of(store: StateStore, *, turns: int) -> Session:
    session = Session.new("user")
    store.save_session(session)
    _grow(store, session, turns)
    return session


def _grow(store: StateStore, session: Session, turns: int) -> None:
    """Bring a session to so many turns, quickly."""
    while (missing := turns - session.exchange_count) > 0:
        for _ in range(min(missing, 1_000)):
            session.add_user_message(TEXT)
            session.add_agent_response(TEXT)
        store.save_session(session)
