"""What every backend promises: in memory, in a folder, on one NATS server, on three."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

import msgspec
import pytest

from journal.backend import Backend, Change, File, Moved
from journal.chain import first_chain
from journal.folder import FolderBackend
from journal.memory import MemoryBackend
from journal.nats import NatsBackend
from journal.record import encode_batch, prepare
from journal.tombstones import Tombstone
from projections.events import Change as Event
from projections.events import UserMessageAdded
from tests.coroutines import changes_of, comes_true, on_a_loop


@dataclass
class Shared:
    """A store, and how somebody else gets at it. Those who opened it close it at the end.

    orders_sessions  whether the changes of all sessions are in one order, and any name is a file's
    """

    new: Callable[[int], Backend]
    orders_sessions: bool = True
    opened: list[Backend] = field(default_factory=list)

    async def __aenter__(self) -> Backend:
        return await self.another()

    async def another(self) -> Backend:
        backend = self.new(len(self.opened))
        await backend.open()
        self.opened.append(backend)
        return backend

    async def __aexit__(self, *_: object) -> None:
        for backend in self.opened:
            await backend.close()
        self.opened.clear()


@pytest.fixture(params=["memory", "folder", "one_node", "three_nodes"])
def shared(request, tmp_path, store_name) -> Shared:
    if request.param == "memory":
        memory = MemoryBackend(store_name)
        return Shared(lambda number: memory)
    if request.param == "folder":
        return Shared(lambda number: FolderBackend(str(tmp_path / "state")), orders_sessions=False)
    cluster = request.getfixturevalue(request.param)
    # Each at another server: what one writes, another one reads elsewhere.
    return Shared(lambda number: NatsBackend(f"{cluster.urls[number % len(cluster.urls)]}/{store_name}"))


@pytest.fixture
def ordered(shared) -> Shared:
    """Of a backend that knows more than a folder."""
    if not shared.orders_sessions:
        pytest.skip("a folder knows no order between its sessions, and its files are what a store has")
    return shared


@dataclass(frozen=True)
class Journal:
    """A session's journal up to some version: what may be appended goes on from there."""

    session_id: str
    version: int = 0
    chain: bytes = b""

    def batch(self, *texts: str) -> "tuple[list[bytes], Journal]":
        """Lines of records, and the journal that has them."""
        chain = self.chain or first_chain(self.session_id)
        now = datetime.now(UTC)
        said = (Event(event=UserMessageAdded(content=text), at=now) for text in texts or ("hi",))
        pending = [prepare(event) for event in said]
        lines, version, chain = encode_batch(pending, self.version, chain)
        return lines.splitlines(True), replace(self, version=version, chain=chain)

    def tombstone(self) -> bytes:
        note = Tombstone(
            id=self.session_id, version=self.version, chain=self.chain.decode(), at=datetime.now(UTC)
        )
        return msgspec.json.encode(note) + b"\n"


async def fill(backend: Backend, session_id: str, *sizes: int) -> tuple[list[Change], Journal]:
    """Append batches of so many lines; what was appended, as it must be read."""
    journal, changes, place = Journal(session_id), [], 0
    for size in sizes:
        lines, journal = journal.batch(*["hi"] * size)
        after, place = place, await backend.journals.append(session_id, lines, place)
        changes.append(Change(session_id, place, after, "append", b"".join(lines)))
    return changes, journal


# Journals


@on_a_loop
async def test_a_session_begins_with_nothing(shared):
    async with shared as backend:
        assert await backend.journals.head("s") == 0
        assert await changes_of(backend, "s") == []
        assert await changes_of(backend) == []


@on_a_loop
async def test_what_was_appended_is_read(shared):
    """Batch by batch, byte by byte, behind any place; each names the one before."""
    async with shared as backend:
        changes, _ = await fill(backend, "s", 1, 3, 1, 2, 1)

        assert [change.place for change in changes] == sorted({change.place for change in changes})
        assert changes[0].place > 0
        assert await backend.journals.head("s") == changes[-1].place
        for behind, after in enumerate([0, *(change.place for change in changes)]):
            assert await changes_of(backend, "s", after) == changes[behind:]


@on_a_loop
async def test_whoever_has_not_seen_the_last_change_writes_nothing(shared):
    async with shared as backend:
        changes, journal = await fill(backend, "s", 1, 1, 1)
        lines, _ = journal.batch()
        for after in (0, changes[0].place, changes[1].place):
            with pytest.raises(Moved):
                await backend.journals.append("s", lines, after)
            with pytest.raises(Moved):
                await backend.journals.replace("s", lines, after)
            with pytest.raises(Moved):
                await backend.journals.delete("s", journal.tombstone(), after)

        assert await changes_of(backend, "s") == changes


@on_a_loop
async def test_of_many_who_append_at_once_one_does(shared):
    """Round after round: one gets a place, the others are told that they were not the first."""
    async with shared as one:
        writers = [one, await shared.another(), await shared.another()]
        journal, place = Journal("s"), 0
        for _ in range(10):
            batches = [journal.batch(f"{number}") for number in range(9)]
            tries = [
                writers[number % 3].journals.append("s", lines, place)
                for number, (lines, _) in enumerate(batches)
            ]
            results = await asyncio.gather(*tries, return_exceptions=True)
            written = [number for number, result in enumerate(results) if isinstance(result, int)]

            assert len(written) == 1
            assert all(isinstance(results[number], Moved) for number in range(9) if number not in written)
            lines, journal = batches[written[0]]
            found = await changes_of(one, "s", place)
            assert [change.data for change in found] == [b"".join(lines)]
            place = found[-1].place


@on_a_loop
async def test_what_was_acknowledged_is_there_for_all(shared):
    """At once, wherever they look."""
    async with shared as writer:
        readers = [await shared.another(), await shared.another()]
        journal, place = Journal("s"), 0
        for number in range(60):
            reader = readers[number % 2]
            lines, journal = journal.batch()
            before, place = place, await writer.journals.append("s", lines, place)
            found = await changes_of(reader, "s", before)

            assert [change.data for change in found] == [b"".join(lines)]
            assert await reader.journals.head("s") == found[-1].place
            assert len(await changes_of(reader)) == number + 1


@on_a_loop
async def test_all_sessions_are_read_in_the_order_of_their_places(ordered):
    async with ordered as backend:
        changes = []
        for number in range(40):
            found, _ = await fill(backend, f"s{number % 7}-{number}", 1, 2)
            changes += found

        assert await changes_of(backend) == changes
        assert await changes_of(backend, None, changes[50].place) == changes[51:]
        assert await changes_of(backend, None, changes[-1].place) == []


@on_a_loop
async def test_a_replacement_is_all_that_can_be_read(shared):
    """Nobody goes on from what was there."""
    async with shared as backend:
        changes, _ = await fill(backend, "s", 1, 2, 1)
        other, _ = await fill(backend, "t", 1)
        lines, journal = Journal("s").batch("again", "and again")
        place = await backend.journals.replace("s", lines, changes[-1].place)
        more, journal = journal.batch()
        with pytest.raises(Moved):
            await backend.journals.append("s", more, changes[-1].place)
        last = await backend.journals.append("s", more, place)
        found = await changes_of(backend, "s")

        assert place > changes[-1].place
        assert [(change.kind, change.data) for change in found][-1:] == [("append", b"".join(more))]
        assert b"".join(change.data for change in found) == b"".join([*lines, *more])
        assert found[-1].place == last == await backend.journals.head("s")
        assert await changes_of(backend, "t") == other


@on_a_loop
async def test_a_replacement_is_told_to_those_who_read_on(shared):
    """However far they had read."""
    async with shared as backend:
        changes, _ = await fill(backend, "s", 1, 2, 1)
        lines, _ = Journal("s").batch("again")
        place = await backend.journals.replace("s", lines, changes[-1].place)
        for change in changes:
            found = await changes_of(backend, "s", change.place)

            assert [(change.place, change.kind, change.data) for change in found] == [
                (place, "replace", b"".join(lines))
            ]


@on_a_loop
async def test_a_deletion_leaves_its_tombstones_and_the_session_may_begin_anew(shared):
    async with shared as backend:
        changes, journal = await fill(backend, "s", 1, 2)
        note = journal.tombstone()
        place = await backend.journals.delete("s", note, changes[-1].place)
        for after in (0, changes[0].place, changes[1].place):
            found = await changes_of(backend, "s", after)
            assert [(each.place, each.kind, each.data) for each in found] == [(place, "delete", note)]
        assert await backend.journals.head("s") == place
        lines, journal = Journal("s").batch("anew")
        with pytest.raises(Moved):
            await backend.journals.append("s", lines, 0)
        last = await backend.journals.append("s", lines, place)
        found = await changes_of(backend, "s")

        assert [(each.kind, each.data) for each in found] == [("delete", note), ("append", b"".join(lines))]
        assert found[1].after == place
        assert found[1].place == last
        assert await changes_of(backend, "s", place) == found[1:]


IDS = [
    *(
        "a",
        "A",
        "ab",
        "a-b",
        "a_b",
        "*",
        ">",
        "a.b",
        "a.>",
        "a.*",
        " ",
        "ä",
        "日本",
        "🙂",
        "=",
        "a=3D",
        "$JS",
        "%2e",
    ),
    *("x" * 200, "🙂" * 50, "a b\u00a0c", "con", "~", "'", '"', "`", "$(id)", "_INBOX.x", "NaN", "e", "s"),
]


@on_a_loop
async def test_any_id_is_a_session_of_its_own(shared):
    async with shared as backend:
        expected = {session_id: (await fill(backend, session_id, 1, 2))[0] for session_id in IDS}
        last = expected["*"][-1]
        await backend.journals.replace("*", (lines := Journal("*").batch("only this")[0]), last.place)
        found: defaultdict[str, list[bytes]] = defaultdict(list)
        for change in await changes_of(backend):
            found[change.session_id].append(change.data)

        del expected["*"]
        assert found.pop("*") == [b"".join(lines)]
        assert found == {each: [change.data for change in changes] for each, changes in expected.items()}
        for session_id, changes in expected.items():
            assert await changes_of(backend, session_id) == changes


@pytest.mark.parametrize(
    "texts",
    [["x" * 9_000_000], ["x" * 700_000] * 5, ["hi"] * 2500, ["ä" * 1_040_000, "b"]],
    ids=["one line", "long lines", "many lines", "about a message"],
)
@on_a_loop
async def test_a_change_may_be_large(shared, texts):
    """All of it is one change, for those who read and those who listen."""
    async with shared as backend:
        other = await shared.another()
        heard: list[Change] = []
        listening = await other.journals.listen("s", heard.append)
        (first,), journal = await fill(backend, "s", 1)
        lines, journal = journal.batch(*texts)
        with pytest.raises(Moved):
            await backend.journals.append("s", lines, 0)
        place = await backend.journals.append("s", lines, first.place)
        small, journal = journal.batch()
        last = await backend.journals.append("s", small, place)
        found = await changes_of(other, "s")

        assert found == await changes_of(other)
        assert [change.data for change in found] == [first.data, b"".join(lines), b"".join(small)]
        assert [change.place for change in found][1:] == [place, last]
        await comes_true(lambda: len(heard) == 3)
        assert [change.data for change in heard] == [change.data for change in found]
        await listening.close()
        lines, _ = Journal("s").batch(*texts)
        replaced = await backend.journals.replace("s", lines, last)
        assert await backend.journals.head("s") == replaced
        for reader in (backend, other):
            found = await changes_of(reader, "s")
            assert b"".join(change.data for change in found) == b"".join(lines)


@on_a_loop
async def test_who_listens_hears_each_change_as_it_comes(shared):
    """In order, each naming the one before, to whoever asked for that session or for all; then no more."""
    async with shared as backend:
        other = await shared.another()
        of_one: list[Change] = []
        of_all: list[Change] = []
        before, journal = await fill(backend, "s", 1)
        one = await other.journals.listen("s", of_one.append)
        everyone = await other.journals.listen(None, of_all.append)
        place, expected = before[-1].place, []
        for number in range(20):
            lines, journal = journal.batch(*["hi"] * (1 + number % 3))
            place = await backend.journals.append("s", lines, place)
            expected.append(b"".join(lines))
            if number % 5 == 0:
                await fill(backend, f"t{number}", 1)
            await comes_true(lambda: len(of_one) == len(expected))

        assert [change.data for change in of_one] == expected
        assert [change.after for change in of_one[1:]] == [change.place for change in of_one[:-1]]
        await comes_true(lambda: len(of_all) == 24)
        assert [change for change in of_all if change.session_id == "s"] == of_one
        await one.close()
        lines, journal = journal.batch()
        place = await backend.journals.append("s", lines, place)
        await comes_true(lambda: len(of_all) == 25)
        note = journal.tombstone()
        await backend.journals.delete("s", note, place)
        await comes_true(lambda: len(of_all) == 26)
        assert (of_all[-1].kind, of_all[-1].data) == ("delete", note)
        assert len(of_one) == 20
        await everyone.close()


@on_a_loop
async def test_sessions_are_written_side_by_side(shared):
    async with shared as one:
        writers = [one, await shared.another()]

        async def write(number: int) -> list[Change]:
            return (await fill(writers[number % 2], f"s{number}", *[1] * 12))[0]

        expected = await asyncio.gather(*(write(number) for number in range(16)))
        for number, changes in enumerate(expected):
            found = await changes_of(writers[number % 2], f"s{number}")
            assert found == changes


@on_a_loop
async def test_a_cancelled_append_was_written_or_was_not(shared):
    """It ends at once, and the next one goes on from what is there."""
    async with shared as backend:
        journal, place, wrote = Journal("s"), 0, []
        tried: dict[bytes, Journal] = {}  # what may still land behind the place, and the journal then

        async def take_in() -> None:
            nonlocal journal, place
            if found := await changes_of(backend, "s", place):
                (change,) = found  # all that were tried go behind the same place
                journal, place = tried[change.data], change.place
                wrote.append(place)
                tried.clear()

        for number in range(20):
            lines, after = journal.batch()
            tried[b"".join(lines)] = after
            task = asyncio.create_task(backend.journals.append("s", lines, place))
            for _ in range(number % 6):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Moved):
                await task
            await asyncio.sleep(0.02)  # it may be on its way
            await take_in()

        is_written = False
        while not is_written:  # unless what was cancelled comes first, even now
            lines, after = journal.batch()
            tried[b"".join(lines)] = after
            with contextlib.suppress(Moved):
                await backend.journals.append("s", lines, place)
                is_written = True
            await take_in()
        assert [each.place for each in await changes_of(backend, "s")] == wrote


@pytest.mark.parametrize("seed", range(5))
@on_a_loop
async def test_it_is_as_a_list_of_changes(ordered, seed):
    """Whatever is done in whatever order, by whom: what is read is what a plain list would give."""
    random = Random(seed)
    async with ordered as one:
        backends = [one, await ordered.another()]
        model: list[Change] = []
        heads: dict[str, int] = {}
        places = [0]
        for _ in range(60):
            journals = random.choice(backends).journals
            session_id = random.choice("abc")
            head = heads.get(session_id, 0)
            data = b"".join(b"%d\n" % random.randrange(100) for _ in range(random.randrange(1, 5)))
            after = head if random.random() < 0.8 else random.choice(places)
            kind = random.choice(("append", "append", "append", "replace", "delete"))
            if kind == "append":
                work = journals.append(session_id, data.splitlines(True), after)
            elif kind == "replace":
                work = journals.replace(session_id, data.splitlines(True), after)
            else:
                work = journals.delete(session_id, data, after)
            if after != head:
                with pytest.raises(Moved):
                    await work
            else:
                heads[session_id] = place = await work
                places.append(place)
                first = next((change for change in model if change.session_id == session_id), None)
                tombstones = b""
                if kind == "replace" and first is not None:
                    tombstones = first.data if first.kind == "delete" else first.tombstones
                if kind != "append":
                    model = [change for change in model if change.session_id != session_id]
                model.append(Change(session_id, place, after, kind, data, tombstones))

            reader = random.choice(backends)
            after = random.choice(places)
            assert await reader.journals.head(session_id) == heads.get(session_id, 0)
            assert await changes_of(reader, None, after) == [each for each in model if each.place > after]
            assert await changes_of(reader, session_id, after) == [
                each for each in model if each.place > after and each.session_id == session_id
            ]


# Files


@on_a_loop
async def test_a_file_is_what_was_put_there(shared):
    async with shared as backend:
        files, others = backend.files, (await shared.another()).files
        assert await files.get("documents/notes/a.md") is None
        first = await files.put("documents/notes/a.md", b"# A\n")
        assert await others.get("documents/notes/a.md") == File(b"# A\n", first)
        second = await files.put("documents/notes/a.md", data := bytes(range(256)) * 3)
        assert await others.get("documents/notes/a.md") == File(data, second)
        assert len({0, first, second}) == 3
        await files.put("documents/notes/a.md", b"")
        assert (await others.get("documents/notes/a.md")).data == b""


@on_a_loop
async def test_a_file_is_put_where_the_revision_is_the_one_that_is_there(shared):
    async with shared as backend:
        files = backend.files
        with pytest.raises(Moved):
            await files.put("documents/notes/a.md", b"0", 77)
        first = await files.put("documents/notes/a.md", b"1", 0)
        with pytest.raises(Moved):
            await files.put("documents/notes/a.md", b"2", 0)
        second = await files.put("documents/notes/a.md", b"2", first)
        with pytest.raises(Moved):
            await files.put("documents/notes/a.md", b"3", first)
        assert await files.get("documents/notes/a.md") == File(b"2", second)
        assert await files.remove("documents/notes/a.md")
        with pytest.raises(Moved):
            await files.put("documents/notes/a.md", b"3", second)
        third = await files.put("documents/notes/a.md", b"3", 0)
        assert await files.get("documents/notes/a.md") == File(b"3", third)


@on_a_loop
async def test_of_many_who_put_a_file_at_once_one_does(shared):
    async with shared as one:
        writers = [one.files, (await shared.another()).files]
        revision = 0
        for _ in range(5):
            tries = [
                writers[n % 2].put("documents/notes/a.md", b"%d %d" % (revision, n), revision)
                for n in range(6)
            ]
            results = await asyncio.gather(*tries, return_exceptions=True)
            (winner,) = [number for number, result in enumerate(results) if isinstance(result, int)]

            assert sum(isinstance(result, Moved) for result in results) == 5
            assert await one.files.get("documents/notes/a.md") == File(
                b"%d %d" % (revision, winner), results[winner]
            )
            revision = results[winner]


@on_a_loop
async def test_a_removed_file_is_gone(shared):
    async with shared as backend:
        files, others = backend.files, (await shared.another()).files
        assert not await files.remove("documents/notes/a.md")
        await files.put("documents/notes/a.md", b"1")
        await files.put("documents/notes/a.md", b"2")
        assert await others.remove("documents/notes/a.md")
        assert await files.get("documents/notes/a.md") is None
        assert await files.names("") == []
        assert not await others.remove("documents/notes/a.md")


@on_a_loop
async def test_a_file_is_removed_where_the_revision_is_the_one_that_is_there(shared):
    async with shared as backend:
        files, others = backend.files, (await shared.another()).files
        assert not await files.remove("documents/notes/a.md", 77)
        first = await files.put("documents/notes/a.md", b"1")
        second = await others.put("documents/notes/a.md", b"2")
        with pytest.raises(Moved):
            await files.remove("documents/notes/a.md", first)
        assert await files.get("documents/notes/a.md") == File(b"2", second)
        assert await files.remove("documents/notes/a.md", second)
        assert await others.get("documents/notes/a.md") is None


@on_a_loop
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_file_that_is_touched_is_the_same_of_another_revision(ordered, size):
    """Who removes the one before it is too late."""
    async with ordered as backend:
        files, others = backend.files, (await ordered.another()).files
        data = os.urandom(size)
        assert await files.touch("documents/notes/a.md") is None
        first = await files.put("documents/notes/a.md", data)
        second = await others.touch("documents/notes/a.md")
        third = await files.touch("documents/notes/a.md")

        assert first < second < third
        assert await others.get("documents/notes/a.md") == File(data, third)
        with pytest.raises(Moved):
            await files.remove("documents/notes/a.md", second)
        assert await files.remove("documents/notes/a.md", third)
        assert await others.touch("documents/notes/a.md") is None


@on_a_loop
async def test_the_names_of_a_folder_are_at_any_depth_and_sorted(shared):
    below = ["a/x.md", "a/b/c.json", "a/b/d/e.md", "a-b/x.md", "A/x.md", "ab/Ä.md", "b/1.md", "b/x.y.z.json"]
    names = sorted(f"documents/{name}" for name in below)
    async with shared as backend:
        for name in names:
            await backend.files.put(name, name.encode())
        files = (await shared.another()).files

        assert await files.names("") == names
        for folder in ("", "/a", "/a/b", "/ab", "/b", "/none"):
            found = await files.names(f"documents{folder}")
            assert found == [name for name in names if name.startswith(f"documents{folder}/")]
        for name in names:
            assert (await files.get(name)).data == name.encode()


@on_a_loop
async def test_any_text_is_a_name(ordered):
    """Parts that no folder has, too, and none is taken for another."""
    parts = [
        "*",
        ">",
        "a.b",
        ".a",
        "a.",
        "..",
        "=",
        "=2E",
        "ä",
        "🙂",
        " ",
        "a b",
        "$KV",
        "%",
        "\\",
        "x" * 200,
        "A",
        "a",
    ]
    names = sorted([*parts, *(f"{one}/{two}" for one in parts[:6] for two in parts[:8])])
    async with ordered as backend:
        for name in names:
            await backend.files.put(name, name.encode(), 0)

        assert await backend.files.names("") == names
        for folder in parts[:6]:
            assert await backend.files.names(folder) == [
                each for each in names if each.startswith(f"{folder}/")
            ]
        for name in names:
            assert (await backend.files.get(name)).data == name.encode()


@on_a_loop
async def test_a_file_may_be_large(shared):
    async with shared as backend:
        files, others = backend.files, (await shared.another()).files
        large, larger = Random(1).randbytes(1_200_000), Random(2).randbytes(5_000_000)
        revision = 0
        for data in (large, larger, b"small", larger, large):
            revision = await files.put("documents/notes/a.json", data, revision)
            assert await others.get("documents/notes/a.json") == File(data, revision)
        with pytest.raises(Moved):
            await others.put("documents/notes/a.json", larger, 0)
        assert (await files.get("documents/notes/a.json")).data == large
        assert await files.names("documents/notes") == ["documents/notes/a.json"]
        assert await files.remove("documents/notes/a.json")
        assert await others.get("documents/notes/a.json") is None
