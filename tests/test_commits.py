"""Saves for asyncio that wait for the disk together: what each task is told is true of its own save."""

import asyncio
import gc
import os
import threading
import time

import pytest

from journal import (
    ANY,
    AsyncStateStore,
    DurabilityError,
    JournalClosedError,
    Session,
    StateStore,
    VersionConflictError,
)
from journal import disk as disks
from tests.strategies import contents, said


def run(folder, main, **options):
    """A test's body, with a store."""

    async def body():
        async with AsyncStateStore(folder, **options) as store:
            return await main(store)

    return asyncio.run(body())


def replace(store, monkeypatch, name, method):
    """Another system call in the place of one, for this store alone."""
    monkeypatch.setattr(store._store._disk, name, method, raising=False)


async def begun(store, count=1):
    sessions = [Session.with_id("u", f"s{number}") for number in range(count)]
    await asyncio.gather(*map(store.save_session, sessions))
    return sessions


def stored(folder, session_id="s0"):
    with StateStore(folder) as store:
        assert store.verify(session_id).ok
        return contents(store.load_session(session_id))


@pytest.mark.parametrize("durability", ["disk", "os"])
def test_many_sessions_are_saved_at_once(folder, durability):
    """64 tasks, 20 saves each: every version is right, and everything is there."""

    async def main(store):
        async def work(session):
            for number in range(20):
                session.add_user_message(str(number))
                assert await store.save_session(session) == session.version == number + 2
            assert not session.has_unsaved_changes

        await asyncio.gather(*map(work, await begun(store, 64)))

    run(folder, main, durability=durability)
    assert all(stored(folder, f"s{n}") == [str(each) for each in range(20)] for n in range(64))


def test_a_save_returns_after_the_sync_of_its_own_file(folder, monkeypatch):
    """Not after that of another one."""
    synced = []

    async def main(store):
        sessions = await begun(store, 40)
        real = os.fdatasync

        def sync(fd):
            real(fd)
            synced.append(os.fstat(fd).st_ino)

        replace(store, monkeypatch, "sync", sync)

        async def work(session):
            session.add_user_message("x")
            await store.save_session(session)
            assert os.stat(folder / "sessions" / f"{session.id}.jsonl").st_ino in synced

        await asyncio.gather(*map(work, sessions))
        assert len(synced) == 40

    run(folder, main)


def test_a_session_may_go_on_while_it_is_saved(folder):
    """What was said meanwhile is not in that save, and neither lost nor doubled by the next."""

    async def main(store):
        (session,) = await begun(store)
        for number in range(30):
            session.add_user_message(f"{number}a")
            saving = asyncio.create_task(store.save_session(session))
            await asyncio.sleep(0)
            session.add_user_message(f"{number}b")
            session.set_metadata("n", number)
            await saving
            assert session.has_unsaved_changes
            await store.save_session(session)
            assert not session.has_unsaved_changes
        return contents(session), session.version, session.metadata

    said_, version, metadata = run(folder, main)
    assert stored(folder) == said_ == [f"{n}{part}" for n in range(30) for part in "ab"]
    assert version == 1 + 30 * 3
    assert metadata == {"n": 29}


def test_two_saves_of_one_session_at_once(folder):
    """The second finds that the first has it all, or has the rest."""

    async def main(store):
        (session,) = await begun(store)
        session.add_user_message("a")
        first = asyncio.create_task(store.save_session(session))
        await asyncio.sleep(0)
        session.add_user_message("b")
        versions = await asyncio.gather(first, store.save_session(session))
        session.add_user_message("c")
        await store.save_session(session)
        return versions, session.version

    assert run(folder, main) == ([2, 3], 4)
    assert stored(folder) == ["a", "b", "c"]


def test_edits_by_hand_are_those_of_the_call(folder):
    """A list that was edited is copied; edits made later are found by the next save."""

    async def main(store):
        (session,) = await begun(store)
        for text in "abc":
            session.add_user_message(text)
        await store.save_session(session)
        del session.user_messages[0]
        saving = asyncio.create_task(store.save_session(session))
        await asyncio.sleep(0)
        del session.user_messages[0]
        await saving
        async with AsyncStateStore(folder) as other:
            assert contents(await other.load_session("s0")) == ["b", "c"]
        await store.save_session(session)

    run(folder, main)
    assert stored(folder) == ["c"]


def test_a_save_on_top_of_others_brings_the_session_up_to_date(folder):
    """And keeps what was said while it waited."""

    async def main(store):
        (session,) = await begun(store)
        await store.append("s0", [said("theirs")], expected_version=1)
        session.add_user_message("mine")
        with pytest.raises(VersionConflictError):
            await store.save_session(session)
        saving = asyncio.create_task(store.save_session(session, expected_version=ANY))
        await asyncio.sleep(0)
        session.add_user_message("later")
        assert await saving == 3
        assert contents(session) == ["theirs", "mine", "later"]
        assert await store.save_session(session) == 4

    run(folder, main)
    assert stored(folder) == ["theirs", "mine", "later"]


def test_a_failed_sync_is_told_to_whom_it_concerns(folder, monkeypatch):
    """The others go on; a retry is there once."""

    async def main(store):
        sessions = await begun(store, 20)
        bad = os.stat(folder / "sessions" / "s7.jsonl").st_ino

        def sync(fd):
            if os.fstat(fd).st_ino == bad:
                raise OSError(5, "Input/output error")
            os.fdatasync(fd)

        replace(store, monkeypatch, "sync", sync)
        for session in sessions:
            session.add_user_message("x")
        done = await asyncio.gather(*map(store.save_session, sessions), return_exceptions=True)
        assert [number for number, each in enumerate(done) if each != 2] == [7]
        assert isinstance(done[7], DurabilityError)
        assert done[7].outcome_unknown
        assert sessions[7].version == 1
        assert sessions[7].has_unsaved_changes
        monkeypatch.undo()
        assert await store.save_session(sessions[7]) == 2

    run(folder, main)
    assert stored(folder, "s7") == ["x"]


def test_nothing_is_written_behind_what_is_not_synced(folder, monkeypatch):
    """A crash could tear the first and keep the second: that would be damage."""

    async def main(store):
        await begun(store)
        release, order = threading.Event(), []

        def sync(fd):
            if len(order) == 1:
                release.wait(10)
            os.fdatasync(fd)
            order.append("sync")

        def write(fd, data):
            if b'"event"' in data:
                order.append("write")
            return os.write(fd, data)

        replace(store, monkeypatch, "sync", sync)
        replace(store, monkeypatch, "write", write)
        first = asyncio.create_task(store.append("s0", [said("a")], expected_version=ANY))
        while not order:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(store.append("s0", [said("b")], expected_version=ANY))
        await asyncio.sleep(0.05)
        assert order == ["write"]
        release.set()
        assert await asyncio.gather(first, second) == [2, 3]
        assert order[:3] == ["write", "sync", "write"]

    run(folder, main)


def test_a_session_that_somebody_holds_does_not_stop_the_others(folder):
    """It waits in a thread of its own."""

    async def main(store):
        held, *others = await begun(store, 10)
        fd = os.open(folder / "sessions" / "s0.jsonl", os.O_RDWR)
        disks.Disk.flock(fd, disks.LOCK_EX)
        held.add_user_message("x")
        waiting = asyncio.create_task(store.save_session(held))
        for session in others:
            session.add_user_message("x")
        assert await asyncio.wait_for(asyncio.gather(*map(store.save_session, others)), 10) == [2] * 9
        assert not waiting.done()
        os.close(fd)
        assert await asyncio.wait_for(waiting, 10) == 2

    run(folder, main)


def test_a_cancelled_save_is_whole_or_not_there(folder):
    """If it landed, the session knows."""

    async def main(store):
        sessions = await begun(store, 50)
        for session in sessions:
            session.add_user_message("x")
        tasks = [asyncio.create_task(store.save_session(session)) for session in sessions]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in sessions:
            session.add_user_message("y")
            await store.save_session(session)

    run(folder, main)
    assert all(stored(folder, f"s{number}") == ["x", "y"] for number in range(50))


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_edits_by_hand_outlive_a_save_that_did_not_happen(folder, how):
    """The next save finds them."""

    async def main():
        store = AsyncStateStore(folder)
        (session,) = await begun(store)
        session.add_user_message("a")
        await store.save_session(session)
        session.user_messages.clear()
        if how == "cancelled":
            task = asyncio.create_task(store.save_session(session))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.close()
        if how == "closed":
            with pytest.raises(JournalClosedError):
                await store.save_session(session)
        async with AsyncStateStore(folder) as again:
            await again.save_session(session, expected_version=ANY)

    asyncio.run(main())
    assert stored(folder) == []


def test_closing_finishes_what_is_under_way(folder):
    """Nothing that was asked for is dropped; what comes later is refused."""

    async def main():
        store = AsyncStateStore(folder)
        sessions = await begun(store, 30)
        for session in sessions:
            session.add_user_message("x")
        tasks = [asyncio.create_task(store.save_session(session)) for session in sessions]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*tasks) == [2] * 30
        with pytest.raises(JournalClosedError):
            await store.save_session(sessions[0])
        with pytest.raises(JournalClosedError):
            await store.append("s0", [said("x")], expected_version=ANY)

    asyncio.run(main())


def test_what_comes_while_it_closes_is_refused(folder):
    """Nobody would write it any more, and whoever waits for it would wait for ever."""

    async def main():
        async with AsyncStateStore(folder) as store:
            [session] = await begun(store, 1)
            store._commits.let_go()
            async with asyncio.timeout(10):
                with pytest.raises(JournalClosedError):
                    await store.save_session(session)

    asyncio.run(main())


def test_a_store_that_was_never_closed_ends_its_threads(folder):
    """And says that it was never closed."""

    async def main():
        await begun(AsyncStateStore(folder))
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        asyncio.run(main())
    for _ in range(500):
        if not any(thread.name == "journal-write" for thread in threading.enumerate()):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the writing thread is there still")
    assert stored(folder) == []


def test_after_a_fork_it_refuses_at_once(folder):
    """There is no thread in the child that could save."""

    async def main(store):
        (session,) = await begun(store)
        child = os.fork()
        if not child:
            try:
                session.add_user_message("x")
                store.save_session(session).send(None)
            except JournalClosedError:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    run(folder, main)
