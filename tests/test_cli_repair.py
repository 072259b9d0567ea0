"""`journal repair`: each kind of damage is named, mended only when asked, and every byte is kept."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from journal import JournalWarning, Session, StateStore
from tests.command import invoke


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


def answer(folder: Path, *args: str) -> Any:
    return json.loads(invoke(folder, *args, "--json").stdout)


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
    return invoke(folder, "verify", "s").exit_code == 0 and invoke(folder, "repair", "s").exit_code == 0


def test_a_whole_session_needs_no_repair(folder: Path, session: str) -> None:
    before = journal_of(folder).read_bytes()
    result = invoke(folder, "repair", "s", "--yes")

    assert (result.exit_code, result.stdout) == (0, "s: nothing to repair\n")
    assert journal_of(folder).read_bytes() == before


def test_a_torn_tail_is_shown_and_left_then_cut_and_kept(folder: Path, session: str) -> None:
    torn = b'{"v":1,"seq":6,"id":"01'
    with journal_of(folder).open("ab") as file:
        file.write(torn)
    damaged = journal_of(folder).read_bytes()

    assert invoke(folder, "repair", "s").exit_code == 1
    assert journal_of(folder).read_bytes() == damaged

    found = answer(folder, "repair", "s", "--yes")
    assert [step["kind"] for step in found["steps"]] == ["torn_tail"]
    assert found["steps"][0]["size_bytes"] == len(torn)
    assert kept(folder) == torn
    assert answer(folder, "show", "s@-1")["event"]["type"] == "journal_repaired"
    assert is_whole(folder)


def test_damage_in_the_middle_costs_the_damaged_record_and_all_bytes_are_kept(
    folder: Path, session: str
) -> None:
    """The others keep their place; the tail goes to quarantine as it was."""
    snapshot_of(folder).unlink()
    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"three", b"thr3e")
    journal_of(folder).write_bytes(b"".join(lines))

    assert invoke(folder, "verify", "s").exit_code == 4
    first = invoke(folder, "repair", "s")
    assert first.exit_code == 1
    assert "records 1 to 5 stay; of record 4 only the hashes stay" in first.stdout
    assert journal_of(folder).read_bytes() == b"".join(lines)

    found = answer(folder, "repair", "s", "--yes")
    assert [step["kind"] for step in found["steps"]] == ["foreign_edit"]
    assert kept(folder) == b"".join(lines[3:])
    assert journal_of(folder).read_bytes().startswith(b"".join(lines[:3]))
    assert messages(folder) == ["one", "two", "", "four"]
    assert is_whole(folder)
    assert invoke(folder, "say", "s", "on").stdout == "7\n"


def test_what_the_snapshot_knows_of_a_damaged_record_comes_back(folder: Path, session: str) -> None:
    """Nothing proves it: it goes on record as what it is, a change of today; --only-proven leaves it out."""
    snapshot = snapshot_of(folder).read_bytes()
    data = journal_of(folder).read_bytes().replace(b"three", b"thr3e")
    journal_of(folder).write_bytes(data)

    assert "(session_replaced), which nothing proves" in invoke(folder, "repair", "s").stdout
    assert "nothing proves" not in invoke(folder, "repair", "s", "--only-proven").stdout
    assert invoke(folder, "repair", "s", "--yes").exit_code == 0
    assert messages(folder) == ["one", "two", "three", "four"]
    assert answer(folder, "show", "s@4")["event"]["type"] == "erased"
    assert snapshot in kept(folder)
    assert is_whole(folder)


def test_behind_a_break_in_the_chain_a_person_decides(folder: Path, session: str) -> None:
    """What can be read is appended anew; with --only-proven it is given up."""
    snapshot_of(folder).unlink()
    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    lines[3] = b"x" * 300 + b"\n"
    journal_of(folder).write_bytes(b"".join(lines))

    plan = invoke(folder, "repair", "s")
    assert "record 5 from behind the damage appended anew" in plan.stdout
    assert "lost: record 4" in plan.stdout
    strict = invoke(folder, "repair", "s", "--only-proven")
    assert "lost: 2 records (4 to 5)" in strict.stdout
    assert invoke(folder, "repair", "s", "--yes", "--only-proven").exit_code == 0
    assert messages(folder) == ["one", "two"]
    assert is_whole(folder)


def test_whoever_had_read_past_the_damage_notices_the_repair(folder: Path, session: str) -> None:
    """A store that is open meanwhile goes on from what the repair left, however long the file is again."""
    with StateStore(folder, durability="os") as store:
        store.load_session("s")
        lines = journal_of(folder).read_bytes().splitlines(keepends=True)
        lines[3] = lines[3].replace(b"three", b"thr3e")
        journal_of(folder).write_bytes(b"".join(lines))
        invoke(folder, "repair", "s", "--yes")
        invoke(folder, "say", "s", "long" * 1000)
        loaded = store.load_session("s")

        assert loaded is not None
        words = ["one", "two", "three", "four", "long" * 1000]
        assert [each.content for each in loaded.user_messages] == words


def test_without_one_good_record_the_session_goes_on_from_its_snapshot(folder: Path, session: str) -> None:
    data = journal_of(folder).read_bytes()
    journal_of(folder).write_bytes(data.replace(b'"ann"', b'"eve"', 1))
    found = answer(folder, "repair", "s", "--yes")

    assert [step["kind"] for step in found["steps"]] == ["foreign_edit"]
    assert messages(folder) == ["one", "two", "three", "four"]
    assert [
        json.loads(line)["event"]["type"]
        for line in invoke(folder, "log", "s", "--json").stdout.split("\n")[:2]
    ] == [
        "session_adopted",
        "journal_repaired",
    ]
    assert is_whole(folder)


def test_without_its_first_record_or_a_snapshot_a_person_says_whose_it_is(folder: Path, session: str) -> None:
    data = journal_of(folder).read_bytes().replace(b'"ann"', b'"eve"', 1)
    journal_of(folder).write_bytes(data)
    snapshot_of(folder).unlink()

    result = invoke(folder, "repair", "s", "--yes")
    assert result.exit_code == 4
    assert "Say whose it is with --user" in result.stdout
    assert journal_of(folder).read_bytes() == data

    assert invoke(folder, "repair", "s", "--yes", "--user", "ann").exit_code == 0
    assert messages(folder) == ["one", "two", "three", "four"]
    assert kept(folder) == data
    assert is_whole(folder)


def test_a_session_of_which_nothing_can_be_read_ends_and_is_kept(folder: Path, session: str) -> None:
    data = b"x" * 300 + b"\n" + b"".join(journal_of(folder).read_bytes().splitlines(keepends=True)[1:])
    journal_of(folder).write_bytes(data)
    snapshot_of(folder).unlink()

    assert "the session ends" in invoke(folder, "repair", "s", "--only-proven").stdout
    assert invoke(folder, "repair", "s", "--yes", "--only-proven").exit_code == 0
    assert kept(folder) == data
    assert invoke(folder, "state", "s").exit_code == 3


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

    assert invoke(folder, "repair", "s", "--yes").exit_code == 0
    assert answer(folder, "state", "s", "--path", "metadata") == {"mood": "fine"}
    assert kept(folder) == foreign
    assert json.loads(snapshot_of(folder).read_bytes())["journal"]["version"] == 6
    assert is_whole(folder)


def test_another_programs_file_that_says_the_same_is_only_rewritten(folder: Path, session: str) -> None:
    document = json.loads(snapshot_of(folder).read_bytes())
    del document["journal"]
    snapshot_of(folder).write_text(json.dumps(document))
    before = journal_of(folder).read_bytes()

    assert invoke(folder, "repair", "s", "--yes").exit_code == 0
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

    assert [step["kind"] for step in found["steps"]] == ["nul_run", "foreign_snapshot"]
    assert len(found["done"]) == 2
    assert answer(folder, "state", "s", "--path", "active_seed_id") == "seed-1"
    assert is_whole(folder)


@pytest.mark.parametrize("journal", [None, b"", b"{", b"\0" * 50])
def test_a_session_file_that_does_not_parse_goes_when_a_person_says_so(
    folder: Path, journal: bytes | None
) -> None:
    """Without a record beside it nothing can go on from it: it is kept, and the session ends."""
    (folder / "sessions").mkdir(parents=True)
    snapshot_of(folder).write_text("{")
    if journal is not None:
        journal_of(folder).write_bytes(journal)
    result = invoke(folder, "repair", "s")

    assert result.exit_code == 1
    assert "is no session file" in result.stdout
    assert snapshot_of(folder).read_text() == "{"
    assert invoke(folder, "repair", "s", "--yes").exit_code == 0
    assert b"{" in kept(folder)
    assert invoke(folder, "state", "s").exit_code == 3
    assert "is kept as" in (folder / ".journal" / "tombstones.jsonl").read_text()


def test_a_journal_of_a_newer_format_is_no_damage(folder: Path, session: str) -> None:
    lines = journal_of(folder).read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'{"v":1', b'{"v":2')
    journal_of(folder).write_bytes(b"".join(lines))
    result = invoke(folder, "repair", "s", "--yes")

    assert result.exit_code == 4
    assert "update session-journal" in result.stdout
    assert journal_of(folder).read_bytes() == b"".join(lines)


def test_looking_at_a_torn_session_repairs_nothing(folder: Path, session: str) -> None:
    """Reading commands leave every byte of a journal as it is, also when they close the store."""
    with journal_of(folder).open("ab") as file:
        file.write(b"{")
    before = journal_of(folder).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error", JournalWarning)
        for args in (["ls"], ["log", "s"], ["show", "s"], ["state", "s"], ["verify", "s"], ["repair", "s"]):
            invoke(folder, *args)

    assert journal_of(folder).read_bytes() == before


def test_all_sessions_and_the_catalog_are_repaired_at_once(folder: Path, session: str) -> None:
    """One line for what is whole: none. What is wrong is shown first, and done with --yes."""
    for session_id in ("a", "b"):
        invoke(folder, "say", session_id, "hello", "--user", "ann")
    torn = folder / "sessions" / "a.jsonl"
    torn.write_bytes(torn.read_bytes() + b"{")
    invoke(folder, "ls")
    catalog = folder / ".journal" / "catalog.sqlite3"
    catalog.write_bytes(b"no database" * 100)

    plan = invoke(folder, "repair", "--all")
    assert plan.exit_code == 1
    assert plan.stdout.count("wrong:") == plan.stdout.count("would:") == 2
    assert "the store:" in plan.stdout
    assert "a:" in plan.stdout.splitlines()
    assert catalog.exists()

    done = invoke(folder, "repair", "--all", "--yes", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["session_id"] for line in done.stdout.splitlines()] == [None, "a"]
    assert invoke(folder, "repair", "--all").stdout == "nothing to repair\n"
    assert len(answer(folder, "ls")["sessions"]) == 3


@pytest.mark.parametrize("name", ["catalog", "search"])
def test_what_is_derived_alone(folder: Path, session: str, name: str) -> None:
    """It is removed, and made anew when it is needed."""
    invoke(folder, "search", "hello")
    assert invoke(folder, "repair", "--catalog").stdout == "nothing to repair\n"
    derived = folder / ".journal" / f"{name}.sqlite3"
    derived.write_bytes(derived.read_bytes()[:5000])

    assert answer(folder, "repair", "--catalog")["steps"][0]["kind"].startswith("broken_")
    assert invoke(folder, "repair", "--catalog").exit_code == 1
    assert invoke(folder, "repair", "--catalog", "--yes").exit_code == 0
    assert not derived.exists()
    assert invoke(folder, "repair", "--catalog").stdout == "nothing to repair\n"
    invoke(folder, "search", "hello")
    assert derived.exists()


def test_the_search_index_forgets_who_is_gone(folder: Path, session: str) -> None:
    """Some of them are named."""
    with StateStore(folder) as store:
        for number in range(30):
            store.get_or_create_session("ann", f"s{number}")
        store.search("hello")
        for number in range(30):
            store.delete_session(f"s{number}")
    (step,) = answer(folder, "repair", "--catalog")["steps"]

    assert step["kind"] == "outdated_search_index"
    assert "'s0', which is gone" in step["findings"][0]
    assert "more such sessions" in step["findings"][-1]
    assert invoke(folder, "repair", "--catalog", "--yes").exit_code == 0
    assert invoke(folder, "repair", "--catalog").stdout == "nothing to repair\n"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["s", "--all"],
        ["--all", "--user", "ann"],
        ["s", "--user", "ann", "--only-proven"],
        ["s", "--force"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(folder: Path, session: str, args: list[str]) -> None:
    assert invoke(folder, "repair", *args).exit_code == 2


def test_one_hopeless_session_does_not_stop_the_others(folder: Path, session: str) -> None:
    (folder / "sessions" / "b.jsonl").mkdir()
    with journal_of(folder).open("ab") as file:
        file.write(b"{")
    result = invoke(folder, "repair", "--all", "--yes")

    assert result.exit_code == 4
    assert result.stdout.count("done:") == 1
    assert is_whole(folder)


def test_several_sessions_by_name(folder: Path, session: str) -> None:
    invoke(folder, "say", "t", "hello", "--user", "ann")
    for name in ("s", "t"):
        with (folder / "sessions" / f"{name}.jsonl").open("ab") as file:
            file.write(b"{")

    assert invoke(folder, "repair", "s", "t", "s", "--yes").stdout.count("done:") == 2
    assert invoke(folder, "repair", "s", "nobody").exit_code == 3
