"""What is known of deletions stays known, whatever becomes of a session that begins anew."""

import asyncio
import uuid
from pathlib import Path

import pytest

from journal import Session, StateStore
from journal.connecting import backend_of
from journal.copying import copy


@pytest.fixture(params=["folder", "memory", "one_node"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "state")
    if request.param == "memory":
        return f"memory:{uuid.uuid4()}"
    pytest.importorskip("nats")
    return str(request.getfixturevalue("one_node").url(f"test-{uuid.uuid4().hex}"))


def talk(store: StateStore, session_id: str, text: str) -> None:
    session = store.get_or_create_session("ann", session_id)
    session.add_user_message(text)
    store.save_session(session)


def told(store: StateStore) -> list[str | None]:
    return [each.why for each in store.tombstones()]


@pytest.mark.parametrize("text", ["short", "x" * 3_000_000])
def test_an_erasure_takes_no_tombstone_along(url: str, text: str, tmp_path: Path) -> None:
    """Its journal is replaced, and what told of deletions before it was there; others read it anew."""
    with StateStore.connect(url, durability="os") as store:
        talk(store, "s", "one")
        store.delete_session("s", why="first")
        talk(store, "s", "two")
        session = store.load_session("s")
        assert session is not None
        session.set_metadata("text", text)
        store.save_session(session)
        for seq in (2, 3):
            store.erase("s", [seq], reason="asked for")
            assert told(store) == ["first"]
    with StateStore.connect(url, durability="os") as other:
        assert told(other) == ["first"]
        talk(other, "s", "three")
        assert other.verify("s").ok
    copied = asyncio.run(copy(backend_of(url), backend_of(tmp_path / "copy")))
    with StateStore(tmp_path / "copy") as here, StateStore.connect(url, durability="os") as other:
        assert copied.ok
        assert here.tombstones() == other.tombstones()
        other.delete_session("s", why="second")
        assert told(other) == ["first", "second"]
    with StateStore.connect(url, durability="os") as third:
        assert told(third) == ["first", "second"]
        assert third.load_session("s") is None


def test_who_listens_is_told_of_them_too(url: str) -> None:
    """By the replacement itself."""
    with StateStore.connect(url, durability="os") as store:
        talk(store, "s", "one")
        store.delete_session("s", why="first")
        talk(store, "s", "two")
        with StateStore.connect(url, durability="os") as other:
            store.erase("s", [2], reason="asked for")
            found = [record.seq for record in other.follow("s", timeout=0.5)]

            assert found == [1, 2, 3]
            assert told(other) == ["first"]
            assert isinstance(other.load_session("s"), Session)
