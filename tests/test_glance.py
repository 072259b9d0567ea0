"""`journal info` and `journal stats`: a session and a store at a glance."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import ANY, Change, Session, StateStore, UserMessage
from journal.chain import first_chain
from journal.cli.drawing import axis, bars, field, strip_bars
from journal.cli.output import Output
from journal.cli.text import cells
from journal.durations import duration_text
from journal.record import encode_batch, prepare
from journal.snapshot import document_json
from projections import (
    Activity,
    AgentResponseAdded,
    SessionCreated,
    SessionForked,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
    fold,
)
from projections.strip import strip
from tests.command import Call, at_a_terminal, run
from tests.strategies import START, record, some
from tests.test_activity import any_history

HOSTILE = "bo\x1b[2Jok\u202e\r\n"


INFO = """\
session   trip
owner     ann
version   10
created   2026-11-22 12:00:00Z
changed   2026-11-22 13:00:13Z, 1 h later
size      8.4 kB; snapshot current, 5.9 kB
head      HEAD
by        agent␛[1m 7, nobody named 3
turns     2, answered after 6.0 s (median), 8.0 s (longest)
open      1 call without a result

Timeline   UTC, 271 ms a column
user    2     █                             ┊█
agent   2                                  █┊              █
tools   3         █          █              ┊   █
errors  1                        █          ┊
           └12:00:00       └12:00:04         └13:00:09
            2026-11-22

Errors   journal show trip@N
RECORD  TOOL                SAID
@6      bo␛[2Jok<U+202E>␍⏎  no␛]0;x␇ seat⏎left

Tools
TOOL                CALLS  ERRORS  MEDIAN    MAX
search                  2           2.0 s  2.0 s
bo␛[2Jok<U+202E>␍⏎      1       1   1.0 s  1.0 s

Silences
LENGTH  BEFORE  SINCE (UTC)
   1 h  @8      2026-11-22 12:00:09

Records
TYPE                  RECORDS    SIZE
agent_response_added        2  5.1 kB
tool_called                 3   225 B
tool_returned               2   155 B
user_message_added          2    98 B
session_created             1    62 B

Largest   journal show trip@N
RECORD    SIZE  TYPE
@10     5.0 kB  agent_response_added
@6        95 B  tool_returned
@5        81 B  tool_called
@3        77 B  tool_called
@9        67 B  tool_called
"""
STATS = """\
sessions  3, of 2 users
damage    1 session of any user could not be read (25.0%); `journal doctor` says
          more
records   14: 4 messages, 2 replies
size      9.6 kB
changed   2026-11-22 12:00Z to 2026-11-29 12:00Z

Changed   1 day a column, up to 2
█      ▄
from 2026-11-22 to 2026-11-29

Largest sessions
USER     SESSION  RECORDS    SIZE
ann      trip          10  8.4 kB
bob␛[2J  b2             2   622 B
bob␛[2J  b1             2   622 B

Most active users
USER     SESSIONS  RECORDS    SIZE
ann             1       10  8.4 kB
bob␛[2J         2        4  1.2 kB
"""


@pytest.fixture
def trip(folder: Path) -> str:
    """A session with two turns an hour apart, three calls, one of them failed, one without a result."""
    steps: list[tuple[float, Any]] = [
        (0, SessionCreated(session_id="trip", user_id="ann")),
        (1, UserMessageAdded(content="Book it.")),
        (2, ToolCalled(call_id="1", name="search", arguments={"to": "LIM"})),
        (4, ToolReturned(call_id="1", result="one flight")),
        (5, ToolCalled(call_id="2", name=HOSTILE, arguments={})),
        (6, ToolReturned(call_id="2", result="no\x1b]0;x\x07 seat\nleft", is_error=True)),
        (9, AgentResponseAdded(content="It failed.")),
        (3609, UserMessageAdded(content="Again!")),
        (3610, ToolCalled(call_id="3", name="search", arguments={})),
        (3613, AgentResponseAdded(content="x" * 5000)),
    ]
    with StateStore(folder, durability="os") as store:
        changes = [Change(event=event, at=START + timedelta(seconds=at)) for at, event in steps]
        store.append("trip", changes[:7], expected_version=0, by="agent\x1b[1m")
        store.append("trip", changes[7:], expected_version=7)
    return "trip"


def answer(call: Call, *args: str) -> Any:
    return json.loads(call(*args, "--json").stdout)


# info


def test_info_is_one_page(call: Call, trip: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, how much, when, with which tools, what failed, where it was silent, what is large."""
    monkeypatch.setenv("COLUMNS", "60")
    with StateStore(folder) as store:
        head = store.verify(trip).head

    assert call("info", trip).stdout == INFO.replace("HEAD", head)


def test_info_for_a_program_says_the_same(call: Call, trip: str, folder: Path) -> None:
    """One object, with all of it."""
    found = answer(call, "info", trip)

    assert (found["session_id"], found["user_id"]) == (trip, "ann")
    assert (found["version"], found["records"]) == (10, 10)
    assert found["counts"] == {
        "user": 2,
        "agent": 2,
        "reasoning": 0,
        "tool_call": 3,
        "tool_result": 1,
        "error": 1,
        "note": 1,
    }
    assert found["by"] == [{"by": "agent\x1b[1m", "records": 7}, {"by": None, "records": 3}]
    assert found["answers_ms"] == {"median": 6000, "max": 8000}
    assert [(each["name"], each["calls"], each["errors"]) for each in found["tools"]] == [
        ("search", 2, 0),
        (HOSTILE, 1, 1),
    ]
    assert found["errors"] == [
        {"seq": 6, "at": "2026-11-22T12:00:06.000000Z", "tool": HOSTILE, "text": "no\x1b]0;x\x07 seat\nleft"}
    ]
    assert found["gaps"] == [
        {
            "before": 7,
            "after": 8,
            "seconds": 3600,
            "from": "2026-11-22T12:00:09.000000Z",
            "to": "2026-11-22T13:00:09.000000Z",
        }
    ]
    assert found["largest"][0] == {"seq": 10, "type": "agent_response_added", "event_bytes": 5044}
    assert sum(each["counts"]["tool_call"] for each in found["timeline"]["columns"]) == 3
    assert (found["timeline"]["by"], found["open_calls"], found["damage"]) == ("time", 1, None)
    with StateStore(folder) as store:
        assert found["head"] == store.verify(trip).head


def test_which_silences_are_told_is_for_the_caller(call: Call, trip: str) -> None:
    assert [each["after"] for each in answer(call, "info", trip, "--gap", "2.5")["gaps"]] == [7, 8, 10]
    assert "Silences" not in call("info", trip, "--gap", "3600").stdout
    assert call("info", trip, "--gap", "-1").exit_code == 2
    assert call("info", "trap").exit_code == 3


def test_of_a_damaged_session_what_can_be_read_then_the_damage(call: Call, trip: str, folder: Path) -> None:
    """Exit code 4, also for a program."""
    path = folder / "sessions" / "trip.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Again!", b"Again?"))
    result, for_programs = call("info", trip), call("info", trip, "--json")

    assert (result.exit_code, for_programs.exit_code) == (4, 4)
    assert "version   7, then damage" in result.stdout
    assert "Timeline" in result.stdout
    assert result.stderr.startswith("journal: ")
    assert "record 8" in result.stderr
    assert json.loads(for_programs.stdout)["version"] == 7
    assert "record 8" in json.loads(for_programs.stdout)["damage"]
    assert json.loads(for_programs.stdout)["snapshot"]["state"] == "ahead"

    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"bob"'))
    result = call("info", trip)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "record 1" in result.stderr


def test_the_snapshots_state_is_told(call: Call, trip: str, folder: Path) -> None:
    """Current, behind, gone, of another history, of another program."""
    snapshot = folder / "sessions" / "trip.json"
    states = [answer(call, "info", trip)["snapshot"]["state"]]
    whole = snapshot.read_bytes()
    call("say", trip, "one")  # closing brings the snapshot up to date
    snapshot.write_bytes(whole)
    states.append(answer(call, "info", trip)["snapshot"]["state"])
    assert "snapshot of version 10, " in call("info", trip).stdout
    snapshot.write_bytes(re.sub(rb'"chain": "...', b'"chain": "AAA', whole))
    states.append(answer(call, "info", trip)["snapshot"]["state"])
    snapshot.write_bytes(re.sub(rb',\s*"journal": {.*}\s*}', b"}", whole, flags=re.DOTALL))
    states.append(answer(call, "info", trip)["snapshot"]["state"])
    snapshot.unlink()
    states.append(answer(call, "info", trip)["snapshot"]["state"])
    assert "no snapshot" in call("info", trip).stdout

    assert states == ["current", "behind", "outdated", "foreign", "none"]


@pytest.mark.parametrize("point", ["4", "-7", "2026-11-22T12:00:04.5Z"])
def test_at_a_point_it_is_as_it_was_there(call: Call, trip: str, folder: Path, point: str) -> None:
    """What came later does not count, and its damage is not asked for; the file's size is the file's."""
    path = folder / "sessions" / f"{trip}.jsonl"
    if point == "4":  # to find the others it must be read whole
        path.write_bytes(path.read_bytes().replace(b"Again!", b"Again?"))
    with StateStore(folder) as store:
        record = next(each for each in store.records(trip) if each.seq == 4)
    found = answer(call, "info", f"{trip}@{point}")

    assert (found["version"], found["records"], found["head"]) == (4, 4, record.chain)
    assert [each["name"] for each in found["tools"]] == ["search"]
    assert found["errors"] == []
    assert found["damage"] is None
    assert found["size_bytes"] == path.stat().st_size
    assert found["snapshot"]["state"] == "ahead"


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("trip@11", 3, "its records are 1 to 10, there is no record 11"),
        ("trip@0", 3, "there is no record 0"),
        ("trip@-11", 3, "it has 10 records, not 11"),
        ("trip@3..7", 2, "one point is needed here: trip@7"),
        ("trip@now", 2, "no point in a session"),
        ("tri@7", 3, "did you mean 'trip'?"),
    ],
)
def test_a_point_that_is_not_there_is_told(call: Call, trip: str, address: str, code: int, said: str) -> None:
    result = call("info", address)

    assert result.exit_code == code
    assert said in result.stderr


def test_a_file_of_another_program_is_shown_too(call: Call, folder: Path) -> None:
    """It has no record yet, and nothing begins by looking at it."""
    session = Session(id="old", user_id="ann", created_at=START)
    session.user_messages.append(UserMessage("hi", timestamp=START))
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "old.json").write_bytes(document_json(session))
    found = answer(call, "info", "old")

    assert (found["version"], found["records"], found["turns"], found["head"]) == (0, 0, 1, None)
    assert found["snapshot"]["state"] == "adopted"
    assert "the first save begins a journal" in " ".join(call("info", "old").stdout.split())
    assert not (folder / "sessions" / "old.jsonl").exists()


def test_a_fork_names_its_origin(call: Call, folder: Path) -> None:
    """A journal that begins as one, byte by byte: how forks are made is not this page's business."""
    event = SessionForked(
        session_id="fork",
        user_id="ann",
        created_at=START,
        origin="trunk",
        version=7,
        chain="c",
        first_chain="f",
    )
    data, _, _ = encode_batch([prepare(Change(event=event, at=START))], 0, first_chain("fork"))
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / "fork.jsonl").write_bytes(data)

    assert "fork of   trunk@7" in call("info", "fork").stdout
    assert "history   session_forked @1" in call("info", "fork").stdout
    assert answer(call, "info", "fork")["origin"] == {"session_id": "trunk", "version": 7}


# What a terminal gets


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_no_line_is_too_wide_and_nothing_acts_on_the_terminal(
    call: Call, trip: str, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Only what is there to be copied, a hash or an id, may be wider than a narrow terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    for args in (["info", trip], ["stats"], ["stats", "--deep"]):
        shown = call(*args).stdout

        assert not [c for c in shown if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f" or c == "\u202e"]
        if int(columns) >= 40:
            wide = [line for line in shown.splitlines() if cells(line) > min(int(columns), 120)]
            assert [line for line in wide if not line.startswith("head ")] == []


def test_piped_there_is_no_colour_and_at_a_terminal_there_is(trip: str, folder: Path) -> None:
    for args in (["info", trip], ["stats"]):
        assert b"\x1b" not in run("--store", str(folder), *args).stdout
        assert "\x1b[" in at_a_terminal("--store", str(folder), *args, "--no-pager")


def drawn(history: Any, width: int) -> Any:
    return strip(fold(history, Activity()), width)


@some
@given(any_history, st.integers(1, 150))
def test_what_is_drawn_fits(history: Any, width: int) -> None:
    """The bars and the axis, at any width; a bar is there exactly where something is."""
    found = drawn(history, width)
    for roles in ((0,), (1,), (3, 4, 5)):
        line = strip_bars(found.columns, roles).ljust(len(found.columns))
        there = [any(column.counts[role] for role in roles) for column in found.columns]

        assert cells(line) <= width
        assert [character not in " ┊" for character in line] == there
        assert [character == "┊" for character in line] == [column.is_break for column in found.columns]
    assert all(cells(line) <= width for line in axis(found, width))


@some
@given(any_history, st.integers(len("└12:00:00.000"), 150))
def test_labels_point_at_their_columns(history: Any, width: int) -> None:
    """The first column has one, if there is room for the longest; labels do not touch."""
    found = drawn(history, width)
    lines = axis(found, width)
    points = [place for place, character in enumerate(lines[0]) if character in "└┘"]

    assert points[0] == 0
    assert all(place < len(found.columns) for place in points)
    if found.is_by_time:
        return
    for label in lines[0].split():
        number = int(label.strip("└┘"))
        assert found.columns[lines[0].index(label)].start == number or label.endswith("┘")


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (1.5, ["└12:00:00.000   └12:00:00.774", " 2026-11-22"]),
        (60, ["└12:00:00       └12:00:30", " 2026-11-22"]),
        (3600, ["└12:00          └12:30", " 2026-11-22"]),
        (86400, ["└12:00          └00:23", " 2026-11-22      2026-11-23"]),
        (86400 * 30, ["└2026-11-22     └2026-12-07"]),
    ],
)
def test_labels_are_as_exact_as_they_must_be(seconds: float, labels: list[str]) -> None:
    """And the date stands where it changes."""
    ends = [START, START + timedelta(seconds=seconds)]
    history = [record(seq, UserMessageAdded(content="x"), at) for seq, at in enumerate(ends, 1)]

    assert axis(drawn(history, 31), 31) == labels


@some
@given(st.lists(st.integers(0, 10**6), max_size=50))
def test_bars_keep_the_order(numbers: list[int]) -> None:
    """The highest is of full height, zero is empty, and what is not zero can be seen."""
    drawn = bars(numbers)
    height = {character: n for n, character in enumerate(" ▁▂▃▄▅▆▇█")}

    assert len(drawn) == len(numbers)
    assert [height[bar] for _, bar in sorted(zip(numbers, drawn, strict=True))] == sorted(
        height[bar] for bar in drawn
    )
    assert all((number == 0) == (bar == " ") for number, bar in zip(numbers, drawn, strict=True))
    assert max(numbers, default=0) == 0 or drawn[numbers.index(max(numbers))] == "█"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3600 * 5 + 60 * 7 + 9, "5 h 7 min"),
        (86400 * 3 + 3600 * 2, "3 d 2 h"),
        (86400 * 4000, "4,000 d"),
    ],
)
def test_durations_are_told_in_two_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_field_wraps_between_words_and_keeps_units() -> None:
    """A long word is left whole: an id is there to be copied."""
    found = list(field("changed", "today, 4 min 10 s later " + "x" * 30, Output(), 26))

    assert found == ["changed   today, 4 min", "          10 s later", "          " + "x" * 30]


SPENT = """\
Usage   cost 1,234.5
MODEL   CALLS  TOKENS IN  OUT     COST
big␛[m      1      2,000   30  1,234.5
small       2         10    2
"""


def test_what_was_spent_is_told(call: Call, trip: str, folder: Path) -> None:
    """By model, and what it cost where that is known; of a session, and of a store."""
    with StateStore(folder, durability="os") as store:
        used = [
            UsageRecorded(model="small", input_tokens=5, output_tokens=1),
            UsageRecorded(model="big\x1b[m", input_tokens=2000, output_tokens=30, cost=1234.5),
            UsageRecorded(model="small", input_tokens=5, output_tokens=1),
        ]
        store.append(trip, used, expected_version=ANY)
    expected = {
        "calls": 3,
        "input_tokens": 2010,
        "output_tokens": 32,
        "cost": 1234.5,
        "models": [
            {"model": "big\x1b[m", "calls": 1, "input_tokens": 2000, "output_tokens": 30, "cost": 1234.5},
            {"model": "small", "calls": 2, "input_tokens": 10, "output_tokens": 2, "cost": None},
        ],
    }
    deep = call("stats", "--deep").stdout

    assert f"\n{SPENT}\n" in call("info", trip).stdout
    assert answer(call, "info", trip)["usage"] == expected
    assert f"\n{SPENT.partition('   cost')[0]}" in deep
    assert "spent     cost 1,234.5\n" in deep
    assert answer(call, "stats", "--deep")["deep"]["usage"] == expected


def test_nothing_is_told_where_nothing_was_spent(call: Call, trip: str) -> None:
    assert "Usage" not in call("info", trip).stdout + call("stats", "--deep").stdout
    assert answer(call, "info", trip)["usage"]["cost"] is None


# stats


@pytest.fixture
def crowd(call: Call, trip: str, folder: Path) -> None:
    """Two more sessions of bob, one a week later, and one that cannot be read."""
    with StateStore(folder, durability="os") as store:
        for name, days in (("b1", 0), ("b2", 7)):
            at = START + timedelta(days=days)
            events = [SessionCreated(session_id=name, user_id="bob\x1b[2J"), UserMessageAdded(content="hi")]
            store.append(name, [Change(event=event, at=at) for event in events], expected_version=0)
    (folder / "sessions" / "broken.json").write_text("{")


def test_stats_is_one_page(call: Call, crowd: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the catalog alone."""
    monkeypatch.setenv("COLUMNS", "80")

    assert call("stats").stdout == STATS


def test_stats_for_a_program(call: Call, crowd: None) -> None:
    found = answer(call, "stats")

    assert (found["total"]["sessions"], found["total"]["records"]) == (3, 14)
    assert [(each["user_id"], each["sessions"]) for each in found["users"]] == [("ann", 1), ("bob\x1b[2J", 2)]
    assert [each["id"] for each in found["unreadable"]] == ["broken"]
    assert found["changes"]["days"] == 1
    assert [each["sessions"] for each in found["changes"]["periods"]] == [2, 0, 0, 0, 0, 0, 0, 1]
    assert found["largest"][0]["id"] == "trip"
    assert found["deep"] is None


def test_stats_without_deep_reads_no_journal(
    call: Call, crowd: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog knows."""
    call("stats")

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("a journal was read")

    monkeypatch.setattr(StateStore, "records", never)

    assert answer(call, "stats")["total"]["sessions"] == 3


def test_deep_reads_every_journal(call: Call, crowd: None, folder: Path) -> None:
    """Turns, tools, errors; and 4 for damage, with what is before it counted."""
    found = answer(call, "stats", "--deep")
    assert found["deep"]["counts"]["tool_call"] == 3
    assert found["deep"]["with_errors"] == [{"id": "trip", "errors": 1}]
    assert [each["id"] for each in found["deep"]["damaged"]] == ["broken"]
    assert call("stats", "--deep").exit_code == 4
    (folder / "sessions" / "broken.json").unlink()
    assert call("stats", "--deep").exit_code == 0

    path = folder / "sessions" / "trip.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Again!", b"Again?"))
    result = call("stats", "--deep")
    assert result.exit_code == 4
    assert "1 of 3 sessions have a tool's error (33.3%)" in result.stdout
    assert "1 of 3 sessions are damaged (33.3%)" in result.stdout
    assert answer(call, "stats", "--deep")["deep"]["records"] == 7 + 4


def test_stats_of_a_user_and_since(call: Call, crowd: None) -> None:
    assert answer(call, "stats", "--user", "ann")["total"]["sessions"] == 1
    assert answer(call, "stats", "--since", "2026-11-23T00:00Z")["total"]["sessions"] == 1
    assert call("stats", "--user", "nobody").exit_code == 1
    assert call("stats", "--since", "yesterday").exit_code == 2


def test_stats_of_nothing_is_zero(call: Call, folder: Path) -> None:
    (folder / "sessions").mkdir(parents=True)

    assert call("stats").exit_code == 0
    assert call("stats").stdout.startswith("sessions  0, of 0 users\n")
    assert answer(call, "stats", "--deep")["total"]["sessions"] == 0


def test_what_was_appended_is_in_the_next_look(call: Call, trip: str, folder: Path) -> None:
    before = answer(call, "stats")["total"]["records"]
    with StateStore(folder, durability="os") as store:
        store.append(trip, [UserMessageAdded(content="x")], expected_version=ANY)

    assert answer(call, "stats")["total"]["records"] == before + 1
    assert answer(call, "info", trip)["version"] == 11
