"""Long sessions, of which a replica first has the end alone: what came before is fetched then."""

import uuid
from collections.abc import AsyncIterator

import pytest

from journal import Session, StateStore
from journal.backend import Change
from journal.errors import UnreachableError
from journal.memory import MemoryJournals

TEXT = "m" * 10_000


def talk(store: StateStore, messages: int) -> None:
    session = store.get_or_create_session("ann", "s")
    for _ in range(messages):
        session.add_user_message(TEXT)
        store.save_session(session)


@pytest.fixture
def url() -> str:
    return f"memory:{uuid.uuid4()}"


@pytest.mark.parametrize("before", ["nothing", "deleted", "erased", "both"])
def test_all_of_a_long_session_can_be_read_whatever_became_of_it_before(url: str, before: str) -> None:
    """It opens at the snapshot that is shared; then history, an earlier state, and every hash."""
    with StateStore.connect(url) as store:
        if before in ("deleted", "both"):
            talk(store, 1)
            store.delete_session("s")
        talk(store, 150)
        if before in ("erased", "both"):
            store.erase("s", [3], reason="asked for")
        talk(store, 2)
        store.compact("s")
        head = store.verify("s").head
    with StateStore.connect(url) as other:
        version = other.load_session("s").version

        assert other.load_session("s", at=2).user_messages[0].content == TEXT
        assert [record.seq for record in other.records("s")] == [*range(1, version + 1)]
        assert other.verify("s").head == head


def test_a_session_that_is_rewritten_while_it_is_fetched_is_read_again(url: str) -> None:
    """Nothing is made of two journals."""
    with StateStore.connect(url) as store:
        talk(store, 150)
        store.compact("s")
        with StateStore.connect(url) as other:
            assert other.load_session("s").version == 151
            store.erase("s", [3], reason="asked for")
            try:
                found = list(other.records("s"))
            except UnreachableError:  # which says so
                found = list(other.records("s"))

            assert len(found) == 152
            assert other.verify("s").ok
            assert isinstance(other.load_session("s"), Session)


def test_what_is_void_and_still_there_is_no_part_of_a_long_session(url: str, monkeypatch) -> None:
    """Somebody erased, and was killed before the old journal was removed: it comes before the new one."""
    read, void = MemoryJournals.read, []

    async def reading(journals: MemoryJournals, session_id: str | None, after: int) -> AsyncIterator[Change]:
        for change in void:
            if change.place > after:
                yield change
        async for change in read(journals, session_id, after):
            yield change

    with StateStore.connect(url) as store:
        talk(store, 103)  # so many that the old journal alone is taken for all that is missing
        backend = store._disk._journals._backend
        void += backend.ask(_all(backend.journals))
        store.erase("s", [3], reason="asked for")
        talk(store, 2)
        store.compact("s")
        head = store.verify("s").head
    monkeypatch.setattr(MemoryJournals, "read", reading)
    with StateStore.connect(url) as other:
        assert other.load_session("s").version == 107
        assert other.load_session("s", at=3).user_messages[1].content == ""
        assert other.verify("s").head == head


async def _all(journals: MemoryJournals) -> list[Change]:
    return [change async for change in journals.read("s", 0)]
