"""`journal repair`: each kind of damage is named, mended only when asked, and every byte is kept."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from journal import JournalWarning, Session, StateStore
from journal.cli.commands import app


@pytest.fixture
def session(folder: Path) -> str:
    """A session of five records and a snapshot."""
    with StateStore(folder, durability="os") as store:
        session = Session.with_id("ann", "s")
        session.add_user_message("one")
        store.save_session(session)
        for text in ("two", "three", "four"):
            session.add_user_message(text)
            store.save_session(session)
    return "s"


def call(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, ["--store", str(folder), *args])


def answer(folder: Path, *args: str) -> Any:
    return json.loads(call(folder, *args, "--json").stdout)


def journal_of(folder: Path) -> Path:
    return folder / "sessions" / "s.jsonl"


def snapshot_of(folder: Path) -> Path:
    return folder / "sessions" / "s.json"


def kept(folder: Path) -> bytes:
    """All bytes in quarantine."""
    return b"".join(path.read_bytes() for path in sorted((folder / ".journal" / "quarantine").iterdir()))


def messages(folder: Path) -> list[str]:
    return [each["content"] for each in answer(folder, "state", "s", "--path", "user_messages")]


def is_whole(folder: Path) -> bool:
    return call(folder, "verify", "s").exit_code == 0 and call(folder, "repair", "s").exit_code == 0


def test_a_whole_session_needs_no_repair(folder: Path, session: str) -> None:
    before = journal_of(folder).read_bytes()
    result = call(folder, "repair", "s", "--yes")

    assert (result.exit_code, result.stdout) == (0, "s: nothing to repair\n")
    assert journal_of(folder).read_bytes() == before


def test_a_torn_tail_is_shown_and_left_then_cut_and_kept(folder: Path, session: str) -> None:
    torn = b'{"v":1,"seq":6,"id":"01'
    with journal_of(folder).open("ab") as file:
        file.write(torn)
    damaged = journal_of(folder).read_bytes()

    assert call(folder, "repair", "s").exit_code == 1
    assert journal_of(folder).read_bytes() == damaged

    found = answer(folder, "repair", "s", "--yes")
    assert [step["kind"] for step in found["steps"]] == ["torn_tail"]
    assert found["steps"][0]["size_bytes"] == len(torn)
    assert kept(folder) == torn
    assert answer(folder, "show", "s@-1")["event"]["type"] == "journal_repaired"
    assert is_whole(folder)


def test_damage_in_the_middle_is_cut_and_all_bytes_are_kept(folder: Path, session: str) -> None:
    """What stood before the damage stays, byte for byte; the rest and the snapshot go to quarantine."""
    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"three", b"thr3e")
    journal_of(folder).write_bytes(b"".join(lines))
    snapshot = snapshot_of(folder).read_bytes()

    assert call(folder, "verify", "s").exit_code == 4
    first = call(folder, "repair", "s")
    assert first.exit_code == 1
    assert "records 1 to 3 stay" in first.stdout
    assert journal_of(folder).read_bytes() == b"".join(lines)

    found = answer(folder, "repair", "s", "--yes")
    assert [step["kind"] for step in found["steps"]] == ["damage"]
    assert b"".join(lines[3:]) in kept(folder)
    assert snapshot in kept(folder)
    assert journal_of(folder).read_bytes().startswith(b"".join(lines[:3]))
    assert messages(folder) == ["one", "two"]
    assert is_whole(folder)
    assert call(folder, "say", "s", "on").stdout == "5\n"


def test_whoever_had_read_past_the_damage_notices_the_repair(folder: Path, session: str) -> None:
    """A store that is open meanwhile goes on from what the repair left, however long the file is again."""
    with StateStore(folder, durability="os") as store:
        store.load_session("s")
        lines = journal_of(folder).read_bytes().splitlines(keepends=True)
        lines[3] = lines[3].replace(b"three", b"thr3e")
        journal_of(folder).write_bytes(b"".join(lines))
        call(folder, "repair", "s", "--yes")
        call(folder, "say", "s", "long" * 1000)
        loaded = store.load_session("s")

        assert loaded is not None
        assert [each.content for each in loaded.user_messages] == ["one", "two", "long" * 1000]


def test_without_one_good_record_the_session_goes_on_from_its_snapshot(folder: Path, session: str) -> None:
    data = journal_of(folder).read_bytes()
    journal_of(folder).write_bytes(data.replace(b'"ann"', b'"eve"', 1))
    found = answer(folder, "repair", "s", "--yes")

    assert [step["kind"] for step in found["steps"]] == ["damage"]
    assert messages(folder) == ["one", "two", "three", "four"]
    assert [
        json.loads(line)["event"]["type"]
        for line in call(folder, "log", "s", "--json").stdout.split("\n")[:2]
    ] == [
        "session_adopted",
        "journal_repaired",
    ]
    assert is_whole(folder)


def test_without_a_good_record_or_snapshot_the_session_ends_and_is_kept(folder: Path, session: str) -> None:
    data = journal_of(folder).read_bytes().replace(b'"ann"', b'"eve"', 1)
    journal_of(folder).write_bytes(data)
    snapshot_of(folder).unlink()

    assert "the session ends" in call(folder, "repair", "s").stdout
    assert call(folder, "repair", "s", "--yes").exit_code == 0
    assert kept(folder) == data
    assert call(folder, "state", "s").exit_code == 3


def test_another_programs_changes_are_taken_in(folder: Path, session: str) -> None:
    """The difference becomes events; its file is kept; the snapshot is the journal's again."""
    document = json.loads(snapshot_of(folder).read_bytes())
    del document["journal"]
    document["metadata"]["mood"] = "fine"
    document["updated_at"] = "2036-01-01T00:00:00Z"
    foreign = json.dumps(document).encode()
    snapshot_of(folder).write_bytes(foreign)

    found = answer(folder, "repair", "s")
    assert [step["kind"] for step in found["steps"]] == ["foreign_snapshot"]
    assert "metadata_set" in found["steps"][0]["remedy"]
    assert snapshot_of(folder).read_bytes() == foreign

    assert call(folder, "repair", "s", "--yes").exit_code == 0
    assert answer(folder, "state", "s", "--path", "metadata") == {"mood": "fine"}
    assert kept(folder) == foreign
    assert json.loads(snapshot_of(folder).read_bytes())["journal"]["version"] == 6
    assert is_whole(folder)


def test_another_programs_file_that_says_the_same_is_only_rewritten(folder: Path, session: str) -> None:
    document = json.loads(snapshot_of(folder).read_bytes())
    del document["journal"]
    snapshot_of(folder).write_text(json.dumps(document))
    before = journal_of(folder).read_bytes()

    assert call(folder, "repair", "s", "--yes").exit_code == 0
    assert journal_of(folder).read_bytes() == before
    assert is_whole(folder)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [("broken_snapshot", b'"user_id"', b'"user'), ("altered_snapshot", b'"two"', b'"2wo"')],
)
def test_a_wrong_snapshot_is_rebuilt(folder: Path, session: str, kind: str, old: bytes, new: bytes) -> None:
    wrong = snapshot_of(folder).read_bytes().replace(old, new, 1)
    snapshot_of(folder).write_bytes(wrong)
    found = answer(folder, "repair", "s", "--yes")

    assert [step["kind"] for step in found["steps"]] == [kind]
    assert kept(folder) == wrong
    assert messages(folder) == ["one", "two", "three", "four"]
    assert is_whole(folder)


def test_a_torn_tail_and_a_foreign_snapshot_are_both_mended(folder: Path, session: str) -> None:
    document = json.loads(snapshot_of(folder).read_bytes())
    del document["journal"]
    document["active_seed_id"] = "seed-1"
    snapshot_of(folder).write_text(json.dumps(document))
    with journal_of(folder).open("ab") as file:
        file.write(b"\0" * 100)
    found = answer(folder, "repair", "s", "--yes")

    assert [step["kind"] for step in found["steps"]] == ["torn_tail", "foreign_snapshot"]
    assert len(found["done"]) == 2
    assert answer(folder, "state", "s", "--path", "active_seed_id") == "seed-1"
    assert is_whole(folder)


def test_a_session_file_that_does_not_parse_is_left_for_a_person(folder: Path) -> None:
    (folder / "sessions").mkdir(parents=True)
    snapshot_of(folder).write_text("{")
    result = call(folder, "repair", "s", "--yes")

    assert result.exit_code == 4
    assert "is no session file" in result.stdout
    assert snapshot_of(folder).read_text() == "{"


def test_a_journal_of_a_newer_format_is_no_damage(folder: Path, session: str) -> None:
    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'{"v":1', b'{"v":2')
    journal_of(folder).write_bytes(b"".join(lines))
    result = call(folder, "repair", "s", "--yes")

    assert result.exit_code == 4
    assert "update session-journal" in result.stdout
    assert journal_of(folder).read_bytes() == b"".join(lines)


def test_an_event_that_no_reader_understands_is_cut_with_its_batch(folder: Path, session: str) -> None:
    from journal.record import encode_batch

    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    last = json.loads(lines[-1])
    head = b'"id":"01a20399-45b2-7f69-8480-15375043654e","at":"2026-11-22T12:05:00.000000Z"'
    good = (b'{"type":"custom_event","name":"n"}', head, b"A" * 22)
    bad = (b'{"type":"user_message_added"}', head, b"A" * 22)
    data, _, _ = encode_batch([good, bad], last["seq"], last["chain"].encode())
    with journal_of(folder).open("ab") as file:
        file.write(data)
    found = answer(folder, "repair", "s", "--yes")

    assert [step["kind"] for step in found["steps"]] == ["damage"]
    assert found["steps"][0]["size_bytes"] == len(data)
    assert messages(folder) == ["one", "two", "three", "four"]
    assert is_whole(folder)


def test_looking_at_a_torn_session_repairs_nothing(folder: Path, session: str) -> None:
    """Reading commands leave every byte of a journal as it is, also when they close the store."""
    with journal_of(folder).open("ab") as file:
        file.write(b"{")
    before = journal_of(folder).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error", JournalWarning)
        for args in (["ls"], ["log", "s"], ["show", "s"], ["state", "s"], ["verify", "s"], ["repair", "s"]):
            call(folder, *args)

    assert journal_of(folder).read_bytes() == before
