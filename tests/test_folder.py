"""A store's folder as a backend: what the engine wrote is read, and what is written is the engine's."""

import asyncio
import json
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from journal import AttachmentError, DurabilityError, InvalidNameError, JournalWarning, Session, StateStore
from journal.backend import Change, Moved, Unreachable
from journal.disk import Disk
from journal.folder import FolderBackend
from journal.folder_journals import Damaged
from projections import MetadataSet


def run(work: Awaitable[object]) -> object:
    async def main() -> object:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(main())


def changes_of(backend: FolderBackend, session_id: str | None = None, after: int = 0) -> list[Change]:
    async def read() -> list[Change]:
        return [change async for change in backend.journals.read(session_id, after)]

    return asyncio.run(read())


def talk(store: StateStore, session_id: str = "s", *said: str) -> Session:
    """A session with a batch for its beginning, and one for each thing said."""
    session = store.get_or_create_session("ann", session_id)
    for text in said:
        session.add_user_message(text)
        store.save_session(session)
    return session


def journal_bytes(folder: Path, session_id: str = "s") -> bytes:
    return (folder / "sessions" / f"{session_id}.jsonl").read_bytes()


@pytest.fixture
def backend(folder: Path) -> FolderBackend:
    return FolderBackend(str(folder))


@pytest.fixture
def other(tmp_path: Path) -> FolderBackend:
    return FolderBackend(str(tmp_path / "other"))


def bring(source: FolderBackend, target: FolderBackend, session_id: str = "s") -> int:
    """Append what a session has to the same one elsewhere."""
    lines = [line for change in changes_of(source, session_id) for line in change.data.splitlines(True)]
    return run(target.journals.append(session_id, lines, 0))


# Reading


def test_each_batch_is_a_change_and_together_they_are_the_file(store, folder, backend):
    """In order, each naming the one before; the head is the last."""
    talk(store, "s", "one", "two")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=3)
    found = changes_of(backend, "s")

    assert [len(change.data.splitlines()) for change in found] == [1, 1, 1, 2]
    assert b"".join(change.data for change in found) == journal_bytes(folder)
    assert [change.after for change in found] == [0, *(change.place for change in found[:-1])]
    assert [change.place for change in found] == sorted({change.place for change in found})
    assert {change.kind for change in found} == {"append"}
    assert run(backend.journals.head("s")) == found[-1].place


def test_reading_goes_on_behind_a_place(store, backend):
    """What came since, and nothing twice."""
    talk(store, "s", "one", "two")
    found = changes_of(backend, "s")
    talk(store, "s", "three")

    assert [changes_of(backend, "s", change.place)[: len(found)] for change in found[:2]] == [
        changes_of(backend, "s")[1:][: len(found)],
        changes_of(backend, "s")[2:],
    ]
    assert [change.after for change in changes_of(backend, "s", found[-1].place)] == [found[-1].place]


def test_of_all_sessions_each_is_read_whole(store, backend):
    """One after the other; only from the beginning, for a folder knows no order between them."""
    for session_id in ("b", "a", "Ä b@c"):
        talk(store, session_id, "hi")
    found = changes_of(backend)

    assert {each: [c for c in found if c.session_id == each] for each in ("a", "b", "Ä b@c")} == {
        each: changes_of(backend, each) for each in ("a", "b", "Ä b@c")
    }
    with pytest.raises(ValueError, match="no common order"):
        changes_of(backend, None, found[0].place)


def test_what_was_not_acknowledged_is_not_given_out(store, folder, backend):
    """Half a batch, or half a line."""
    talk(store, "s", "one")
    whole = changes_of(backend, "s")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=2)
    path = folder / "sessions" / "s.jsonl"
    lines = path.read_bytes().splitlines(True)
    for torn in (lines[:3], [*lines[:2], lines[2][:40]]):
        path.write_bytes(b"".join(torn))

        assert changes_of(backend, "s") == whole
        assert run(backend.journals.head("s")) == whole[-1].place


def test_damage_is_told_when_all_else_was_given_out(store, folder, backend):
    """It names the sessions; what stands before the damage is there, too."""
    for session_id in ("a", "b", "c"):
        talk(store, session_id, "hello", "again")
    path = folder / "sessions" / "b.jsonl"
    path.write_bytes(path.read_bytes().replace(b"hello", b"hollo"))
    found: list[Change] = []

    async def read() -> None:
        async for change in backend.journals.read(None, 0):
            found.append(change)

    with pytest.raises(Damaged, match=r"b\.jsonl, byte .*record 2") as raised:
        asyncio.run(read())

    assert [damage.session_id for damage in raised.value.damages] == ["b"]
    assert [change.session_id for change in found] == ["a"] * 3 + ["b"] + ["c"] * 3


def test_a_deletion_is_a_change_and_the_session_may_begin_anew(store, backend):
    """Its tombstones come first; what it was is gone, and its places lead nowhere."""
    talk(store, "s", "one")
    before = changes_of(backend, "s")
    store.delete_session("s", why="asked for")
    (deleted,) = changes_of(backend, "s", before[-1].place)

    assert (deleted.kind, json.loads(deleted.data)["why"]) == ("delete", "asked for")
    assert deleted.place == run(backend.journals.head("s")) > before[-1].place
    assert changes_of(backend) == [deleted._replace(after=0)]

    talk(store, "s", "new")
    again = changes_of(backend, "s", before[-1].place)

    assert [change.kind for change in again] == ["delete", "append", "append"]
    assert again[0].place < again[1].place < again[2].place
    assert changes_of(backend, "s", deleted.place) == again[1:]


def test_an_erasure_is_a_replacement(store, folder, backend):
    """Who had read it reads all of it anew; places go on."""
    talk(store, "s", "secret")
    before = changes_of(backend, "s")
    store.erase("s", [2], reason="asked for")
    after = changes_of(backend, "s", before[-1].place)

    assert [change.kind for change in after] == ["replace", "append", "append"]
    assert b"".join(change.data for change in after) == journal_bytes(folder)
    assert min(change.place for change in after) > before[-1].place
    with pytest.raises(Moved):
        run(backend.journals.append("s", [b"anything\n"], before[-1].place))


def test_another_programs_session_is_given_out_as_it_would_be_adopted(store, folder, backend):
    """Its file stays as it is, and the same record comes each time."""
    talk(store, "s", "hi")
    store.compact()
    path = folder / "sessions" / "s.json"
    document = json.loads(path.read_bytes())
    del document["journal"]
    path.write_text(json.dumps(document))
    (folder / "sessions" / "s.jsonl").unlink()
    text = path.read_bytes()
    (change,) = changes_of(backend, "s")

    assert json.loads(change.data)["event"] == {"type": "session_adopted", "document": text.decode()}
    assert changes_of(backend) == [change]
    assert run(backend.journals.head("s")) == change.place
    assert path.read_bytes() == text
    assert [entry.name for entry in (folder / "sessions").iterdir()] == ["s.json"]


def test_a_file_that_is_no_session_is_damage(folder, backend):
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "s.json").write_text("{")

    with pytest.raises(Damaged, match="no session file"):
        changes_of(backend)


# Writing


def test_what_is_written_is_a_session(store, folder, backend, other):
    """The same bytes, in a file of its owner alone; the store there finds it, and goes on with it."""
    talk(store, "s", "one", "two")
    place = bring(backend, other)
    base = Path(other.name)
    with StateStore(base) as there:
        assert there.verify("s").ok
        assert [each.id for each in there.list_sessions()] == ["s"]
        talk(there, "s", "three")

    assert journal_bytes(base).startswith(journal_bytes(folder))
    assert (base / "sessions" / "s.jsonl").stat().st_mode & 0o777 == 0o600
    assert [change.data.count(b"\n") for change in changes_of(other, "s", place)] == [1]


def test_a_store_that_is_open_sees_what_is_written(store, folder, backend, other):
    """Its list, its state, and its writers: the expected version is no longer the one it knows."""
    talk(store, "s", "one")
    with StateStore(other.name, durability="os") as there:
        talk(there, "first", "hi")
        assert [each.id for each in there.list_sessions()] == ["first"]
        place = bring(backend, other)
        loaded = there.load_session("s")
        for _ in range(
            2
        ):  # the folder's own time shows a new file, until it is older than a tick of the clock
            time.sleep(0.3)
            assert {each.id for each in there.list_sessions()} == {"first", "s"}
        talk(store, "s", "two")
        news = changes_of(backend, "s", changes_of(backend, "s")[1].place)
        run(other.journals.append("s", [change.data for change in news], place))

        assert {each.id: each.version for each in there.list_sessions()} == {"first": 2, "s": 3}
        assert there.load_session("s").user_messages[-1].content == "two"
        assert loaded.version == 2


def test_only_who_saw_the_head_writes(store, backend, other):
    """Nothing is written, and no file is made."""
    talk(store, "s", "one", "two")
    first, *rest = changes_of(backend, "s")
    place = run(other.journals.append("s", [first.data], 0))
    for wrong in (0, place + 1, place - 1):
        with pytest.raises(Moved):
            run(other.journals.append("s", [rest[0].data], wrong))
    with pytest.raises(Moved):
        run(other.journals.append("t", [first.data], place))

    assert journal_bytes(Path(other.name)) == first.data
    assert [path.name for path in (Path(other.name) / "sessions").iterdir()] == ["s.jsonl"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"one", b"two"),
        lambda data: data[:-1],
        lambda data: data + data,
        lambda data: b"".join(data.splitlines(True)[1:]),
        lambda data: data + b"\n",
        lambda data: b"",
    ],
)
def test_what_is_no_records_that_go_on_is_refused(
    store, backend, other, spoil: Callable[[bytes], bytes]
) -> None:
    """An altered, a missing, a doubled record, half a batch: nothing is written."""
    talk(store, "s", "one")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=2)
    data = b"".join(change.data for change in changes_of(backend, "s"))
    for write in (other.journals.append, other.journals.replace):
        with pytest.raises(Unreachable, match="does not go on from version 0"):
            run(write("s", [spoil(data)], 0))

    assert [*Path(other.name).glob("sessions/*")] == []


def test_half_a_batch_is_refused(store, backend, other):
    talk(store, "s")
    store.append("s", [MetadataSet(key="a", value=1), MetadataSet(key="b", value=2)], expected_version=1)
    lines = [line for change in changes_of(backend, "s") for line in change.data.splitlines(True)]

    with pytest.raises(Unreachable, match="not whole"):
        run(other.journals.append("s", lines[:2], 0))


def test_a_torn_tail_goes_to_the_quarantine_before_anything_is_written(store, folder, backend):
    """Nobody acknowledged it; its bytes are kept."""
    talk(store, "s", "one")
    first, second = changes_of(backend, "s")
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(first.data + second.data[:50])
    run(backend.journals.append("s", [second.data], first.place))

    assert path.read_bytes() == first.data + second.data
    assert [kept.read_bytes() for kept in folder.glob(".journal/quarantine/*")] == [second.data[:50]]


def test_nothing_is_written_behind_damage(store, folder, backend):
    talk(store, "s", "one", "two")
    place = changes_of(backend, "s")[0].place
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"one", b"owe"))
    before = path.read_bytes()

    with pytest.raises(Damaged, match="record 2"):
        run(backend.journals.append("s", [b"x\n"], place))
    assert path.read_bytes() == before


def test_a_disk_that_refuses_leaves_the_journal_as_it_was(store, folder, backend, monkeypatch):
    """A full disk: what was written of it is cut off again."""
    talk(store, "s", "one")
    first, second = changes_of(backend, "s")
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(first.data)

    def write(fd: int, data: bytes) -> int:
        if len(data) < 100:
            return Disk.write(fd, data)  # the mark for the catalog
        Disk.write(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backend._disk, "write", write)
    with pytest.raises(DurabilityError, match="No space left") as raised:
        run(backend.journals.append("s", [second.data], first.place))

    assert not raised.value.outcome_unknown
    assert path.read_bytes() == first.data


def test_nothing_stands_behind_what_may_be_lost(store, folder, backend, monkeypatch):
    """What others wrote and did not sync is on disk before more is written; then that is."""
    talk(store, "s", "one", "two")
    *before, last = changes_of(backend, "s")
    path = folder / "sessions" / "s.jsonl"
    path.write_bytes(b"".join(change.data for change in before))
    seen: list[str] = []
    for name in ("sync", "write"):

        def noted(fd: int, *data: bytes, name: str = name) -> int:
            if Path(f"/proc/self/fd/{fd}").resolve() == path:
                seen.append(name)
            return getattr(Disk, name)(fd, *data)

        monkeypatch.setattr(backend._disk, name, noted)
    run(backend.journals.append("s", [last.data], before[-1].place))

    assert seen == ["sync", "write", "sync"]


def test_a_replacement_takes_what_was_derived_with_it(store, folder, backend, other):
    """The journal is another one for whoever reads it; the snapshot may hold what is no longer there."""
    talk(store, "s", "one", "two")
    place = bring(backend, other)
    base = Path(other.name)
    with StateStore(base) as there:
        there.load_session("s")
        there.compact()
        assert (base / "sessions" / "s.json").exists()
        store.erase("s", [2], reason="asked for")
        lines = [change.data for change in changes_of(backend, "s")]
        replaced = run(other.journals.replace("s", lines, place))

        assert replaced == run(other.journals.head("s")) > place
        assert not (base / "sessions" / "s.json").exists()
        assert there.load_session("s").user_messages[0].content == ""
    assert journal_bytes(base) == journal_bytes(folder)
    with pytest.raises(Moved):
        run(other.journals.replace("s", lines, place))


def test_a_deletion_leaves_the_tombstones_that_are_given(store, backend, other):
    """Each once; a session that was never there has some, too, and may begin anew behind them."""
    for _ in range(2):
        talk(store, "s", "one")
        store.delete_session("s", why="asked for")
    talk(store, "s", "new")
    deleted, *rest = changes_of(backend, "s")
    place = run(other.journals.delete("s", deleted.data, 0))
    with pytest.raises(Moved):
        run(other.journals.append("s", [rest[0].data], 0))
    run(other.journals.append("s", [change.data for change in rest], place))
    with StateStore(other.name) as there:
        there.compact()  # alone, a snapshot would be another program's session
    head = run(other.journals.head("s"))
    assert run(other.journals.delete("s", deleted.data, head)) > head

    with StateStore(other.name) as there:
        assert there.tombstones() == store.tombstones()
        assert there.load_session("s") is None
    with pytest.raises(Unreachable, match="no tombstone"):
        run(other.journals.delete("s", b"{}\n", run(other.journals.head("s"))))
    with pytest.raises(Unreachable, match="none of"):
        run(other.journals.delete("t", deleted.data, 0))


def test_an_adoption_goes_on_record_with_what_comes_behind_it(store, folder, backend, tmp_path):
    """As the engine does it."""
    talk(store, "s", "hi")
    plain = StateStore(tmp_path / "plain", durability="os")
    with plain:
        (tmp_path / "plain" / "sessions").mkdir(parents=True)
        text = json.dumps(json.loads(msgspec_document(store)))
        (tmp_path / "plain" / "sessions" / "s.json").write_text(text)
        there = FolderBackend(str(tmp_path / "plain"))
        (adopted,) = changes_of(there, "s")
        follower = FolderBackend(str(tmp_path / "follower"))
        run(follower.journals.append("s", [adopted.data], 0))
        with StateStore(tmp_path / "follower", durability="os") as next_one:
            talk(next_one, "s", "more")
        news = changes_of(follower, "s")[1]
        run(there.journals.append("s", [news.data], adopted.place))

        assert journal_bytes(tmp_path / "plain") == adopted.data + news.data
        assert plain.verify("s").ok


def msgspec_document(store: StateStore) -> bytes:
    from journal.export import export_json

    return export_json(store, "s")


# Listening


def test_who_listens_hears_of_each_change(store, folder):
    """Those of one session, or of all; not what was there before."""
    talk(store, "s", "before")

    async def listen() -> tuple[list[Change], list[Change]]:
        backend = FolderBackend(str(folder))
        one: list[Change] = []
        every: list[Change] = []
        listening = [
            await backend.journals.listen("s", one.append),
            await backend.journals.listen(None, every.append),
        ]
        talk(store, "s", "one", "two")
        talk(store, "t", "three")
        async with asyncio.timeout(10):
            while len(one) < 2 or len(every) < 4:
                await asyncio.sleep(0.01)
        for each in listening:
            await each.close()
        talk(store, "s", "after")
        await asyncio.sleep(0.2)
        return one, every

    one, every = asyncio.run(listen())

    assert one == changes_of(FolderBackend(str(folder)), "s")[2:4]
    assert [change.session_id for change in every] == ["s", "s", "t", "t"]


# Files


def test_documents_and_attachments_are_files(store, folder, backend):
    """By their paths; what no store makes, and what it makes for itself, is none."""
    store.save_markdown("notes/deep", "a b", "# A")
    store.save_json("config", "c", {"x": 1})
    talk(store, "s", "hi")
    store.compact()
    reference = store.attach(b"picture")
    (folder / "notes" / "mine.txt").write_text("no document")
    (folder / "notes" / ".hidden.md").write_text("no document")
    (folder / "notes" / "link.md").symlink_to(folder / "notes" / "deep" / "a b.md")
    digest = reference["$attachment"]
    names = [f"attachments/{digest}", "documents/config/c.json", "documents/notes/deep/a b.md"]

    assert run(backend.files.names("")) == names
    assert run(backend.files.names("documents/notes")) == names[2:]
    assert [run(backend.files.get(name)).data for name in names] == [b"picture", b'{\n  "x": 1\n}', b"# A"]
    assert run(backend.files.get("documents/config/none.json")) is None


def test_files_that_are_put_are_the_stores(store, folder, backend):
    """A document can be loaded, an attachment read; removed, they are gone."""
    run(backend.files.put("documents/notes/deep/a.md", b"# A"))
    reference = store.attach(b"x")
    other = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    assert reference["$attachment"] == other
    run(backend.files.put(f"attachments/{other}", b"x"))

    assert store.load_markdown("notes/deep", "a") == "# A"
    assert (folder / "notes" / "deep" / "a.md").stat().st_mode & 0o777 == 0o600
    assert run(backend.files.remove("documents/notes/deep/a.md"))
    assert not run(backend.files.remove("documents/notes/deep/a.md"))
    assert store.load_markdown("notes/deep", "a") is None


def test_the_quarantine_of_a_long_id_is_a_file_too(backend, folder):
    """An id may be as long as a name; what was cut of it has a longer one."""
    kept = folder / ".journal" / "quarantine"
    kept.mkdir(parents=True)
    names = [f"{'q' * 200}.787.0123abcd", "s.json.0123abcd", "other"]
    for name in names:
        (kept / name).write_bytes(b"torn")

    assert run(backend.files.names("quarantine")) == [f"quarantine/{name}" for name in sorted(names)]
    for name in names:
        assert run(backend.files.get(f"quarantine/{name}")).data == b"torn"
    with pytest.raises(InvalidNameError, match="over 200"):
        run(backend.files.put(f"quarantine/{'q' * 201}.787.0123abcd", b"x"))


def test_only_what_is_asked_for_is_looked_at(store, folder, backend, monkeypatch):
    """A store may lie in a folder of many other things."""
    store.save_json("notes", "n", 1)
    store.attach(b"x")
    looked: list[str] = []
    entries = backend._disk.entries
    monkeypatch.setattr(backend._disk, "entries", lambda path: looked.append(path) or entries(path))
    run(backend.files.names("attachments"))
    run(backend.files.names("quarantine"))

    assert str(folder) not in looked
    assert run(backend.files.names("documents")) == ["documents/notes/n.json"]


def test_a_revision_keeps_writers_apart(backend):
    """0 for none; another content has another one."""
    first = run(backend.files.put("documents/n/a.md", b"one", 0))
    for wrong in (0, first + 2):
        with pytest.raises(Moved):
            run(backend.files.put("documents/n/a.md", b"two", wrong))
    second = run(backend.files.put("documents/n/a.md", b"two", first))

    assert second != first
    assert run(backend.files.get("documents/n/a.md")) == (b"two", second)
    assert run(backend.files.put("documents/n/a.md", b"three")) not in (first, second)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../a.md",
            "a.md",
            "sessions/a.md",
            ".hidden/a.md",
            "n/../../a.md",
            "n//a.md",
            "/etc/a.md",
            "n/a.txt",
        ),
        *(".journal/catalog.sqlite3", ".journal/attachments/aa/../x", ".journal/attachments/00/" + "a" * 64),
    ],
)
def test_no_name_leads_out_of_the_store_or_into_its_own(backend, folder, name):
    """Nothing is touched."""
    for act in (backend.files.put(name, b"x"), backend.files.get(name), backend.files.remove(name)):
        with pytest.raises((InvalidNameError, AttachmentError), match=r"slash|dot|own|SHA|empty|no document"):
            run(act)

    assert not folder.exists()


def test_bytes_of_another_hash_are_no_attachment(backend):
    with pytest.raises(InvalidNameError, match="not the hash"):
        run(backend.files.put("attachments/" + "a" * 64, b"x"))


# Opening


def test_where_there_is_no_store_none_is_read(tmp_path):
    """A slip of the pen must not look like an empty store."""
    (tmp_path / "empty").mkdir()
    for name, state in (("empty", "holds no sessions"), ("none", "does not exist")):
        with pytest.raises(Unreachable, match=state):
            run(FolderBackend(str(tmp_path / name), create=False).open())
        promise = run(FolderBackend(str(tmp_path / name)).open())

        assert (promise.survives, promise.replicas) == ("disk", 1)
        assert not (tmp_path / name / "sessions").exists()


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Disk, "mounts", lambda self: f"1 0 0:1 / {tmp_path} rw - nfs4 x:/ rw")
    with pytest.raises(Unreachable, match="network file system"):
        run(FolderBackend(str(tmp_path / "s")).open())
    run(FolderBackend(str(tmp_path / "s"), allow_network=True).open())


def test_nothing_is_warned_of_or_left_open(store, backend, other):
    """Files are closed at once: a store has more sessions than a process may have open files."""
    talk(store, "s", "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error", JournalWarning)
        bring(backend, other)
        run(other.close())
