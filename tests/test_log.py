"""One session's file: torn tails are cut and kept, damage is reported and never touched."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import (
    CorruptRecordError,
    JournalWarning,
    Session,
    SessionNotFoundError,
    StateStore,
    VersionConflictError,
)
from projections import CustomEvent, JournalRepaired
from tests.strategies import CREATED, a_store, contents, said


def journal_of(store, session_id="s"):
    return Path(store.base_path, "sessions", f"{session_id}.jsonl")


def quarantined(store):
    folder = Path(store.base_path, ".journal", "quarantine")
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.exists() else []


def fill(store, batches):
    """Append one batch for each number, of so many records; return the byte at which each batch ends."""
    ends, version = [0], 0
    for number, size in enumerate(batches):
        events = [said(f"{number}.{part}") for part in range(size)]
        version = store.append("s", events if version else [CREATED, *events], expected_version=version)
        ends.append(journal_of(store).stat().st_size)
    return ends


@pytest.fixture
def filled(store):
    """Five batches in the session "s": of 1 + 1, 1, 3, 1 and 1 records; versions 2, 3, 6, 7, 8."""
    fill(store, [1, 1, 3, 1, 1])
    store.close()
    return journal_of(store)


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


# Torn tails


def check_repair(folder, expected_version, expected_contents, torn):
    """A reader sees whole batches, the next append goes on, the bytes are kept, all is proved."""
    with StateStore(folder, durability="os") as store:
        before = store.load_session("s")
        assert (before.version if before else 0) == expected_version
        assert (contents(before) if before else []) == expected_contents
        report = store.verify("s") if expected_version or torn else None
        assert report is None or report.ok
        events = [said("next")] if expected_version else [CREATED, said("next")]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            version = store.append("s", events, expected_version=expected_version)
        assert [warning.category for warning in caught] == [JournalWarning] * bool(torn)
        assert quarantined(store) == [torn] * bool(torn)
        assert contents(store.load_session("s")) == [*expected_contents, "next"]
        assert version == store.load_session("s").version
        repairs = [r.event for r in store.records("s") if isinstance(r.event, JournalRepaired)]
        # A session of which nothing was acknowledged has no record to tell of a repair.
        assert [each.size_bytes for each in repairs] == [len(torn)] * bool(torn and expected_version)
        assert store.verify("s").ok
        assert [r.seq for r in store.records("s")] == list(range(1, version + 1))


def test_a_journal_cut_at_any_byte_reopens_to_whole_batches(tmp_path):
    """Every single byte; the next append works and the quarantine holds what was cut."""
    with StateStore(tmp_path / "whole", durability="os") as store:
        ends = fill(store, [1, 3, 1])
        whole = journal_of(store).read_bytes()
    states = [
        (0, []),
        (2, ["0.0"]),
        (5, ["0.0", "1.0", "1.1", "1.2"]),
        (6, ["0.0", "1.0", "1.1", "1.2", "2.0"]),
    ]
    for cut in range(len(whole) + 1):
        folder = tmp_path / str(cut)
        (folder / "sessions").mkdir(parents=True)
        (folder / "sessions" / "s.jsonl").write_bytes(whole[:cut])
        batch = max(index for index, end in enumerate(ends) if end <= cut)
        check_repair(folder, *states[batch], torn=whole[ends[batch] : cut])
        shutil.rmtree(folder)


GARBAGE = {
    "NULs": b"\0" * 4096,
    "NULs and a newline": b"\0" * 100 + b"\n",
    "half a line": b'{"v":1,"seq":9,"id":"0199',
    "no JSON": b"hello\n",
    "several lines of no JSON": b"a\nb\n\n\nc\n",
    "a newline": b"\n",
    "newlines": b"\n\n\n",
    "no UTF-8": b"\xff\xfe\xff\n",
    "JSON that is no record": b'{"a":1}\n',
    "a number": b"1\n",
    "deeply nested": b"[" * 100_000 + b"\n",
    "a megabyte without a newline": b"x" * 3_000_000,
    "a long line": b"x" * 18_000_000 + b"\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_at_the_end_is_cut_kept_and_told(filled, folder, garbage):
    """A warning, a JournalRepaired record, the bytes in quarantine."""
    with filled.open("ab") as file:
        file.write(garbage)

    check_repair(folder, 8, ["0.0", "1.0", "2.0", "2.1", "2.2", "3.0", "4.0"], garbage)


@given(st.binary(min_size=1, max_size=200))
def test_any_garbage_at_the_end_loses_nothing(garbage):
    """Whatever bytes a crash left behind the last record, what was acknowledged is there and provable."""
    with a_store() as store:
        fill(store, [1, 2])
        with journal_of(store).open("ab") as file:
            file.write(garbage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JournalWarning)
            store.update_session_with("s", lambda session: session.add_user_message("next"))

        assert contents(store.load_session("s")) == ["0.0", "1.0", "1.1", "next"]
        assert quarantined(store) == [garbage]
        assert store.verify("s").ok


def test_the_repair_names_its_quarantine_file(filled, folder):
    """The record tells where the bytes are, from where they were cut, and why."""
    size = filled.stat().st_size
    with filled.open("ab") as file:
        file.write(b'{"v":1')
    with StateStore(folder) as store:
        with pytest.warns(JournalWarning, match="quarantine"):
            store.append("s", [said("x")], expected_version=8)
        event = next(r.event for r in store.records("s", after=8))

        assert isinstance(event, JournalRepaired)
        assert (event.offset, event.size_bytes) == (size, 6)
        assert (folder / ".journal" / "quarantine" / event.quarantine).read_bytes() == b'{"v":1'


def test_readers_never_repair(filled, folder):
    """Loading, listing, verifying and compacting without a need leave a torn tail where it is."""
    with filled.open("ab") as file:
        file.write(b"half")
    whole = filled.read_bytes()
    with StateStore(folder) as store:
        store.load_session("s")
        store.load_session("s", at=3)
        store.list_sessions()
        list(store.records("s"))
        report = store.verify("s")

        assert report.ok
        assert any("4 bytes" in note for note in report.notes)
        assert filled.read_bytes() == whole


def test_a_first_line_destroyed_with_the_rest_of_its_batch_intact_is_torn(filled, folder):
    """Pages reach the disk in any order: the last batch was never acknowledged as a whole."""
    with StateStore(folder, durability="os") as store:
        store.append("s", [said("a"), said("b"), said("c")], expected_version=8)
    whole = lines(filled)
    for victim in (8, 9, 10):
        damaged = [*whole[:victim], b"\0" * (len(whole[victim]) - 1) + b"\n", *whole[victim + 1 :]]
        (folder / "sessions" / "s.json").unlink(missing_ok=True)
        shutil.rmtree(folder / ".journal", ignore_errors=True)
        filled.write_bytes(b"".join(damaged))
        check_repair(folder, 8, ["0.0", "1.0", "2.0", "2.1", "2.2", "3.0", "4.0"], b"".join(damaged[8:]))


# Damage


def check_refused(path, folder, seq, offset, *, reason="."):
    """Named with file, byte and record; what comes before can be read; nothing is written or touched."""
    whole = path.read_bytes()
    (folder / "sessions" / "s.json").unlink(missing_ok=True)
    with StateStore(folder, durability="os") as store:
        for call in (
            lambda: store.load_session("s"),
            lambda: list(store.records("s")),
            lambda: store.append("s", [said("x")], expected_version=8),
            lambda: store.append("s", [said("x")], expected_version=-1),
            lambda: store.update_session_with("s", lambda s: s.add_user_message("x")),
            lambda: store.save_session(Session.with_id("u", "s")),
            lambda: store.compact("s"),
        ):
            with pytest.raises(CorruptRecordError, match=reason) as caught:
                call()
            assert (caught.value.path, caught.value.offset, caught.value.seq) == (str(path), offset, seq)
        report = store.verify("s")
        assert not report.ok
        assert all(str(path) in finding and f"byte {offset}" in finding for finding in report.findings)
        read = []
        with pytest.raises(CorruptRecordError):
            read.extend(record.seq for record in store.records("s"))
        assert read == list(range(1, len(read) + 1))
        for version in read:
            assert store.load_session("s", at=version).version == version
        page = store.list_sessions()
        assert page == []
        assert [each.id for each in page.unreadable] == ["s"]
        assert store.session_ids() == ["s"]
    assert path.read_bytes() == whole
    assert quarantined(store) == []
    return read


@pytest.mark.parametrize("victim", range(7))
@pytest.mark.parametrize("how", ["NULs", "one byte", "text"])
def test_damage_in_the_middle_is_reported_and_never_touched(filled, folder, victim, how):
    """Records of a later batch behind a bad place prove that it was once good."""
    whole = lines(filled)
    old = whole[victim]
    new = {
        "NULs": b"\0" * (len(old) - 1) + b"\n",
        "one byte": b"X" + old[1:],
        "text": old.replace(b'"content":"', b'"content":"No ') if b"content" in old else old[:-3] + b"\n",
    }[how]
    filled.write_bytes(b"".join([*whole[:victim], new, *whole[victim + 1 :]]))
    offset = sum(len(line) for line in whole[:victim])

    read = check_refused(filled, folder, victim + 1, offset)
    # Every record before it, also those of its own batch.
    assert read == list(range(1, victim + 1))


def test_an_altered_last_record_is_no_torn_tail(filled, folder):
    """A torn write does not leave valid JSON with a wrong hash: somebody edited it."""
    whole = lines(filled)
    filled.write_bytes(b"".join(whole[:-1]) + whole[-1].replace(b"4.0", b"4.1"))

    read = check_refused(filled, folder, 8, sum(map(len, whole[:-1])))
    assert read == [1, 2, 3, 4, 5, 6, 7]


def test_a_batch_with_a_later_one_behind_it_is_damage(filled, folder):
    """The same destroyed first line as in a torn batch, but a later batch was acknowledged."""
    whole = lines(filled)
    filled.write_bytes(b"".join([*whole[:3], b"x" * 50 + b"\n", *whole[4:]]))

    read = check_refused(filled, folder, 4, sum(map(len, whole[:3])))
    assert read == [1, 2, 3]


def test_two_records_run_together_are_damage(filled, folder):
    """A newline lost between two acknowledged batches must not make a torn tail of both."""
    whole = filled.read_bytes()
    end_of_seventh = whole.rindex(b"\n", 0, -1)
    filled.write_bytes(whole[:end_of_seventh] + b"*" + whole[end_of_seventh + 1 :])

    check_refused(filled, folder, 7, whole.rindex(b"\n", 0, end_of_seventh) + 1)


EDITS = {
    "two lines swapped": (lambda x: [*x[:2], x[3], x[2], *x[4:]], 3),
    "batches swapped": (lambda x: [*x[:6], x[7], x[6]], 7),
    "a line removed": (lambda x: [*x[:2], *x[3:]], 3),
    "the first batch removed": (lambda x: x[2:], 1),
    "a line twice": (lambda x: [*x[:3], x[2], *x[3:]], 4),
    "the last line twice": (lambda x: [*x, x[-1]], 9),
    "a line put in": (lambda x: [*x[:3], x[0], *x[3:]], 4),
    "an empty line put in": (lambda x: [*x[:3], b"\n", *x[3:]], 4),
    "a carriage return put in": (lambda x: [*x[:2], x[2][:-1] + b"\r\n", *x[3:]], 3),
    "a space put in": (lambda x: [*x[:2], x[2][:-2] + b" }\n", *x[3:]], 3),
}


@pytest.mark.parametrize(("edit", "seq"), EDITS.values(), ids=EDITS.keys())
def test_any_reordering_removal_or_insertion_is_found(filled, folder, edit, seq):
    """At the record where it begins."""
    whole = edit(lines(filled))
    filled.write_bytes(b"".join(whole))

    check_refused(filled, folder, seq, sum(map(len, whole[: seq - 1])))


def test_a_journal_under_another_id_is_found(filled, folder, store):
    """The first chain holds the id: a copy cannot pass for another session."""
    shutil.copy(filled, folder / "sessions" / "t.jsonl")
    with StateStore(folder) as store:
        with pytest.raises(CorruptRecordError) as caught:
            store.load_session("t")

        assert caught.value.seq == 1
        assert not store.verify("t").ok
        assert store.verify("s").ok
        assert [each.id for each in store.list_sessions().unreadable] == ["t"]


@pytest.mark.parametrize("shape", [b'{"v":2,"seq":9,', b'{"v":2,"entirely":"different",'])
def test_a_newer_format_is_refused_with_its_reason(filled, folder, shape):
    """Neither damage to be cut, nor something to be guessed at: update the library."""
    last = lines(filled)[-1]
    with filled.open("ab") as file:
        file.write(shape + last[last.index(b'"id"') :])

    check_refused(filled, folder, 9, filled.stat().st_size - len(lines(filled)[-1]), reason="version 2")


def test_damage_behind_an_open_store_is_found_by_its_readers_and_writers(store):
    """A cache is no excuse: what is appended by another hand is checked."""
    fill(store, [1, 1])
    whole = journal_of(store).read_bytes()
    with journal_of(store).open("ab") as file:
        file.write(whole.splitlines(keepends=True)[-1])

    for call in (
        lambda: store.load_session("s"),
        lambda: store.append("s", [said("x")], expected_version=3),
        lambda: store.update_session_with("s", lambda s: s.add_user_message("x")),
    ):
        with pytest.raises(CorruptRecordError):
            call()
    assert not store.verify("s").ok


# Behind an open store


@pytest.fixture(params=["reads first", "writes at once"])
def reads_first(request, monkeypatch):
    """A store that looks before it writes, and one that does not."""
    # Else a store that does not wait for the disk may take the path for granted for a millisecond.
    monkeypatch.setattr("journal.log.LOOK_AFTER_SECONDS", 0)
    return request.param == "reads first"


def test_a_journal_deleted_behind_an_open_store_is_gone(store, reads_first):
    """Readers see none, writers do not write into a file that nobody sees."""
    fill(store, [1, 1])
    journal_of(store).unlink()
    if reads_first:
        assert store.load_session("s") is None
    with pytest.raises(VersionConflictError):
        store.append("s", [said("x")], expected_version=3)
    with pytest.raises(SessionNotFoundError):
        store.update_session_with("s", lambda s: s.add_user_message("x"))
    assert store.append("s", [CREATED, said("new")], expected_version=0) == 2
    assert contents(store.load_session("s")) == ["new"]
    assert store.verify("s").ok


def test_a_journal_replaced_behind_an_open_store_is_read_afresh(store, tmp_path, reads_first):
    """Another file under the same name is another history."""
    fill(store, [1, 1])
    with StateStore(tmp_path / "other", durability="os") as other:
        other.append("s", [CREATED, *map(said, "abcd")], expected_version=0)
        os.replace(journal_of(other), journal_of(store))
    if reads_first:
        assert contents(store.load_session("s")) == ["a", "b", "c", "d"]
    with pytest.raises(VersionConflictError):
        store.append("s", [said("x")], expected_version=3)
    assert store.append("s", [said("x")], expected_version=5) == 6
    assert contents(store.load_session("s")) == ["a", "b", "c", "d", "x"]
    assert store.verify("s").ok


@pytest.mark.parametrize("in_place", [True, False])
def test_a_backup_restored_behind_an_open_store_is_read_afresh(store, tmp_path, reads_first, in_place):
    """Whether it was renamed into place or written over the old file."""
    fill(store, [1, 1])
    shutil.copy(journal_of(store), tmp_path / "backup")
    store.append("s", [said("lost")], expected_version=3)
    if in_place:
        journal_of(store).write_bytes((tmp_path / "backup").read_bytes())
    else:
        os.replace(tmp_path / "backup", journal_of(store))
    if reads_first:
        assert contents(store.load_session("s")) == ["0.0", "1.0"]
    with pytest.raises(VersionConflictError):
        store.append("s", [said("x")], expected_version=4)
    assert store.append("s", [said("x")], expected_version=3) == 4
    assert contents(store.load_session("s")) == ["0.0", "1.0", "x"]
    assert store.verify("s").ok


@pytest.mark.parametrize("length", [3, 40, 300])
def test_a_journal_that_was_cut_and_grew_again_behind_an_open_store_is_read_afresh(
    store, reads_first, length
):
    """Longer than it was, but with another history: nothing that another store acknowledged may be cut."""
    fill(store, [1, 1])
    backup = journal_of(store).read_bytes()
    store.append("s", [said("lost" * 30)], expected_version=3)
    journal_of(store).write_bytes(backup)
    with StateStore(store.base_path, durability="os") as other:
        other.append("s", [said("kept" * length)], expected_version=3)
        if length < 40:
            other.append("s", [said("kept too")], expected_version=4)
        expected = contents(other.load_session("s"))
    whole = journal_of(store).read_bytes()
    if reads_first:
        assert contents(store.load_session("s")) == expected
    store.update_session_with("s", lambda session: session.add_user_message("next"))

    assert contents(store.load_session("s")) == [*expected, "next"]
    assert journal_of(store).read_bytes().startswith(whole)
    assert store.verify("s").ok


def test_another_process_may_cut_a_torn_tail(store):
    """The repair of one process is seen by all."""
    fill(store, [1, 1])
    with journal_of(store).open("ab") as file:
        file.write(b"half a line")
    assert contents(store.load_session("s")) == ["0.0", "1.0"]
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from journal import StateStore\n"
        "with StateStore(sys.argv[1]) as store:\n"
        "    store.update_session_with('s', lambda s: s.add_user_message('theirs'))\n"
    )
    subprocess.run([sys.executable, "-c", script, store.base_path], check=True)

    assert contents(store.load_session("s")) == ["0.0", "1.0", "theirs"]
    assert store.append("s", [said("ours")], expected_version=5) == 6
    assert store.verify("s").ok


def test_damage_in_the_part_that_was_read_does_not_hang_a_retry(tmp_path):
    """Looking for an earlier try reads the last records again, under the writer's own lock."""
    script = """
import sys
from journal import StateStore, JournalError
from projections import CustomEvent, SessionCreated
store = StateStore(sys.argv[1], durability="os")
store.append("s", [SessionCreated(session_id="s", user_id="u")], expected_version=0)
for n in range(1, 6):
    store.append("s", [CustomEvent(name="n", data=n)], expected_version=n, key=str(n))
path = sys.argv[1] + "/sessions/s.jsonl"
with open(path, "r+b") as file:
    file.seek(30)
    file.write(b"XXX")
try:
    print(store.append("s", [CustomEvent(name="n", data=3)], expected_version=3, key="3"))
except JournalError as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=10
    )

    assert done.stdout.strip() in ("4", "CorruptRecordError")


# Compacting and reading on


def test_records_can_be_read_while_others_append(store):
    """An iterator ends at the last complete batch that was there when it got so far."""
    fill(store, [1, 1])
    records = store.records("s")
    first = next(records)
    for version in range(3, 8):
        store.append("s", [CustomEvent(name="n")], expected_version=version)

    assert first.seq == 1
    assert [record.seq for record in records][:2] == [2, 3]


def test_an_append_costs_the_same_number_of_calls_however_long_the_session(store, monkeypatch):
    """Flat cost: one write for a batch, of its own bytes."""
    store.append("s", [CREATED], expected_version=0)
    written = []
    monkeypatch.setattr(
        store._disk, "write", lambda fd, data: written.append(len(data)) or os.write(fd, data), raising=False
    )
    for version in range(1, 200):
        store.append("s", [said("x" * 20)], expected_version=version)

    assert len(written) == 199
    assert max(written) - min(written) < 8
