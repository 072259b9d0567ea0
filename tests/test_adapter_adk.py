"""Google ADK's sessions in journals: what ADK sees, what the journal has, and that the two agree."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("google.adk")

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.genai import types

from journal import AsyncStateStore
from journal.adapters.adk import JournalSessionService, journal_id, state_journal_id
from journal.errors import CorruptRecordError
from journal.questions import Questions
from projections import (
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from tests.strategies import a_store, json_values, some, texts

T = TypeVar("T")
APP, USER = "app", "ada"
ID = journal_id(APP, USER, "s")


def with_service(folder: Path | str, use: Callable[[JournalSessionService], Awaitable[T]]) -> T:
    """Run something with a service of its own."""

    async def main() -> T:
        async with JournalSessionService(folder, durability="os") as service:
            return await use(service)

    return asyncio.run(main())


async def created(service: JournalSessionService, **options: Any) -> Session:
    """A new session "s"."""
    return await service.create_session(app_name=APP, user_id=USER, session_id="s", **options)


async def got(service: JournalSessionService, session_id: str = "s", **config: Any) -> Session | None:
    """A session as it is now."""
    return await service.get_session(
        app_name=APP, user_id=USER, session_id=session_id, config=GetSessionConfig(**config)
    )


def said(author: str, *parts: types.Part, **fields: Any) -> Event:
    """An event with these parts."""
    role = "user" if author == "user" else "model"
    content = types.Content(role=role, parts=list(parts))
    return Event(invocation_id="i", author=author, content=content, **fields)


def text(words: str) -> types.Part:
    """A part that is a text."""
    return types.Part(text=words)


def call(name: str = "look", call_id: str = "c1", **args: Any) -> types.Part:
    """A part that calls a tool."""
    return types.Part(function_call=types.FunctionCall(id=call_id, name=name, args=args))


def answer(response: dict[str, Any], name: str = "look", call_id: str = "c1") -> types.Part:
    """A part that is a tool's answer."""
    function = types.FunctionResponse(id=call_id, name=name, response=response)
    return types.Part(function_response=function)


def state(**delta: Any) -> EventActions:
    """Actions that set a state; `app__x` stands for `app:x`."""
    return EventActions(state_delta={key.replace("__", ":"): value for key, value in delta.items()})


def parts() -> st.SearchStrategy[types.Part]:
    """Parts of all kinds, with and without what a journal has no place of its own for."""
    objects = st.dictionaries(texts(), json_values(), max_size=3)
    signature = st.none() | st.binary(max_size=8)
    return (
        st.builds(types.Part, text=texts(), thought=st.none() | st.booleans(), thought_signature=signature)
        | st.builds(
            lambda args, id, signed: types.Part(
                function_call=types.FunctionCall(id=id, name="f", args=args), thought_signature=signed
            ),
            st.none() | objects,
            st.none() | texts(),
            signature,
        )
        | st.builds(
            lambda response, id, more: types.Part(
                function_response=types.FunctionResponse(
                    id=id, name="f", response=response, will_continue=more
                )
            ),
            st.none() | objects,
            st.none() | texts(),
            st.none() | st.booleans(),
        )
        | st.builds(
            lambda data: types.Part.from_bytes(data=data, mime_type="image/png"), st.binary(max_size=20)
        )
    )


def events() -> st.SearchStrategy[Event]:
    """Events of all kinds."""
    return st.builds(
        Event,
        invocation_id=texts(),
        author=st.sampled_from(["user", "agent"]),
        content=st.none()
        | st.builds(
            types.Content,
            role=st.sampled_from(["user", "model"]),
            parts=st.none() | st.lists(parts(), max_size=3),
        ),
        actions=st.builds(
            EventActions,
            state_delta=st.dictionaries(
                texts().filter(lambda key: not key.startswith("temp:")), json_values(), max_size=3
            ),
            escalate=st.none() | st.booleans(),
        ),
        custom_metadata=st.none() | st.dictionaries(texts(), json_values(), max_size=2),
        long_running_tool_ids=st.none() | st.sets(texts(), max_size=2),
        timestamp=st.floats(0, 4e9),
    )


@some
@given(appended=st.lists(events(), max_size=4, unique_by=lambda event: event.id))
def test_each_event_comes_back_as_it_was(appended):
    """Whatever its parts are, and from another process as well."""
    with a_store() as store:

        async def append(service):
            session = await created(service)
            for event in appended:
                await service.append_event(session, event)
            return session

        session = with_service(store.base_path, append)
        again = with_service(store.base_path, got)

        assert again is not None
        assert again == session
        assert again.events == appended


def test_what_json_has_no_place_for_comes_back_too(folder):
    """Integers past 64 bits, and JSON nested deeper than a record may be."""
    deep: Any = 1
    for _ in range(120):
        deep = [deep]
    event = said("agent", call(size=2**70, deep=deep), actions=state(big=2**65))

    async def use(service):
        session = await created(service, state={"first": -(2**66)})
        await service.append_event(session, event)
        return session

    session = with_service(folder, use)

    assert with_service(folder, got) == session
    assert session.state == {"first": -(2**66), "big": 2**65}


def test_parts_are_records_of_their_kinds(folder, store):
    thought = types.Part(text="hm", thought=True, thought_signature=b"signed")
    turns = [
        said("user", text("Weather in Lima?")),
        said("agent", thought, text("Let me look."), call(city="Lima"), call(call_id="c2", city="Cusco")),
        said("user", answer({"result": 21}), answer({"error": "no station"}, call_id="c2")),
        said("agent", text("21 degrees"), actions=state(city="Lima")),
    ]

    async def use(service):
        session = await created(service)
        for event in turns:
            await service.append_event(session, event)

    with_service(folder, use)
    typed = [
        record.event
        for record in store.records(ID)
        if not isinstance(record.event, CustomEvent) and record.seq > 2
    ]

    assert [type(event) for event in typed] == [
        UserMessageAdded,
        ReasoningAdded,
        AgentResponseAdded,
        ToolCalled,
        ToolCalled,
        ToolReturned,
        ToolReturned,
        AgentResponseAdded,
        MetadataSet,
    ]
    assert [event.is_error for event in typed if isinstance(event, ToolReturned)] == [False, True]
    session = store.load_session(ID)
    assert session is not None
    assert [message.content for message in session.user_messages] == ["Weather in Lima?"]
    assert [message.content for message in session.agent_responses] == ["Let me look.", "21 degrees"]
    assert (session.user_id, session.metadata) == (USER, {"city": "Lima"})
    assert [hit.session_id for hit in store.search("degrees")] == [ID]
    assert store.verify(ID).ok


def test_state_is_shared_as_adk_says(folder, store):
    """`app:` by all, `user:` by one user's sessions, the rest by nobody; each has a history of its own."""

    async def use(service):
        first = await created(service, state={"app:a": 1, "user:u": 1, "own": 1, "temp:t": 1})
        await service.append_event(first, said("agent", text("x"), actions=state(app__a=2, user__v=None)))
        second = await service.create_session(app_name=APP, user_id=USER)
        other = await service.create_session(app_name=APP, user_id="eve")
        return [
            second.state,
            other.state,
            await service.get_user_state(app_name=APP, user_id=USER),
            await service.get_user_state(app_name=APP, user_id="nobody"),
        ]

    seconds, others, users, nobodys = with_service(folder, use)

    assert seconds == {"app:a": 2, "user:u": 1, "user:v": None}
    assert (others, users, nobodys) == ({"app:a": 2}, {"u": 1, "v": None}, {})
    history = [record for record in store.records(state_journal_id(APP)) if record.seq > 1]
    assert [record.event for record in history] == [MetadataSet(key="a", value=each) for each in (1, 2)]
    causes = {record.id for record in store.records(ID)}
    assert all(record.cause in causes for record in history)


@pytest.mark.parametrize("is_read_first", [True, False])
def test_shared_state_that_a_crash_kept_back_is_set_by_the_next_use_once(folder, store, is_read_first):
    """Whether that reads the session, or appends to it."""

    async def crash(service):
        session = await created(service, state={"app:n": 0})
        service._shared_state.enter = lambda *_: None
        await service.append_event(session, said("agent", text("x"), actions=state(app__n=1)))
        return session

    async def go_on(service):
        last = await got(service) if is_read_first else session
        await service.append_event(last, said("agent", text("y"), actions=state(app__m=2)))
        return await got(service)

    session = with_service(folder, crash)

    assert with_service(folder, go_on).state == {"app:n": 1, "app:m": 2}
    settings = [record.event.key for record in store.records(state_journal_id(APP)) if record.seq > 1]
    assert settings == ["n", "n", "m"]


def test_shared_state_that_two_would_set_at_once_is_set_once(folder, store):
    """The other one was first, in the last moment."""

    async def use(service):
        session = await created(service, state={"app:n": 0})
        append = service._store.append

        def overtaken(session_id, *arguments, **options):
            if session_id == state_journal_id(APP):
                service._store.append = append
                with_service(folder, got)
            return append(session_id, *arguments, **options)

        service._store.append = overtaken
        event = said("agent", text("x"), actions=state(app__n=1))
        await service.append_event(session, event)

    with_service(folder, use)

    assert [record.seq for record in store.records(state_journal_id(APP))] == [1, 2, 3]


def test_neither_a_fork_nor_a_rewind_nor_an_erasure_sets_shared_state_again(folder, store):
    async def use(service):
        session = await created(service)
        for number in range(3):
            await service.append_event(session, said("agent", text("x"), actions=state(app__n=number)))

    with_service(folder, use)
    store.fork(ID, at=3, new_id=journal_id(APP, USER, "fork"))
    store.erase(ID, [5], reason="asked for")
    store.rewind(ID, to=4)

    async def look(service):
        return [(await got(service, each)).state for each in ("s", "fork")]

    assert with_service(folder, look) == [{"app:n": 2}] * 2


def test_a_session_that_is_created_anew_sets_shared_state_anew(folder):
    async def use(service):
        for number in range(2):
            session = await created(service, state={"user:n": number})
            await service.delete_session(app_name=APP, user_id=USER, session_id="s")
        return session.state

    assert with_service(folder, use) == {"user:n": 1}


def test_who_has_not_seen_the_last_event_is_refused(folder):
    async def use(service):
        session = await created(service)
        stale = session.model_copy(deep=True)
        await service.append_event(session, said("user", text("first")))
        with pytest.raises(StaleSessionError):
            await service.append_event(stale, said("user", text("second")))
        return len((await got(service)).events)

    assert with_service(folder, use) == 1


def test_who_is_overtaken_in_the_last_moment_is_refused_too(folder):
    async def use(service):
        session = await created(service)
        append = service._store.append

        def overtaken(*arguments, **options):
            service._store.append = append
            other = session.model_copy(deep=True)
            with_service(folder, lambda second: second.append_event(other, said("user", text("first"))))
            return append(*arguments, **options)

        service._store.append = overtaken
        with pytest.raises(StaleSessionError):
            await service.append_event(session, said("user", text("second")))
        return [event.content.parts[0].text for event in (await got(service)).events]

    assert with_service(folder, use) == ["first"]


def test_a_clock_that_goes_back_makes_nothing_stale(folder):
    """Not the times tell, but the records; without a marker, the last event does."""

    async def use(service):
        session = await created(service)
        for when in (time.time() + 1000, 5.0, 4.0):
            await service.append_event(session, said("user", text("x"), timestamp=when))
        session._storage_update_marker = None
        session.last_update_time = 0
        await service.append_event(session, said("user", text("x"), timestamp=3.0))
        return [event.timestamp for event in (await got(service)).events][1:]

    assert with_service(folder, use) == [5.0, 4.0, 3.0]


def test_what_others_write_that_adk_does_not_see_makes_nothing_stale(folder, store):
    async def use(service):
        session = await created(service)
        store.append(ID, [CustomEvent(name="note"), UserMessageAdded(content="aside")], expected_version=-1)
        await service.append_event(session, said("user", text("x")))
        store.append(ID, [MetadataSet(key="k", value=1)], expected_version=-1)
        with pytest.raises(StaleSessionError):
            await service.append_event(session, said("user", text("y")))
        return await got(service)

    session = with_service(folder, use)

    assert (len(session.events), session.state) == (1, {"k": 1})


def test_an_event_is_stored_once(folder, store):
    """Told again, by the same session or by one that has not seen it: a call may be repeated."""
    event = said("user", text("hello"), actions=state(n=1))

    async def use(service):
        session = await created(service)
        behind = session.model_copy(deep=True)
        for each in (session, session, behind):
            await service.append_event(each, event)
        other = said("agent", text("another one of the same id"), id=event.id)
        await service.append_event(behind, other)
        return session, behind, await got(service)

    session, behind, stored = with_service(folder, use)

    assert [len(each.events) for each in (session, behind, stored)] == [1, 2, 2]


def test_what_is_not_there_is_told_as_adk_tells_it(folder):
    async def use(service):
        session = await created(service)
        with pytest.raises(AlreadyExistsError):
            await created(service)
        await service.delete_session(app_name=APP, user_id=USER, session_id="s")
        await service.delete_session(app_name=APP, user_id=USER, session_id="s")
        with pytest.raises(SessionNotFoundError):
            await service.append_event(session, said("user", text("x")))
        return await got(service), (await service.list_sessions(app_name=APP)).sessions

    assert with_service(folder, use) == (None, [])


def test_ids_are_stripped_and_any_text_may_be_one(folder):
    """Names too long for a file are told apart, and listed, too."""
    long = "x" * 300

    async def use(service):
        made = [
            await service.create_session(app_name=long, user_id="../u", session_id=each)
            for each in (" padded\n", "  ", None, f"{long}1", f"{long}2")
        ]
        padded = await service.get_session(app_name=long, user_id="../u", session_id="padded ")
        listed = (await service.list_sessions(app_name=long, user_id="../u")).sessions
        nobodys = (await service.list_sessions(app_name=long, user_id="u")).sessions
        return [session.id for session in made], padded.id, [session.id for session in listed], nobodys

    made, padded, listed, nobodys = with_service(folder, use)

    assert (made[0], padded, nobodys) == ("padded", "padded", [])
    assert all(made)
    assert sorted(listed) == sorted(made)


def test_sessions_are_listed_by_their_last_event(folder):
    async def use(service):
        sessions = {
            each: await service.create_session(
                app_name=APP, user_id=USER, session_id=each, state={"is": each}
            )
            for each in "abc"
        }
        await service.create_session(app_name="other", user_id=USER, session_id="d")
        await service.create_session(app_name=APP, user_id="eve", session_id="e")
        later = time.time() + 10
        await service.append_event(sessions["a"], said("user", text("x"), timestamp=later))
        mine = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
        alls = (await service.list_sessions(app_name=APP)).sessions
        return mine, [session.id for session in alls], later

    mine, alls, later = with_service(folder, use)

    assert [(each.id, each.state, each.events) for each in mine] == [(id, {"is": id}, []) for id in "bca"]
    assert alls == ["b", "c", "e", "a"]
    assert mine[-1].last_update_time == later


@some
@given(
    times=st.lists(st.integers(0, 9), max_size=8),
    recent=st.none() | st.integers(0, 9),
    after=st.none() | st.integers(0, 9),
)
def test_a_caller_gets_the_events_that_it_asks_for(times, recent, after):
    with a_store() as store:

        async def use(service):
            session = await created(service)
            for number, when in enumerate(times):
                await service.append_event(session, said("user", text(str(number)), timestamp=float(when)))
            return await got(service, num_recent_events=recent, after_timestamp=after)

        session = with_service(store.base_path, use)
        expected = [number for number, when in enumerate(times) if after is None or when >= after]
        expected = expected if recent is None else expected[len(expected) - min(recent, len(expected)) :]

        assert [event.content.parts[0].text for event in session.events] == list(map(str, expected))


def test_partial_events_and_temporary_state_are_not_stored(folder):
    async def use(service):
        session = await created(service)
        await service.append_event(session, said("agent", text("hel"), partial=True))
        await service.append_event(session, said("agent", text("hello"), actions=state(temp__t=1, k=2)))
        return session, await got(service)

    session, stored = with_service(folder, use)

    assert session.state == {"temp:t": 1, "k": 2}
    assert (stored.state, stored.events) == ({"k": 2}, session.events)
    assert [event.actions.state_delta for event in stored.events] == [{"k": 2}]


def test_a_rewind_shows_what_was_there(folder, store):
    """And a rewind of the rewind what was taken back; appending goes on from there."""

    async def use(service):
        session = await created(service)
        for number in range(3):
            await service.append_event(session, said("user", text(str(number)), actions=state(n=number)))
        seen = []
        for to in (4, 8):
            store.rewind(ID, to=to)
            session = await got(service)
            seen.append(([event.content.parts[0].text for event in session.events], session.state))
        store.rewind(ID, to=4)
        session = await got(service)
        await service.append_event(session, said("user", text("on")))
        return seen, [event.content.parts[0].text for event in (await got(service)).events]

    seen, after = with_service(folder, use)

    assert seen == [(["0"], {"n": 0}), (["0", "1", "2"], {"n": 2})]
    assert after == ["0", "on"]


def test_a_rewind_into_an_event_leaves_it_out(folder, store):
    async def use(service):
        session = await created(service)
        await service.append_event(session, said("user", text("a"), text("b"), actions=state(n=1)))
        store.rewind(ID, to=4)
        return (await got(service)).events

    assert with_service(folder, use) == []


def test_what_was_erased_is_gone(folder, store):
    """A part of an event, or all of it; nothing else."""

    async def use(service):
        session = await created(service)
        await service.append_event(session, said("user", text("secret one")))
        await service.append_event(
            session, said("agent", text("kept"), text("secret two"), actions=state(k=1))
        )
        before = await got(service)
        store.erase(ID, [3, 6], reason="asked for")
        return before, await got(service)

    before, after = with_service(folder, use)

    assert [[part.text for part in event.content.parts] for event in before.events] == [
        ["secret one"],
        ["kept", "secret two"],
    ]
    assert [[part.text for part in event.content.parts] for event in after.events] == [["kept"]]
    assert after.state == {"k": 1}
    assert b"secret" not in (folder / "sessions" / f"{ID}.jsonl").read_bytes()
    assert store.verify(ID).ok


def test_a_fork_is_a_session_of_its_own(folder, store):
    async def use(service):
        session = await created(service, state={"k": 1})
        for number in range(2):
            await service.append_event(session, said("user", text(str(number))))
        store.fork(ID, at=4, new_id=journal_id(APP, USER, "fork"))
        fork = await got(service, "fork")
        await service.append_event(fork, said("user", text("else")))
        ids = [session.id for session in (await service.list_sessions(app_name=APP)).sessions]
        return await got(service, "fork"), await got(service), ids

    fork, origin, ids = with_service(folder, use)

    assert [event.content.parts[0].text for event in fork.events] == ["0", "else"]
    assert [event.content.parts[0].text for event in origin.events] == ["0", "1"]
    assert (fork.id, fork.state, sorted(ids)) == ("fork", {"k": 1}, ["fork", "s"])


def test_nothing_is_lost_and_nothing_doubled_among_many_writers(folder):
    """Each gets the session again when it is told that it is behind, as ADK says."""

    def write(name: str) -> None:
        async def use(service):
            for number in range(10):
                event = said("user", text(f"{name}{number}"), actions=state(**{f"app__{name}": number}))
                while True:
                    try:
                        await service.append_event(await got(service), event)
                        break
                    except StaleSessionError:
                        continue

        with_service(folder, use)

    with_service(folder, created)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    session = with_service(folder, got)
    assert session is not None
    words = [event.content.parts[0].text for event in session.events]

    assert sorted(words) == sorted(f"{name}{number}" for name in "abcd" for number in range(10))
    assert [[word for word in words if word[0] == name][-1] for name in "abcd"] == ["a9", "b9", "c9", "d9"]
    assert session.state == {f"app:{name}": 9 for name in "abcd"}


def test_a_cancelled_append_may_be_repeated(folder):
    async def use(service):
        session = await created(service)
        for number in range(20):
            event = said("user", text(str(number)))
            task = asyncio.create_task(service.append_event(session, event))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await service.append_event(session, event)
        return session, await got(service)

    session, stored = with_service(folder, use)

    assert [event.content.parts[0].text for event in stored.events] == list(map(str, range(20)))
    assert stored.events == session.events


def test_a_store_of_the_callers_stays_open(folder):
    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            async with JournalSessionService(store) as service:
                await created(service)
            return await store.session_ids()

    assert asyncio.run(main()) == [ID]


def test_a_turn_reads_only_what_is_new(folder, monkeypatch):
    async def use(service):
        session = await created(service)
        await service.append_event(session, said("user", text("0")))
        await got(service)
        monkeypatch.setattr(Questions, "_records", None)  # a whole pass would fail
        for number in range(1, 10):
            session = await got(service)
            await service.append_event(session, said("user", text(str(number)), actions=state(n=number)))
        return await got(service), await got(service)

    one, other = with_service(folder, use)

    assert (len(one.events), one.state) == (10, {"n": 9})
    assert all(event is again for event, again in zip(one.events, other.events, strict=True))


def test_damage_is_told(folder):
    with_service(folder, created)
    path = folder / "sessions" / f"{ID}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"created"', b'"creature"'))

    with pytest.raises(CorruptRecordError):
        with_service(folder, got)
    assert os.path.exists(path)
