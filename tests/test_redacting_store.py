"""A store with a redaction: nothing that it finds reaches the disk, and a session says what is stored."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    ANY,
    AgentResponse,
    AsyncStateStore,
    Change,
    InvalidEventError,
    Session,
    StateStore,
    UserMessage,
    VersionConflictError,
)
from projections import (
    CustomEvent,
    MetadataSet,
    Redaction,
    SessionCreated,
    SessionReplaced,
    UserMessageAdded,
)
from projections.messages import utc_now
from tests.strategies import Act, a_store, acts

SECRET = "sk-abcdefghij0123456789"
HIDDEN = "[redacted:api_key]"
redaction = Redaction({"letter": "[b-e]"})


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture
def safe(folder: Path) -> Any:
    with StateStore(folder, durability="os", snapshots="always", redact=Redaction()) as store:
        yield store


def test_what_is_saved_is_redacted_and_the_session_says_so(safe: StateStore, folder: Path) -> None:
    """Messages, answers, metadata; noted by methods, and edited by hand."""
    session = Session.with_id("u", "s")
    session.add_user_message(f"use {SECRET}")
    session.add_agent_response(AgentResponse(f"used {SECRET}", seed_id="x"))
    session.set_metadata("config", {"key": SECRET})
    assert safe.save_session(session) == 4
    session.user_messages.append(UserMessage(f"again {SECRET}"))
    session.metadata["password"] = "a b"
    safe.save_session(session)

    assert session == safe.load_session("s")
    assert [each.content for each in session.user_messages] == [f"use {HIDDEN}", f"again {HIDDEN}"]
    assert session.agent_responses[0].content == f"used {HIDDEN}"
    assert session.metadata == {"config": {"key": "[redacted:api_key]"}, "password": "[redacted:password]"}
    assert not session.has_unsaved_changes
    assert SECRET.encode() not in bytes_of(folder)


def test_a_save_goes_on_after_one_that_was_redacted(safe: StateStore) -> None:
    """Nothing looks like an edit: each change is one record."""
    session = Session.with_id("u", "s")
    for number in range(3):
        session.add_user_message(f"{number} {SECRET}")
        session.set_metadata(f"k{number}@a.example", SECRET)
        safe.save_session(session)
    kinds = [type(record.event) for record in safe.records("s")]

    assert kinds == [SessionCreated, *[UserMessageAdded, MetadataSet] * 3]
    assert safe.verify("s").ok


def test_append_and_update_and_documents_are_redacted(safe: StateStore, folder: Path) -> None:
    safe.save_session(Session.with_id("u", "s"))
    change = Change(event=UserMessageAdded(content=SECRET), at=utc_now())
    safe.append("s", [change, CustomEvent(name="n", data=[SECRET])], expected_version=1, key="k")
    safe.update_session_with("s", lambda session: session.add_user_message(SECRET))
    safe.save_markdown("notes", "a", f"# {SECRET}")
    safe.save_json("notes", "b", {"x": SECRET})

    assert safe.load_markdown("notes", "a") == f"# {HIDDEN}"
    assert safe.load_json("notes", "b") == {"x": HIDDEN}
    assert SECRET.encode() not in bytes_of(folder)
    assert change.event == UserMessageAdded(content=SECRET)
    assert change.id is not None


def test_a_retry_is_known_by_its_redacted_content(safe: StateStore) -> None:
    """By its key, and by its ids."""
    safe.save_session(Session.with_id("u", "s"))
    change = Change(event=UserMessageAdded(content=SECRET), at=utc_now())

    assert safe.append("s", [change], expected_version=1, key="k") == 2
    assert safe.append("s", [change], expected_version=1, key="k") == 2
    assert safe.append("s", [change], expected_version=1) == 2
    assert len(list(safe.records("s"))) == 2


def test_a_save_that_got_through_after_all_leaves_the_session_as_stored(safe: StateStore) -> None:
    """The retry finds its records; the session must not keep what they do not hold."""
    session = Session.with_id("u", "s")
    session.add_user_message(SECRET)
    session.set_metadata("k", SECRET)
    lost = session.copy()
    safe.save_session(session)
    for one, other in zip(lost._unsaved or (), session._unsaved or (), strict=False):
        one.id = other.id
    again = session.copy()
    again._unsaved = lost._unsaved
    ids = [record.id for record in safe.records("s")]
    for change, its_id in zip(lost._unsaved or (), ids, strict=True):
        change.id = its_id

    assert safe.save_session(lost) == 3
    assert lost == safe.load_session("s")
    assert len(list(safe.records("s"))) == 3


def test_old_content_is_redacted_when_it_is_written_again(folder: Path) -> None:
    """What was stored before is as it was, until a whole session is stored anew."""
    with StateStore(folder, durability="os") as store:
        session = Session.with_id("u", "s")
        session.add_user_message(SECRET)
        session.add_user_message("two")
        store.save_session(session)
    with StateStore(folder, durability="os", redact=Redaction()) as store:
        session = store.load_session("s") or session
        assert store.save_session(session) == 3
        del session.user_messages[1]
        store.save_session(session)
        last = list(store.records("s"))[-1].event

        assert isinstance(last, SessionReplaced)
        assert last.session.user_messages[0].content == HIDDEN
        assert session == store.load_session("s")


def test_a_value_that_cannot_be_stored_is_refused_as_ever(safe: StateStore) -> None:
    """Redacting it first must not make a null of what is no number."""
    safe.save_session(Session.with_id("u", "s"))
    for value in ({"a": float("nan"), "b": SECRET}, {"b": SECRET, "t": (1, 2)}):
        with pytest.raises(InvalidEventError):
            safe.append("s", [MetadataSet(key="k", value=value)], expected_version=1)  # type: ignore[arg-type]

    assert len(list(safe.records("s"))) == 1


def test_on_top_of_others_it_is_redacted_too(safe: StateStore) -> None:
    """A conflict leaves nothing; with ANY the session becomes what is stored."""
    session = Session.with_id("u", "s")
    safe.save_session(session)
    mine = safe.load_session("s") or session
    session.add_user_message("first")
    safe.save_session(session)
    mine.add_user_message(SECRET)
    with pytest.raises(VersionConflictError):
        safe.save_session(mine)
    safe.save_session(mine, expected_version=ANY)

    assert [each.content for each in mine.user_messages] == ["first", HIDDEN]
    assert mine == safe.load_session("s")


def test_a_new_session_on_top_of_one_that_is_there(safe: StateStore) -> None:
    """It began when it began: the second beginning is not stored, redacted or not."""
    first, second = Session.with_id("u", "s"), Session.with_id("u", "s")
    safe.save_session(first)
    second.add_user_message(SECRET)
    safe.save_session(second, expected_version=ANY)

    assert second.created_at == first.created_at
    assert second == safe.load_session("s", at=2)


def test_as_deleted_and_saved_anew(safe: StateStore, folder: Path) -> None:
    session = Session.with_id("u", "s")
    safe.save_session(session)
    session.add_user_message(SECRET)
    safe.delete_session("s")
    safe.save_session(session, expected_version=ANY)

    assert session == safe.load_session("s")
    assert SECRET.encode() not in bytes_of(folder)


@given(st.lists(st.lists(acts(), max_size=4), max_size=4), st.booleans())
def test_after_each_save_the_session_is_what_is_stored(turns: list[list[Act]], updates: bool) -> None:
    """Whatever is done with it; and nothing that the redaction finds is in its content."""
    with a_store(redact=redaction) as store:
        session = Session.with_id("u", "s")
        store.save_session(session)
        for turn in turns:
            try:
                if updates:
                    store.update_session_with("s", lambda lent, turn=turn: [act.on(lent) for act in turn])
                    session = store.load_session("s") or session
                else:
                    for act in turn:
                        act.on(session)
                    store.save_session(session)
            except InvalidEventError:
                session = store.load_session("s") or session
                continue

            assert session == store.load_session("s")
            assert redaction.redact_json(texts_of(session))[1] == []
        assert store.verify("s").ok


def texts_of(session: Session) -> list[Any]:
    messages = [*session.user_messages, *session.agent_responses]
    return [*(each.content for each in messages), session.metadata]


def test_many_saves_of_asyncio_tasks_are_redacted(folder: Path) -> None:
    """A session that changes while it is saved ends as what is stored."""

    async def main() -> None:
        async with AsyncStateStore(folder, durability="os", redact=Redaction()) as store:
            session = Session.with_id("u", "s")
            saves = []
            for number in range(20):
                session.add_user_message(f"{number} {SECRET}")
                session.set_metadata("k", [number, SECRET])
                saves.append(asyncio.create_task(store.save_session(session)))
                await asyncio.sleep(0)
            await asyncio.gather(*saves)
            await store.append("s", [UserMessageAdded(content=SECRET)], expected_version=session.version)

            stored = await store.load_session("s", at=session.version)
            assert session == stored
            assert session.metadata == {"k": [19, HIDDEN]}
            assert session.version == 41
            assert len([record async for record in store.records("s")]) == 42

    asyncio.run(main())

    assert SECRET.encode() not in bytes_of(folder)


def test_without_a_redaction_nothing_is_looked_at(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain store does not pay for it."""
    looked: list[Callable[..., object]] = []
    monkeypatch.setattr("journal.handle.hide", lambda *given: looked.append(given))
    session = Session.with_id("u", "s")
    session.add_user_message(SECRET)
    store.save_session(session)
    store.append("s", [UserMessageAdded(content=SECRET)], expected_version=2)

    assert looked == []
