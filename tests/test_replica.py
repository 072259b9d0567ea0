"""A replica: what others write is seen, what is written is there once, whatever the backend answers."""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress

import pytest

from journal import (
    ANY,
    AsyncStateStore,
    DurabilityError,
    Session,
    StateStore,
    UnreachableError,
    VersionConflictError,
)
from journal.backend import Moved, Unclear, Unreachable
from journal.memory import MemoryBackend
from journal.replica import Replica
from journal.waiting import AtOnce, LoopThread
from projections import MetadataSet, SessionCreated, UserMessageAdded


class Troubled(MemoryBackend):
    """A backend whose answers go astray: `troubles` are taken one by one, a call that writes a trouble.

    "lost": nothing was written, and nobody knows. "late": it is written when all is well again. "unheard":
    it was written, and nobody knows. "refused": it was not, and that is told. None: all is well.
    """

    def __init__(self):
        super().__init__("troubled")
        self.troubles = []
        self.late = []
        self.reads = 0
        for name in ("append", "replace", "delete"):
            setattr(self.journals, name, self.troubled(getattr(self.journals, name)))
        read = self.journals.read

        def counted(session_id, after):
            self.reads += 1
            return read(session_id, after)

        self.journals.read = counted

    def troubled(self, write):
        async def written(session_id, data, after):
            trouble = self.troubles.pop(0) if self.troubles else None
            if trouble is None:
                for args in self.late:
                    with suppress(Moved):
                        await args[0](*args[1:])
                self.late = []
            if trouble == "refused":
                raise Unreachable("it is closed on Sundays")
            if trouble == "late":
                self.late.append((write, session_id, data, after))
            if trouble in ("lost", "late"):
                raise Unclear
            place = await write(session_id, data, after)
            if trouble == "unheard":
                raise Unclear
            return place

        return written


def on(backend, tmp_path, name="a", timeout=5.0):
    folder = tmp_path / name
    folder.mkdir()
    replica = Replica(backend, AtOnce(), str(folder), timeout=timeout)
    return closing(StateStore._on(replica, "disk", None, None, 1 << 18))


def said(store, session_id="s"):
    return [
        each.event.content for each in store.records(session_id) if isinstance(each.event, UserMessageAdded)
    ]


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.setattr("journal.replica.journals.PAUSE_SECONDS", 0.001)
    return Troubled()


def new(store, session_id="s"):
    session = Session.with_id("user", session_id)
    store.save_session(session)
    return session


@pytest.mark.parametrize("trouble", ["lost", "late", "unheard"])
@pytest.mark.parametrize("times", [1, 3])
def test_an_unclear_answer_is_cleared_up(backend, tmp_path, trouble, times):
    """What was saved is there once, and the caller need know nothing of it."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("once")
        backend.troubles = [trouble] * times

        assert store.save_session(session) == 2

        assert said(store) == said(other) == ["once"]
        session.add_user_message("twice")
        assert store.save_session(session) == 3
        assert said(other) == ["once", "twice"]
        assert store.verify().ok
        assert other.verify().ok


@pytest.mark.parametrize("trouble", ["lost", "late"])
def test_an_outcome_that_stays_unclear_is_told_in_time(backend, tmp_path, trouble):
    """The same save again is there once, whether the first got through or not."""
    with on(backend, tmp_path, timeout=0.1) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("once")
        backend.troubles = [trouble] * 1000
        start = time.monotonic()
        with pytest.raises(DurabilityError, match=r"no clear answer in 0\.1 seconds") as caught:
            store.save_session(session)
        assert time.monotonic() - start < 5
        assert caught.value.outcome_unknown
        backend.troubles = []

        assert store.save_session(session) == 2

        assert said(store) == said(other) == ["once"]


def test_what_is_refused_was_not_written_and_says_so(backend, tmp_path):
    with on(backend, tmp_path) as store:
        session = new(store)
        session.add_user_message("once")
        backend.troubles = ["refused"]
        with pytest.raises(
            UnreachableError, match=r"memory:troubled: it is closed on Sundays; nothing was written"
        ):
            store.save_session(session)
        assert said(store) == []
        assert store.save_session(session) == 2
        assert said(store) == ["once"]


def test_a_writer_that_saw_less_gets_a_conflict(backend, tmp_path):
    """Also where its own replica says that all is well."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        others = other.load_session("s")
        others.add_user_message("first")
        other.save_session(others)
        session.add_user_message("second")
        with pytest.raises(VersionConflictError) as caught:
            store.save_session(session)
        assert (caught.value.version, caught.value.expected) == (2, 1)
        assert said(store) == said(other) == ["first"]
        store.save_session(session, expected_version=ANY)
        assert said(store) == said(other) == ["first", "second"]


def test_an_append_that_another_one_overtook_while_it_was_unclear_is_not_there(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        other.load_session("s")

        async def overtaken(session_id, lines, after, write=backend.journals.append):
            backend.journals.append = write
            other.append("s", [UserMessageAdded(content="theirs")], expected_version=1)
            raise Unclear

        backend.journals.append = overtaken
        with pytest.raises(VersionConflictError):
            store.append("s", [UserMessageAdded(content="ours")], expected_version=1)
        assert said(store) == said(other) == ["theirs"]


@pytest.mark.parametrize("trouble", [None, "lost", "late", "unheard"])
def test_a_deletion_takes_it_from_all_and_leaves_a_note(backend, tmp_path, trouble):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        for n in range(3):
            session = new(store)
            session.add_user_message(str(n))
            store.save_session(session)
            assert other.load_session("s").version == 2
            backend.troubles = [trouble]
            assert store.delete_session("s", why=str(n))
            assert other.load_session("s") is None
            assert not other.delete_session("s")
            assert [each.why for each in other.tombstones()] == [str(each) for each in range(n + 1)]
            assert store.tombstones() == other.tombstones()
        with on(backend, tmp_path, "c") as fresh:
            assert fresh.tombstones() == store.tombstones()


@pytest.mark.parametrize("trouble", [None, "lost", "late", "unheard"])
def test_erased_content_goes_from_the_backend_and_from_each_replica(backend, tmp_path, trouble):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("hunter2")
        session.add_user_message("stays")
        store.save_session(session)
        assert said(other) == ["hunter2", "stays"]
        backend.troubles = [trouble]
        other.erase("s", [2], reason="asked for")
        assert b"hunter2" not in b"".join(each.data for each in backend.journals._changes.values())
        assert said(store) == ["stays"]
        assert store.verify().ok
        assert other.verify().ok
        for each in (store, other):
            files = [os.path.join(at, name) for at, _, names in os.walk(each.base_path) for name in names]
            assert files
            for name in files:
                with open(name, "rb") as file:
                    assert b"hunter2" not in file.read(), name


def test_a_deletion_that_is_overtaken_looks_again(backend, tmp_path):
    """The engine has touched its file by then: nothing of that stays."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        other.load_session("s")
        delete = backend.journals.delete

        async def overtaken(session_id, data, after):
            backend.journals.delete = delete
            other.append("s", [UserMessageAdded(content="theirs")], expected_version=1)
            raise Moved

        backend.journals.delete = overtaken
        assert store.delete_session("s")
        assert [each.version for each in store.tombstones()] == [2]
        assert other.load_session("s") is None


def test_an_erasure_that_is_overtaken_keeps_what_came(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = new(store)
        session.add_user_message("hunter2")
        store.save_session(session)
        other.load_session("s")
        replace = backend.journals.replace

        async def overtaken(session_id, data, after):
            backend.journals.replace = replace
            other.append("s", [UserMessageAdded(content="theirs")], expected_version=2)
            raise Moved

        backend.journals.replace = overtaken
        store.erase("s", [2], reason="asked for")
        assert said(store) == said(other) == ["theirs"]
        assert store.verify().ok


def test_a_session_that_was_forgotten_is_whole_in_the_next_list(backend, tmp_path):
    """What is fetched of all sessions is no more than what is new."""
    with on(backend, tmp_path) as store:
        new(store)
        new(store, "t")
        store.list_sessions()
        store.append("s", [UserMessageAdded(content="one")], expected_version=1)
        store._disk._journals.forget("s")
        store.append("t", [UserMessageAdded(content="two")], expected_version=1)
        assert {each.id: each.version for each in store.list_sessions()} == {"s": 2, "t": 2}
        assert store.verify().ok


def test_what_cannot_be_written_down_here_is_on_record_and_fetched(backend, tmp_path, monkeypatch):
    with on(backend, tmp_path) as store:
        session = new(store)
        session.add_user_message("once")
        write = os.write

        def full(fd, data):
            if b"user_message_added" in bytes(data):
                monkeypatch.setattr(os, "write", write)
                raise OSError(28, "No space left on device")
            return write(fd, data)

        monkeypatch.setattr(os, "write", full)
        assert store.save_session(session) == 2
        assert said(store) == ["once"]
        session.add_user_message("twice")
        assert store.save_session(session) == 3
        assert said(store) == ["once", "twice"]


def test_a_list_asks_the_backend_once_however_many_sessions_there_are(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        for n in range(20):
            new(store, f"s{n}")
        before = backend.reads
        assert len(other.list_sessions()) == 20
        assert backend.reads - before == 1
        assert len(other.search("user")) == 0
        before = backend.reads
        assert other.verify().ok
        assert backend.reads - before <= 6


def test_followers_hear_what_others_write(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        for session_id in (None, "s"):
            followed = other.follow(session_id, timeout=5)
            assert next(followed).seq == 1
            for n in range(3):
                version = store.load_session("s").version
                store.append("s", [UserMessageAdded(content=str(n))], expected_version=version)
            assert [next(followed).event.content for _ in range(3)] == ["0", "1", "2"]
            followed.close()
            store.delete_session("s")
            new(store)


def test_followers_miss_nothing_that_they_do_not_hear(backend, tmp_path, monkeypatch):
    """They look each second."""
    monkeypatch.setattr("journal.replica.disk.LOOK_EACH_SECONDS", 0.05)
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        listen = backend.journals.listen

        async def deaf(session_id, heard):
            return await listen(session_id, lambda change: None)

        backend.journals.listen = deaf
        for session_id in (None, "s"):
            followed = other.follow(session_id, after="now", timeout=5)
            thread = threading.Timer(
                0.2, lambda: store.append("s", [UserMessageAdded(content="x")], expected_version=ANY)
            )
            thread.start()
            assert next(followed).event.content == "x"
            thread.join()
            followed.close()


def test_documents_and_attachments_are_shared(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        store.save_markdown("notes/deep", "a", "# A")
        store.save_json("notes", "b.c", {"x": 1})
        assert other.load_markdown("notes/deep", "a") == "# A"
        assert other.load_json("notes", "b.c") == {"x": 1}
        assert other.list_category("notes") == ["b.c"]
        assert other.list_category("notes/deep") == ["a"]
        other.save_markdown("notes/deep", "a", "# B")
        assert store.load_markdown("notes/deep", "a") == "# B"
        assert store.delete_file("notes/deep", "a")
        assert not other.delete_file("notes/deep", "a")
        assert other.load_markdown("notes/deep", "a") is None
        assert other.list_category("notes/deep") == []
        reference = store.attach(b"bytes", "text/plain")
        assert other.attachment(reference) == b"bytes"


def test_what_is_deleted_takes_its_attachments_with_it_wherever_they_were_put(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        reference = store.attach(b"bytes", "text/plain")
        store.append("s", [MetadataSet(key="file", value=reference)], expected_version=1)
        assert other.delete_session("s")
        assert asyncio.run(backend.files.names("")) == []


def test_the_folder_goes_with_the_store():
    store = StateStore.connect("memory:folder-goes")
    folder = store.base_path
    new(store)
    assert os.path.isdir(folder)
    assert os.stat(folder).st_mode & 0o777 == 0o700
    store.close()
    assert not os.path.exists(folder)
    store.close()


@pytest.mark.parametrize("seed", range(6))
def test_many_stores_in_trouble_lose_nothing_double_nothing_and_agree(backend, tmp_path, seed):
    """Threads of several stores write, look and delete, and almost each second answer goes astray."""
    chance = random.Random(seed)
    kinds = [None, None, None, None, "lost", "late", "unheard"]
    backend.troubles = [chance.choice(kinds) for _ in range(100_000)]
    ids = ["a", "b", "c"]
    acknowledged, failures = [], []

    def work(store, number):
        own = random.Random(seed * 100 + number)
        try:
            for n in range(25):
                session_id, text = own.choice(ids), f"{number}:{n}"
                what = own.random()
                if what < 0.6:
                    store.append(session_id, [UserMessageAdded(content=text)], expected_version=ANY)
                    acknowledged.append((session_id, text))
                elif what < 0.7:
                    store.update_session_with(
                        session_id, lambda session, text=text: session.add_user_message(text)
                    )
                    acknowledged.append((session_id, text))
                elif what < 0.8:
                    store.load_session(session_id)
                elif what < 0.9:
                    store.list_sessions()
                elif what < 0.95:
                    store.rewind(session_id, 1)
                else:
                    new(store, f"fork-{text}")
                    store.delete_session(f"fork-{text}")
        except BaseException as error:
            failures.append(error)
            raise

    with on(backend, tmp_path, "x") as first, on(backend, tmp_path, "y") as second:
        for each in ids:
            first.append(each, [SessionCreated(session_id=each, user_id="u")], expected_version=0)
        threads = [
            threading.Thread(target=work, args=(store, 2 * n + m))
            for n in range(2)
            for m, store in enumerate((first, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        backend.troubles = []
        with on(backend, tmp_path, "z") as fresh:
            for session_id in ids:
                found = said(fresh, session_id)
                assert sorted(found) == sorted(text for each, text in acknowledged if each == session_id)
                assert said(first, session_id) == said(second, session_id) == found
            for store in (first, second, fresh):
                assert store.verify().ok
                assert len(store.list_sessions()) == 3
                assert len(store.tombstones()) == len(fresh.tombstones())


def test_tasks_wait_for_each_other_and_not_the_loop():
    """Forty tasks on one session, beside lists and forks in threads: nobody stands still."""

    async def main():
        async with (
            await AsyncStateStore.connect("memory:tasks") as one,
            await AsyncStateStore.connect("memory:tasks") as two,
        ):
            session = Session.with_id("u", "s")
            await one.save_session(session)
            beats = 0

            async def beat():
                nonlocal beats
                while True:
                    beats += 1
                    await asyncio.sleep(0.005)

            async def write(store, n):
                for m in range(5):
                    event = UserMessageAdded(content=f"{n}:{m}")
                    await store.append("s", [event], expected_version=ANY)

            heart = asyncio.create_task(beat())
            async with asyncio.timeout(60):
                await asyncio.gather(
                    *(write(store, n) for n, store in enumerate([one, two] * 20)),
                    *(store.fork("s") for store in (one, two)),
                    *(store.list_sessions() for store in (one, two)),
                    one.erase_user("nobody", reason="none"),
                )
            heart.cancel()
            loaded = await two.load_session("s")
            assert loaded.version == 201
            assert len({each.content for each in loaded.user_messages}) == 200
            assert (await one.verify()).ok
            assert beats > 1

    asyncio.run(main())


def test_a_task_that_is_cancelled_while_it_waits_for_its_turn_harms_nobody():
    async def main():
        async with await AsyncStateStore.connect("memory:cancelled") as store:
            await store.save_session(Session.with_id("u", "s"))
            append = store._store._disk._backend.journals.append
            gate = asyncio.Event()

            async def slow(*args):
                await gate.wait()
                return await append(*args)

            store._store._disk._backend.journals.append = slow
            tasks = [
                asyncio.create_task(
                    store.append("s", [UserMessageAdded(content=str(n))], expected_version=ANY)
                )
                for n in range(5)
            ]
            await asyncio.sleep(0.01)
            tasks[0].cancel()  # it waits for the backend
            tasks[2].cancel()  # and this one for its turn
            await asyncio.sleep(0.01)
            gate.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(each) for each in results] == [
                asyncio.CancelledError, int, asyncio.CancelledError, int, int,
            ]  # fmt: skip
            loaded = await store.load_session("s")
            assert [each.content for each in loaded.user_messages] == ["1", "3", "4"]

    asyncio.run(main())


def long_session(store, session_id="s"):
    """A session of over a megabyte, in batches of several records, with a snapshot."""
    new(store, session_id)
    for n in range(60):
        changes = [UserMessageAdded(content=f"{n}.{m} {'x' * 5_000}") for m in range(5)]
        store.append(session_id, changes, expected_version=ANY)
    store.compact()
    return store.load_session(session_id)


def fetched(backend):
    """How many bytes of journals were read, from now on."""
    sizes = []
    read = backend.journals.read

    async def counted(session_id, after):
        async for change in read(session_id, after):
            sizes.append(len(change.data))
            yield change

    backend.journals.read = counted
    return sizes


def test_a_long_session_is_opened_without_fetching_all_of_it(backend, tmp_path):
    with on(backend, tmp_path) as store:
        session = long_session(store)
        store.append("s", [UserMessageAdded(content="after the snapshot")], expected_version=ANY)
        sizes = fetched(backend)
        with on(backend, tmp_path, "b") as other:
            loaded = other.load_session("s")
            assert loaded.version == session.version + 1
            assert [each.content for each in loaded.user_messages][-2:] == [
                session.user_messages[-1].content,
                "after the snapshot",
            ]
            loaded.add_user_message("goes on")
            other.save_session(loaded)
            assert sum(sizes) < 1_300_000 < os.path.getsize(f"{store.base_path}/sessions/s.jsonl")

            # Whatever needs the rest, gets it.
            assert len(list(other.records("s"))) == session.version + 2
            assert other.verify().ok
            assert said(other) == said(store)


@pytest.mark.parametrize(
    "look",
    [
        lambda store: len(said(store)),
        lambda store: len(store.load_session("s", at=250).user_messages) + 51,
        lambda store: store.fork("s", new_id="f").version - 1,
        lambda store: store.timeline("s").version - 1,
        lambda store: next(each.version - 1 for each in store.list_sessions()),
        lambda store: 300 * any(each.seq == 2 for each in store.search("0.0", limit=None)),
        lambda store: sum(1 for each in store.follow("s", timeout=0) if each.seq > 1),
        lambda store: sum(1 for each in store.follow(timeout=0) if each.seq > 1),
        lambda store: 300 * store.verify("s").ok,
    ],
)
def test_a_session_whose_end_alone_is_here_is_whole_for_whoever_looks(backend, tmp_path, look):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        long_session(store)
        other.load_session("s")
        assert other._disk._journals.holes
        assert look(other) == 300
        assert other.verify().ok


def test_a_snapshot_of_what_was_erased_is_gone_and_never_comes_back(backend, tmp_path):
    """Also where somebody shares one that he made before."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        session = long_session(store)
        other.load_session("s")
        put = backend.files.put

        async def late(name, data, revision=None):
            """An erasure comes between the snapshot and its place in the backend."""
            backend.files.put = put
            other.erase("s", [2], reason="asked for")
            return await put(name, data, revision)

        backend.files.put = late
        store.append("s", [UserMessageAdded(content="more")], expected_version=session.version)
        store.compact("s")
        kept = [each.data for each in backend.files._files.values()]
        assert not any(b"0.0 xxx" in data for data in kept)
        with on(backend, tmp_path, "c") as fresh:
            assert fresh.load_session("s").user_messages[0].content == ""
            assert fresh.verify().ok


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: b"{}\n" + data,
        lambda data: data.replace(b'"place":', b'"place":1', 1),
        lambda data: data.replace(b"59.4", b"59.5", 1),
        lambda data: data[:-20],
    ],
)
def test_a_shared_snapshot_that_is_not_of_this_journal_is_ignored(backend, tmp_path, harm):
    with on(backend, tmp_path) as store:
        session = long_session(store)
        (name,) = backend.files._files
        there = backend.files._files[name]
        backend.files._files[name] = there._replace(data=harm(there.data))
        with on(backend, tmp_path, "b") as other:
            loaded = other.load_session("s")
            assert loaded.to_document() == session.to_document()
            assert other.verify().ok


def test_a_session_that_is_erased_while_its_beginning_is_fetched_is_read_again(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        long_session(store)
        other.load_session("s")
        store.erase("s", [2], reason="asked for")
        with pytest.raises(UnreachableError, match="was rewritten while it was read; read it again"):
            other._disk._journals.fill("s")
        assert said(other) == said(store)
        assert other.verify().ok


def test_nothing_is_refused_for_what_is_so_no_more(backend, tmp_path):
    """A session that others deleted, or made, or whose owner is another one now."""
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        other.delete_session("s")
        new(store)  # it knows of another one of that id
        other.delete_session("s")
        store.save_session(Session.with_id("somebody else", "s"))
        assert other.load_session("s").user_id == "somebody else"
        assert store.load_session("t") is None
        new(other, "t")
        store.append("t", [UserMessageAdded(content="more")], expected_version=ANY)
        assert said(other, "t") == ["more"]


def test_what_somebody_erased_elsewhere_leaves_no_attachment_here(backend, tmp_path):
    with on(backend, tmp_path) as store, on(backend, tmp_path, "b") as other:
        new(store)
        reference = store.attach(b"hunter2", "text/plain")
        store.append("s", [MetadataSet(key="file", value=reference)], expected_version=1)
        assert other.attachment(reference) == b"hunter2"
        store.erase("s", [2], reason="asked for")
        other.load_session("s")
        names = [name for _, _, names in os.walk(f"{other.base_path}/.journal/attachments") for name in names]
        assert names in ([], ["lock"])


def test_a_session_that_is_made_while_a_list_is_made_is_not_forgotten(backend, tmp_path):
    """Its mark was taken before its first record was there."""
    with on(backend, tmp_path) as store:
        store.list_sessions()
        summarize = store._catalog._summarize

        def late(stale):
            if "s" in stale:
                store._catalog._summarize = summarize
                new(store)
                store._marks.take()
                store._marks.forget(store._marks.take())
            return summarize(stale)

        store._catalog._summarize = late
        store._marks.mark("s")
        store.list_sessions()
        assert [each.id for each in store.list_sessions()] == ["s"]


def folders():
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("session-journal-")}


def test_what_a_killed_program_had_looked_at_goes_with_the_next_one(tmp_path, monkeypatch):
    """And what one looks at that lives is left alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = """
import time
from journal import Session, StateStore
store = StateStore.connect("memory:x")
store.save_session(Session.with_id("u", "s"))
print(store.base_path, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        folder = process.stdout.readline().strip()
        os.utime(os.path.dirname(folder), (0, 0))
        with StateStore.connect("memory:y") as store:
            assert len(folders()) == 2
            assert os.path.exists(f"{folder}/sessions/s.jsonl")
            assert store.base_path != folder
        process.kill()
    os.utime(os.path.dirname(folder))
    with StateStore.connect("memory:z"):
        assert os.path.exists(f"{folder}/sessions/s.jsonl")  # it may only just be made, and not locked yet
    os.utime(os.path.dirname(folder), (0, 0))
    with StateStore.connect("memory:z"):
        assert len(folders()) == 1
        assert not os.path.exists(folder)
    assert folders() == set()


def test_a_program_that_closes_nothing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = """
import os, sys
from journal import Session, StateStore
store = StateStore.connect("memory:x")
store.save_session(Session.with_id("u", "s"))
if os.fork() == 0:
    sys.exit()  # what its parent works in is not its own
os.wait()
assert os.path.exists(f"{store.base_path}/sessions/s.jsonl")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
    assert folders() == set()


def test_a_snapshot_that_cannot_be_shared_fails_no_append(backend, tmp_path):
    """Nobody knows whether it got through, and nobody needs to."""
    put, tried = backend.files.put, []

    async def unclear(name, data, revision=None):
        tried.append(name)
        raise Unclear("the connection was lost")

    with on(backend, tmp_path) as store:
        backend.files.put = unclear
        session = long_session(store)
        assert set(tried) == {"snapshots/s"}
        backend.files.put = put
        with on(backend, tmp_path, "b") as other:
            assert other.load_session("s") == session


def test_a_document_of_which_nobody_knows_whether_it_was_saved_says_so(backend, tmp_path):
    async def unclear(name, data, revision=None):
        raise Unclear("the connection was lost")

    backend.files.put = unclear
    with on(backend, tmp_path) as store:
        with pytest.raises(DurabilityError, match="the connection was lost") as caught:
            store.save_markdown("notes", "a", "# A")
        assert caught.value.outcome_unknown


def test_a_snapshot_that_cannot_be_shared_makes_no_save_fail_and_none_wait(tmp_path):
    """The append is on record; what comes after it is nobody's concern."""

    class Slow(MemoryBackend):
        def __init__(self):
            super().__init__("slow")
            self.put = self.files.put
            self.files.put = self.stuck
            self.began = []

        async def stuck(self, name, data, revision=None):
            self.began.append(name)
            await asyncio.sleep(0.5)
            raise Unreachable("it is closed on Sundays")

    backend, waiting = Slow(), LoopThread()
    (tmp_path / "a").mkdir()
    replica = Replica(backend, waiting, str(tmp_path / "a"), timeout=5)
    with closing(StateStore._on(replica, "disk", None, None, 1 << 18)) as store:
        start = time.monotonic()
        long_session(store)
        assert time.monotonic() - start < 60
        assert backend.began
        started = time.monotonic()
        assert store.append("s", [UserMessageAdded(content="more")], expected_version=ANY) == 302
        store.compact("s")
        assert time.monotonic() - started < 0.4


def test_an_erasure_that_cannot_take_the_snapshot_away_changes_nothing(backend, tmp_path):
    with on(backend, tmp_path) as store:
        long_session(store)
        remove = backend.files.remove

        async def refused(name):
            raise Unreachable("it is closed on Sundays")

        backend.files.remove = refused
        with pytest.raises(UnreachableError, match="closed on Sundays"):
            store.erase("s", [2], reason="asked for")
        assert said(store)[0].startswith("0.0")
        backend.files.remove = remove
        store.erase("s", [2], reason="asked for")
        assert not any(b"0.0 xxx" in each.data for each in backend.files._files.values())
        assert store.verify().ok


def test_a_backend_that_stands_still_holds_nobody_longer_than_was_asked_for(tmp_path):
    """While one looks for what became of a write."""
    backend = MemoryBackend("still")
    append, read = backend.journals.append, backend.journals.read

    async def unclear(*_):
        raise Unclear

    async def hanging(*_):
        await asyncio.sleep(60)
        yield

    (tmp_path / "a").mkdir()
    replica = Replica(backend, LoopThread(), str(tmp_path / "a"), timeout=0.2)
    with closing(StateStore._on(replica, "disk", None, None, 1 << 18)) as store:
        session = new(store)
        session.add_user_message("once")
        backend.journals.append, backend.journals.read = unclear, hanging
        start = time.monotonic()
        with pytest.raises(DurabilityError, match="no clear answer"):
            store.save_session(session)
        assert time.monotonic() - start < 3
        backend.journals.append, backend.journals.read = append, read
        assert store.save_session(session) == 2
        assert said(store) == ["once"]
