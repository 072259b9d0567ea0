"""What it costs to fold a history, and to load a session from its snapshot."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from measure import Row, best, ms
from saving import TEXT, session_of

from journal import StateStore
from projections import Record, Session, SessionProjection, UserMessageAdded, fold
from projections.messages import utc_now

EVENTS = 200_000


def rows(folder: Path) -> Iterator[Row]:
    """Fold from nothing; load from a snapshot; the whole way from the journal's bytes."""
    at = utc_now()
    event = UserMessageAdded(content=TEXT)
    records = [
        Record(seq=seq, id="", at=at, event=event, digest="", chain="") for seq in range(1, EVENTS + 1)
    ]
    contents: list[str] = []

    def floor() -> None:
        contents.clear()
        for record in records:
            contents.append(record.event.content)  # type: ignore[union-attr]

    ours, bare = best(5, lambda: fold(records, SessionProjection()), floor)
    yield Row(
        "fold from nothing",
        f"{EVENTS / ours:,.0f} events/s",
        f"a bare loop {EVENTS / bare:,.0f} events/s",
        "≥ 500,000 events/s",
        EVENTS / ours >= 500_000,
    )

    with StateStore(folder / "load", durability="os") as store:
        session_id = session_of(store, turns=10_000).id
        store.compact(session_id)
    snapshot = folder / "load" / "sessions" / f"{session_id}.json"

    def load() -> Session | None:
        with StateStore(folder / "load", durability="os") as store:
            return store.load_session(session_id)

    ours, bare = best(15, load, lambda: msgspec.json.decode(snapshot.read_bytes()))
    yield Row(
        "load of 10,000 + 10,000 messages from the snapshot",
        f"{ms(ours)} = {ours / bare:.2f} ×",
        f"msgspec's plain decode of the file {ms(bare)}",
        "≤ 1.4 ×",
        ours <= 1.4 * bare,
    )

    def rebuild() -> None:
        os.unlink(snapshot)
        load()

    (ours,) = best(3, rebuild)
    size = (folder / "load" / "sessions" / f"{session_id}.jsonl").stat().st_size
    yield Row(
        "the same from the journal alone, every hash checked",
        f"{20_001 / ours:,.0f} events/s, {size / ours / 1e6:,.0f} MB/s",
        "",
        "(no target)",
        True,
    )
