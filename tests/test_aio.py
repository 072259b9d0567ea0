"""AsyncStateStore: the same face, each call in a worker thread, no logic of its own."""

import asyncio
import inspect
import threading

import pytest
from crash import mischief

from journal import (
    AsyncStateStore,
    CorruptRecordError,
    JournalClosedError,
    Session,
    StateStore,
    VersionConflictError,
)
from journal.note import SigningKey
from projections import Transcript, UserMessageAdded


def public(kind):
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def parameters(function):
    # As texts: a type variable is another object in each module.
    return [str(parameter) for parameter in inspect.signature(function).parameters.values()]


def test_both_faces_have_the_same_names():
    """Methods and properties."""
    assert public(StateStore).keys() == public(AsyncStateStore).keys()


@pytest.mark.parametrize("name", sorted(public(StateStore)))
def test_both_faces_have_the_same_signatures(name):
    """Parameter by parameter: names, order, kinds, defaults, types; properties stay properties."""
    one, other = public(StateStore)[name], public(AsyncStateStore).get(name)
    if isinstance(one, property):
        assert isinstance(other, property)
        return

    if isinstance(one, classmethod):
        one, other = one.__func__, other.__func__
    assert parameters(one) == parameters(other)
    if name in ("acting", "keep", "open_session"):
        assert not inspect.iscoroutinefunction(other)  # these do nothing yet
    elif name not in ("records", "verify_each", "follow"):
        assert inspect.iscoroutinefunction(other)
        assert str(inspect.signature(one)) == str(inspect.signature(other))
    else:
        assert inspect.isasyncgenfunction(other)


def test_both_are_opened_alike():
    """The same options with the same defaults."""
    assert parameters(StateStore.__init__) == parameters(AsyncStateStore.__init__)


def test_both_show_the_same_attributes(folder):
    """What one can be asked without a call, the other can too."""
    with StateStore(folder) as one:
        other = AsyncStateStore(folder)
        attributes = {name for name in vars(one) if not name.startswith("_")}

        assert {name for name in attributes if not hasattr(other, name)} == set()
        asyncio.run(other.close())


def test_every_method_says_what_it_does():
    """At least where to read it."""
    for name, member in public(AsyncStateStore).items():
        assert (member.fget if isinstance(member, property) else member).__doc__, name


def test_every_call_works_with_await(folder):
    """The whole face once."""

    async def main():
        async with AsyncStateStore(folder, durability="os", actor="me", snapshots="always") as store:
            session = await store.get_or_create_session("u", "s")
            session.add_user_message("a")
            assert await store.save_session(session) == 2
            assert await store.update_session_with("s", lambda s: s.add_user_message("b")) == 3
            assert await store.append("s", [UserMessageAdded(content="c")], expected_version=3, key="k") == 4
            loaded = await store.load_session("s")
            loaded.set_active_seed("x")
            assert await store.update_session(loaded) == 5
            assert (await store.load_session("s", at=2)).version == 2
            assert [record.seq async for record in store.records("s", after=2)] == [3, 4, 5]
            assert {record.by async for record in store.records("s")} == {"me"}
            assert len(await store.project(Transcript(), "s")) == 5
            assert [each.id for each in await store.list_sessions()] == await store.session_ids() == ["s"]
            assert [hit.address for hit in await store.search("c")] == ["s@4"]
            assert (await store.verify("s")).ok
            seal = await store.seal("s", key=SigningKey.new("me"))
            assert (await store.verify("s", seal=seal)).sealed == 5
            assert [report.sealed async for _, report in store.verify_each(seal=seal)] == [5]
            assert b'"headers"' in await store.prove("s", 2, seal=seal.data)
            assert await store.compact() == 0
            await store.save_markdown("notes", "a", "text")
            await store.save_json("notes", "a", [1])
            assert await store.load_markdown("notes", "a") == "text"
            assert await store.load_json("notes", "a", type=list[int]) == [1]
            assert await store.list_category("notes") == ["a"]
            assert await store.delete_file("notes", "a") is True
            assert store.base_path == str(folder)
            with pytest.raises(VersionConflictError):
                await store.save_session(session)
            assert (await store.prune(keep=1)).sessions == []
            assert await store.delete_session("s", why="done") is True
            assert [each.why for each in await store.tombstones()] == ["done"]

    asyncio.run(main())


def test_the_loop_is_never_blocked(folder):
    """Every call runs in another thread."""

    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.save_session(Session.with_id("u", "s"))
            threads = []
            await store.update_session_with("s", lambda s: threads.append(threading.current_thread()))
            assert threads != []
            assert threading.main_thread() not in threads

    asyncio.run(main())


def test_a_reader_may_stop_early(folder):
    """Its file is closed."""

    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.save_session(Session.with_id("u", "s"))
            for version in range(1, 600):
                await store.append("s", [UserMessageAdded(content="x")], expected_version=version)
            records = store.records("s")
            async for record in records:
                if record.seq == 3:
                    break
            await records.aclose()
            assert [r.seq async for r in store.records("s")] == list(range(1, 601))

    asyncio.run(main())


def test_what_comes_before_damage_is_given_out(folder):
    """As the synchronous one does, and the error then."""

    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.save_session(Session.with_id("u", "s"))
            for version in range(1, 5):
                await store.append("s", [UserMessageAdded(content="x")], expected_version=version)
            mischief.damage(folder / "sessions" / "s.jsonl", 3, breaks_chain=False)
            found = []

            async def read():
                async for record in store.records("s"):
                    found.append(record.seq)

            with pytest.raises(CorruptRecordError):
                await read()
            assert found == [1, 2, 3]

    asyncio.run(main())


def test_closing_twice_does_no_harm_and_a_closed_store_says_so(folder):
    """As the synchronous one."""

    async def main():
        store = AsyncStateStore(folder, durability="os")
        await store.save_session(Session.with_id("u", "s"))
        await store.close()
        await store.close()
        with pytest.raises(JournalClosedError):
            await store.load_session("s")

    asyncio.run(main())


def test_a_store_serves_one_event_loop_after_another(folder):
    """It is bound to none."""
    store = AsyncStateStore(folder, durability="os")
    asyncio.run(store.save_session(Session.with_id("u", "s")))

    assert asyncio.run(store.load_session("s")).id == "s"
    asyncio.run(store.close())
