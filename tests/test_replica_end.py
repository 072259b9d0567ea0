"""The end of a store elsewhere: closed, forked, forgotten. Whoever asks then is told, and nobody waits."""

import asyncio
import gc
import os
import threading
import time
import warnings
from contextlib import closing, suppress

import pytest

from journal import (
    ANY,
    AsyncStateStore,
    DurabilityError,
    JournalClosedError,
    JournalError,
    Session,
    StateStore,
)
from journal.backend import Unclear, Unreachable
from journal.memory import MemoryBackend
from journal.replica import Replica
from journal.waiting import LoopThread
from projections import UserMessageAdded
from tests.test_replica import new, said


class Slow(MemoryBackend):
    """Each answer takes a moment. Knows whether it was closed; from then on it answers nobody."""

    def __init__(self, seconds=0.0):
        super().__init__("slow")
        self.seconds = seconds
        self.is_open = True
        for of in (self.journals, self.files):
            for name in ("append", "replace", "delete", "head", "get", "put", "remove", "names"):
                if hasattr(of, name):
                    setattr(of, name, self.slow(getattr(of, name)))
        read = self.journals.read

        async def reading(session_id, after):
            await self.pause()
            async for change in read(session_id, after):
                yield change

        self.journals.read = reading

    def slow(self, call):
        async def called(*arguments):
            await self.pause()
            found = await call(*arguments)
            await self.pause()
            return found

        return called

    async def pause(self):
        await asyncio.sleep(self.seconds)
        if not self.is_open:
            raise Unreachable("the store is not open, or was closed: open it anew")

    async def close(self):
        await asyncio.sleep(self.seconds)
        self.is_open = False


def on_a_thread(backend, tmp_path, name="a", timeout=30.0):
    folder = tmp_path / name
    folder.mkdir()
    replica = Replica(backend, LoopThread(), str(folder), timeout=timeout)
    return StateStore._on(replica, "disk", None, None, 1 << 18)


CALLS = {
    "save": lambda store: new(store, "other"),
    "append": lambda store: store.append("s", [UserMessageAdded(content="x")], expected_version=ANY),
    "load": lambda store: store.load_session("s"),
    "update": lambda store: store.update_session_with("s", lambda session: session.add_user_message("x")),
    "list": lambda store: store.list_sessions(),
    "ids": lambda store: store.session_ids(),
    "search": lambda store: store.search("x"),
    "verify": lambda store: store.verify(),
    "verify one": lambda store: store.verify("s"),
    "records": lambda store: list(store.records("s")),
    "follow": lambda store: list(store.follow("s", timeout=0)),
    "fork": lambda store: store.fork("s"),
    "rewind": lambda store: store.rewind("s", 1),
    "erase": lambda store: store.erase("s", [1], reason="asked for"),
    "delete": lambda store: store.delete_session("s"),
    "tombstones": lambda store: store.tombstones(),
    "diagnose": lambda store: store.diagnose("s"),
    "repair": lambda store: store.repair("s"),
    "compact": lambda store: store.compact(),
    "attach": lambda store: store.attach(b"x"),
    "save a document": lambda store: store.save_markdown("notes", "a", "x"),
    "load a document": lambda store: store.load_markdown("notes", "a"),
    "list documents": lambda store: store.list_category("notes"),
    "delete a document": lambda store: store.delete_file("notes", "a"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_store_says_so(tmp_path, call):
    store = on_a_thread(MemoryBackend(), tmp_path)
    new(store)
    store.load_session("s")
    store.close()
    with pytest.raises(JournalClosedError, match="is closed"):
        call(store)
    store.close()


def test_a_forked_process_is_told_so_and_disturbs_nobody(tmp_path):
    """It has no thread that would answer; and the connection is its parent's."""
    backend = MemoryBackend()
    with closing(on_a_thread(backend, tmp_path)) as store:
        new(store)
        for name, call in {**CALLS, "close": lambda store: store.close()}.items():
            process = os.fork()
            if not process:
                code = 1
                with suppress(BaseException):
                    try:
                        call(store)
                        code = 0 if name == "close" else 2
                    except JournalClosedError as error:
                        code = 0 if "forked" in str(error) else 3
                os._exit(code)
            until = time.monotonic() + 10
            while not (ended := os.waitpid(process, os.WNOHANG))[0] and time.monotonic() < until:
                time.sleep(0.01)
            if not ended[0]:
                os.kill(process, 9)
                os.waitpid(process, 0)
            assert ended == (process, 0), name
        assert store.append("s", [UserMessageAdded(content="goes on")], expected_version=1) == 2
        assert said(store) == ["goes on"]


def test_to_close_asks_nobody_who_does_not_answer_again_and_again(tmp_path):
    """A timeout for each session that was touched would be an hour."""
    backend = Slow()
    store = on_a_thread(backend, tmp_path)
    for n in range(20):
        new(store, f"s{n}")
    asked = []

    async def gone(session_id, after):
        asked.append(session_id)
        await asyncio.sleep(0)
        raise Unreachable("nobody answers")
        yield

    backend.journals.read = gone
    for n in range(20):
        store._disk._journals.stale.add(f"s{n}")
    store.close()

    assert len(asked) <= 1


def test_who_waits_while_a_store_is_closed_gets_an_answer_or_is_told(tmp_path):
    """In time, and what was acknowledged is there."""
    for n in range(5):
        backend = Slow(0.002)
        store = on_a_thread(backend, tmp_path, f"a{n}")
        new(store)
        found, done = [], []

        def work(call, store=store, found=found, done=done):
            try:
                while True:
                    found.append(call(store))
            except JournalError:
                done.append(call)

        calls = [each for name, each in CALLS.items() if name not in ("delete", "erase", "rewind", "fork")]
        threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in calls]
        for thread in threads:
            thread.start()
        time.sleep(0.05 * n)
        store.close()
        for thread in threads:
            thread.join(10)

        assert len(done) == len(calls), {*calls} - {*done}


def test_a_save_that_nobody_cleared_up_before_the_end_is_told_as_unknown(tmp_path):
    """At once, and no look that was prepared is left over."""
    backend = MemoryBackend()
    store = on_a_thread(backend, tmp_path)
    new(store)

    async def unclear(*_):
        store._disk._asking.is_over = True
        raise Unclear

    backend.journals.append = unclear
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DurabilityError, match="the store was closed") as caught:
            store.append("s", [UserMessageAdded(content="x")], expected_version=ANY)
        gc.collect()
    assert caught.value.outcome_unknown
    store.close()


def natively(main):
    """Run with the backends of `memory:` URLs slow, in a loop that complains of what is left."""

    async def run():
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(60):
            await main()
        assert not problems

    asyncio.run(run())


@pytest.fixture
def slow(monkeypatch):
    backend = Slow(0.001)
    monkeypatch.setattr("journal.opening.backend_of", lambda url, **options: backend)
    return backend


ASYNC_CALLS = {
    "save": lambda store: store.save_session(Session.with_id("u", os.urandom(4).hex())),
    "append": lambda store: store.append("s", [UserMessageAdded(content="x")], expected_version=ANY),
    "load": lambda store: store.load_session("s"),
    "update": lambda store: store.update_session_with("s", lambda session: session.add_user_message("x")),
    "list": lambda store: store.list_sessions(),
    "verify": lambda store: store.verify(),
    "attach": lambda store: store.attach(b"x"),
    "save a document": lambda store: store.save_markdown("notes", "a", "x"),
    "list documents": lambda store: store.list_category("notes"),
}


def test_tasks_that_wait_while_a_store_is_closed_get_an_answer_or_are_told(slow):
    async def main():
        for n in range(5):
            slow.is_open = True
            store = await AsyncStateStore.connect("memory:x")
            with suppress(JournalError):
                await store.save_session(Session.with_id("u", "s"))

            async def work(call, store=store):
                while True:
                    await call(store)
                    await asyncio.sleep(0.001)

            tasks = [asyncio.create_task(work(call)) for call in ASYNC_CALLS.values()]
            await asyncio.sleep(0.01 * n)
            await asyncio.gather(store.close(), store.close())
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for name, end in zip(ASYNC_CALLS, ends, strict=True):
                assert isinstance(end, JournalError), (name, end)

    natively(main)


@pytest.mark.parametrize("call", ASYNC_CALLS.values(), ids=ASYNC_CALLS)
def test_a_task_may_be_cancelled_at_each_wait(slow, call):
    """Locks are given back, what was acknowledged is there once, and all goes on."""

    async def main():
        async with await AsyncStateStore.connect("memory:x") as store:
            await store.save_session(Session.with_id("u", "s"))
            waits = 0

            async def pause():
                nonlocal waits, task
                waits += 1
                if waits == at:
                    task.cancel()
                await asyncio.sleep(0)

            slow.pause = pause
            for at in range(1, 30):
                waits, task = 0, asyncio.ensure_future(call(store))
                with suppress(asyncio.CancelledError):
                    await task
                at = 0
                async with asyncio.timeout(5):
                    version = (await store.load_session("s")).version
                    event = UserMessageAdded(content=f"after {waits}")
                    assert await store.append("s", [event], expected_version=version) == version + 1
                    assert await store.list_sessions()
                    await store.save_markdown("notes", "b", "x")
            assert (await store.verify()).ok

    natively(main)


def test_a_store_that_nobody_closed_closes_its_connection(slow):
    """When it is forgotten, in the loop's own thread, too."""

    async def main():
        store = await AsyncStateStore.connect("memory:x")
        await store.save_session(Session.with_id("u", "s"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del store
            gc.collect()
        async with asyncio.timeout(5):
            while slow.is_open:
                await asyncio.sleep(0.01)

    natively(main)
