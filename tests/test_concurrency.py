"""Threads, tasks and processes on one session: nothing is lost, nothing doubled, no gaps."""

import asyncio
import random
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from journal import (
    AsyncStateStore,
    JournalError,
    OwnerMismatchError,
    Session,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)
from projections import SessionCreated, UserMessageAdded


def run_processes(script, place, count, *arguments, timeout=100):
    """So many processes at once, each with its number; all must end well."""
    command = [sys.executable, "-c", script, place]
    running = [
        subprocess.Popen([*command, str(number), *arguments], stderr=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    errors = [process.communicate(timeout=timeout)[1] for process in running]
    assert errors == [""] * count


def times(place, count):
    """So often, or a tenth of that where each conflict costs several requests."""
    return count // 10 if "://" in place else count


def check_whole(place, session_id, expected):
    """Every message once, versions without gaps, everything proved, by a store of its own."""
    with StateStore.connect(place, durability="os") as store:
        session = store.load_session(session_id)
        assert len(session.user_messages) == len(expected)
        assert {message.content for message in session.user_messages} == set(expected)
        assert [r.seq for r in store.records(session_id)] == list(range(1, session.version + 1))
        assert session.version == len(expected) + 1
        assert store.verify(session_id).ok


def test_eight_processes_write_one_session(open_place):
    """8 × 200 messages, tried again on conflict: 1,600 messages."""
    count = times(open_place, 200)
    script = """
import sys
from journal import StateStore
with StateStore.connect(sys.argv[1], durability="os") as store:
    for n in range(int(sys.argv[3])):
        store.update_session_with("s", lambda s: s.add_user_message(f"{sys.argv[2]}.{n}"))
"""
    with StateStore.connect(open_place, durability="os") as store:
        store.save_session(Session.with_id("u", "s"))
        run_processes(script, open_place, 8, str(count))
        assert store.load_session("s").version == 8 * count + 1

    check_whole(open_place, "s", [f"{p}.{n}" for p in range(8) for n in range(count)])


def test_processes_that_save_and_append_get_conflicts_and_lose_nothing(open_place):
    """Load, save and append with expected versions; ANY in between."""
    script = """
import sys
from journal import ANY, StateStore, VersionConflictError
from projections import UserMessageAdded
with StateStore.connect(sys.argv[1], durability="os") as store:
    for n in range(int(sys.argv[3])):
        text = f"{sys.argv[2]}.{n}"
        while True:
            try:
                if n % 3 == 0:
                    session = store.load_session("s")
                    session.add_user_message(text)
                    store.save_session(session)
                elif n % 3 == 1:
                    version = store.load_session("s").version
                    store.append("s", [UserMessageAdded(content=text)], expected_version=version)
                else:
                    store.append("s", [UserMessageAdded(content=text)], expected_version=ANY)
                break
            except VersionConflictError:
                pass
"""
    with StateStore.connect(open_place, durability="os") as store:
        store.save_session(Session.with_id("u", "s"))
    count = times(open_place, 60)
    run_processes(script, open_place, 4, str(count))

    check_whole(open_place, "s", [f"{p}.{n}" for p in range(4) for n in range(count)])


def test_processes_create_a_session_once(open_place):
    """get_or_create_session in all of them: one SessionCreated, and everyone's message."""
    script = """
import sys
from journal import StateStore
with StateStore.connect(sys.argv[1], durability="os") as store:
    for n in range(int(sys.argv[3])):
        store.get_or_create_session("u", f"s{n}")
        store.update_session_with(f"s{n}", lambda s: s.add_user_message(sys.argv[2]))
"""
    count = times(open_place, 20)
    run_processes(script, open_place, 6, str(count))

    for number in range(count):
        check_whole(open_place, f"s{number}", [str(process) for process in range(6)])


@pytest.mark.parametrize("stores", [1, 20])
def test_twenty_threads_write_one_session(place, stores):
    """20 × 50 messages, with one store for all, and with a store for each."""
    count = times(place, 50)
    with StateStore.connect(place, durability="os") as store:
        store.save_session(Session.with_id("u", "s"))
        opened = [StateStore.connect(place, durability="os") for _ in range(stores)]

        def work(number):
            mine = opened[number % stores]
            for n in range(count):
                mine.update_session_with("s", lambda s, n=n: s.add_user_message(f"{number}.{n}"))

        with ThreadPoolExecutor(20) as threads:
            list(threads.map(work, range(20)))
        for each in opened:
            assert each.load_session("s").version == 20 * count + 1
            each.close()

    check_whole(place, "s", [f"{t}.{n}" for t in range(20) for n in range(count)])


def test_two_hundred_tasks_write_one_session(place):
    """With `await`, each its own message."""

    async def main():
        async with await AsyncStateStore.connect(place, durability="os") as store:
            await store.save_session(Session.with_id("u", "s"))
            writing = [
                store.update_session_with("s", lambda s, n=n: s.add_user_message(str(n))) for n in range(200)
            ]
            versions = await asyncio.gather(*writing)
            assert sorted(versions) == list(range(2, 202))

    asyncio.run(main())

    check_whole(place, "s", [str(n) for n in range(200)])


def test_a_cancelled_update_is_whole_or_not_there(place):
    """A cancelled call may still land; it never leaves half of a batch."""

    async def main():
        async with await AsyncStateStore.connect(place, durability="os") as store:
            await store.save_session(Session.with_id("u", "s"))

            def change(session):
                session.add_user_message("x")
                session.add_agent_response("y")

            tasks = [asyncio.create_task(store.update_session_with("s", change)) for _ in range(50)]
            await asyncio.sleep(0.005)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, int | asyncio.CancelledError) for each in done)
            return sum(isinstance(each, int) for each in done)

    acknowledged = asyncio.run(main())
    with StateStore.connect(place, durability="os") as store:
        session = store.load_session("s")
        assert acknowledged <= session.exchange_count <= 50
        assert len(session.user_messages) == len(session.agent_responses) == (session.version - 1) / 2
        assert store.verify("s").ok


def test_everything_at_once_raises_nothing_unexpected(place):
    """Saving, loading, listing, compacting, deleting: threads of two stores, on the same few sessions."""
    expected = (VersionConflictError, SessionNotFoundError)
    unexpected = []
    stop = time.monotonic() + (1 if "://" in place else 3)
    ids = [f"s{number}" for number in range(4)]
    with StateStore.connect(place, durability="os") as one, StateStore.connect(place, durability="os") as two:

        def work(number):
            chance = random.Random(number)
            store = (one, two)[number % 2]

            def save():
                session = store.load_session(chance.choice(ids)) or Session.with_id("u", chance.choice(ids))
                session.add_user_message("x")
                store.save_session(session)

            def read_all():
                last = 0
                for record in store.records(chance.choice(ids)):
                    assert record.seq == last + 1
                    last = record.seq

            def load():
                session = store.load_session(chance.choice(ids))
                assert session is None or len(session.user_messages) == session.version - 1

            jobs = [
                *([save] * 4),
                *([load] * 3),
                lambda: store.update_session_with(chance.choice(ids), lambda s: s.add_user_message("y")),
                lambda: store.update_session_with(chance.choice(ids), lambda s: s.add_user_message("z")),
                lambda: store.get_or_create_session("u", chance.choice(ids)),
                lambda: store.list_sessions(),
                lambda: store.session_ids(),
                lambda: store.compact(),
                lambda: store.compact(chance.choice(ids)),
                lambda: store.delete_session(chance.choice(ids)),
                lambda: store.load_session(chance.choice(ids), at=1),
                lambda: store.verify(chance.choice(ids)),
                read_all,
            ]
            while time.monotonic() < stop:
                job = chance.choice(jobs)
                try:
                    job()
                except expected:
                    pass
                except Exception as error:
                    unexpected.append("".join(traceback.format_exception(error)))
                    return

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if unexpected:
            pytest.fail("\n".join(unexpected))
        assert not any(thread.is_alive() for thread in threads)
        for store in (one, two):
            listed = {summary.id: summary.version for summary in store.list_sessions()}
            loaded = {name: store.load_session(name) for name in ids}
            assert listed == {name: session.version for name, session in loaded.items() if session}
        assert all(one.verify(name).ok for name in one.session_ids())


def test_lists_converge_to_the_truth_while_others_write(open_place):
    """Two processes list again and again while two write; in the end all see the same."""
    writer = """
import sys
from journal import StateStore
with StateStore.connect(sys.argv[1], durability="os") as store:
    for n in range(int(sys.argv[2])):
        store.get_or_create_session("u", f"s{n % 10}")
        store.update_session_with(f"s{n % 10}", lambda s: s.add_user_message("x"))
"""
    lister = """
import sys, time
from journal import StateStore
with StateStore.connect(sys.argv[1], durability="os") as store:
    seen, stop = {}, time.monotonic() + 60
    while time.monotonic() < stop:
        page = store.list_sessions()
        assert page.unreadable == []
        now = {each.id: each.version for each in page}
        for name, version in seen.items():
            assert now[name] >= version, (name, version, now[name])
        seen = now
        if sum(seen.values()) == 10 + 2 * int(sys.argv[2]):
            break
    else:
        raise SystemExit(f"never saw it all: {seen}")
"""
    count = times(open_place, 300) // 2 // 10 * 10
    command = [sys.executable, "-c"]
    running = [
        subprocess.Popen([*command, script, open_place, str(count)], stderr=subprocess.PIPE, text=True)
        for script in (lister, writer, lister, writer)
    ]
    assert [process.communicate(timeout=100)[1] for process in running] == [""] * 4
    with StateStore.connect(open_place, durability="os") as store:
        assert {each.id: each.version for each in store.list_sessions()} == {
            f"s{n}": 1 + count // 5 for n in range(10)
        }


def test_readers_never_see_half_a_batch(place):
    """While a writer appends batches of three, every load is a whole number of them."""
    with (
        StateStore.connect(place, durability="os") as writer,
        StateStore.connect(place, durability="os") as reader,
    ):
        writer.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
        done = threading.Event()

        def write():
            for number in range(300):
                batch = [UserMessageAdded(content=f"{number}" * 50)] * 3
                writer.append("s", batch, expected_version=1 + 3 * number)
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        sizes = set()
        while not done.is_set():
            sizes.add(len(reader.load_session("s").user_messages) % 3)
            sizes.add((len(list(reader.records("s"))) - 1) % 3)
        thread.join()

    assert sizes == {0}


def test_a_writer_that_is_killed_at_any_moment_loses_nothing_that_it_acknowledged(open_place):
    """What it had said to be saved, before it was killed, is there; the rest is whole or not there."""
    script = """
import sys
from journal import StateStore
store = StateStore.connect(sys.argv[1], durability="os")
store.get_or_create_session("u", "s")
while True:
    version = store.update_session_with("s", lambda s: [s.add_user_message("x" * 200) for _ in range(5)])
    print(version, flush=True)
"""
    last = 1
    for number in range(6):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, open_place], stdout=subprocess.PIPE, text=True
        )
        for _ in range(10 + number * 7):
            line = process.stdout.readline()
        process.kill()
        rest = process.communicate()[0].split()
        last = int(rest[-1] if rest else line)
        with StateStore.connect(open_place, durability="os") as store:
            session = store.load_session("s")
            assert session.version >= last
            assert len(session.user_messages) % 5 == 0
            assert store.verify("s").ok


def test_an_owner_is_decided_once(place):
    """Of several users who ask for one id at once, one gets it."""
    with StateStore.connect(place, durability="os") as store:

        def ask(number):
            try:
                return store.get_or_create_session(f"user-{number}", "s").user_id
            except OwnerMismatchError:
                return None

        with ThreadPoolExecutor(16) as threads:
            owners = [owner for owner in threads.map(ask, range(16)) if owner]

        assert owners == [store.load_session("s").user_id]
        assert issubclass(OwnerMismatchError, JournalError)
