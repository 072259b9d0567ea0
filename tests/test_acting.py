"""Acting: what is said in a `with` goes on every record that is written inside it, and on no other."""

import asyncio
import contextlib
import gc
import json
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import ANY, AsyncStateStore, Change, InvalidEventError, Session, StateStore
from journal import acting as acts
from tests.strategies import CREATED, START, a_store, names, said

UNFIT = ["", "\ud800", "x" * 300_000, 7]


def who(store, session_id="s"):
    """By whom, and because of what, each record is."""
    return [(record.by, record.cause) for record in store.records(session_id)]


def say(store, text="hello", session_id="s"):
    """Load, speak, save."""
    session = store.load_session(session_id) or Session.with_id("ada", session_id)
    session.add_user_message(text)
    return store.save_session(session)


def test_every_way_to_write_is_told(store):
    """Save, append, update, create: all that a `with` holds bears its actor and its cause."""
    with store.acting(by="planner", cause="r-1"):
        session = store.get_or_create_session("ada", "s")
        session.add_user_message("one")
        store.save_session(session)
        session.user_messages.append(session.user_messages[0])  # by hand: found by comparing
        store.save_session(session)
        store.update_session_with("s", lambda each: each.set_active_seed("x"))
        store.append("s", [said("two"), said("three")], expected_version=ANY)
        session = store.load_session("s")
        session.set_metadata("k", 1)
        store.update_session(session)
    say(store)

    assert who(store) == [("planner", "r-1")] * 7 + [(None, None)]


def test_a_deletion_notes_who(store, folder):
    """The tombstone's actor is the one that holds."""
    say(store)
    with store.acting(by="janitor"):
        store.delete_session("s")

    assert json.loads((folder / ".journal" / "tombstones.jsonl").read_text())["by"] == "janitor"


def test_a_repair_notes_who(store, folder):
    """The record of it bears the actor that holds."""
    say(store)
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"hello", b"hallo"))
    with store.acting(by="doctor", cause="r-1"):
        store.repair("s")

    assert [record.by for record in store.records("s")][-1] == "doctor"


def test_the_stores_own_actor_holds_again_outside(folder):
    """And where only a cause is said, inside as well."""
    with StateStore(folder, durability="os", actor="me") as store:
        say(store)
        with store.acting(cause="r-1"):
            say(store)
        with store.acting(by="you"):
            assert store.actor == "me"
            say(store)
        say(store)

        assert who(store) == [("me", None)] * 2 + [("me", "r-1"), ("you", None), ("me", None)]


def test_what_is_said_nearer_wins(store):
    """A change over an argument, that over an inner `with`, that over an outer one."""
    with store.acting(by="outer", cause="o"), store.acting(by="inner", cause="i"):
        store.append("s", [CREATED], expected_version=0)
        store.append("s", [said("a")], expected_version=1, by="argument")
        store.append("s", [said("a")], expected_version=2, cause="argument")
        change = Change(event=said("b"), at=START, by="change", cause="c")
        store.append("s", [change], expected_version=3, by="argument", cause="argument")

    assert who(store) == [("inner", "i"), ("argument", "i"), ("inner", "argument"), ("change", "c")]


maybe = st.none() | names()


@given(st.lists(st.tuples(maybe, maybe), max_size=5), maybe)
def test_none_leaves_what_holds_around(layers, actor):
    """Of each, the innermost that was said; behind each `with` what held before it."""
    with a_store(actor=actor) as store, contextlib.ExitStack() as stack:
        store.append("s", [CREATED], expected_version=0)
        expected = [(actor, None)]
        for by, cause in layers:
            stack.enter_context(store.acting(by=by, cause=cause))
            store.append("s", [said("in")], expected_version=ANY)
            expected.append((by or expected[-1][0], cause or expected[-1][1]))
        stack.close()
        store.append("s", [said("out")], expected_version=ANY)

        assert who(store) == [*expected, (actor, None)]


def test_an_exception_ends_it(store):
    """As the end of the block does."""
    say(store)
    with pytest.raises(ZeroDivisionError), store.acting(by="planner"):
        _ = 1 / 0
    say(store)

    assert who(store) == [(None, None)] * 3


@pytest.mark.parametrize("text", UNFIT)
@pytest.mark.parametrize("name", ["by", "cause"])
def test_what_no_record_can_hold_is_refused_on_entering(store, name, text):
    """The block is not run, and what held goes on holding."""
    with store.acting(by="planner"):
        with pytest.raises(InvalidEventError, match=name), store.acting(**{name: text}):
            pytest.fail("it was entered")
        say(store)

    assert who(store) == [("planner", None)] * 2


@pytest.mark.parametrize("name", ["by", "cause"])
def test_an_empty_argument_is_refused_and_not_taken_for_none(store, name):
    """In both stores."""
    store.append("s", [CREATED], expected_version=0)
    with pytest.raises(InvalidEventError, match=name):
        store.append("s", [said("a")], expected_version=1, **{name: ""})

    assert store.load_session("s").version == 1


def test_it_is_of_one_store(folder, tmp_path):
    """Another one that is written inside names its own."""
    with (
        StateStore(folder, durability="os", actor="one") as one,
        StateStore(tmp_path / "other", durability="os", actor="other") as other,
    ):
        with one.acting(by="planner"), other.acting(cause="r-1"):
            say(one)
            say(other)

        assert who(one) == [("planner", None)] * 2
        assert who(other) == [("other", "r-1")] * 2


def test_a_store_that_is_gone_is_not_kept_by_what_was_said(folder):
    """A context keeps what was set in it; that must not be the store."""
    store = StateStore(folder, durability="os")
    with store.acting(by="planner"):
        say(store)
        store.close()
        gone = weakref.ref(store)
        del store
        gc.collect()

        assert gone() is None
    assert dict(acts._acts.get()) == {}


def test_each_thread_says_it_for_itself(store):
    """Threads that write at the same time bear each their own; a new thread knows of none."""
    for name in "abc":
        store.append(name, [CREATED.__class__(session_id=name, user_id="ada")], expected_version=0)
    meeting = threading.Barrier(3)

    def work(name, by):
        with store.acting(by=by) if by else contextlib.nullcontext():
            for _ in range(20):
                meeting.wait(30)
                store.append(name, [said(name)], expected_version=ANY)

    with store.acting(by="main"):
        threads = [
            threading.Thread(target=work, args=pair) for pair in (("a", "ann"), ("b", "bob"), ("c", None))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [set(who(store, name)[1:]) for name in "abc"] == [{("ann", None)}, {("bob", None)}, {(None, None)}]


# With asyncio


def in_tasks(folder, main, **options):
    """Run `main` with a store of asyncio."""

    async def run():
        async with AsyncStateStore(folder, durability="os", **options) as store:
            return await main(store)

    return asyncio.run(run())


async def who_async(store, session_id="s"):
    """As `who`."""
    return [(record.by, record.cause) async for record in store.records(session_id)]


def test_every_way_to_write_is_told_by_tasks_too(folder):
    """In a plain `with`."""

    async def main(store):
        with store.acting(by="planner", cause="r-1"):
            session = await store.get_or_create_session("ada", "s")
            session.add_user_message("one")
            await store.save_session(session)
            await store.update_session_with("s", lambda each: each.set_active_seed("x"))
            await store.append("s", [said("two")], expected_version=ANY)
            await store.append("s", [said("two")], expected_version=ANY, by="argument")
            session = await store.load_session("s")
            session.set_metadata("k", 1)
            await store.update_session(session)
        await store.append("s", [said("three")], expected_version=ANY)
        with pytest.raises(InvalidEventError):
            await store.append("s", [said("three")], expected_version=ANY, cause="")
        with store.acting(by="janitor"):
            await store.delete_session("gone")
            found = await who_async(store)
            await store.delete_session("s")
        return found

    found = in_tasks(folder, main)

    assert found == [("planner", "r-1")] * 4 + [("argument", "r-1"), ("planner", "r-1"), (None, None)]
    assert json.loads((folder / ".journal" / "tombstones.jsonl").read_text())["by"] == "janitor"


def test_tasks_that_take_turns_bear_each_their_own(folder):
    """And a task that is started inside a `with` bears what held there, however long it lasts."""

    async def main(store):
        async def work(name, by):
            await store.get_or_create_session("ada", name)
            with store.acting(by=by):
                for _ in range(10):
                    await store.append(name, [said(name)], expected_version=ANY)
                    await asyncio.sleep(0)
            await store.append(name, [said(name)], expected_version=ANY)

        with store.acting(by="parent"):
            tasks = [asyncio.create_task(work(name, f"by {name}")) for name in "abc"]
        await asyncio.gather(*tasks)
        return [await who_async(store, name) for name in "abc"]

    parent = ("parent", None)
    for name, found in zip("abc", in_tasks(folder, main), strict=True):
        assert found == [parent, *[(f"by {name}", None)] * 10, parent]


def test_a_save_that_waits_bears_what_held_when_it_was_asked_for(folder):
    """The writing thread comes to it when the `with` has long ended and another one holds."""

    async def main(store):
        for name in "abc":
            await store.save_session(Session.with_id("ada", name))
        written, goes_on = threading.Event(), threading.Event()

        def block(handle):
            written.set()
            assert goes_on.wait(30)
            return 0

        blocking = asyncio.create_task(store._commits.append("a", block))
        await asyncio.to_thread(written.wait, 30)
        session = await store.load_session("b")
        session.add_user_message("queued")
        with store.acting(by="first", cause="r-1"):
            saving = asyncio.create_task(store.save_session(session))
            appending = asyncio.create_task(store.append("c", [said("queued")], expected_version=ANY))
            await asyncio.sleep(0)  # they have begun, and wait for the writing thread
        with store.acting(by="second"):
            await asyncio.sleep(0)
            assert not saving.done()
            goes_on.set()
            await asyncio.gather(blocking, saving, appending)
        return [(await who_async(store, name))[-1] for name in "bc"]

    assert in_tasks(folder, main, actor="usual") == [("first", "r-1")] * 2
