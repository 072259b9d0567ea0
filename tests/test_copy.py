"""Copying a store: all of it arrives, nothing that is there is lost, and the source stays as it is."""

import asyncio
import contextlib
import errno
import json
import os
import random
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import DurabilityError, InvalidEventError, JournalError, JournalWarning, StateStore
from journal.backend import Backend, Change, Moved, Unclear, Unreachable
from journal.copied import Copied
from journal.copying import copy
from journal.export import export_json
from journal.folder import FolderBackend
from journal.memory import MemoryBackend, MemoryFiles
from journal.rechain import without_content
from journal.references import references_in
from projections import CustomEvent, MetadataSet


def copied(source: Backend | Path, target: Backend | Path, **options: Any) -> Copied:
    """Copy, in a loop of its own, within a time."""

    def backend(each: Backend | Path) -> Backend:
        return FolderBackend(str(each)) if isinstance(each, Path) else each

    async def main() -> Copied:
        async with asyncio.timeout(60):
            return await copy(backend(source), backend(target), **options)

    return asyncio.run(main())


def files_of(folder: Path) -> dict[str, bytes]:
    """All that is to be copied: each file, but for what is derived."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    derived = ("sessions/", ".journal/catalog", ".journal/search", ".journal/marks", ".journal/changed")
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if not (name.startswith(derived) and not name.endswith(".jsonl")) and not name.endswith("lock")
    }


def looks_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and its time: what shows any change."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def talk(store: StateStore, session_id: str, *said: str) -> None:
    session = store.get_or_create_session("ann", session_id)
    for text in said:
        session.add_user_message(text)
        store.save_session(session)


def counts(found: Copied) -> dict[str, int]:
    """What is not nothing."""
    numbers = {name: value for name, value in vars(found).items() if isinstance(value, int) and value}
    return numbers | {
        name: len(getattr(found, name)) for name in ("conflicts", "problems") if getattr(found, name)
    }


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The folder to copy to."""
    return tmp_path / "there"


@pytest.fixture
def full(store: StateStore, folder: Path) -> StateStore:
    """A store with all that a store can have."""
    for number in range(12):
        talk(store, f"s{number}", *(f"say {each}" for each in range(number)))
    talk(store, "Ä b@c", "hello")
    store.append("s3", [MetadataSet(key=str(each), value=each) for each in range(1200)], expected_version=4)
    store.append("s4", [CustomEvent(name="large", data={"text": "x" * 3_000_000})], expected_version=5)
    reference = store.attach(b"picture", "image/png")
    store.append("s5", [CustomEvent(name="image", data={"image": reference})], expected_version=6)
    store.attach(b"on its way")
    store.fork("s5", new_id="fork")
    store.erase("s6", [2], reason="asked for")
    for _ in range(2):
        talk(store, "gone", "hello")
        store.delete_session("gone", why="asked for")
    talk(store, "again", "hello")
    store.delete_session("again")
    talk(store, "again", "anew")
    store.save_markdown("notes/deep", "a b", "# A")
    store.save_json("config", "c", {"x": 1})
    store.compact()
    (folder / ".journal" / "quarantine").mkdir()
    (folder / ".journal" / "quarantine" / "s1.100.0123abcd").write_bytes(b"\0torn")
    return store


# All of it


def test_a_copy_has_all_that_the_source_has(full: StateStore, folder: Path, there: Path) -> None:
    """Byte for byte; the source is as it was."""
    records = sum(each.version for each in full.list_sessions())
    before = looks_of(folder)
    found = copied(folder, there)

    assert counts(found) == {
        "created": 15,
        "records": records,
        "tombstones": 2,
        "documents": 2,
        "attachments": 2,
    }
    assert found.ok
    assert files_of(there) == files_of(folder)
    assert looks_of(folder) == before
    with StateStore(there) as store:
        assert store.verify().ok
        assert store.list_sessions() == full.list_sessions()
        assert store.tombstones() == full.tombstones()
        assert store.load_markdown("notes/deep", "a b") == "# A"


def test_a_copy_of_a_copy_is_one_whatever_lies_between(full: StateStore, folder: Path, there: Path) -> None:
    memory = MemoryBackend()
    copied(folder, memory)
    found = copied(memory, there)

    assert found.ok
    assert files_of(there) == files_of(folder)
    assert copied(there, folder).created == 0


@pytest.mark.parametrize("backend", ["folder", "memory"])
def test_again_nothing_is_written(full: StateStore, folder: Path, there: Path, backend: str) -> None:
    """All of it is there."""
    target = MemoryBackend() if backend == "memory" else FolderBackend(str(there))
    copied(folder, target)
    before = looks_of(there) if backend == "folder" else dict(target.journals._changes)
    found = copied(folder, target)

    assert counts(found) == {"same": 15}
    assert (looks_of(there) if backend == "folder" else target.journals._changes) == before


def test_what_grew_is_continued(full: StateStore, folder: Path, there: Path) -> None:
    """Only what is new is written, to the same file; new sessions come whole."""
    copied(folder, there)
    inode = (there / "sessions" / "s2.jsonl").stat().st_ino
    talk(full, "s2", "more", "and more")
    talk(full, "new", "hello")
    full.save_json("config", "d", 2)
    found = copied(folder, there)

    assert counts(found) == {"created": 1, "continued": 1, "same": 14, "records": 4, "documents": 1}
    assert files_of(there) == files_of(folder)
    assert (there / "sessions" / "s2.jsonl").stat().st_ino == inode


def test_what_went_on_there_is_left_alone_and_comes_back(full: StateStore, folder: Path, there: Path) -> None:
    """There and back again."""
    copied(folder, there)
    with StateStore(there) as store:
        talk(store, "s2", "more")
    found = copied(folder, there)

    assert counts(found) == {"same": 14, "ahead": 1}
    assert counts(copied(there, folder)) == {"same": 14, "continued": 1, "records": 1}
    assert files_of(there) == files_of(folder)


def test_an_empty_store_is_copied(tmp_path: Path, there: Path) -> None:
    assert counts(copied(tmp_path, there)) == {}
    assert not there.exists()


# In any order, in any pieces


class Shuffled(MemoryBackend):
    """A store whose sessions' changes come mixed, as those of a stream do."""

    async def _mixed(self) -> AsyncIterator[Change]:
        waiting: dict[str, list[Change]] = {}
        for change in list(self.journals._changes.values()):
            waiting.setdefault(change.session_id, []).append(change)
        draw = random.Random(7)
        while waiting:
            session_id = draw.choice(sorted(waiting))
            yield waiting[session_id].pop(0)
            if not waiting[session_id]:
                del waiting[session_id]


@pytest.mark.parametrize("window", [1, 5_000, 10**9])
def test_sessions_may_come_mixed_and_in_pieces(
    full: StateStore, folder: Path, there: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is read before it is written; and again, when half of it is there."""
    monkeypatch.setattr("journal.copying._WINDOW_BYTES", window)
    monkeypatch.setattr("journal.copying_session._MOST_BYTES", window)
    memory = Shuffled()
    copied(folder, memory)
    plain = memory.journals.read
    monkeypatch.setattr(
        memory.journals, "read", lambda each, after: plain(each, after) if each else memory._mixed()
    )
    copied(memory, there)
    assert files_of(there) == files_of(folder)

    for path in sorted((there / "sessions").glob("*.jsonl"))[::2]:
        path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:1]))
    found = copied(memory, there)

    assert found.ok
    assert files_of(there) == files_of(folder)


class Cut(MemoryBackend):
    """A store that is gone after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes
        add = self.journals._add

        def add_some(*arguments: Any) -> int:
            if self.left == 0:
                raise Unreachable("the cable was cut")
            self.left -= 1
            return add(*arguments)

        self.journals._add = add_some  # type: ignore[method-assign]


@pytest.mark.parametrize("writes", [0, 1, 7, 16])
def test_an_interrupted_copy_goes_on(full: StateStore, folder: Path, there: Path, writes: int) -> None:
    """What is there stays, and is not written again."""
    target = Cut(writes)
    with pytest.raises(JournalError, match=r"the cable was cut.*Copy again"):
        copied(folder, target)
    target.left = -1
    found = copied(folder, target)
    copied(target, there)

    assert found.ok
    assert files_of(there) == files_of(folder)


class Shaky(MemoryBackend):
    """A store of which every other answer does not come; of those, every other was written."""

    def __init__(self) -> None:
        super().__init__()
        add, self.calls = self.journals._add, 0

        def add_some(*arguments: Any) -> int:
            self.calls += 1
            if self.calls % 4 == 1:
                raise Unclear
            place = add(*arguments)
            if self.calls % 4 == 3:
                raise Unclear
            return place

        self.journals._add = add_some  # type: ignore[method-assign]
        self.files = ShakyFiles()


class ShakyFiles(MemoryFiles):
    """As Shaky, of files."""

    calls = 0

    async def put(self, name: str, data: bytes, revision: int | None = None) -> int:
        self.calls += 1
        if self.calls % 4 == 1:
            raise Unclear
        found = await super().put(name, data, revision)
        if self.calls % 4 == 3:
            raise Unclear
        return found


def test_unclear_answers_double_nothing(full: StateStore, folder: Path, there: Path) -> None:
    """It is looked whether it was written; so are rewrites and deletions."""
    target = Shaky()
    found = copied(folder, target)
    full.erase("s7", [3], reason="asked for")
    full.erase("s8", [3], reason="asked for")
    again = copied(folder, target)
    copied(target, there)

    assert (found.created, found.records) == (15, sum(e.version for e in full.list_sessions()) - 2)
    assert (counts(again)["rewritten"], again.ok) == (2, True)
    assert files_of(there) == {**files_of(folder)}


def test_an_answer_that_never_comes_ends_the_copy(store: StateStore, folder: Path) -> None:
    talk(store, "s", "hello")
    target = MemoryBackend()

    def never(*_: Any) -> int:
        raise Unclear

    target.journals._add = never  # type: ignore[method-assign]
    with pytest.raises(JournalError, match=r"does not answer.*Copy again"):
        copied(folder, target)


class Busy(MemoryBackend):
    """A store to which somebody else copies the same, and is always first."""

    def __init__(self) -> None:
        super().__init__()
        add = self.journals._add

        def add_theirs(session_id: str, kind: str, data: bytes, after: int) -> int:
            first, *_ = data.splitlines(True)
            if kind == "append" and b'"more"' not in first:
                add(session_id, kind, first, after)
                raise Moved
            return add(session_id, kind, data, after)

        self.journals._add = add_theirs  # type: ignore[method-assign]


def test_two_copies_at_once_write_one_store(store: StateStore, folder: Path, there: Path) -> None:
    """Whoever comes second goes on behind the first."""
    talk(store, "s", "one", "two")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=3)
    target = Busy()
    found = copied(folder, target)
    copied(target, there)

    assert found.ok
    assert files_of(there) == files_of(folder)


def test_the_source_may_be_written_meanwhile(store: StateStore, folder: Path, there: Path) -> None:
    """What is copied is whole; the rest is the next copy's."""
    for number in range(40):
        talk(store, f"s{number:02}", "one")

    def write(name: str, done: int, total: int) -> None:
        talk(store, f"s{random.Random(done).randrange(40):02}", "more")
        if done % 5 == 0:
            talk(store, f"t{done}{total}", "new")

    found = copied(folder, there, progress=write)
    with StateStore(there) as reading:
        assert found.ok
        assert reading.verify().ok
    assert copied(folder, there).ok
    assert files_of(there) == files_of(folder)


# What is there


def test_another_history_is_left_alone(full: StateStore, folder: Path, there: Path) -> None:
    """It is told by name and record; all else is copied."""
    with StateStore(there) as store:
        talk(store, "s2", "something else")
        store.save_json("config", "c", {"x": 2})
    theirs = (there / "sessions" / "s2.jsonl").read_bytes()
    found = copied(folder, there)

    assert counts(found)["created"] == 14
    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s2", "it is there with another history, from record 1 on"),
        ("documents/config/c.json", "it is there, and says something else"),
    ]
    assert not found.ok
    assert (there / "sessions" / "s2.jsonl").read_bytes() == theirs
    assert json.loads((there / "config" / "c.json").read_bytes()) == {"x": 2}


def test_histories_that_part_are_left_alone(full: StateStore, folder: Path, there: Path) -> None:
    copied(folder, there)
    with StateStore(there) as store:
        talk(store, "s2", "theirs")
    talk(full, "s2", "ours", "and more")
    theirs = (there / "sessions" / "s2.jsonl").read_bytes()
    found = copied(folder, there)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s2", "it is there with another history, from record 4 on")
    ]
    assert (there / "sessions" / "s2.jsonl").read_bytes() == theirs


@pytest.mark.parametrize("backend", ["folder", "memory"])
def test_what_was_erased_since_goes_there_too(
    full: StateStore, folder: Path, there: Path, backend: str
) -> None:
    """Its content is nowhere, and what else was said since is there."""
    talk(full, "s9", "the secret", "harmless")
    memory = MemoryBackend()
    target = memory if backend == "memory" else FolderBackend(str(there))
    copied(folder, target)
    with StateStore(there) as store:
        store.compact()
        store.search("secret")
    full.erase("s9", [11], reason="asked for")
    talk(full, "s9", "afterwards")
    found = copied(folder, target)

    assert counts(found)["rewritten"] == 1
    assert found.ok
    if backend == "memory":
        assert b"the secret" not in b"".join(each.data for each in memory.journals._changes.values())
        copied(memory, there)
    assert files_of(there) == files_of(folder)
    assert [str(path) for path in there.rglob("*") if path.is_file() and b"ecret" in path.read_bytes()] == []


def test_bytes_in_quarantine_go_with_an_erasure(full: StateStore, folder: Path, there: Path) -> None:
    """Those of the session; nobody can say what of the content stands in them."""
    kept = ".journal/quarantine/s1.100.0123abcd"
    copied(folder, there)
    assert (there / kept).exists()
    full.erase("s1", [2], reason="asked for")
    assert not (folder / kept).exists()
    copied(folder, there)

    assert not (there / kept).exists()


def test_snapshots_that_stores_share_go_with_an_erasure(full: StateStore, folder: Path, there: Path) -> None:
    """One that was made before holds what is erased; others stay."""
    memory = MemoryBackend()
    copied(folder, memory)
    for session_id in ("s7", "s8"):
        asyncio.run(memory.files.put(f"snapshots/{session_id}", b"say 1"))
    full.erase("s7", [3], reason="asked for")
    copied(folder, memory)

    assert asyncio.run(memory.files.names("snapshots")) == ["snapshots/s8"]
    copied(memory, there)
    assert not (there / "snapshots").exists()


def test_what_was_erased_there_stays_erased(full: StateStore, folder: Path, there: Path) -> None:
    copied(folder, there)
    with StateStore(there) as store:
        store.erase("s2", [2], reason="asked for")
    talk(full, "s2", "more")
    theirs = (there / "sessions" / "s2.jsonl").read_bytes()
    found = copied(folder, there)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s2", "the content of a record was erased there, and not in the source: record 2")
    ]
    assert (there / "sessions" / "s2.jsonl").read_bytes() == theirs


def test_an_erasure_does_not_undo_what_was_written_there(full: StateStore, folder: Path, there: Path) -> None:
    copied(folder, there)
    with StateStore(there) as store:
        talk(store, "s2", "theirs")
        theirs = (there / "sessions" / "s2.jsonl").read_bytes()
        full.erase("s2", [2], reason="asked for")
        found = copied(folder, there)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s2", "it is there with another history, from record 4 on")
    ]
    assert (there / "sessions" / "s2.jsonl").read_bytes() == theirs


def test_an_erasure_that_nothing_tells_of_undoes_nothing_either(store: StateStore, folder: Path) -> None:
    """A record without content, and there the same one with it, and more behind."""
    talk(store, "s", "one")
    source, target = MemoryBackend("source"), MemoryBackend("target")
    copied(folder, source)
    talk(store, "s", "two")
    copied(folder, target)
    first, second = source.journals._of["s"][0].data.splitlines()
    erased = without_content(second, "user_message_added")
    change = Change("s", 1, 0, "append", b"%b\n%b\n" % (first, erased))
    source.journals._of["s"], source.journals._changes = [change], {1: change}
    found = copied(source, target)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s", "content was erased in the source, and there it went on; erase it there, too")
    ]
    assert b'"two"' in b"".join(each.data for each in target.journals._of["s"])


class Told(MemoryBackend):
    """A store of which all is told at once as it was at some times: what a reader sees who is slow."""

    def __init__(self, *times: dict[int, Change]) -> None:
        super().__init__()
        self.times = times
        plain = self.journals.read
        self.journals.read = lambda each, after: plain(each, after) if each else self._told()  # type: ignore

    async def _told(self) -> AsyncIterator[Change]:
        for time in self.times:
            for change in time.values():
                yield change


@pytest.mark.parametrize("window", [1, 10**9])
@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_erased_while_it_is_copied_is_erased_there(
    full: StateStore,
    folder: Path,
    there: Path,
    window: int,
    is_there: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The source's journal is replaced between two looks: what was written is compared again."""
    monkeypatch.setattr("journal.copying._WINDOW_BYTES", window)
    source = MemoryBackend()
    copied(folder, source)
    if is_there:
        copied(folder, there)
    before = dict(source.journals._changes)
    full.erase("s9", [3], reason="asked for")
    copied(folder, source)
    replaced = {place: each for place, each in source.journals._changes.items() if each.session_id == "s9"}
    slow = Told(before, replaced)
    slow.journals._of, slow.files = source.journals._of, source.files
    found = copied(slow, there)

    assert found.ok
    assert files_of(there) == files_of(folder)


def test_what_is_deleted_while_it_is_rewritten_is_left_for_the_next_copy(
    full: StateStore, folder: Path, there: Path
) -> None:
    copied(folder, there)
    full.erase("s9", [3], reason="asked for")
    source = MemoryBackend()
    copied(folder, source)
    theirs = (there / "sessions" / "s9.jsonl").read_bytes()
    slow = Told(dict(source.journals._changes))
    slow.files = source.files
    found = copied(slow, there)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s9", "it changed in the source meanwhile; copy again")
    ]
    assert (there / "sessions" / "s9.jsonl").read_bytes() == theirs


class Later(MemoryBackend):
    """A store in which something happens when one session is read anew."""

    def __init__(self, name: str, deed: Any) -> None:
        super().__init__(name)
        plain = self.journals.read

        def read(session_id: str | None, after: int) -> AsyncIterator[Change]:
            if session_id is not None:
                deed()
            return plain(session_id, after)

        self.journals.read = read  # type: ignore[method-assign]


def test_a_session_that_begins_anew_takes_no_other_ones_place(
    store: StateStore, folder: Path, there: Path
) -> None:
    """It was deleted in the source after it was compared: what is there stays, with all that is beside it."""
    talk(store, "s", "one", "two")
    copied(folder, there)
    (there / ".journal" / "quarantine").mkdir()
    kept = there / ".journal" / "quarantine" / "s.100.0123abcd"
    kept.write_bytes(b"torn")
    theirs = (there / "sessions" / "s.jsonl").read_bytes()
    store.erase("s", [2], reason="asked for")
    before = MemoryBackend()
    copied(folder, before)

    def begin_anew() -> None:
        store.delete_session("s")
        talk(store, "s", "another", "one", "at", "length")
        lines = (folder / "sessions" / "s.jsonl").read_bytes()
        asyncio.run(source.journals.replace("s", [lines], source.journals._head("s")))

    source = Later("source", lambda: threading_run(begin_anew))
    source.journals._changes, source.journals._of = before.journals._changes, before.journals._of
    source.journals._last = before.journals._last
    found = copied(source, there)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s", "it changed in the source meanwhile; copy again")
    ]
    assert (there / "sessions" / "s.jsonl").read_bytes() == theirs
    assert kept.exists()


def threading_run(work: Any) -> None:
    """Do it in a thread: it may have a loop of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_what_comes_while_it_is_rewritten_brings_its_attachments_first(
    store: StateStore, folder: Path, there: Path
) -> None:
    talk(store, "s", "one")
    copied(folder, there)
    store.erase("s", [2], reason="asked for")
    source, target = FolderBackend(str(folder)), FolderBackend(str(there))
    read, replace = source.journals.read, target.journals.replace
    seen: list[bool] = []

    def read_late(session_id: str | None, after: int) -> AsyncIterator[Change]:
        if session_id is not None:
            attach(store, "s", b"late")
        return read(session_id, after)

    async def replace_seen(*arguments: Any) -> int:
        seen.append(b"late" in attachments_of(there).values())
        return await replace(*arguments)

    source.journals.read = read_late  # type: ignore[method-assign]
    target.journals.replace = replace_seen  # type: ignore[method-assign]

    assert copied(source, target).rewritten == 1
    assert seen == [True]


def test_what_somebody_writes_there_is_not_replaced(full: StateStore, folder: Path) -> None:
    """Between the look at it and the replacement."""
    target = MemoryBackend()
    copied(folder, target)
    full.erase("s9", [3], reason="asked for")
    replace = target.journals.replace

    async def second(session_id: str, lines: list[bytes], after: int) -> int:
        await target.journals.append(session_id, [b"theirs\n"], after)
        return await replace(session_id, lines, after)

    target.journals.replace = second  # type: ignore[method-assign]
    found = copied(folder, target)

    assert [(each.name, each.reason) for each in found.conflicts] == [
        ("s9", "it changed there meanwhile; copy again")
    ]
    assert target.journals._of["s9"][-1].data == b"theirs\n"


def test_a_replacement_without_an_answer_is_looked_for(full: StateStore, folder: Path, there: Path) -> None:
    """It was made, and made once."""
    target = MemoryBackend()
    copied(folder, target)
    full.erase("s9", [3], reason="asked for")
    replace, calls = target.journals.replace, []

    async def silent(*arguments: Any) -> int:
        calls.append(arguments)
        place = await replace(*arguments)
        raise Unclear(str(place))

    target.journals.replace = silent  # type: ignore[method-assign]
    found = copied(folder, target)
    copied(target, there)

    assert (found.rewritten, found.ok, len(calls)) == (1, True, 2)
    assert files_of(there) == files_of(folder)


def test_deletions_of_both_sides_stay(store: StateStore, folder: Path, there: Path) -> None:
    """Those that the source has are added to those that are there."""
    with StateStore(there, durability="os") as other:
        for each, why in ((other, "theirs"), (store, "ours")):
            talk(each, "s", "hello")
            each.delete_session("s", why=why)
        memory = MemoryBackend()
        copied(there, memory)
        found = [copied(folder, target) for target in (there, memory, there)]

        assert [each.why for each in other.tombstones()] == ["theirs", "ours"]
    assert [each.tombstones for each in found] == [1, 1, 0]
    assert [data.count(b'"why"') for data in (memory.journals._of["s"][-1].data,)] == [2]


def test_an_attachment_is_there_before_what_refers_to_it(full: StateStore, folder: Path) -> None:
    """Whoever reads there meanwhile finds it."""
    target = MemoryBackend()
    add, missing = target.journals._add, []

    def add_later(session_id: str, kind: str, data: bytes, after: int) -> int:
        there = {name.rpartition("/")[2] for name in target.files._files}
        missing.extend(digest for digest in references_in(data) if digest not in there)
        return add(session_id, kind, data, after)

    target.journals._add = add_later  # type: ignore[method-assign]
    copied(folder, target)

    assert missing == []


def test_what_was_deleted_since_is_told(full: StateStore, folder: Path, there: Path) -> None:
    """A copy deletes nothing; nor does what was begun anew take the place of what was."""
    copied(folder, there)
    full.delete_session("s2")
    full.delete_session("s3")
    talk(full, "s3", "anew")
    found = copied(folder, there)

    assert sorted(found.conflicts) == [
        ("s2", "it was deleted in the source, and is still there; delete it there, too"),
        ("s3", "it is there with another history, from record 1 on; it was deleted in the source since"),
    ]
    with StateStore(there) as store:
        assert store.load_session("s2") is not None
        for session_id in ("s2", "s3"):
            store.delete_session(session_id)
    assert copied(folder, there).ok
    with StateStore(there) as store:
        assert store.load_session("s2") is None
        assert store.load_session("s3").user_messages[0].content == "anew"


def test_what_was_deleted_there_does_not_come_back(full: StateStore, folder: Path, there: Path) -> None:
    """It is told; a new one under the same id comes when the source deleted the old one, too."""
    copied(folder, there)
    with StateStore(there) as store:
        store.delete_session("s2", why="asked for")
        store.delete_session("s5")
        talk(store, "s3", "went on")
        store.delete_session("s3")
    talk(full, "s2", "more")
    found = copied(folder, there)

    assert [each.name for each in sorted(found.conflicts)] == ["s2", "s3", "s5"]
    assert {each.reason.partition(";")[0] for each in found.conflicts} == {
        "it was deleted there, and not in the source"
    }
    assert found.attachments == 0
    with StateStore(there) as store:
        assert store.load_session("s2") is None
    full.delete_session("s2")
    talk(full, "s2", "anew")
    copied(folder, there)
    with StateStore(there) as store:
        assert [each.content for each in store.load_session("s2").user_messages] == ["anew"]


def test_what_is_deleted_there_meanwhile_is_not_continued(store: StateStore, folder: Path) -> None:
    """Behind a deletion the rest of a session would be damage."""
    talk(store, "s", "one")
    target = MemoryBackend()
    copied(folder, target)
    talk(store, "s", "two")
    add = target.journals._add

    def add_late(session_id: str, kind: str, data: bytes, after: int) -> int:
        target.journals._add = add  # type: ignore[method-assign]
        grave = b'{"id":"s","version":2,"chain":"x","at":"2026-11-22T12:00:00Z"}\n'
        add("s", "delete", grave, after)
        raise Moved

    target.journals._add = add_late  # type: ignore[method-assign]
    found = copied(folder, target)

    assert [each.reason.partition(",")[0] for each in found.conflicts] == ["it was deleted there"]
    assert [each.kind for each in target.journals._of["s"]] == ["delete"]


# Attachments


def attach(store: StateStore, session_id: str, data: bytes) -> str:
    """A record with an attachment; its hash."""
    session = store.load_session(session_id)
    reference = store.attach(data)
    event = CustomEvent(name="image", data={"image": reference})
    store.append(session_id, [event], expected_version=session.version if session else 0)
    return str(reference["$attachment"])


def attachments_of(folder: Path) -> dict[str, bytes]:
    found = (folder / ".journal" / "attachments").glob("??/*")
    return {path.name: path.read_bytes() for path in found}


@pytest.mark.parametrize("backend", ["folder", "memory"])
def test_an_attachment_goes_with_the_record_that_was_erased(
    store: StateStore, folder: Path, there: Path, backend: str
) -> None:
    """Not if another record refers to it; one that two records shared goes when both are erased."""
    target = MemoryBackend() if backend == "memory" else FolderBackend(str(there))
    for session_id in "abc":
        talk(store, session_id, "hello")
    for session_id in "ab":
        attach(store, session_id, b"shared")
        attach(store, session_id, b"erased")
    attach(store, "c", b"shared")
    copied(folder, target)
    store.erase("a", [3, 4], reason="asked for")
    store.erase("b", [4], reason="asked for")
    found = copied(folder, target)
    names = asyncio.run(target.files.names("attachments"))

    assert (found.rewritten, found.ok) == (2, True)
    assert [asyncio.run(target.files.get(name)).data for name in names] == [b"shared"]
    for session_id in "bc":
        store.erase(session_id, [3], reason="asked for")
    assert copied(folder, target).ok
    assert asyncio.run(target.files.names("attachments")) == []


def test_an_erasure_that_is_interrupted_leaves_no_attachment(store: StateStore, folder: Path) -> None:
    """It goes before the journal is replaced: of one that is replaced nothing tells any more."""
    talk(store, "s", "hello")
    attach(store, "s", b"erased")
    target = MemoryBackend()
    copied(folder, target)
    store.erase("s", [3], reason="asked for")
    replace = target.journals.replace

    async def lost(*arguments: Any) -> int:
        await replace(*arguments)
        raise Unreachable("the cable was cut")

    target.journals.replace = lost  # type: ignore[method-assign]
    with pytest.raises(JournalError, match="the cable was cut"):
        copied(folder, target)

    assert asyncio.run(target.files.names("attachments")) == []


def test_what_somebody_attaches_there_meanwhile_stays(store: StateStore, folder: Path) -> None:
    """Behind the look at what refers to it."""
    talk(store, "s", "hello")
    digest = attach(store, "s", b"bytes")
    target = MemoryBackend()
    copied(folder, target)
    store.erase("s", [3], reason="asked for")
    names = target.files.names

    async def names_late(kind: str) -> list[str]:
        if kind == "quarantine":
            await target.files.put(f"attachments/{digest}", b"bytes")
        return await names(kind)

    target.files.names = names_late  # type: ignore[method-assign]
    copied(folder, target)

    assert asyncio.run(names("attachments")) == [f"attachments/{digest}"]


def test_however_much_was_erased_the_target_is_read_twice_for_it(store: StateStore, folder: Path) -> None:
    """Not once for each session: there may be very many."""
    ids = [f"s{number}" for number in range(20)]
    for session_id in ids:
        talk(store, session_id, "hello")
        attach(store, session_id, session_id.encode())
    target = MemoryBackend()
    copied(folder, target)
    for session_id in ids:
        store.erase(session_id, [3], reason="asked for")
    read, whole = target.journals.read, []

    def noted(session_id: str | None, after: int) -> AsyncIterator[Change]:
        whole.append(session_id is None)
        return read(session_id, after)

    target.journals.read = noted  # type: ignore[method-assign]
    found = copied(folder, target)

    assert (found.rewritten, found.ok) == (20, True)
    assert asyncio.run(target.files.names("attachments")) == []
    assert sum(whole) <= 2


def test_what_only_the_target_refers_to_stays(store: StateStore, folder: Path, there: Path) -> None:
    """A session that the source has not; bytes in quarantine; where it cannot be told, that is said."""
    for session_id in "ab":
        talk(store, session_id, "hello")
    digest, other = attach(store, "a", b"one"), attach(store, "b", b"two")
    copied(folder, there)
    with StateStore(there) as copy_of_it:
        talk(copy_of_it, "theirs", "hello")
        attach(copy_of_it, "theirs", b"one")
    kept = there / ".journal" / "quarantine"
    kept.mkdir()
    (kept / "x.1.0123abcd").write_text(f'{{"$attachment":"{other}"}}')
    for session_id in "ab":
        store.erase(session_id, [3], reason="asked for")

    assert copied(folder, there).ok
    assert set(attachments_of(there)) == {digest, other}


def test_what_cannot_be_read_there_may_refer_to_it(store: StateStore, folder: Path, there: Path) -> None:
    """The record goes, and that what was attached to it stays is told."""
    for session_id in "ab":
        talk(store, session_id, "hello")
    digest = attach(store, "a", b"one")
    copied(folder, there)
    damaged = there / "sessions" / "b.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b"hello", b"hallo"))
    store.erase("a", [3], reason="asked for")
    found = copied(folder, there)

    assert found.rewritten == 1
    assert set(attachments_of(there)) == {digest}
    assert f"attachments/{digest}" in [each.name for each in found.problems]


def test_an_attachment_that_was_erased_there_does_not_come_back(
    store: StateStore, folder: Path, there: Path
) -> None:
    """Nor do the bytes in quarantine; what other records refer to comes."""
    talk(store, "s", "hello")
    talk(store, "t", "hello")
    attach(store, "s", b"secret")
    copied(folder, there)
    with StateStore(there) as other:
        other.erase("s", [3], reason="asked for")
    shared = attach(store, "s", b"shared")
    attach(store, "t", b"shared")
    kept = folder / ".journal" / "quarantine"
    kept.mkdir()
    (kept / "s.100.0123abcd").write_bytes(b"secret")
    for _ in range(2):
        found = copied(folder, there)

        assert [each.name for each in found.conflicts] == ["s"]
        assert attachments_of(there) == {shared: b"shared"}
        assert not (there / ".journal" / "quarantine").exists()


def test_what_another_session_refers_to_comes_whatever_is_left_alone(
    store: StateStore, folder: Path, there: Path
) -> None:
    """Also where the reference stands in a text that holds JSON, as it counts everywhere."""
    talk(store, "s", "hello")
    talk(store, "t", "hello")
    digest = attach(store, "s", b"shared")
    event = CustomEvent(name="said", data={"text": json.dumps({"$attachment": digest})})
    store.append("t", [event], expected_version=2)
    copied(folder, there)
    with StateStore(there) as other:
        other.erase("s", [3], reason="asked for")
    (there / ".journal" / "attachments" / digest[:2] / digest).unlink()

    assert [each.name for each in copied(folder, there).conflicts] == ["s"]
    assert attachments_of(there) == {digest: b"shared"}


def test_an_attachment_that_was_altered_there_is_put_back_and_told(
    store: StateStore, folder: Path, there: Path
) -> None:
    """Behind the store's back; not without looking. Where the source has none that is whole, it stays."""
    talk(store, "s", "hello")
    digest = attach(store, "s", b"picture")
    copied(folder, there)
    path = there / ".journal" / "attachments" / digest[:2] / digest
    path.write_bytes(b"picturf")

    assert counts(copied(folder, there, verify=False)) == {"same": 1}
    found = copied(folder, there)
    assert (found.attachments, path.read_bytes()) == (1, b"picture")
    assert [(each.name, each.reason) for each in found.problems] == [
        (f"attachments/{digest}", "the attachment there was altered; the source's was put in its place")
    ]
    assert copied(folder, there).ok
    for each in (folder, there):
        (each / ".journal" / "attachments" / digest[:2] / digest).write_bytes(b"no")
    (problem,) = copied(folder, there).problems
    assert problem.reason == "the attachment there was altered, and the source has none that is whole"


def test_an_attachment_that_is_gone_there_comes_again(store: StateStore, folder: Path, there: Path) -> None:
    talk(store, "s", "hello")
    digest = attach(store, "s", b"picture")
    copied(folder, there)
    (there / ".journal" / "attachments" / digest[:2] / digest).unlink()

    assert counts(copied(folder, there)) == {"same": 1, "attachments": 1}
    assert attachments_of(there) == {digest: b"picture"}


# Other programs' sessions


@pytest.fixture
def foreign(store: StateStore, folder: Path) -> Iterator[Path]:
    """A folder with a session file of another program, and no journal."""
    talk(store, "s", "hello")
    path = folder / "sessions" / "s.json"
    path.write_bytes(export_json(store, "s"))
    (folder / "sessions" / "s.jsonl").unlink()
    return folder


def test_another_programs_session_is_adopted_there(foreign: Path, there: Path) -> None:
    """Its file stays as it is; copied again, it is there."""
    before = looks_of(foreign)
    found = copied(foreign, there)

    assert (found.created, found.records, found.ok) == (1, 1, True)
    assert looks_of(foreign) == before
    assert counts(copied(foreign, there)) == {"same": 1}
    with StateStore(there) as store:
        assert store.verify("s").ok
        assert store.load_session("s").user_messages[0].content == "hello"
        talk(store, "s", "more")
    assert counts(copied(foreign, there)) == {"ahead": 1}


def test_what_went_on_there_comes_back_to_the_program_s_file(foreign: Path, there: Path) -> None:
    """It is the same beginning, taken in twice."""
    copied(foreign, there)
    with StateStore(there) as store:
        talk(store, "s", "more")
    found = copied(there, foreign)

    assert (found.rewritten, found.ok) == (1, True)
    assert files_of(foreign) == files_of(there)
    with StateStore(foreign) as store:
        assert [each.content for each in store.load_session("s").user_messages] == ["hello", "more"]


def test_a_session_that_went_on_twice_is_a_conflict(foreign: Path, there: Path) -> None:
    copied(foreign, there)
    for folder in (foreign, there):
        with StateStore(folder) as store:
            talk(store, "s", "more")
    found = copied(foreign, there)

    assert [each.name for each in found.conflicts] == ["s"]


# Damage


def test_a_damaged_session_is_told_and_the_others_are_copied(
    full: StateStore, folder: Path, there: Path
) -> None:
    """What stands before the damage is there; after a repair the rest comes."""
    path = folder / "sessions" / "s9.jsonl"
    path.write_bytes(path.read_bytes().replace(b"say 4", b"say 5", 1))
    (folder / "sessions" / "no.json").write_text("{")
    before = looks_of(folder)
    found = copied(folder, there)

    assert counts(found)["problems"] == 2
    assert [each.name for each in sorted(found.problems)] == ["no", "s9"]
    assert "s9.jsonl, byte" in sorted(found.problems)[1].reason
    assert looks_of(folder) == before
    assert (there / "sessions" / "s9.jsonl").read_bytes().count(b"\n") == 5
    full.repair("s9")
    (folder / "sessions" / "no.json").unlink()

    assert counts(copied(folder, there))["continued"] == 1
    assert (there / "sessions" / "s9.jsonl").read_bytes() == path.read_bytes()


class Altered(MemoryBackend):
    """A store that gives out something else than it took."""

    def __init__(self, old: bytes, new: bytes) -> None:
        super().__init__()
        add = self.journals._add
        self.journals._add = lambda each, kind, data, after: add(  # type: ignore[method-assign]
            each, kind, data.replace(old, new), after
        )


def test_a_source_that_is_not_whole_is_told(full: StateStore, folder: Path, there: Path) -> None:
    """Whatever keeps it: each chain is checked before it is written."""
    altered = Altered(b"say 10", b"say 11")
    copied(folder, altered, verify=False)
    found = copied(altered, there)

    assert [each.name for each in found.problems] == ["s11"]
    assert "record 12" in found.problems[0].reason
    with StateStore(there) as store:
        assert store.verify().ok


def test_half_a_batch_of_a_source_is_told(store: StateStore, folder: Path, there: Path) -> None:
    """No backend gives one out; one that does is not believed."""
    talk(store, "s", "one")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=2)
    copied(folder, whole := MemoryBackend())
    lines = b"".join(each.data for each in whole.journals._of["s"]).splitlines(True)
    source = MemoryBackend("source")
    for place, data in enumerate((b"".join(lines[:2]), b"", lines[2]), 1):
        source.journals._changes[place] = Change("s", place, place - 1, "append", data)
    found = copied(source, there)

    assert [(each.name, each.reason.partition("; ")[0]) for each in found.problems] == [
        ("s", "session 's', record 4: its batch is not whole")
    ]
    assert (there / "sessions" / "s.jsonl").read_bytes() == b"".join(lines[:2])


def test_what_is_read_back_is_checked(full: StateStore, folder: Path) -> None:
    """A target that keeps something else is found out; not without looking."""
    found = copied(folder, Altered(b"say 10", b"say 11"))

    assert [(each.name, each.reason) for each in found.problems] == [
        ("s11", "read back, it is not what was copied up to version 12; verify it there")
    ]
    assert copied(folder, Altered(b"say 10", b"say 11"), verify=False).ok


def test_a_target_that_is_damaged_is_told(full: StateStore, folder: Path, there: Path) -> None:
    copied(folder, there)
    path = there / "sessions" / "s9.jsonl"
    path.write_bytes(path.read_bytes().replace(b"say 4", b"say 5", 1))
    damaged = path.read_bytes()
    talk(full, "s9", "more")
    found = copied(folder, there)

    assert [each.name for each in found.problems] == ["s9"]
    assert str(path) in found.problems[0].reason
    assert path.read_bytes() == damaged


def test_attachments_that_are_not_whole_are_told(full: StateStore, folder: Path, there: Path) -> None:
    """The records that refer to them are copied."""
    one, two = sorted((folder / ".journal" / "attachments").glob("*/*"))
    one.write_bytes(b"something else")
    two.unlink()
    found = copied(folder, there)

    assert {each.name.rpartition("/")[2] for each in found.problems} <= {one.name, two.name}
    assert found.problems
    assert found.attachments == 0
    assert (there / "sessions" / "s5.jsonl").exists()


def test_a_record_that_was_altered_there_is_told_as_that(store: StateStore, folder: Path) -> None:
    """Where a backend looks at no hash; it is not taken for an erased one."""
    talk(store, "s", "hello")
    target = Altered(b"hello", b"hallo")
    copied(folder, target, verify=False)
    found = copied(folder, target)

    assert [(each.name, each.reason) for each in found.problems] == [
        ("s", "record 2 was altered there: its content does not fit its hash. Verify it there")
    ]


def failing(backend: FolderBackend, name: str, code: int, part: str) -> FolderBackend:
    """A disk that refuses one call of all files whose path holds this."""
    plain = getattr(backend._disk, name)

    def refuse(first: Any, *rest: Any, **more: Any) -> Any:
        path = first if isinstance(first, str) else os.readlink(f"/proc/self/fd/{first}")
        if part in path:
            raise OSError(code, os.strerror(code))
        return plain(first, *rest, **more)

    setattr(backend._disk, name, refuse)
    return backend


@pytest.mark.parametrize("is_source", [False, True])
@pytest.mark.parametrize(("call", "code"), [("read", errno.EIO), ("open", errno.EACCES)])
def test_a_journal_that_the_disk_does_not_give_is_told_and_the_others_are_copied(
    store: StateStore, folder: Path, there: Path, is_source: bool, call: str, code: int
) -> None:
    for session_id in "abc":
        talk(store, session_id, "hello")
    if not is_source:
        copied(folder, there)
        for session_id in "abc":
            talk(store, session_id, "more")
    broken = failing(FolderBackend(str(folder if is_source else there)), call, code, "b.jsonl")
    found = copied(broken, there) if is_source else copied(folder, broken)

    assert [each.name for each in found.problems] == ["b"]
    assert os.strerror(code) in found.problems[0].reason
    assert (found.created, found.continued) == ((2, 0) if is_source else (0, 2))


def test_files_that_are_none_are_told_and_the_others_are_copied(
    store: StateStore, folder: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is too large, a link, a folder in its place: here or there."""
    monkeypatch.setattr("journal.disk.MAX_WHOLE_BYTES", 1000)
    for name in "abc":
        store.save_json("notes", name, name)
    store.save_json("linked", "a", 1)
    digest, linked = (str(store.attach(data)["$attachment"]) for data in (b"one", b"two"))
    path = folder / ".journal" / "attachments" / linked[:2] / linked
    path.unlink()
    path.symlink_to("/etc/passwd")
    (folder / "notes" / "b.json").write_bytes(b"1" * 2000)
    (there / "notes" / "a.json").mkdir(parents=True)
    (there / "linked").symlink_to(folder)
    found = copied(folder, there)

    assert sorted(each.name for each in found.problems) == [
        f"attachments/{linked}",
        "documents/linked/a.json",
        "documents/notes/a.json",
        "documents/notes/b.json",
    ]
    assert (there / "notes" / "c.json").exists()
    assert attachments_of(there) == {digest: b"one"}


def test_a_disk_that_is_full_ends_the_copy_and_says_where(
    store: StateStore, folder: Path, there: Path
) -> None:
    store.save_json("notes", "a", 1)
    full_disk = failing(FolderBackend(str(there)), "write", errno.ENOSPC, "/notes/")
    with pytest.raises(DurabilityError, match=r"notes/a\.json: writing failed: No space left"):
        copied(folder, full_disk)


def test_what_another_program_wrote_beside_a_journal_is_told(folder: Path, there: Path) -> None:
    """Only a repair takes it in. What is still the file with which the journal began is none."""
    with StateStore(folder) as store:
        for session_id in "ab":
            talk(store, session_id, "hello")
        ours, theirs = (export_json(store, session_id) for session_id in "ab")
    (folder / "sessions" / "b.jsonl").unlink()
    (folder / "sessions" / "b.json").write_bytes(theirs)
    with StateStore(folder) as store:
        talk(store, "b", "more")
    (folder / "sessions" / "b.json").write_bytes(theirs)
    (folder / "sessions" / "a.json").write_bytes(ours.replace(b"hello", b"hallo"))
    found = copied(folder, there)

    assert [each.name for each in found.problems] == ["a"]
    assert "rewritten by another program, and not copied; `journal repair`" in found.problems[0].reason
    with StateStore(folder) as store, pytest.warns(JournalWarning, match="rewritten by another"):
        store.repair("a")
    assert copied(folder, there).ok


def test_what_no_save_acknowledged_is_not_copied(store: StateStore, folder: Path, there: Path) -> None:
    """A torn tail stays where it is."""
    talk(store, "s", "one", "two")
    path = folder / "sessions" / "s.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    found = copied(folder, there)

    assert (found.records, found.ok) == (2, True)
    assert whole.startswith((there / "sessions" / "s.jsonl").read_bytes())


# What is asked for


def test_a_store_is_not_copied_onto_itself(full: StateStore, folder: Path) -> None:
    with pytest.raises(JournalError, match="onto itself"):
        copied(folder, folder)


def test_a_link_to_a_store_is_that_store(full: StateStore, folder: Path, there: Path) -> None:
    """What it reports would be no copy."""
    there.symlink_to(folder)
    with pytest.raises(JournalError, match="onto itself"):
        copied(folder, there)


def test_a_copy_within_the_store_s_folder_is_none_of_its_documents(full: StateStore, folder: Path) -> None:
    """Else each copy would hold all copies before it."""
    full.save_json("inner", "kept", 1)
    inner = folder / "inner" / "copy"
    copied(folder, inner)
    found = copied(folder, inner)

    assert counts(found) == {"same": 15}
    assert (inner / "inner" / "kept.json").exists()
    assert not (inner / "inner" / "copy").exists()


def test_a_store_that_is_not_there_is_no_empty_one(tmp_path: Path, there: Path) -> None:
    """A slip of the pen."""
    with pytest.raises(JournalError, match=r"does not exist"):
        copied(FolderBackend(str(tmp_path / "none"), create=False), there)
    assert not there.exists()


def test_documents_may_stay(full: StateStore, folder: Path, there: Path) -> None:
    """For a store in a folder of other things."""
    found = copied(folder, there, documents=False)

    assert (found.created, found.documents, found.attachments) == (15, 0, 2)
    assert not (there / "config").exists()


def test_progress_is_told(full: StateStore, folder: Path, there: Path) -> None:
    """How many sessions were met; then, of how many, those that were read back."""
    told: list[tuple[str, int, int]] = []
    copied(folder, there, progress=lambda *each: told.append(each))

    assert {name for name, _, total in told if not total} == {e.id for e in full.list_sessions()} | {"gone"}
    assert [done for _, done, total in told if total == 15] == [*range(15)]


def test_both_are_closed_whatever_happens(full: StateStore, folder: Path) -> None:
    closed: list[str] = []

    class Closing(MemoryBackend):
        async def close(self) -> None:
            closed.append(self.name)

    copied(folder, Closing("a"))
    with pytest.raises(JournalError):
        copied(FolderBackend("none", create=False), Closing("b"))

    assert closed == ["memory:a", "memory:b"]


DEEDS = st.lists(
    st.tuples(st.sampled_from(["say", "batch", "erase", "delete", "copy"]), st.sampled_from("abc")),
    max_size=25,
)


@settings(max_examples=40)
@given(DEEDS, st.booleans())
def test_whatever_happens_between_copies_what_is_not_told_is_the_same(
    deeds: list[tuple[str, str]], is_folder: bool
) -> None:
    """Told are the sessions alone that were deleted since they were copied; other deletions are noted."""
    with tempfile.TemporaryDirectory() as base, StateStore(f"{base}/here", durability="os") as store:
        here, there = Path(base, "here"), Path(base, "there")
        target = FolderBackend(str(there)) if is_folder else MemoryBackend()
        known: set[str] = set()  # what the target has, and the source has deleted since
        taken: set[str] = set()
        for deed, session_id in [*deeds, ("copy", "")]:
            version = session.version if deed != "copy" and (session := store.load_session(session_id)) else 0
            if deed == "say":
                talk(store, session_id, "hello")
            elif deed == "batch" and version:
                events = [MetadataSet(key=str(each), value=each) for each in range(3)]
                store.append(session_id, events, expected_version=version)
            elif deed == "erase" and version > 1:
                with contextlib.suppress(InvalidEventError):  # what says that content was erased stays
                    store.erase(session_id, [version], reason="asked for")
            elif deed == "delete" and store.delete_session(session_id):
                known |= {session_id} & taken
            elif deed == "copy" and here.exists():
                found = copied(here, target)
                assert {each.name for each in found.conflicts} == known
                assert found.problems == []
                taken |= set(store.session_ids())
        seen = Path(base, "seen") if not is_folder else there
        if not is_folder:
            copied(target, seen)
        same = [each for each in store.session_ids() if each not in known]
        assert [(seen / f"sessions/{each}.jsonl").read_bytes() for each in same] == [
            (here / f"sessions/{each}.jsonl").read_bytes() for each in same
        ]
        with StateStore(seen, durability="os") as other:
            assert other.verify().ok
            noted = [each for each in store.tombstones() if each.id not in known]
            assert [each for each in other.tombstones() if each.id not in known] == noted
