"""What a crash left open, as a person sees and settles it: unfinished, settle."""

import json

import pytest

from journal import StateStore
from projections import ToolReturned
from tests.command import Call


@pytest.fixture
def crashed(store: StateStore) -> StateStore:
    """Session "s": a payment that was begun, and a look that was finished; "t" has nothing open."""
    with store.open_session("s", user_id="ada") as live:
        live.run_tool("look", lambda: 1, call_id="looked")
        live.tool_call("pay", {"amount": 5, "to": "\x1b[31mbob"}, call_id="p\x1b1").__enter__()
    with store.open_session("t", user_id="ada") as live:
        live.run_tool("look", lambda: 1)
    return store


def test_what_is_open_is_listed_and_settled(crashed: StateStore, call: Call) -> None:
    listed = call("unfinished")
    assert listed.exit_code == 0
    assert listed.stdout.startswith("s@4  ")
    assert '␛1  pay {"amount": 5, "to": "\\u001b[31mbob"}' in listed.stdout
    assert "\x1b" not in listed.stdout
    (found,) = map(json.loads, call("--json", "unfinished", "s").stdout.splitlines())
    assert (found["seq"], found["call_id"], found["arguments"]["amount"]) == (4, "p\x1b1", 5)

    settled = call("settle", "s", "p\x1b1", "--result", '{"paid": 5}', "--by", "user:ann")
    assert (settled.exit_code, settled.stdout) == (0, "5\n")
    last = list(crashed.records("s"))[-1]
    assert isinstance(last.event, ToolReturned)
    assert (last.event.result, last.event.is_error, last.by) == ({"paid": 5}, False, "user:ann")
    assert call("unfinished").exit_code == 1


def test_a_call_that_never_ran_has_failed(crashed: StateStore, call: Call) -> None:
    assert call("--json", "settle", "s", "p\x1b1", "--failed", "never sent").exit_code == 0
    with crashed.open_session("s") as live:
        assert live.unfinished() == []
        assert "never sent" in str(live.messages()[-1])


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("settle", "s", "p\x1b1"), 2, "say what became of it"),
        (("settle", "s", "p\x1b1", "--result", "1", "--failed", "x"), 2, "say what became of it"),
        (("settle", "s", "p\x1b1", "--result", "done"), 2, "a text is JSON in quotes"),
        (("settle", "s", "looked", "--result", "1"), 2, "has its outcome on record"),
        (("settle", "s", "other", "--result", "1"), 2, "is not on record"),
        (("settle", "nobody", "c", "--result", "1"), 3, "'nobody' was not found"),
        (("unfinished", "nobody"), 3, "'nobody' was not found"),
        (("unfinished", "t"), 1, "every call has its outcome on record"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    crashed: StateStore, call: Call, args: tuple[str, ...], code: int, said: str
) -> None:
    answer = call(*args)
    assert (answer.exit_code, said in answer.stderr) == (code, True)
    assert crashed.load_session("s").version == 4


def test_a_damaged_session_keeps_no_other_from_being_listed(crashed: StateStore, call: Call, folder) -> None:
    crashed.close()
    path = folder / "sessions" / "t.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"look"', b'"loot"'))
    (folder / "sessions" / "t.json").unlink(missing_ok=True)
    answer = call("unfinished")
    assert answer.exit_code == 4
    assert answer.stdout.startswith("s@4")
    assert "t.jsonl" in answer.stderr
