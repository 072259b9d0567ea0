"""What seals cost beside the verification that they rest on."""

from collections.abc import Iterator
from pathlib import Path

from measure import Row, best
from saving import TEXT

from journal import Session, StateStore
from journal.note import SigningKey
from projections import UserMessageAdded

SESSIONS = 1_000
RECORDS = 50_000


def rows(folder: Path) -> Iterator[Row]:
    """Seal a store, compare one that has grown since, prove the first record of a long session."""
    key = SigningKey.new("bench")
    said = UserMessageAdded(content=TEXT)
    with StateStore(folder / "many", durability="os") as store:
        for number in range(SESSIONS):
            version = store.save_session(Session.with_id("user", f"s{number}"))
            store.append(f"s{number}", [said] * 20, expected_version=version)
        verify, seal = best(3, store.verify, lambda: store.seal(key=key))
        yield _row(f"seal of a store of {SESSIONS:,} sessions", seal, verify, at_most=3)
        sealed = store.seal(key=key)
        for number in range(SESSIONS):
            store.append(f"s{number}", [said], expected_version=21)
        verify, compare = best(3, store.verify, lambda: store.verify(seal=sealed))
        yield _row("verify of it against that seal, when all have grown", compare, verify, at_most=2.5)
    with StateStore(folder / "long", durability="os") as store:
        version = store.save_session(Session.with_id("user", "s"))
        for _ in range(RECORDS // 1_000):
            version = store.append("s", [said] * 1_000, expected_version=version)
        data = store.seal("s", key=key).data
        verify, prove = best(3, lambda: store.verify("s"), lambda: store.prove("s", 1, seal=data))
        size = len(store.prove("s", 1, seal=data)) / version
        what = f"proof of the first of {RECORDS:,} records, {size:.0f} bytes a record"
        yield _row(what, prove, verify, at_most=2)


def _row(what: str, ours: float, verify: float, *, at_most: float) -> Row:
    figure = f"{ours:.2f} s = {ours / verify:.2f} ×"
    return Row(what, figure, f"verify {verify:.2f} s", f"≤ {at_most} ×", ours <= at_most * verify)
