"""`journal search` and `journal grep`, as docs/reference/cli.md describes them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from journal import ANY, JournalClosedError, StateStore
from journal.grep import grep
from projections import CustomEvent, SessionCreated, ToolCalled, UserMessageAdded
from tests.command import Call


@pytest.fixture
def talks(store: StateStore) -> StateStore:
    """Three sessions of two users."""
    for session_id, user, texts in (
        ("s-1", "ann", ["Where is my refund?", "two\nlines, one refund\nthree"]),
        ("s-2", "bob", ["Change my flight.", "\x1b[2J no refund é"]),
        ("s-3", "bob", ["nothing of it"]),
    ):
        events = [UserMessageAdded(content=text) for text in texts]
        store.append(
            session_id, [SessionCreated(session_id=session_id, user_id=user), *events], expected_version=0
        )
    store.append(
        "s-3",
        [
            ToolCalled(call_id="c", name="pay", arguments={"amount": 4711, "to": 'a "quoted" text'}),
            CustomEvent(name="paid", data=["4711"]),
        ],
        expected_version=ANY,
    )
    return store


def damage(store: StateStore, session_id: str, old: bytes, new: bytes) -> Path:
    path = Path(store.base_path, "sessions", f"{session_id}.jsonl")
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# search


def test_search_prints_where_when_whose_words_and_which(call: Call, talks: StateStore) -> None:
    result = call("search", "flight", "change")

    assert re.fullmatch(
        r"s-2@2  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  user\n    Change my flight\.\n", result.stdout
    )
    assert result.exit_code == 0


def test_search_marks_matches_where_colour_is_wanted(call: Call, talks: StateStore) -> None:
    assert "\x1b[31m\x1b[1mflight\x1b[0m" in call("search", "flight", "--color", "always").stdout
    assert "\x1b" not in call("search", "flight").stdout


def test_search_shows_no_control_character(call: Call, talks: StateStore) -> None:
    assert "␛[2J no refund é" in call("search", "no refund").stdout


def test_search_filters_and_limits(call: Call, talks: StateStore) -> None:
    assert {hit["address"] for hit in lines(call("search", "refund", "--json"))} == {
        "s-1@2",
        "s-1@3",
        "s-2@3",
    }
    assert [hit["address"] for hit in lines(call("search", "refund", "--user", "bob", "--json"))] == ["s-2@3"]
    assert call("search", "refund", "--until", "2001-01-01T00:00Z").exit_code == 1
    limited = call("search", "refund", "-n", "2")
    assert len(limited.stdout.splitlines()) == 4
    assert "-n shows more" in limited.stderr


def test_search_as_json_is_one_object_a_hit(call: Call, talks: StateStore) -> None:
    [hit] = lines(call("search", '"one refund"', "--json"))
    start, end = hit["spans"][0]

    assert hit["snippet"][start:end] == "one refund"
    assert (hit["session_id"], hit["seq"], hit["user_id"]) == ("s-1", 3, "ann")
    assert (hit["type"], hit["role"]) == ("user_message_added", "user")
    assert hit["score"] > 0
    assert list(hit) == [
        *("address", "session_id", "seq", "at", "user_id", "type", "role", "snippet", "spans", "score")
    ]


def test_search_that_finds_nothing_says_no(call: Call, talks: StateStore) -> None:
    result = call("search", "nosuchword")

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no record matches\n")


@pytest.mark.parametrize("words", [["!!!"], ["--", "-draft"], [""]])
def test_search_for_nothing_is_a_usage_error(call: Call, talks: StateStore, words: list[str]) -> None:
    result = call("search", *words)

    assert result.exit_code == 2
    assert "query" in result.stderr


def test_search_names_the_sessions_that_cannot_be_read(call: Call, talks: StateStore) -> None:
    path = damage(talks, "s-1", b"Where is", b"Whore is")
    talks.close()
    result = call("search", "refund")

    assert "s-2@3" in result.stdout
    assert "s-1@" not in result.stdout
    assert "s-1 was searched only as far as it can be read" in result.stderr
    assert str(path) in result.stderr


# grep


def test_grep_prints_where_what_and_the_line(call: Call, talks: StateStore) -> None:
    result = call("grep", "re[f]und")

    assert result.stdout.splitlines() == [
        "s-1@2  user_message_added  Where is my refund?",
        "s-1@3  user_message_added  lines, one refund",
        "s-2@3  user_message_added  ␛[2J no refund é",
    ]
    assert result.exit_code == 0


def test_grep_searches_texts_as_they_were_said(call: Call, talks: StateStore) -> None:
    assert call("grep", r"two\nlines").stdout == "s-1@3  user_message_added  two\n"
    assert call("grep", "é$").stdout.startswith("s-2@3")
    assert call("grep", "^three$").stdout.startswith("s-1@3")
    assert call("grep", '"quoted"').stdout.startswith("s-3@3")
    assert len(call("grep", "4711").stdout.splitlines()) == 2
    assert call("grep", "^amount$").stdout == "s-3@3  tool_called  amount\n"
    assert call("grep", "user_message_added").exit_code == 1


def test_grep_raw_searches_the_journals_lines(call: Call, talks: StateStore) -> None:
    [match] = lines(call("grep", "--raw", r'"amount":4711', "--json"))

    assert match["address"] == "s-3@3"
    assert match["line"].encode() in Path(talks.base_path, "sessions", "s-3.jsonl").read_bytes().splitlines()
    assert call("grep", "--raw", r"two\\nlines").exit_code == 0
    assert call("grep", "--raw", r"two\nlines").exit_code == 1


def test_grep_takes_ids_types_case_and_a_limit(call: Call, talks: StateStore) -> None:
    assert call("grep", "refund", "s-2").stdout.startswith("s-2@3")
    assert call("grep", "refund", "s-3").exit_code == 1
    assert call("grep", "4711", "--type", "custom_event").stdout == "s-3@4  custom_event  4711\n"
    assert call("grep", "REFUND").exit_code == 1
    assert len(call("grep", "-i", "REFUND", "-n", "2").stdout.splitlines()) == 2
    assert call("grep", "x", "s-4").exit_code == 3


def test_grep_marks_matches_where_colour_is_wanted(call: Call, talks: StateStore) -> None:
    line = call("grep", "m.|d[?]", "s-1", "--color", "always").stdout.splitlines()[0]

    assert "Where is \x1b[31m\x1b[1mmy\x1b[0m refun\x1b[31m\x1b[1md?\x1b[0m" in line


def test_a_long_line_is_cut_so_that_the_match_is_seen(
    call: Call, talks: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    talks.append(
        "s-3", [UserMessageAdded(content="x" * 5000 + " needle " + "y" * 5000)], expected_version=ANY
    )
    [line] = call("grep", "needle").stdout.splitlines()

    assert "needle" in line
    assert len(line) <= 80


@pytest.mark.parametrize("pattern", ["a(b", "*", "[", "(?P<x", "a{99999999999}"])
def test_a_bad_pattern_is_a_usage_error(call: Call, talks: StateStore, pattern: str) -> None:
    result = call("grep", pattern)

    assert result.exit_code == 2
    assert "is no regular expression: " in result.stderr


def test_grep_searches_a_damaged_session_up_to_the_damage(call: Call, talks: StateStore) -> None:
    """The others whole; then it says what is wrong."""
    path = damage(talks, "s-1", b"one refund", b"0ne refund")
    talks.append("s-1x", [SessionCreated(session_id="s-1x", user_id="u")], expected_version=0)
    result = call("grep", "my")

    assert [line.split()[0] for line in result.stdout.splitlines()] == ["s-1@2", "s-2@2"]
    assert str(path) in result.stderr
    assert result.exit_code == 4


def test_grep_reads_another_programs_file(talks: StateStore, folder: Path) -> None:
    """One with no journal beside it, as the record that it will be."""
    text = (
        '{"id":"f","user_id":"u","user_messages":[{"content":"a zebra","timestamp":"2026-08-14T12:30:00Z"}],'
        '"created_at":"2026-08-14T12:30:00Z","updated_at":"2026-08-14T12:31:00Z"}'
    )
    (folder / "sessions" / "f.json").write_text(text)
    for raw in (False, True):
        [match] = grep(talks, "f", re.compile("zebra"), raw=raw)
        assert (match.address, match.line) == ("f@0", text)


def test_grep_of_a_closed_store_says_so(talks: StateStore) -> None:
    talks.close()
    for raw in (False, True):
        with pytest.raises(JournalClosedError):
            list(grep(talks, "s-1", re.compile("x"), raw=raw))
