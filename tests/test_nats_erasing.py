"""What is erased, deleted or replaced leaves the servers' files, whoever is killed or reads meanwhile."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cluster import Cluster

from journal import StateStore
from journal.backend import Change, Moved, Unreachable
from journal.nats import journals
from journal.nats.layout import EXPECTED, KIND
from journal.nats.stream import Stream
from tests.coroutines import changes_of, comes_true, on_a_loop
from tests.test_nats import opened

# In no file of a server, unless it was written there.
SECRET = token_hex(16)
LARGE = f"{SECRET} " * 50_000


def holding(cluster: Cluster, text: str = SECRET, *, streams_only: bool = False) -> list[Path]:
    """The files of the servers that hold a text; but for the logs of what is replicated, if that is asked."""
    return [
        path
        for path in cluster.folder.rglob("*")
        if path.is_file() and not (streams_only and "$SYS" in path.parts) and holds(path, text)
    ]


def holds(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except FileNotFoundError:  # a server has put it in another one's place
        return False


def is_gone(cluster: Cluster) -> bool:
    """Whether no file has it: at once, but for a snapshot that a store is sharing, which then sees that."""
    until = time.monotonic() + 10
    while found := [path for path in holding(cluster) if "-objects" in str(path) or "-files" in str(path)]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return not found and not holding(cluster)


@pytest.fixture
def store(one_node: Cluster, store_name: str) -> Any:
    with StateStore.connect(one_node.url(store_name), durability="os") as store:
        yield store
    assert is_gone(one_node)


def talk(store: StateStore, session_id: str, *texts: str) -> None:
    """One change for each text, and one of somebody else behind it."""
    for text in texts:
        for each in (session_id, "other"):
            session = store.get_or_create_session("ann", each)
            session.add_user_message(text if each == session_id else "hi")
            store.save_session(session)


# One server: nothing is left (see `store`, which looks at the end)


def test_an_erased_text_is_in_no_file(store, one_node):
    talk(store, "s", "one", f"two: {SECRET}", "three")
    assert holding(one_node)
    store.erase("s", [3], reason="asked for")

    assert is_gone(one_node)
    assert [each.content for each in store.load_session("s").user_messages] == ["one", "", "three"]
    assert store.verify("s").ok


def test_a_text_is_gone_that_an_earlier_erasure_left(store, one_node):
    """And all that repeats it: the whole journal was written anew with it, and a fork has it."""
    talk(store, "s", "one", SECRET, "three")
    store.fork("s", new_id="fork")
    store.erase("s", [2], reason="asked for")
    assert holding(one_node)
    store.erase("s", [3], reason="asked for")

    assert is_gone(one_node)


def test_an_erased_text_of_a_change_in_pieces_is_in_no_file(store, one_node):
    talk(store, "s", "one", LARGE, "three")
    assert holding(one_node)
    store.erase("s", [3], reason="asked for")

    assert is_gone(one_node)


def test_a_deleted_session_is_in_no_file(store, one_node):
    talk(store, "s", SECRET, LARGE, "three")
    assert holding(one_node)
    store.delete_session("s")

    assert is_gone(one_node)


def test_an_erased_attachment_is_in_no_file(store, one_node):
    """Of any size."""
    session = store.get_or_create_session("ann", "s")
    for number, text in enumerate((SECRET, LARGE)):
        session.set_metadata(f"file {number}", store.attach(text.encode()))
    store.save_session(session)
    assert len(holding(one_node)) == 2
    store.erase("s", [2, 3], reason="asked for")

    assert is_gone(one_node)


@pytest.mark.parametrize("text", [SECRET, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("replace", [True, False])
def test_a_document_that_was_replaced_or_removed_is_in_no_file(store, one_node, text, replace):
    store.save_markdown("notes", "n", text)
    assert holding(one_node)
    if replace:
        store.save_markdown("notes", "n", "new")
        assert store.load_markdown("notes", "n") == "new"
    else:
        assert store.delete_file("notes", "n")

    assert is_gone(one_node)


# Three servers


def test_on_three_servers_it_leaves_the_files_of_the_stream(three_nodes, store_name):
    """The log of what is to be replicated has it for some minutes more: no client can shorten that."""
    secret = token_hex(16)
    with StateStore.connect(three_nodes.url(store_name), durability="os") as store:
        talk(store, "s", "one", secret, f"{secret} " * 50_000)
        store.save_markdown("notes", "n", secret)
        asyncio.run(comes_true(lambda: len(holding(three_nodes, secret, streams_only=True)) >= 6))
        store.erase("s", [3, 4], reason="asked for")
        store.delete_file("notes", "n")

        # Most of them have done so; the others do when they hear of it.
        asyncio.run(comes_true(lambda: not holding(three_nodes, secret, streams_only=True)))


# Somebody is killed


class Killed(Unreachable):
    """The servers hear no more of whoever removes messages."""


def kill_after(monkeypatch: pytest.MonkeyPatch, removals: int) -> None:
    """Whoever removes messages is killed when so many are removed."""
    remove, left = Stream.remove, [removals]

    async def removing(stream: Stream, place: int) -> bool:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return await remove(stream, place)

    monkeypatch.setattr(Stream, "remove", removing)


@pytest.mark.parametrize("removals", [0, 1, 3, 9])
@pytest.mark.parametrize("kind", ["replace", "delete"])
@pytest.mark.parametrize("session_id", ["s", None])
@on_a_loop
async def test_whoever_reads_finishes_what_was_cut_short(one_node, store_name, kind, removals, session_id):
    """With pieces and all; however far it had come, the journal is whole for all who read it."""
    with pytest.MonkeyPatch.context() as patch:
        async with opened(one_node.url(store_name)) as backend:
            place = 0
            for number in range(8):
                data = b"%s %d\n" % (SECRET.encode(), number)
                place = await backend.journals.append("s", [data * (30_000 if number == 4 else 1)], place)
            kill_after(patch, removals)
            place = await getattr(backend.journals, kind)(
                "s", [b"new\n"] if kind == "replace" else b"t\n", place
            )
            last = await backend.journals.append("s", [b"behind\n"], place)
            assert holding(one_node)
    async with opened(one_node.url(store_name)) as backend:
        found = await changes_of(backend, session_id)
        new = next(number for number, each in enumerate(found) if each.place == place)

        assert [(each.kind, each.data) for each in found[new:]] == [
            (kind, b"new\n" if kind == "replace" else b"t\n"),
            ("append", b"behind\n"),
        ]
        # Before it, if anything, the old journal as far as it goes.
        assert follows(found, 0)
        assert not holding(one_node)
        assert await changes_of(backend) == found[new:]
        assert await backend.journals.head("s") == last


@on_a_loop
async def test_who_had_read_the_old_journal_finishes_it_too(one_node, store_name):
    with pytest.MonkeyPatch.context() as patch:
        async with opened(one_node.url(store_name)) as backend:
            first = await backend.journals.append("s", [SECRET.encode() + b"\n"], 0)
            kill_after(patch, 0)
            place = await backend.journals.replace("s", [b"new\n"], first)
    async with opened(one_node.url(store_name)) as backend:
        assert await changes_of(backend, "s", first) == [Change("s", place, first, "replace", b"new\n")]
        assert not holding(one_node)


@on_a_loop
async def test_what_is_known_of_deletions_outlives_what_was_cut_short(one_node, store_name):
    """The first message of a session is not the one that tells of them, then."""
    async with opened(one_node.url(store_name)) as backend:
        place = await backend.journals.append("s", [b"1\n"], 0)
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, 0)
            place = await backend.journals.delete("s", b"first\n", place)
            place = await backend.journals.append("s", [b"2\n"], place)
            place = await backend.journals.delete("s", b"first\nsecond\n", place)
            place = await backend.journals.append("s", [b"3\n"], place)
            place = await backend.journals.replace("s", [b"4\n"], place)
        assert (await changes_of(backend, "s"))[-1].tombstones == b"first\nsecond\n"
        await backend.journals.replace("s", [b"5\n"], place)
        (found,) = await changes_of(backend, "s")

        assert (found.data, found.tombstones) == (b"5\n", b"first\nsecond\n")


@on_a_loop
async def test_a_file_that_was_being_replaced_is_the_new_one(one_node, store_name):
    """Whoever looks what files there are finishes it; nobody gets the old one, even if the new one goes."""
    name = "documents/notes/n.md"
    for text in (SECRET, LARGE):
        for finish in ("names", "put", "remove"):
            async with opened(one_node.url(store_name)) as backend:
                with pytest.MonkeyPatch.context() as patch:
                    await backend.files.put(name, text.encode())
                    seen = await backend.files._file(name).last()
                    kill_after(patch, 1 if text == LARGE else 0)
                    await backend.files.put(name, b"new")
                    assert (await backend.files.get(name)).data == b"new"
                    assert holding(one_node)
                    if text == LARGE:  # who found it a moment ago looks again
                        assert await backend.files._file(name).data_of(seen) is None
                if finish == "names":
                    assert await backend.files.names("documents") == [name]
                elif finish == "put":
                    await backend.files.put(name, b"newer")
                else:
                    assert await backend.files.remove(name)
                    assert await backend.files.get(name) is None
                assert not holding(one_node)


@on_a_loop
async def test_a_removal_that_fails_says_so(one_node, store_name):
    """And nothing older comes up: it is there, or it is not."""
    async with opened(one_node.url(store_name)) as backend:
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, 0)
            await backend.files.put("documents/a/b.md", b"old")
            await backend.files.put("documents/a/b.md", b"new")
            with pytest.raises(Killed):
                await backend.files.remove("documents/a/b.md")
            assert (await backend.files.get("documents/a/b.md")).data == b"new"
            kill_after(patch, 1)
            with pytest.raises(Killed):
                await backend.files.remove("documents/a/b.md")
            assert (await backend.files.get("documents/a/b.md")).data == b"new"
        assert await backend.files.remove("documents/a/b.md")
        assert not await backend.files.remove("documents/a/b.md")


# Meanwhile


@pytest.mark.parametrize("is_certain", [True, False])
@on_a_loop
async def test_a_file_that_is_replaced_while_it_is_removed(one_node, store_name, monkeypatch, is_certain):
    """It came before the removal, and goes; or stays, where only the one that was seen was to go."""
    remove, name = Stream.remove, "documents/a/b.md"
    async with opened(one_node.url(store_name)) as backend:
        first = await backend.files.put(name, b"old")

        async def removing(stream: Stream, place: int) -> bool:
            monkeypatch.setattr(Stream, "remove", remove)
            await backend.files._files.add(backend._layout.file(name), b"new", {EXPECTED: str(first)})
            return await remove(stream, place)

        monkeypatch.setattr(Stream, "remove", removing)
        if is_certain:
            with pytest.raises(Moved):
                await backend.files.remove(name, first)
            assert (await backend.files.get(name)).data == b"new"
        else:
            assert await backend.files.remove(name)
            assert await backend.files.get(name) is None


@on_a_loop
async def test_nobody_sees_a_journal_that_is_half_removed(one_node, store_name, monkeypatch):
    """Readers with direct gets, from any place, and a writer, while its messages go one by one."""
    remove = Stream.remove
    async with opened(one_node.url(store_name)) as backend, opened(one_node.url(store_name)) as other:
        places = [0]
        for number in range(30):
            places.append(await backend.journals.append("s", [b"%d\n" % number], places[-1]))

        async def removing(stream: Stream, place: int) -> bool:
            was_there = await remove(stream, place)
            assert follows(await changes_of(other, "s", places[10]), places[10])
            for session_id, after in (("s", 0), (None, 0), ("s", places[-1])):
                found = await changes_of(other, session_id, after)
                assert [(each.kind, each.data) for each in found][:1] == [("replace", b"new\n")]
                assert follows(found, after)
            seen.append(await other.journals.append("s", [b"more\n"], found[-1].place))
            return was_there

        seen: list[int] = []
        monkeypatch.setattr(Stream, "remove", removing)
        monkeypatch.setattr("journal.nats.overwriting._AT_ONCE", 1)
        # Others leave it to whoever is at it.
        monkeypatch.setattr("journal.nats.finishing.Finishing.finish", nothing)
        place = await backend.journals.replace("s", [b"new\n"], places[-1])

        assert len(seen) == 30
        assert [each.place for each in await changes_of(backend, "s")] == [place, *seen]


def follows(changes: list[Change], after: int) -> bool:
    """Whether each goes on from the one before it, or takes the place of all."""
    before = [after, *(each.place for each in changes)]
    return all(
        each.kind != "append" or each.after == place for each, place in zip(changes, before, strict=False)
    )


async def nothing(*_: object) -> None:
    pass


@on_a_loop
async def test_who_reads_leaves_it_to_whoever_is_at_it(one_node, store_name, monkeypatch):
    """A hundred readers would ask for the same removals again and again."""
    async with opened(one_node.url(store_name)) as backend:
        session = backend.journals._session("s")
        first = await backend.journals.append("s", [b"1\n"], 0)
        second = await backend.journals.append("s", [b"2\n"], first)
        void = await backend.journals._stream.add(
            session.name, b"x\n", {EXPECTED: str(second), KIND: "replace"}
        )
        monkeypatch.setattr("journal.nats.subject._LOOKS_AGAIN_SECONDS", 0.2)
        looking = asyncio.create_task(session.is_left(void))
        await asyncio.sleep(0.1)
        await backend.journals._stream.remove(first)

        assert not await looking
        assert await session.is_left(void)
        await backend.journals._stream.remove(second)
        assert not await session.is_left(void)


@on_a_loop
async def test_a_long_removal_keeps_no_reader_waiting(one_node, store_name, monkeypatch):
    """It goes on behind the read, and ends with the connection."""
    async with opened(one_node.url(store_name)) as backend:
        first = await backend.journals.append("s", [b"1\n"], 0)
        session = backend.journals._session("s")
        await backend.journals._stream.add(session.name, b"x\n", {EXPECTED: str(first), KIND: "replace"})
        remove, removed = Stream.remove, asyncio.Event()

        async def removing(stream: Stream, place: int) -> bool:
            await asyncio.sleep(0.5)
            removed.set()
            return await remove(stream, place)

        monkeypatch.setattr(Stream, "remove", removing)
        monkeypatch.setattr("journal.nats.subject._LOOKS_AGAIN_SECONDS", 0)
        monkeypatch.setattr("journal.nats.finishing._WAITS_SECONDS", 0.1)
        assert [each.data for each in await changes_of(backend, "s", first)] == [b"x\n"]
        assert not removed.is_set()
        await removed.wait()
        await asyncio.sleep(0.2)
        assert [each.data for each in await changes_of(backend, "s")] == [b"x\n"]


# Otherwise


@on_a_loop
async def test_what_somebody_else_removed_is_not_passed_over(one_node, store_name):
    """What is behind it is given out: whoever checks the journal says what is missing."""
    async with opened(one_node.url(store_name)) as backend:
        places = [0]
        for number in range(5):
            places.append(await backend.journals.append("s", [b"%d\n" % number], places[-1]))
        await backend.journals._stream.remove(places[3])

        for session_id in ("s", None):
            assert [each.data for each in await changes_of(backend, session_id)] == [
                b"0\n",
                b"1\n",
                b"3\n",
                b"4\n",
            ]


@pytest.mark.parametrize("first", [True, False])
@on_a_loop
async def test_what_is_removed_already_is_not_there(one_node, store_name, first):
    """A server says so in one way before its first message, and in another behind it."""
    async with opened(one_node.url(store_name), timeout=3) as backend:
        stream = backend.journals._stream
        kept = await backend.journals.append("t", [b"1\n"], 0) if not first else 0
        place = await backend.journals.append("s", [b"1\n"], 0)
        await backend.journals.append("t", [b"2\n"], kept)

        assert await stream.remove(place)
        assert not await stream.remove(place)


@on_a_loop
async def test_a_very_long_session_is_deleted_at_once(one_node, store_name, monkeypatch):
    """Its content is in no answer; to have it overwritten, it is erased before."""
    monkeypatch.setattr(journals, "MOST_OVERWRITTEN", 3)
    async with opened(one_node.url(store_name)) as backend:
        place = await backend.journals.append("s", [b"x" * 2_000_000 + b"\n"], 0)
        for _ in range(3):
            place = await backend.journals.append("s", [b"1\n"], place)
        monkeypatch.setattr(Stream, "remove", allowed := only(Stream.remove, ".s."))
        place = await backend.journals.delete("s", b"t\n", place)

        assert [each.place for each in await changes_of(backend, "s")] == [place]
        assert await backend.journals._stream.subjects(f"{store_name}.s.>") == []
        assert allowed is Stream.remove


def only(remove: Callable[..., Any], part: str) -> Callable[..., Any]:
    """Remove messages of some subjects, and no others."""

    async def removing(stream: Stream, place: int) -> Any:
        message = await stream.next(">", place - 1)
        assert message is not None
        assert part in message.subject
        return await remove(stream, place)

    return removing


@on_a_loop
async def test_who_may_not_overwrite_removes(store_name):
    """What was erased is in no answer."""
    users = [
        {"user": "u", "password": "p", "permissions": {"publish": {"deny": "$JS.API.STREAM.MSG.DELETE.>"}}}
    ]
    accounts = {"A": {"jetstream": "enabled", "users": users}}
    with Cluster(1, settings={"accounts": accounts}) as cluster:
        async with opened(cluster.url(store_name).replace("//", "//u:p@")) as backend:
            first = await backend.journals.append("s", [b"x" * 2_000_000 + b"\n"], 0)
            second = await backend.journals.append("s", [b"1\n"], first)
            place = await backend.journals.replace("s", [b"new\n"], second)

            assert [each.place for each in await changes_of(backend, "s")] == [place]
            assert await backend.journals._stream.subjects(">") == [backend._layout.changes("s")]
