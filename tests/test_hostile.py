"""Files that somebody made to do harm: refused or repaired in bounded time and memory."""

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.forging import CREATED, SAID, forged, head

from journal import CorruptRecordError, JournalError, StateStore, reader

MIB = 1024 * 1024
GOOD = forged([CREATED], [SAID], [SAID])
DOCUMENT = (
    b'{"id":"s","user_id":"u","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"%b}'
)

# Runs in a process of its own: its peak is measured, and it cannot take the machine down. Each call prints
# what came of it; anything but an answer or a JournalError ends it with a traceback.
CHILD = """
import hashlib, json, resource, sys, warnings
warnings.simplefilter("ignore")
from journal import JournalError, StateStore
from journal.importers import import_path
folder, source, calls = sys.argv[1], sys.argv[2], sys.argv[3].split()
if sys.platform == "linux":
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
DO = {
    "load": lambda store: (found := store.load_session("s")) and found.version,
    "records": lambda store: sum(1 for _ in store.records("s")),
    "verify": lambda store: store.verify("s").ok,
    "diagnose": lambda store: len(store.diagnose("s").steps),
    "list": lambda store: [len(page := store.list_sessions()), len(page.unreadable)],
    "save": lambda store: store.update_session_with("s", lambda s: s.add_user_message("x")),
    "delete": lambda store: store.delete_session("other"),
    "json": lambda store: len(str(store.load_json("notes", "a"))),
    "markdown": lambda store: len(store.load_markdown("notes", "a")),
    "import": lambda store: len(import_path(store, source).problems),
}
before = peak()
for call in calls:
    with StateStore(folder, durability="os") as store:
        try:
            answer = DO[call](store)
        except JournalError as error:
            answer = type(error).__name__
            assert len(str(error)) < 2000, "an error that shows what it should only name"
    print(json.dumps([call, answer, peak() - before]), flush=True)
"""
READS = "load records verify diagnose list"


def tried(folder: Path, calls: str, *, source: object = "", most_mib: float) -> dict[str, object]:
    """What came of these calls, each in turn, in less memory than `most_mib` on top of a bare process."""
    command = [sys.executable, "-c", CHILD, str(folder), str(source), calls]
    # Minutes, on the slowest machine; what hangs, or is quadratic, takes hours.
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    peaks = {call: round(peak) for call, _, peak in lines}

    assert done.returncode == 0, f"{done.stderr[-2000:]}\nafter {lines}"
    assert max(peaks.values()) < most_mib, peaks
    return {call: answer for call, answer, _ in lines}


def sparse(path: Path, size: int, start: bytes = b"") -> None:
    """A file of NUL bytes behind its start, which take no room."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + size)


@pytest.fixture
def journal_path(folder: Path) -> Path:
    """Where the journal of the session "s" will be."""
    (folder / "sessions").mkdir(parents=True)
    return folder / "sessions" / "s.jsonl"


# Journals


def test_a_line_of_10_gib_is_a_torn_tail(folder: Path, journal_path: Path):
    """NUL bytes without an end: what was acknowledged before them can be read."""
    sparse(journal_path, 10 * 1024 * MIB, GOOD)

    assert tried(folder, "load", most_mib=60) == {"load": 3}


def test_a_hole_stays_one_when_it_is_cut_off(folder: Path, journal_path: Path):
    """It may be larger than the disk."""
    sparse(journal_path, 256 * MIB, GOOD)
    answers = tried(folder, "diagnose save load", most_mib=80)
    (kept,) = (folder / ".journal" / "quarantine").iterdir()

    assert answers == {"diagnose": 1, "save": 5, "load": 5}
    assert kept.stat().st_size == 256 * MIB
    assert kept.stat().st_blocks * 512 < MIB


TAILS: dict[str, tuple[Callable[[], bytes], float]] = {
    "one line of 24 MiB": (lambda: b"x" * 24 * MIB + b"\n", 150),
    "24 MiB without a newline": (lambda: b"x" * 24 * MIB, 80),
    "a million levels": (lambda: b"[" * 2_000_000 + b"\n" + b'{"a":' * 1_000_000 + b"\n", 60),
    "a million levels in a record": (lambda: b'{"v":1,"seq":4,"event":' + b"[" * 2_000_000 + b"\n", 40),
    "half records in one line": (lambda: b'{"v":1,"seq":' * (8 * MIB // 13) + b"\n", 100),
    "half records in many lines": (lambda: (b'{"v":1,"seq":4,"x":[' * 800 + b"\n") * 300, 20),
    "a million empty lines": (lambda: b"\n" * 1_000_000, 20),
    "a million carriage returns": (lambda: b"\r\n" * 1_000_000, 20),
    "repeated keys": (lambda: b"{" + b'"v":1,' * MIB + b'"seq":4}\n', 80),
    "a number of a million digits": (lambda: b'{"v":1,"seq":%b}\n' % (b"9" * 1_000_000), 20),
    "lone surrogates, no UTF-8, a byte order mark": (lambda: b'"\\ud800"\n\xff\xfe\n\xef\xbb\xbf{}\n', 20),
}


@pytest.mark.parametrize(("tail", "most_mib"), TAILS.values(), ids=TAILS)
def test_a_hostile_tail_is_cut_off(
    folder: Path, journal_path: Path, tail: Callable[[], bytes], most_mib: float
):
    """It was never acknowledged: reads stop before it, a save moves it to quarantine, to the byte."""
    journal_path.write_bytes(GOOD + tail())
    answers = tried(folder, f"{READS} save", most_mib=most_mib)
    (kept,) = (folder / ".journal" / "quarantine").iterdir()

    assert answers == {"load": 3, "records": 3, "verify": True, "diagnose": 1, "list": [1, 0], "save": 5}
    assert kept.read_bytes() == tail()


@pytest.mark.parametrize("filler", [b"\n", b"{}\n", b"[" * 1000 + b"\n"], ids=["empty", "tiny", "deep"])
def test_no_end_of_lines_behind_damage_is_told_in_little_memory(
    folder: Path, journal_path: Path, filler: bytes
):
    """A text was changed in the middle: that is told; what follows is neither held nor cut."""
    hostile = GOOD.replace(b"hello", b"hallo", 1) + filler * (MIB // len(filler))
    journal_path.write_bytes(hostile)
    answers = tried(folder, f"{READS} save", most_mib=40)

    assert answers["load"] == answers["records"] == answers["save"] == "CorruptRecordError"
    assert (answers["verify"], answers["list"], answers["diagnose"]) == (False, [0, 1], 1)
    assert journal_path.read_bytes() == hostile


def test_a_batch_that_never_ends_is_not_held(folder: Path, journal_path: Path, monkeypatch):
    """All its records are good, and their number is a million: what is held of them is bounded."""
    monkeypatch.setattr(reader, "MAX_BATCH_BYTES", MIB)
    journal_path.write_bytes(forged([CREATED], [SAID] * 40_000)[:-1])
    assert journal_path.stat().st_size > 10 * MIB
    tracemalloc.start()
    try:
        with StateStore(folder, durability="os") as store, pytest.raises(CorruptRecordError, match="batch"):
            store.load_session("s")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB


@pytest.mark.parametrize("more", [b"999999999", b"9" * 18, b"9" * 5000, b"-1", b"0", b"1e9", b"null"])
def test_a_count_that_cannot_be_is_damage_or_a_torn_tail(folder: Path, journal_path: Path, more: bytes):
    """`more` is what the line says, and its hashes fit."""
    journal_path.write_bytes(forged([CREATED], [SAID], [(head(more=b',"more":%b' % more), SAID)]))
    answers = []
    with StateStore(folder, durability="os") as store:
        for seq in (2, 3):
            try:
                session = store.load_session("s", at=seq)
                answers.append(session.version if session else 0)
            except JournalError as error:
                answers.append(getattr(error, "seq", "not there"))

    assert answers in ([2, 3], [2, "not there"])  # damage at record 3, or a tail that nobody acknowledged


# Snapshots, documents, and what lies around the sessions

WHOLE: dict[str, Callable[[Path], object]] = {
    "a gibibyte": lambda path: sparse(path, 1024 * MIB, DOCUMENT % b""),
    "deep": lambda path: path.write_bytes(
        DOCUMENT % (b',"metadata":{"k":%b}' % (b"[" * 500_000 + b"]" * 500_000))
    ),
    "half of something deep": lambda path: path.write_bytes(b'{"metadata":' + b"[" * 1_000_000),
    "repeated keys": lambda path: path.write_bytes(b"{" + b'"id":"s",' * 200_000 + (DOCUMENT % b"")[1:]),
    "a million digits": lambda path: path.write_bytes(
        DOCUMENT % (b',"metadata":{"k":%b}' % (b"9" * 1_000_000))
    ),
    "no UTF-8": lambda path: path.write_bytes(b"\xff" * 1000),
    "a byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + DOCUMENT % b""),
}


@pytest.mark.parametrize("write", WHOLE.values(), ids=WHOLE)
def test_a_hostile_snapshot_never_hides_its_journal(
    folder: Path, journal_path: Path, write: Callable[[Path], object]
):
    """The journal is read instead, and can be written; it stays as it is until then."""
    journal_path.write_bytes(GOOD)
    write(journal_path.with_suffix(".json"))
    answers = tried(folder, READS, most_mib=100)
    untouched = journal_path.read_bytes() == GOOD

    assert (answers["load"], answers["records"], answers["list"]) == (3, 3, [1, 0])
    assert untouched
    assert tried(folder, "save load", most_mib=60) == {"save": 4, "load": 4}


@pytest.mark.parametrize("write", WHOLE.values(), ids=WHOLE)
def test_a_hostile_session_file_is_an_error(
    folder: Path, journal_path: Path, write: Callable[[Path], object]
):
    """Without a journal beside it there is nothing to read: an error that names it, and it stays."""
    write(journal_path.with_suffix(".json"))
    before = journal_path.with_suffix(".json").stat()
    answers = tried(folder, "load verify list save", most_mib=100)
    after = journal_path.with_suffix(".json").stat()

    refused = "CorruptSnapshotError"
    assert answers == {"load": refused, "verify": False, "list": [0, 1], "save": refused}
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_marker_that_names_the_end_of_a_gigantic_line_is_not_believed(folder: Path, journal_path: Path):
    """Looking for the record that ends there does not read all that stands before."""
    sparse(journal_path, 512 * MIB, GOOD)
    marker = b',"journal":{"version":9,"offset":%d,"chain":"%b","fold":"session/1"}' % (512 * MIB, b"x" * 43)
    journal_path.with_suffix(".json").write_bytes(DOCUMENT % marker)

    assert tried(folder, "load", most_mib=220) == {"load": 3}


@pytest.mark.parametrize("name", ["a gibibyte", "deep", "half of something deep", "no UTF-8"])
def test_a_hostile_document_is_an_error(folder: Path, name: str):
    """Of both kinds; and it can be replaced."""
    (folder / "notes").mkdir(parents=True)
    for ending in ("json", "md"):
        WHOLE[name](folder / "notes" / f"a.{ending}")
    answers = tried(folder, "json markdown", most_mib=60)
    with StateStore(folder, durability="os") as store:
        store.save_json("notes", "a", 1)
        store.save_markdown("notes", "a", "new")

        assert answers["json"] == "JournalError"
        assert answers["markdown"] == "JournalError" or "deep" in name
        assert (store.load_json("notes", "a"), store.load_markdown("notes", "a")) == (1, "new")


def test_what_could_not_be_read_back_is_not_written(store: StateStore):
    """A document over the bound, whose bytes the next load would refuse."""
    for save in (store.save_json, store.save_markdown):
        with pytest.raises(JournalError, match="over"):
            save("notes", "a", "x" * (64 * MIB + 1))

    assert store.list_category("notes") == []


AROUND = ["changed", "changed.planted", "tombstones.jsonl", "catalog.sqlite3", "catalog.sqlite3-wal"]


@pytest.mark.parametrize("name", AROUND)
def test_gigabytes_around_the_sessions_stop_nothing(folder: Path, journal_path: Path, name: str):
    """Marks, tombstones, the catalog: none is read whole."""
    journal_path.write_bytes(GOOD)
    created = CREATED.replace(b'"s"', b'"other"')
    journal_path.with_name("other.jsonl").write_bytes(forged([created], session_id="other"))
    (folder / ".journal").mkdir()
    sparse(folder / ".journal" / name, 10 * 1024 * MIB, b"+\n")
    answers = tried(folder, "save delete list verify", most_mib=40)

    assert answers == {"save": 4, "delete": True, "list": [1, 0], "verify": True}


GARBAGE = [
    b"garbage",
    b"\0" * 5000,
    b"-\n",
    b"+",
    b"+\na\0b\n\xff\xfe\n../x\n..\n" + b"y" * 5000,
    b"SQLite format 3\0" * 300,
]


@pytest.mark.parametrize("data", GARBAGE, ids=lambda data: repr(data[:12]))
@pytest.mark.parametrize("name", AROUND)
def test_garbage_around_the_sessions_stops_nothing(folder: Path, journal_path: Path, name: str, data: bytes):
    """A crash leaves some, too: saves, lists and deletions go on, and lists are right."""
    journal_path.write_bytes(GOOD)
    (folder / ".journal").mkdir()
    (folder / ".journal" / name).write_bytes(data)
    with StateStore(folder, durability="os") as store:
        store.update_session_with("s", lambda s: s.add_user_message("x"))
        listed = [each.id for each in store.list_sessions()]
        store.update_session_with("s", lambda s: s.add_user_message("y"))
        counts = [each.message_count for each in store.list_sessions()]
        deleted = store.delete_session("s")

    assert (listed, counts, deleted) == (["s"], [4], True)


def test_names_that_no_id_has_are_told_and_harm_nothing(folder: Path, journal_path: Path):
    """Whatever a folder may hold is listed: as a session, or as one that cannot be read."""
    journal_path.write_bytes(GOOD)
    names = [b"a\nb.jsonl", b"\xff\xfe.jsonl", b"x" * 240 + b".jsonl", b"a b'\".json", b"\x1b[2J.jsonl"]
    for name in [*names, b"c..d.jsonl", b"..jsonl", b".hidden.jsonl"]:
        Path(os.fsdecode(os.fsencode(journal_path.parent) + b"/" + name)).write_bytes(b"x")
    with StateStore(folder, durability="os") as store:
        page = store.list_sessions()
        report = store.verify()

    assert [each.id for each in page] == ["s"]
    assert len(page.unreadable) == len(names) + 1  # what begins with a dot is nobody's session
    assert all(each.reason.isprintable() for each in page.unreadable)
    assert not report.ok
