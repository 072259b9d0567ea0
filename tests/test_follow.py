"""Following: history first, then live; each record once, in order, whatever becomes of the file."""

import asyncio
import contextlib
import itertools
import os
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import pytest
from crash import mischief
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import (
    ANY,
    AsyncStateStore,
    CorruptRecordError,
    InvalidEventError,
    JournalClosedError,
    JournalError,
    SessionNotFoundError,
    StateStore,
)
from journal.disk import Disk
from journal.trail import Trail
from projections import ContentErased, SessionCreated, UserMessageAdded

pytestmark = pytest.mark.filterwarnings("ignore::journal.JournalWarning")


def say(store, session_id, *texts):
    """Append messages as one batch; a session that is not there begins with them."""
    events = [UserMessageAdded(content=text) for text in texts]
    if not (Path(store.base_path) / "sessions" / f"{session_id}.jsonl").exists():
        events.insert(0, SessionCreated(session_id=session_id, user_id="u"))
    return store.append(session_id, events, expected_version=ANY)


def texts(records):
    return [each.event.content for each in records if isinstance(each.event, UserMessageAdded)]


# The law: one session, everything that may happen to it, and a trail through it


class World:
    """A session that much happens to, and who follows it."""

    def __init__(self, folder, after):
        self.store = StateStore(folder, durability="os")
        self.path = folder / "sessions" / "s.jsonl"
        self.after = after
        self.number = 0
        self.copies = []
        self.ever, self.handled, self.given = set(), set(), []
        self.trail = None

    def records(self):
        """What can be read of it now."""
        found = []
        if self.path.exists():
            with contextlib.suppress(JournalError):
                found += (record for record in self.store.records("s"))
        self.ever.update(record.id for record in found)
        return found

    def append(self, size):
        with contextlib.suppress(CorruptRecordError):  # a writer that saw the damage
            say(self.store, "s", *(f"{self.number}.{index}" for index in range(size % 3 + 1)))
        self.number += 1
        self.records()

    def tear(self, _):
        if self.path.exists():
            mischief.tear(self.path)

    def restart(self, _):
        self.store.close()
        self.store = StateStore(self.store.base_path, durability="os")

    def erase(self, version):
        with contextlib.suppress(CorruptRecordError, InvalidEventError, SessionNotFoundError):
            self.store.erase("s", [version], reason="asked for")

    def damage(self, index):
        lines = len(self.records())
        if index < lines:
            mischief.damage(self.path, index, breaks_chain=index % 2 == 1)

    def repair(self, _):
        if self.path.exists():
            self.store.repair("s", user_id="u")

    def delete(self, _):
        self.store.delete_session("s")

    def copy(self, _):
        if self.path.exists():
            self.copies.append(self.path.read_bytes())

    def restore(self, index):
        if self.copies and self.path.exists():
            beside = self.path.with_name("beside")
            beside.write_bytes(self.copies[index % len(self.copies)])
            beside.replace(self.path)

    def look(self):
        """The follower looks: what it is given now is in the order in which it stands there."""
        if self.trail is None:
            self._start()
        new = []
        self.trail.is_behind = True
        while self.trail.is_behind:
            new += self.trail.step()
        self.given += [each.id for each in new]
        places = {record.id: record.seq for record in self.records()}
        order = [places[each.id] for each in new if each.id in places]
        assert order == sorted(order)

    def _start(self):
        there = self.records()
        after = self.after
        if after != "now":
            last, as_record = after
            last = min(last, len(there))
            self.handled = {record.id for record in there[:last]}
            after = there[last - 1] if as_record and last else last
        else:
            self.handled = {record.id for record in there}
        self.trail = Trail(Disk(), str(self.path), "s", after)


HAPPENINGS = ["append", "append", "erase", "damage", "repair", "repair", "delete", "copy", "restore"]
HAPPENINGS += ["tear", "restart"]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 9), st.booleans()), min_size=5),
    st.just("now") | st.tuples(st.integers(0, 5), st.booleans()),
    st.integers(0, 4),
)
def test_each_record_is_given_out_once_and_in_order(happenings, after, before):
    """Whenever the follower starts and looks, whatever happens in between, and whatever it had handled."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "state", after)
        for number in range(before):
            world.append(number)
        for name, number, looks in happenings:
            getattr(world, name)(number)
            if looks:
                world.look()
        world.look()
        world.repair(0)
        world.look()
        left = [record.id for record in world.records()]
        world.store.close()

    assert len(world.given) == len(set(world.given))
    assert world.handled.isdisjoint(world.given)
    assert set(left) <= world.handled.union(world.given)
    assert set(world.given) <= world.ever


# One trail, step by step


def trail_of(store, after=0, disk=None):
    return Trail(disk or Disk(), str(mischief.path_of(store, "s")), "s", after)


def drain(trail):
    found = trail.step()
    while trail.is_behind:
        found += trail.step()
    return found


class CountingDisk(Disk):
    """Counts what is read, and may do something when something is."""

    def __init__(self, then=lambda: None):
        super().__init__()
        self.bytes, self.opened, self.then = 0, 0, then

    def open(self, *arguments, **options):
        self.opened += 1
        return super().open(*arguments, **options)

    def read(self, fd, size, offset):
        self.then()
        found = os.pread(fd, size, offset)
        self.bytes += len(found)
        return found


def test_a_step_reads_what_is_new_and_no_more(store):
    disk = CountingDisk()
    for number in range(100):
        say(store, "s", f"{number}" * 500)
    trail = trail_of(store, disk=disk)
    drain(trail)
    disk.bytes = disk.opened = 0
    say(store, "s", "new")

    assert texts(drain(trail)) == ["new"]
    assert disk.bytes < 10_000
    assert drain(trail) == []
    assert disk.opened == 1  # what has not changed is not opened


def test_a_long_journal_is_read_in_slices_and_may_change_between_them(store):
    """Each of them small; an erasure in the middle of it all repeats nothing and loses nothing."""
    for number in range(20):
        say(store, "s", *(f"{number}.{index}" * 100 for index in range(50)))
    trail = trail_of(store)
    found = trail.step()
    first = len(found)
    store.erase("s", [5], reason="asked for")
    found += drain(trail)

    assert first < 700
    assert [each.seq for each in found] == list(range(1, 1003))
    assert isinstance(found[-1].event, ContentErased)


def test_a_batch_stays_whole_where_a_slice_ends(store):
    """A slice ends between two batches."""
    for size in (600, 1, 700, 2):
        say(store, "s", *("x" * 1000 for _ in range(size)))

    assert [each.seq for each in drain(trail_of(store))] == list(range(1, 1305))


def test_a_record_proves_that_it_is_still_that_session(store):
    """A version alone does not: after a deletion another session may have come as far."""
    say(store, "s", "one", "two", "three")
    last = list(store.records("s"))[2]
    assert texts(drain(trail_of(store, last))) == ["three"]
    store.delete_session("s")
    say(store, "s", "another", "fourth", "fifth")

    assert texts(drain(trail_of(store, last))) == ["another", "fourth", "fifth"]
    assert texts(drain(trail_of(store, 3))) == ["fifth"]


def test_damage_that_is_mended_while_it_is_read_is_none(store):
    """The reader meets the old file's bad place when the new file is there already."""
    say(store, "s", "one", "two")
    say(store, "s", "three")
    path = mischief.path_of(store, "s")
    mischief.damage(path, 1, breaks_chain=False)
    repairs = iter([lambda: store.repair("s")])
    trail = trail_of(store, disk=CountingDisk(then=lambda: next(repairs, lambda: None)()))
    found = drain(trail)

    assert trail.error is None
    assert [each.id for each in found] == [each.id for each in store.records("s")]


def test_damage_is_told_once_and_again_when_the_file_has_changed(store):
    say(store, "s", "one")
    say(store, "s", "two")
    say(store, "s", "three")
    path = mischief.path_of(store, "s")
    whole = path.read_bytes()
    mischief.damage(path, 2, breaks_chain=False)
    trail = trail_of(store)

    assert texts(drain(trail)) == ["one"]
    assert isinstance(trail.error, CorruptRecordError)
    assert (drain(trail), trail.error) == ([], None)
    status = path.stat()
    path.write_bytes(whole)  # in its place, and of the same length
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert texts(drain(trail)) == ["two", "three"]
    assert trail.error is None


def test_a_file_is_known_by_more_than_its_length_and_its_time(store):
    """Another one of the same length, written at the same moment, is another one."""
    say(store, "s", "one")
    path = mischief.path_of(store, "s")
    trail = trail_of(store)
    drain(trail)
    status, kept = path.stat(), os.open(path, os.O_RDONLY)  # so that its inode is not given away
    store.delete_session("s")
    say(store, "s", "two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert path.stat().st_size == status.st_size
    assert texts(drain(trail)) == ["two"]
    os.close(kept)


def test_what_is_skipped_is_not_read(store):
    """Where the journal ends at the record that was handled, it is not read at all."""
    for number in range(200):
        say(store, "s", f"{number}" * 300)
    for checkpoint in (lambda last: "now", lambda last: last.seq, lambda last: last):
        disk = CountingDisk()
        after = checkpoint(list(store.records("s"))[-1])
        trail = trail_of(store, after, disk)
        trail.skip()
        assert drain(trail) == []
        assert disk.bytes < 10_000
        say(store, "s", "new")
        assert texts(drain(trail)) == ["new"]


def test_what_is_not_at_the_end_is_not_skipped(store):
    """A checkpoint that is behind, a batch that is torn, a session that is another one."""
    say(store, "s", "one", "two")
    first = next(store.records("s"))
    for after in (0, 1, first):
        trail = trail_of(store, after)
        trail.skip()
        assert texts(drain(trail)) == ["one", "two"]
    mischief.tear(mischief.path_of(store, "s"))
    trail = trail_of(store, "now")
    trail.skip()
    assert drain(trail) == []
    say(store, "s", "three")
    assert texts(drain(trail)) == ["three"]


# store.follow


LONG = 30  # seconds: what takes that long hangs


def watches():
    """What a watch takes: its own file, and its thread."""
    files = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    threads = [each.read_text() for each in Path("/proc/self/task").glob("*/comm")]
    return sum("inotify" in each for each in files), sum("notify" in each for each in threads)


def comes_true(ask):
    end = time.monotonic() + LONG
    while not ask() and time.monotonic() < end:
        time.sleep(0.01)
    return ask()


def live(records, count, say_them):
    """The first `count` records; what is said comes after the first, or when it watches."""
    found = []
    said = threading.Thread(target=lambda: (comes_true(lambda: found or watches() != (0, 0)), say_them()))
    assert comes_true(lambda: watches() == (0, 0))  # those of other tests are gone
    said.start()
    for record in records:
        found.append(record)
        if len(found) == count:
            break
    said.join()
    records.close()
    return found


def test_history_first_then_live(store):
    """The timeout begins anew with each record."""
    say(store, "s", "one")

    def more():
        for number in range(6):
            time.sleep(0.3)
            say(store, "s", f"{number}")

    found = live(store.follow("s", timeout=1.5), 99, more)
    assert texts(found) == ["one", "0", "1", "2", "3", "4", "5"]
    assert {each.session_id for each in found} == {"s"}
    assert [each.seq for each in found] == list(range(1, 9))
    assert found[1].digest == list(store.records("s"))[1].digest


def test_a_followed_record_is_the_record_and_whose_it_is(store):
    """Field by field."""
    say(store, "s", "one")
    cause = next(store.records("s")).id
    store.append("s", [UserMessageAdded(content="x")], expected_version=2, by="me", cause=cause, key="k")
    record = list(store.records("s"))[2]
    found = next(store.follow("s", after=2, timeout=0))

    assert msgspec.structs.asdict(found) == {**msgspec.structs.asdict(record), "session_id": "s"}
    assert None not in msgspec.structs.asdict(record).values()


def test_a_session_and_a_folder_that_are_not_there_yet_are_waited_for(folder):
    with StateStore(folder, durability="os") as store:
        assert list(store.follow("s", timeout=0)) == list(store.follow(timeout=0)) == []
        assert not folder.exists()

        records = store.follow("s", after="now", timeout=LONG)
        threading.Thread(target=lambda: (time.sleep(0.3), say(store, "s", "one"))).start()

        assert texts(itertools.islice(records, 2)) == ["one"]
        records.close()


@pytest.mark.parametrize("session_id", [None, "s"])
def test_the_folder_may_go_and_come_back(store, folder, session_id):
    """Another folder at the same place is watched, too."""
    say(store, "s", "one")

    def move():
        comes_true(lambda: watches() != (0, 0))
        (folder / "sessions").rename(folder / "elsewhere")
        time.sleep(0.3)
        (folder / "elsewhere").rename(folder / "aside")
        with StateStore(folder, durability="os") as other:
            say(other, "s", "two")

    assert texts(live(store.follow(session_id, timeout=LONG), 4, move)) == ["one", "two"]


def test_of_all_sessions_each_is_in_its_order(store):
    say(store, "a", "a1", "a2")
    say(store, "b", "b1")

    def more():
        say(store, "b", "b2")
        say(store, "c", "c1")
        say(store, "a", "a3")

    found = live(store.follow(timeout=LONG), 9, more)
    for session_id in "abc":
        mine = [each for each in found if each.session_id == session_id]
        assert [each.id for each in mine] == [each.id for each in store.records(session_id)]


def test_only_what_comes_from_now_on(store):
    """Of a session that begins later, all."""
    say(store, "a", "old")

    def more():
        say(store, "a", "new")
        say(store, "b", "begun")

    assert sorted(texts(live(store.follow(after="now", timeout=LONG), 3, more))) == ["begun", "new"]


def test_checkpoints_say_where_each_session_goes_on(store):
    """A mapping of what was handled; of others, nothing was."""
    for name in "abcd":
        say(store, name, f"{name}1", f"{name}2")
    record = list(store.records("c"))[1]
    found = list(store.follow(after={"a": 2, "b": 3, "c": record, "gone": 7}, timeout=0))

    assert texts(found) == ["a2", "c2", "d1", "d2"]


@pytest.mark.parametrize(
    ("session_id", "after"),
    [("s", -1), ("s", "then"), ("s", {"s": 1}), ("s", True), (None, 5), (None, {"s": -1}), (None, "then")],
)
def test_an_after_that_says_nothing_is_refused(store, session_id, after):
    with pytest.raises(ValueError, match="`after`"):
        store.follow(session_id, after=after)


def test_damage_is_raised_when_all_before_it_was_given_out(store):
    say(store, "s", "one")
    say(store, "s", "two")
    say(store, "t", "fine")
    mischief.damage(mischief.path_of(store, "s"), 2, breaks_chain=False)
    for session_id in ("s", None):
        found = []
        with pytest.raises(CorruptRecordError):
            found.extend(store.follow(session_id, timeout=0))
        assert texts(found)[:1] == ["one"]


def test_whoever_asks_for_errors_goes_on_when_the_journal_is_mended(store):
    """Told once; the other sessions go on meanwhile."""
    say(store, "s", "one")
    say(store, "s", "two")
    mischief.damage(mischief.path_of(store, "s"), 2, breaks_chain=False)
    told = []

    def mend():
        comes_true(lambda: told)
        say(store, "t", "meanwhile")
        store.repair("s")

    found = live(store.follow(timeout=LONG, on_error=lambda *what: told.append(what)), 6, mend)
    assert texts(found) == ["one", "meanwhile"]
    assert [(each.seq, type(each.event).__name__) for each in found if each.session_id == "s"][2:] == [
        (3, "Erased"),
        (4, "JournalRepaired"),
    ]
    assert [(session_id, type(error)) for session_id, error in told] == [("s", CorruptRecordError)]


def test_a_file_that_cannot_be_read_is_an_error_of_ours(store, folder):
    say(store, "t", "fine")
    (folder / "sessions" / "s.jsonl").symlink_to("t.jsonl")
    told = []

    assert texts(store.follow(timeout=0, on_error=lambda *what: told.append(what))) == ["fine"]
    assert [session_id for session_id, _ in told] == ["s"]
    with pytest.raises(JournalError, match="symbolic link"):
        list(store.follow("s", timeout=0))


def test_a_busy_session_does_not_hold_up_the_others(store, monkeypatch):
    """While one has much to read, what is new in others comes in between."""
    monkeypatch.setattr("journal.follow._TURN_SECONDS", 0.0)
    for _ in range(8):
        say(store, "busy", *("x" * 1000 for _ in range(300)))
    found = []
    for record in store.follow(timeout=LONG):
        if not found:
            say(store, "quiet", "here")
        found.append(record)
        if len(found) == 2403:
            break

    assert 0 < [each.session_id for each in found].index("quiet") < 2000
    assert len(found) == 2403
    assert len(list(store.follow(timeout=0))) == 2403  # what is there is not idle time


def test_what_the_watch_loses_is_found_all_the_same(store, monkeypatch):
    """All files are compared now and then."""

    def deaf(disk, folder, is_over, **_):
        while not is_over():
            time.sleep(0.01)
            yield frozenset()

    monkeypatch.setattr("journal.follow.changes", deaf)
    monkeypatch.setattr("journal.follow._COMPARE_EACH_SECONDS", 0.05)
    say(store, "s", "one")
    for session_id in (None, "s"):
        found = live(store.follow(session_id, timeout=LONG), 3, lambda: say(store, "s", "new"))
        assert texts(found) == ["one", "new"]
        store.delete_session("s")
        say(store, "s", "one")


def test_without_a_watch_it_looks_by_itself(store, monkeypatch):
    """The system may have none left."""

    def refuse(*arguments, **options):
        raise OSError("no watch left")

    monkeypatch.setattr("watchfiles.watch", refuse)
    say(store, "s", "one")

    found = live(store.follow(timeout=LONG), 3, lambda: say(store, "s", "new"))
    assert texts(found) == ["one", "new"]


def test_quiet_sessions_are_not_opened(store, monkeypatch):
    """Whatever their number: only what changed is."""
    for number in range(30):
        say(store, f"s{number}", "x")
    disk = store._disk = CountingDisk()
    records = store.follow(timeout=LONG)
    for _ in range(60):
        next(records)
    disk.opened = 0

    assert texts(live(records, 1, lambda: say(store, "s7", "new"))) == ["new"]
    assert disk.opened < 5


def test_what_was_handled_is_not_read_again(store):
    """Where nothing is new, only the ends of the journals are looked at."""
    for number in range(200):
        say(store, "s", f"{number}" * 300)
    disk = store._disk = CountingDisk()

    assert list(store.follow(after="now", timeout=0)) == list(store.follow(after={"s": 201}, timeout=0)) == []
    assert disk.bytes < 20_000


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc")
def test_closing_it_leaves_no_thread_and_no_file_behind(store):
    say(store, "s", "one")
    assert comes_true(lambda: watches() == (0, 0))  # those of other tests
    for session_id in (None, "s"):
        records = store.follow(session_id, timeout=LONG)
        for _ in store.records("s"):
            next(records)
        thread = threading.Thread(
            target=lambda: (comes_true(lambda: watches() == (1, 1)), say(store, "s", "x"))
        )
        thread.start()
        next(records)
        thread.join()
        assert watches() == (1, 1)
        records.close()

        assert comes_true(lambda: watches() == (0, 0))


def test_a_closed_store_ends_its_followers(folder):
    store = StateStore(folder, durability="os")
    say(store, "s", "one")
    with pytest.raises(JournalClosedError):
        live(store.follow(timeout=LONG), 99, store.close)
    with pytest.raises(JournalClosedError):
        next(store.follow())


# AsyncStateStore.follow


async def first(records, count):
    found = []
    async for record in records:
        found.append(record)
        if len(found) == count:
            break
    await records.aclose()
    return found


def test_asyncio_follows_live(folder):
    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.get_or_create_session("u", "s")
            following = asyncio.create_task(first(store.follow("s"), 4))
            for text in ("a", "b", "c"):
                await asyncio.sleep(0.05)
                await store.append("s", [UserMessageAdded(content=text)], expected_version=ANY)
            assert texts(await following) == ["a", "b", "c"]
            assert [record.seq async for record in store.follow(after={"s": 3}, timeout=0)] == [4]

    asyncio.run(main())


def test_a_follower_that_is_cancelled_ends_at_once(folder):
    """And leaves no thread."""

    def followers():
        return [each for each in threading.enumerate() if each.name.startswith("journal-follow")]

    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.get_or_create_session("u", "s")
            tasks = [asyncio.create_task(first(store.follow(), 99)) for _ in range(5)]
            async with asyncio.timeout(LONG):
                while len(followers()) < 5:
                    await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            done, pending = await asyncio.wait(tasks, timeout=LONG)
            assert (len(done), len(pending)) == (5, 0)
            assert all(task.cancelled() for task in tasks)
            assert comes_true(lambda: not followers())

    asyncio.run(main())


def test_followers_take_no_thread_of_the_stores_calls(folder):
    """However many there are, a save finds one."""

    async def main():
        async with AsyncStateStore(folder, durability="os") as store:
            await store.get_or_create_session("u", "s")
            tasks = [asyncio.create_task(first(store.follow("s"), 2)) for _ in range(40)]
            async with asyncio.timeout(LONG):
                await asyncio.sleep(0.3)
                await store.append("s", [UserMessageAdded(content="x")], expected_version=ANY)
                assert [texts(each) for each in await asyncio.gather(*tasks)] == [["x"]] * 40

    asyncio.run(main())


def test_a_closed_asyncio_store_ends_its_followers(folder):
    async def main():
        store = AsyncStateStore(folder, durability="os")
        await store.get_or_create_session("u", "s")
        task = asyncio.create_task(first(store.follow(), 99))
        await asyncio.sleep(0.2)
        await store.close()
        with pytest.raises(JournalClosedError):
            await task

    asyncio.run(main())
