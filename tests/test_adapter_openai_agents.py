"""A session of OpenAI agents in a journal: what the SDK's protocol says, and what a journal adds."""

import asyncio
import threading

import pytest

pytest.importorskip("agents.memory.session_settings", reason="needs openai-agents")

from agents import Agent, RunConfig, Runner, SessionSettings
from agents.memory import Session as SessionProtocol
from agents.testing import ScriptedModel, assistant_message
from hypothesis import example, given
from hypothesis import strategies as st

from journal import (
    AsyncStateStore,
    InvalidEventError,
    InvalidNameError,
    OwnerMismatchError,
    StateStore,
    kept,
)
from journal.adapters.openai_agents import JournalSession
from projections import UserMessageAdded
from tests.strategies import a_store, some


def said(text):
    return {"role": "user", "content": text}


def answered(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}


def session_in(folder, session_id="s", **options):
    return JournalSession(session_id, AsyncStateStore(folder, durability="os"), **options)


async def closed(session):
    await session._store.close()


def test_it_is_a_session_of_the_sdk(folder):
    async def main():
        async with JournalSession("s", folder) as session:
            return isinstance(session, SessionProtocol), await session.get_items(), await session.pop_item()

    assert asyncio.run(main()) == (True, [], None)
    assert not folder.exists()


# What is done, each with what it is about.
DEEDS = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(0, 3), max_size=3)),
    st.tuples(st.just("other adds"), st.integers(0, 3)),
    st.tuples(st.just("pop"), st.none()),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("rewind"), st.integers(0, 30)),
    st.tuples(st.just("reopen"), st.none()),
)


@some
@given(st.lists(DEEDS, max_size=12))
@example([("add", [1, 2]), ("pop", None), ("add", [3]), ("rewind", 3), ("pop", None), ("rewind", 4)])
@example([("add", [1, 2]), ("clear", None), ("add", [3]), ("rewind", 2), ("rewind", 3)])
def test_it_says_what_a_list_would_say_whoever_writes(deeds):
    """At each step, and for each limit; and at each earlier version after a rewind to it."""

    async def main(folder, other):
        session = session_in(folder)
        there = []  # what a list would hold
        then = {0: [], 1: []}  # the same at each version

        def at(version, items):
            then[version] = list(items)

        for deed, about in deeds:
            version = max(then)
            is_begun = version > 1
            match deed:
                case "add":
                    for number, text in enumerate(about):
                        there.append(said(str(text)) if text % 2 else answered(str(text)))
                        at(version + 1 + number, there)
                    await session.add_items(there[len(there) - len(about) :])
                case "other adds" if is_begun:
                    there.append(said(str(about)))
                    at(version + 1, there)
                    other.append("s", [UserMessageAdded(content=str(about))], expected_version=-1)
                case "pop":
                    popped = there.pop() if there else None
                    if popped is not None:
                        at(version + 1, there)
                    assert await session.pop_item() == popped
                case "clear":
                    if there:
                        there = []
                        at(version + 1, there)
                    await session.clear_session()
                case "rewind" if is_begun:
                    to = 1 + about % version
                    there = list(then[to])
                    at(version + 1, there)
                    other.rewind("s", to)
                case "reopen":
                    await closed(session)
                    session = session_in(folder)
            assert await session.get_items() == there
            for limit in (0, 1, 2, 99):
                assert await session.get_items(limit) == there[len(there) - min(limit, len(there)) :]
        await closed(session)
        if max(then) > 1:
            assert other.verify("s").ok
            assert other.verify("s").version == max(then)

    with a_store(durability="os") as other:
        asyncio.run(main(other.base_path, other))


def test_what_is_read_is_the_readers_own(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("hello")])
        (await session.get_items())[0]["content"] = "edited"
        found = await session.get_items()
        await closed(session)
        return found

    assert asyncio.run(main()) == [said("hello")]


@pytest.mark.parametrize("settings", [SessionSettings(limit=2), {"limit": 2}])
def test_the_settings_limit_unless_the_call_says_more(folder, settings):
    async def main():
        session = session_in(folder, session_settings=settings)
        await session.add_items([said(str(number)) for number in range(5)])
        found = [len(await session.get_items(limit)) for limit in (None, 4, 0, -1)]
        await closed(session)
        return found

    assert asyncio.run(main()) == [2, 4, 0, 5]


def test_many_writers_lose_nothing_and_double_nothing(folder):
    """Tasks, threads with loops of their own, and two stores; some take items back."""
    popped = []

    async def work(session, name):
        for number in range(8):
            await session.add_items([said(f"{name} {number} {part}") for part in "ab"])
            if number % 2:
                popped.append((await session.pop_item())["content"])

    async def several(name):
        session = session_in(folder)
        await asyncio.gather(*(work(session, f"{name}{each}") for each in range(3)))
        await closed(session)

    threads = [threading.Thread(target=lambda n=name: asyncio.run(several(n))) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def left():
        session = session_in(folder)
        items = await session.get_items()
        await closed(session)
        return [item["content"] for item in items]

    found = asyncio.run(left())
    written = [
        f"{name}{task} {n} {part}" for name in "xyz" for task in range(3) for n in range(8) for part in "ab"
    ]

    assert len(popped) == 36
    assert sorted(found + popped) == sorted(written)


@pytest.mark.parametrize("deed", ["add", "pop", "clear"])
def test_a_change_that_is_cancelled_comes_to_its_end(folder, deed):
    """However often: the caller hears of the cancellation when the outcome is there."""

    async def main():
        session = session_in(folder)
        await session.add_items([said("first")])
        with StateStore(folder, durability="os") as other:
            log = other._handles.of("s").log
            with log.exclusive:  # nobody else can write until this ends
                change = {
                    "add": lambda: session.add_items([said("second")]),
                    "pop": session.pop_item,
                    "clear": session.clear_session,
                }[deed]()
                task = asyncio.create_task(change)
                for _ in range(2):
                    await asyncio.sleep(0.01)
                    task.cancel()
                await asyncio.sleep(0.01)
                was_done = task.done()
            with pytest.raises(asyncio.CancelledError):
                await task
        found = [item["content"] for item in await session.get_items()]
        await closed(session)
        return was_done, found

    assert asyncio.run(main()) == (False, ["first", "second"] if deed == "add" else [])


def test_nothing_is_written_where_one_item_cannot_be(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("first")])
        for bad in (object(), float("nan"), {1: 2}, "\ud800", (1,)):
            with pytest.raises(InvalidEventError):
                await session.add_items([said("before"), {"role": "user", "content": "x", "bad": bad}])
        found = await session.get_items()
        await closed(session)
        return found

    assert asyncio.run(main()) == [said("first")]


def test_another_users_session_is_refused(folder):
    async def main():
        store = AsyncStateStore(folder, durability="os")
        mine = JournalSession("s", store, user_id="ann")
        await mine.add_items([said("mine")])
        theirs = JournalSession("s", store, user_id="bob")
        for call in (theirs.get_items, theirs.pop_item, theirs.clear_session):
            with pytest.raises(OwnerMismatchError):
                await call()
        with pytest.raises(OwnerMismatchError):
            await theirs.add_items([said("theirs")])
        found = await JournalSession("s", store).get_items(), (await store.load_session("s")).user_id
        await store.close()
        return found

    assert asyncio.run(main()) == ([said("mine")], "ann")


@pytest.mark.parametrize("session_id", ["user/1", "a.b", "..", "sess:42 é", "x" * 500])
def test_any_text_is_an_id(folder, session_id):
    async def main():
        session = session_in(folder, session_id)
        await session.add_items([said("hello")])
        await closed(session)
        again = session_in(folder, session_id)
        found = await again.get_items()
        await closed(again)
        return found, again.session_id

    assert asyncio.run(main()) == ([said("hello")], session_id)


def test_an_empty_id_is_refused(folder):
    with pytest.raises(InvalidNameError):
        JournalSession("", folder)


def test_after_a_deletion_it_begins_anew(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("old")])
        await session._store.delete_session("s")
        await session.add_items([said("new")])
        found = await session.get_items()
        await closed(session)
        return found

    assert asyncio.run(main()) == [said("new")]


def test_a_fork_goes_on_by_itself(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("one"), answered("two"), said("three")])
        store = session._store
        await store.fork("s", at=3, new_id="other")
        fork = JournalSession("other", store)
        await fork.add_items([said("four")])
        found = await session.get_items(), await fork.get_items(), (await store.verify()).ok
        await store.close()
        return found

    assert asyncio.run(main()) == (
        [said("one"), answered("two"), said("three")],
        [said("one"), answered("two"), said("four")],
        True,
    )


def test_what_is_erased_is_gone_for_the_agent_and_on_disk(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("hello"), answered("the secret plan"), said("thanks")])
        await session._store.erase("s", [3], reason="asked for")
        found = await session.get_items(), await session.pop_item(), await session.get_items()
        report = await session._store.verify("s")
        await closed(session)
        return *found, report.ok

    assert asyncio.run(main()) == ([said("hello"), said("thanks")], said("thanks"), [said("hello")], True)
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret plan" in path.read_bytes()]


def test_what_was_said_is_in_the_session_and_can_be_found(folder):
    async def main():
        session = session_in(folder)
        await session.add_items([said("Where is my order?"), answered("In the post.")])
        await session.pop_item()
        store = session._store
        state, hits = await store.load_session("s"), await store.search("order")
        await store.close()
        return (
            [each.content for each in state.user_messages],
            [each.content for each in state.agent_responses],
            [hit.address for hit in hits],
        )

    assert asyncio.run(main()) == (["Where is my order?"], ["In the post."], ["s@2"])


def test_a_call_reads_only_what_is_new(folder, monkeypatch):
    """Also in an object that was made this moment, for a session that another one knows."""

    async def main():
        session = session_in(folder)
        await session.add_items([said(str(number)) for number in range(50)])
        await session.get_items(1)
        read = []
        monkeypatch.setattr(kept.Kept, "_begin", None)  # a whole pass would fail
        decode = kept.decode_record
        monkeypatch.setattr(kept, "decode_record", lambda line: read.append("one") or decode(line))
        found = []
        for number in range(50, 55):
            for each in (session, JournalSession("s", session._store)):
                await each.add_items([said(str(number))])
                found += await each.get_items(1)
        await closed(session)
        return read, len(found)

    assert asyncio.run(main()) == (["one"] * 10, 10)


def test_the_runner_remembers_and_streams(folder):
    """Two turns, the second of another process's session: the model is shown the first."""
    model = ScriptedModel()
    agent = Agent(name="test", model=model)

    async def main():
        for text, reply in (("I am Ada.", "Hello, Ada."), ("Who am I?", "Ada.")):
            model.enqueue([assistant_message(reply)])
            session = session_in(folder)
            await Runner.run(agent, text, session=session, run_config=RunConfig(tracing_disabled=True))
            await closed(session)
        return [item.get("role") for item in model.calls[-1].input]

    assert asyncio.run(main()) == ["user", "assistant", "user"]
    with StateStore(folder, durability="os") as store:
        assert [each.content for each in store.load_session("s").agent_responses] == ["Hello, Ada.", "Ada."]
