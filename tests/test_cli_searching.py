"""`journal log --where`, `first` and `bisect`, as docs/reference/cli.md describes them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from journal import Session, StateStore
from projections import ToolCalled, ToolReturned
from tests.command import Call

LAST = 44


@pytest.fixture
def talk(store: StateStore) -> str:
    """A session of 44 records: created, 20 turns, a tool that fails, and a plan that comes at 44."""
    session = Session.with_id("ann", "s-42")
    for turn in range(20):
        session.add_user_message(f"question {turn}")
        session.add_agent_response(f"answer {turn}")
    store.save_session(session)
    events = [
        ToolCalled(call_id="c", name="read", arguments={"path": "/etc"}),
        ToolReturned(call_id="c", result="no", is_error=True),
    ]
    store.append(session.id, events, expected_version=41, by="agent")
    session = store.load_session(session.id)
    assert session is not None
    session.set_metadata("plan", ["look"])
    assert store.save_session(session) == LAST
    return session.id


def seqs(result: Result) -> list[int]:
    return [json.loads(line)["seq"] for line in result.stdout.splitlines()]


# log --where


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("event.is_error", [43]),
        ('event.arguments.path = "/etc"', [42]),
        ('event.content ~= "question 1$"', [4]),
        ("count(state.user_messages) = 3", [6, 7]),
        ("count(state.user_messages) = 3 and event.type = 'user_message_added'", [6]),
        ("exists state.metadata.plan or state.version = 1", [1, 44]),
        ("event.seq > state.version", []),
    ],
)
def test_where_keeps_what_it_is_true_of(call: Call, talk: str, expression: str, expected: list[int]) -> None:
    result = call("log", talk, "--json", "--where", expression)

    assert seqs(result) == expected
    assert result.exit_code == (0 if expected else 1)


def test_where_goes_with_every_other_filter(call: Call, talk: str) -> None:
    """A state is that of the whole history, whatever of it is shown."""
    three = ["log", talk + "@8..10", "--json", "--where", "count(state.user_messages) = 4"]

    assert seqs(call(*three)) == [8, 9]
    assert seqs(call(*three, "-r", "-n", "1")) == [9]
    assert seqs(call(*three, "--type", "user_message_added")) == [8]
    assert seqs(call("log", talk, "--json", "--by", "agent", "--where", "state.version != 42")) == [43]
    assert seqs(call("log", talk, "--json", "--by", "agent", "--where", "event.seq != 42")) == [43]


def test_an_expression_of_records_alone_folds_nothing(
    call: Call, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("something was folded")

    monkeypatch.setattr("journal.cli.matching._with_states", refuse)

    assert seqs(call("log", talk, "--json", "--where", "event.seq = 3")) == [3]
    with pytest.raises(AssertionError, match="something was folded"):
        call("log", talk, "--json", "--where", "state.version = 3")


def test_a_file_of_another_program_can_be_searched(call: Call, folder: Path) -> None:
    (folder / "sessions").mkdir(parents=True)
    document = (
        '{"id":"old","user_id":"ann","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'
    )
    (folder / "sessions" / "old.json").write_text(document)

    assert seqs(call("log", "old", "--json", "--where", 'state.user_id = "ann"')) == [0]
    assert call("first", "old", "event.seq = 0").stdout.endswith("\nold@0\n")
    assert call("bisect", "old", "state.user_id = 'ann'").exit_code == 1


# An expression that is none


@pytest.mark.parametrize(
    "args", [["log", "s-42", "--where"], ["first", "s-42"], ["bisect", "s-42"]], ids=lambda args: args[0]
)
def test_a_bad_expression_is_shown_with_its_place(call: Call, talk: str, args: list[str]) -> None:
    result = call(*args, "true and event.typ = 1")

    assert result.exit_code == 2
    assert result.stderr.split("\n")[:3] == [
        "journal: there is no event.typ; did you mean event.type?",
        "  true and event.typ = 1",
        "                 ^",
    ]


def test_a_bad_expression_acts_on_no_terminal(call: Call, talk: str) -> None:
    result = call("first", talk, "true and\x1b[2J\n'\u202e")

    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr


# first


def test_first_prints_the_record_as_log_does_and_its_address(call: Call, talk: str) -> None:
    result = call("first", talk, "event.is_error")

    assert result.exit_code == 0
    assert result.stdout == call("log", talk + "@43..43").stdout + "s-42@43\n"
    assert (
        call("first", talk, "event.is_error", "--json").stdout == call("show", talk + "@43", "--json").stdout
    )


def test_first_looks_no_further_than_it_must(call: Call, talk: str, folder: Path) -> None:
    """What is found before damage is found; what is not ends there."""
    path = folder / "sessions" / "s-42.jsonl"
    path.write_bytes(path.read_bytes().replace(b"answer 19", b"answer XX"))

    assert call("first", talk, "count(state.user_messages) = 3").stdout.endswith("\ns-42@6\n")
    assert call("first", talk, "event.is_error").exit_code == 4


def test_first_of_what_is_never_true_is_a_no(call: Call, talk: str) -> None:
    result = call("first", talk, "event.seq = 45", "--json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "it is true of no record\n"


def test_first_in_a_range_knows_what_was_before_it(call: Call, talk: str) -> None:
    assert seqs(call("first", talk + "@30..", "count(state.user_messages) > 2", "--json")) == [30]
    assert call("first", talk + "@..41", "event.is_error").exit_code == 1


# bisect


def tried(result: Result) -> dict[int, str]:
    return {each["version"]: each["verdict"] for each in json.loads(result.stdout)["tried"]}


@pytest.mark.parametrize("threshold", range(1, 21))
def test_bisect_and_first_agree_on_what_stays_true(call: Call, talk: str, threshold: int) -> None:
    expression = f"count(state.user_messages) >= {threshold}"
    result = call("bisect", talk, expression, "--json")

    assert json.loads(result.stdout)["record"] == json.loads(call("first", talk, expression, "--json").stdout)
    assert len(tried(result)) <= math.ceil(math.log2(LAST + 1))


def test_bisect_runs_a_command_for_each_state(call: Call, talk: str, tmp_path: Path) -> None:
    """With the state on stdin as `state --json` prints it, and where it is from in the environment."""
    command = (
        f'cd {tmp_path}; cat > "$JOURNAL_VERSION"; echo "$JOURNAL_STORE $JOURNAL_SESSION" > where;'
        ' ! grep -q "question 12" "$JOURNAL_VERSION"'
    )
    result = call("bisect", talk, "--run", command)

    assert result.exit_code == 0
    assert result.stdout == call("log", talk + "@26..26").stdout + "s-42@26\n"
    assert result.stderr.split("\n")[:2] == ["version 22: good", "version 33: bad"]
    assert (tmp_path / "where").read_text() == f"{tmp_path / 'state'} s-42\n"
    for version in (22, 33):
        assert (tmp_path / str(version)).read_text() == call("state", f"{talk}@{version}", "--json").stdout


def test_what_a_command_prints_is_no_answer(call: Call, talk: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = call("bisect", talk, "--run", "echo hello; false", "--json")

    assert json.loads(result.stdout)["record"]["seq"] == 1
    assert capfd.readouterr().err == "hello\n" * len(tried(result))


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "good"), (1, "bad"), (3, "bad"), (124, "bad"), (125, "skip")]
)
def test_an_exit_code_is_a_verdict(call: Call, talk: str, code: int, verdict: str) -> None:
    result = call("bisect", talk, "--run", f"exit {code}", "--json")

    assert set(tried(result).values()) == {verdict}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("exit 126", "could not run it (exit code 126)"),
        ("no-such-command-anywhere", "could not run it (exit code 127)"),
        ("exit 128", "broke off (exit code 128)"),
        ("exit 255", "broke off (exit code 255)"),
        ("kill -9 $$", "broke off (signal 9)"),
    ],
)
def test_a_command_that_gives_no_verdict_ends_the_search(
    call: Call, talk: str, command: str, why: str
) -> None:
    result = call("bisect", talk, "--run", command)

    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr.startswith("journal: the command gave no verdict on version 22: ")
    assert why in result.stderr


def test_what_is_good_throughout_is_a_no(call: Call, talk: str) -> None:
    result = call("bisect", talk, "--run", "true", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["record"] is None
    assert json.loads(result.stdout)["between"] is None
    assert result.stderr.endswith("it is good up to the last version, 44\n")


def test_what_was_always_bad_is_so_since_the_first_record(call: Call, talk: str) -> None:
    assert call("bisect", talk, "true").stdout.endswith("\ns-42@1\n")


def test_a_skipped_version_is_gone_round(call: Call, talk: str) -> None:
    """If that does for an answer; else the answer says between which versions it is."""
    result = call(
        "bisect", talk, "--run", "[ $JOURNAL_VERSION = 22 ] && exit 125; [ $JOURNAL_VERSION -lt 30 ]"
    )
    beside = call(
        *("bisect", talk, "--json", "--run"),
        "[ $JOURNAL_VERSION -ge 20 ] && [ $JOURNAL_VERSION -lt 23 ] && exit 125; [ $JOURNAL_VERSION -lt 21 ]",
    )

    assert result.stdout.endswith("\ns-42@30\n")
    assert beside.exit_code == 1
    assert json.loads(beside.stdout)["between"] == [20, 23]
    assert "the first bad version is one of 20 to 23" in beside.stderr


def test_where_nothing_can_be_told_it_says_so(call: Call, talk: str) -> None:
    result = call("bisect", talk, "--run", "exit 125", "--good", "40", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["between"] == [41, 44]
    assert "good up to version 40, and of those behind it none could be told" in result.stderr


def test_good_and_bad_narrow_the_search_and_are_believed(call: Call, talk: str) -> None:
    result = call("bisect", talk, "exists state.metadata.plan", "--good", "40", "--bad", "-1", "--json")

    assert json.loads(result.stdout)["record"]["seq"] == LAST
    assert set(tried(result)) <= {41, 42, 43}
    assert call("bisect", talk, "false", "--good", "6", "--bad", "7").stdout.endswith("\ns-42@7\n")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ([], "either EXPR or --run CMD"),
        (["true", "--run", "true"], "either EXPR or --run CMD"),
        (["event.seq > 3"], "`journal first ID EXPR` looks at every record"),
        (["true", "--good", "5", "--bad", "5"], "--good must come before --bad"),
        (["true", "--good", "45"], "up to the last version, 44"),
        (["true", "--bad", "45"], "up to the last version, 44"),
        (["true", "--bad", "soon"], "Points are 7, -1"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(call: Call, talk: str, args: list[str], hint: str) -> None:
    result = call("bisect", talk, *args)

    assert result.exit_code == 2
    assert hint in result.stderr
    assert result.stdout == ""
