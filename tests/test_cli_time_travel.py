"""The commands of time travel and erasure: diff, blame, fork, rewind, ls --tree, erase."""

import json
from pathlib import Path
from typing import Any

import pytest

from journal import Session, StateStore
from tests.command import invoke
from tests.strategies import contents


@pytest.fixture
def talks(folder: Path) -> Path:
    """A store with the session "s": two messages and a setting that changed."""
    session = Session.with_id("ann", "s")
    session.add_user_message("one")
    session.set_metadata("k", 1)
    session.add_user_message("two")
    session.set_metadata("k", 2)
    with StateStore(folder, durability="os") as store:
        store.save_session(session)
    return folder


def answer(folder: Path, *arguments: str) -> Any:
    """What it says to a program: one object, or a list of those of a stream."""
    found = [json.loads(line) for line in invoke(folder, "--json", *arguments).stdout.splitlines()]
    return found[0] if len(found) == 1 else found


def load(folder: Path, session_id: str = "s") -> Session:
    """The session as it is."""
    with StateStore(folder, durability="os") as store:
        session = store.load_session(session_id)
    assert session is not None
    return session


def test_diff_says_each_value_and_who_made_it(talks: Path) -> None:
    found = answer(talks, "diff", "s@3", "s@5")

    assert invoke(talks, "diff", "s@3", "s").exit_code == 1
    assert [(each["path"], each["version"]) for each in found["differences"]] == [
        ("user_messages.1", 4),
        ("updated_at", 5),
        ("metadata.k", 5),
    ]
    assert "before" not in found["differences"][0]
    assert (found["differences"][2]["before"], found["differences"][2]["after"]) == (1, 2)
    assert invoke(talks, "diff", "s", "s@5").exit_code == 0


def test_blame_says_the_records_the_last_first(talks: Path) -> None:
    found = answer(talks, "blame", "s", "metadata.k")

    assert [(each["record"]["seq"], each["after"]) for each in found] == [(5, 2), (3, 1)]
    assert "before" not in found[1]
    assert "5  " in invoke(talks, "blame", "s@5", "/metadata/k").stdout.splitlines()[0]
    assert invoke(talks, "blame", "s@2", "metadata.k").exit_code == 1


def test_a_fork_and_its_family(talks: Path) -> None:
    assert invoke(talks, "fork", "s@3", "--id", "t").stdout == "t\n"
    assert answer(talks, "fork", "t", "--id", "v") == {"session_id": "v", "origin": "t", "version": 3}
    invoke(talks, "reply", "v", "so")
    tree = [line[:7].rstrip() for line in invoke(talks, "ls", "--tree").stdout.splitlines()[1:]]

    assert tree == ["s", "└@3 t", "  └@3 v"]
    assert invoke(talks, "fork", "s", "--id", "t").exit_code == 5
    assert invoke(talks, "fork", "s@9").exit_code == 3
    found = answer(talks, "diff", "s", "v")
    assert found["ancestor"] == 3
    assert {each["path"]: each["version"] for each in found["differences"]}["agent_responses.0"] == 4


def test_a_rewind_and_back(talks: Path) -> None:
    assert invoke(talks, "rewind", "s@2").stdout == "6\n"
    assert contents(load(talks)) == ["one"]
    assert answer(talks, "rewind", "s@-2", "--expect", "6") == {"session_id": "s", "version": 7, "to": 5}
    assert contents(load(talks)) == ["one", "two"]

    refused = invoke(talks, "rewind", "s")
    assert refused.exit_code == 2
    assert "s@7" in refused.stderr
    assert invoke(talks, "rewind", "s@1", "--expect", "3").exit_code == 5
    assert invoke(talks, "rewind", "s@8").exit_code == 3


def test_an_erasure_is_shown_first_and_then_done(talks: Path) -> None:
    invoke(talks, "fork", "s", "--id", "t")
    first = invoke(talks, "erase", "s@2..3", "s@4", "--reason", "asked for")
    assert first.exit_code == 1
    assert "would erase 3 records (2 to 4) of s" in first.stdout
    assert contents(load(talks)) == ["one", "two"]
    found = answer(talks, "erase", "s@2..3", "s@4", "--reason", "asked for", "--by", "dpo", "--yes")

    assert found["erased"]
    assert {each["session_id"]: each["versions"] for each in found["sessions"]} == {
        "s": [2, 3, 4],
        "t": [2, 3, 4],
    }
    for session_id in "st":
        assert contents(load(talks, session_id)) == ["", ""]
    told = answer(talks, "log", "s", "-n", "1")
    assert (told["by"], told["event"]["reason"], told["event"]["versions"]) == ("dpo", "asked for", [2, 3, 4])
    assert invoke(talks, "verify", "--all").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["erase", "--reason", "r"], 2),
        (["erase", "s@2"], 2),
        (["erase", "s", "--reason", "r", "--yes"], 2),
        (["erase", "s@2", "--user", "ann", "--reason", "r"], 2),
        (["erase", "s@1", "--reason", "r", "--yes"], 2),
        (["erase", "s@9", "--reason", "r", "--yes"], 3),
        (["erase", "nobody@1", "--reason", "r", "--yes"], 3),
        (["erase", "s@2", "--reason", " ", "--yes"], 2),
    ],
)
def test_what_cannot_be_erased_is_said_and_nothing_changes(
    talks: Path, arguments: list[str], code: int
) -> None:
    assert invoke(talks, *arguments).exit_code == code
    assert contents(load(talks)) == ["one", "two"]
    assert load(talks).version == 5


def test_of_a_range_goes_what_may_go_and_what_stays_is_said(talks: Path) -> None:
    invoke(talks, "erase", "s@2", "--reason", "r", "--yes")
    shown = invoke(talks, "erase", "s@1..", "--reason", "r")

    assert shown.exit_code == 1
    assert "would erase 3 records (3 to 5) of s" in shown.stdout
    assert "s: without record 1, as it says whose the session is" in shown.stderr
    assert "s: without record 2, as its content is gone already" in shown.stderr
    assert invoke(talks, "erase", "s@1..99", "--reason", "r").exit_code == 3
    assert "nothing to erase" in invoke(talks, "erase", "s@..1", "--reason", "r", "--yes").stderr


def test_all_of_a_user(talks: Path) -> None:
    invoke(talks, "say", "other", "mine", "--user", "bob")
    assert (
        "would erase 4 records (2 to 5) of s"
        in invoke(talks, "erase", "--user", "ann", "--reason", "r").stdout
    )
    invoke(talks, "erase", "--user", "ann", "--reason", "r", "--yes")

    assert contents(load(talks)) == ["", ""]
    assert load(talks).metadata == {}
    assert contents(load(talks, "other")) == ["mine"]
    assert "nothing to erase" in invoke(talks, "erase", "--user", "ann", "--reason", "r").stderr


def test_a_point_that_is_none_is_said_of_the_session_that_lacks_it(talks: Path) -> None:
    invoke(talks, "say", "other", "one")
    for arguments, lacking in (
        (["blame", "s@99", "metadata.k"], "'s'"),
        (["diff", "s@99", "s"], "'s'"),
        (["diff", "s", "other@99"], "'other'"),
        (["diff", "s@99", "other"], "'s'"),
    ):
        refused = invoke(talks, *arguments)

        assert refused.exit_code == 3
        assert f"session {lacking} has no such point" in refused.stderr


def test_a_path_without_a_value_says_what_is_there(talks: Path) -> None:
    refused = invoke(talks, "blame", "s", "metadata.kk")

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr == "journal: there is no 'kk' in metadata: its keys are k\n"


def test_a_command_for_whole_sessions_says_so_where_a_point_is_given(talks: Path) -> None:
    refused = invoke(talks, "compact", "s@3")

    assert refused.exit_code == 3
    assert refused.stderr.endswith("a session is asked for here, and no point of it: s\n")


def test_what_is_gone_is_shown_in_the_order_in_which_it_was_said(talks: Path) -> None:
    """To a person; a program gets it in the order in which it can be applied."""
    shown = invoke(talks, "diff", "s", "s@1").stdout
    found = answer(talks, "diff", "s", "s@1")["differences"]

    assert shown.index("user_messages.0") < shown.index("user_messages.1")
    assert [each["path"] for each in found][:2] == ["user_messages.1", "user_messages.0"]


def test_of_long_values_the_place_where_they_differ_is_shown(
    talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with StateStore(talks, durability="os") as store:
        for end in ("rain", "snow"):
            store.update_session_with("s", lambda s, end=end: s.set_metadata("plan", "x" * 500 + end))
    _, before, after = invoke(talks, "diff", "s@-2", "s").stdout.splitlines()[-3:]

    assert (before, after) == (f'  - …{"x" * 20}rain"', f'  + …{"x" * 20}snow"')
