"""Waiting for a coroutine in code that has no `await`: in a thread, at once, or in a task's own loop."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from journal import ANY, AsyncStateStore, Session
from journal.native_loop import NativeLoop
from journal.waiting import AtOnce, LoopThread
from projections import UserMessageAdded

who = ContextVar("who", default="nobody")


async def answer(value, seconds=0.0):
    await asyncio.sleep(seconds)
    return value


async def refuse():
    await asyncio.sleep(0)
    raise LookupError("no")


def test_what_never_waits_needs_no_loop():
    async def at_once():
        return 42

    assert AtOnce().wait(at_once()) == 42
    with pytest.raises(RuntimeError, match="they need an event loop"):
        AtOnce().wait(answer(1))


def test_threads_wait_for_a_loop_of_its_own():
    loop = LoopThread()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: loop.wait(answer(n, 0.01)), range(20))) == list(range(20))
    with pytest.raises(LookupError):
        loop.wait(refuse())
    loop.close()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.wait(answer(1))
    assert "journal-loop" not in [thread.name for thread in threading.enumerate()]


def test_tasks_of_one_loop_wait_side_by_side():
    async def main():
        native = NativeLoop()

        def work(n):
            total = 0
            for _ in range(3):
                total += native.wait(answer(n, 0.05))
            return total

        start = time.monotonic()
        assert await asyncio.gather(*(native.run(work, n) for n in range(50))) == [3 * n for n in range(50)]
        assert time.monotonic() - start < 50 * 0.15 / 2

        def fail():
            with pytest.raises(LookupError):
                native.wait(refuse())
            raise ValueError("told")

        with pytest.raises(ValueError, match="told"):
            await native.run(fail)

    asyncio.run(main())


def test_what_holds_in_a_task_holds_in_its_calls():
    async def main():
        native = NativeLoop()

        def work():
            first = who.get()
            native.wait(answer(None))
            return first, who.get()

        who.set("somebody")
        assert await native.run(work) == ("somebody", "somebody")

    asyncio.run(main())


def test_the_loop_itself_must_not_wait():
    async def main():
        native = NativeLoop()
        with pytest.raises(RuntimeError, match="use the `await` of an AsyncStateStore"):
            native.wait(answer(1))
        assert await asyncio.to_thread(native.wait, answer(2)) == 2  # another thread may

    asyncio.run(main())


def test_a_task_that_is_cancelled_is_cancelled_where_it_waits():
    async def main():
        native = NativeLoop()
        ended = []

        def work():
            try:
                native.wait(answer(None, 60))
            except asyncio.CancelledError:
                ended.append("cleaned up")
                raise

        task = asyncio.create_task(native.run(work))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["cleaned up"]

    asyncio.run(main())


def test_who_closes_a_loop_leaves_nobody_waiting():
    """Whatever was begun in that moment ends, or is told that it is closed."""
    for _ in range(200):
        loop, told = LoopThread(), []

        def wait_on(loop=loop, told=told):
            try:
                while True:
                    loop.wait(asyncio.sleep(0))
            except RuntimeError as error:
                told.append(str(error))

        threads = [threading.Thread(target=wait_on, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        loop.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert len(told) == 3


def test_a_lock_that_is_taken_again_and_again_is_given_to_who_waited_long():
    async def main():
        native = NativeLoop()
        lock = native.lock()
        entered = threading.Event()

        def hold():
            with lock:
                native.wait(asyncio.sleep(0.001))

        def enter():
            with lock:
                entered.set()

        async def hold_again_and_again():
            while True:
                await native.run(hold)

        holding = asyncio.create_task(hold_again_and_again())
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await asyncio.gather(asyncio.to_thread(enter), native.run(enter))
        assert entered.is_set()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert await native.run(lock.acquire, False)  # nobody has it any more

    asyncio.run(main())


def test_who_is_cancelled_when_a_lock_was_given_to_it_gives_it_on():
    async def main():
        native = NativeLoop()
        lock = native.lock()

        def enter():
            with lock:
                pass

        lock.acquire()
        waiting = asyncio.create_task(native.run(enter))
        await asyncio.sleep(0.3)
        lock.release()  # it is given to the task, which has not heard of that yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(5):
            await native.run(enter)

    asyncio.run(main())


def test_a_lock_lets_in_one_task_or_thread_at_a_time():
    async def main():
        native = NativeLoop()
        lock = native.lock()
        inside, most, order = 0, 0, []

        def work(n):
            nonlocal inside, most
            with lock, lock:  # its owner may take it again
                inside += 1
                most = max(most, inside)
                native.wait(answer(None, 0.001))
                order.append(n)
                inside -= 1

        async with asyncio.timeout(30):
            await asyncio.gather(
                *(native.run(work, n) for n in range(20)),
                *(asyncio.to_thread(work, n) for n in range(20, 30)),
            )
        assert most == 1
        assert sorted(order) == list(range(30))

        def try_it():
            return lock.acquire(blocking=False)

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(try_it).result()
            assert not await native.run(try_it)
            pool.submit(lock.release).result()
        assert await native.run(try_it)

    asyncio.run(main())


def test_whoever_is_cancelled_in_the_queue_of_a_lock_leaves_it():
    async def main():
        native = NativeLoop()
        lock = native.lock()
        done = []

        def work(n, seconds):
            with lock:
                native.wait(answer(None, seconds))
                done.append(n)

        tasks = [asyncio.create_task(native.run(work, n, 0.05)) for n in range(4)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        await asyncio.sleep(0.06)
        tasks[2].cancel()  # it has the lock by now
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert done == [0, 3]
        assert [type(each) for each in results[1:3]] == [asyncio.CancelledError] * 2
        await native.run(work, 4, 0)
        assert done == [0, 3, 4]

    asyncio.run(main())


@pytest.mark.parametrize("is_native", [True, False])
def test_events_come_in_order_and_none_is_waited_for_longer_than_said(is_native):
    async def main():
        native = NativeLoop()
        events = native.events() if is_native else AtOnce().events()

        def work():
            first = [events.get(5), events.get(5)]
            start = time.monotonic()
            assert events.get(0.05) is None
            assert events.get(0) is None
            assert 0.04 < time.monotonic() - start < 2
            return first

        thread = threading.Timer(0.02, lambda: (events.put(1), events.put(2)))
        thread.start()
        assert await (native.run(work) if is_native else asyncio.to_thread(work)) == [1, 2]
        thread.join()

    asyncio.run(main())


def test_what_is_about_one_session_needs_no_thread_and_knows_who_acts():

    async def main():
        async with await AsyncStateStore.connect("memory:live", actor="usual") as store:
            with store.acting(by="planner"):
                async with store.open_session("s", user_id="u") as live:
                    await live.add_user_message("hello")
                    assert await live.step("one", answer, 1) == 1
                await store.update_session_with("s", lambda session: session.add_user_message("more"))
                await store.append("s", [UserMessageAdded(content="last")], expected_version=ANY)
            await store.save_session(Session.new("v"))
            found = [record.by async for record in store.records("s")]
            assert found == ["planner"] * 5
            assert (await store.load_session("s")).version == 5
            followed = [record.seq async for record in store.follow("s", timeout=0)]
            assert followed == [1, 2, 3, 4, 5]
            await store.delete_session("s")
            await store.save_markdown("notes", "a", "# A")
            assert await store.load_markdown("notes", "a") == "# A"
            assert not [each for each in threading.enumerate() if each.name.startswith("journal")]

    asyncio.run(main())
