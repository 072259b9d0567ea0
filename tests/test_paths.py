"""Paths: the parts of a session."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import AgentResponse, Session, UserMessage
from journal.snapshot import document_json
from projections.paths import ABSENT, FIELDS, child, parse_path, part_at, path_text, value_at
from tests.strategies import START, json_values, sessions, texts

STEPS = texts() | st.integers(-(10**17), 10**17) | st.sampled_from(["", ".", "/", "~", "~1", "-0", "007"])


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every path into a JSON value, with what is there."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of(inner, (*path, index))
            yield from paths_of(inner, (*path, index - len(value)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("metadata.plan.0", ("metadata", "plan", 0)),
        ("/metadata/plan/0", ("metadata", "plan", 0)),
        ("user_messages.-1.content", ("user_messages", -1, "content")),
        ("/metadata/a.b/c~1d/e~0f/~01", ("metadata", "a.b", "c/d", "e~f", "~1")),
        ("metadata.007.-0.1e3", ("metadata", "007", "-0", "1e3")),
        ("/", ("",)),
        ("a..b", ("a", "", "b")),
        ("9" * 5000, ("9" * 5000,)),
    ],
)
def test_a_path_is_read_in_both_its_forms(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


@given(st.lists(STEPS))
def test_a_path_is_printed_as_what_it_is_read_from(steps: list[str | int]) -> None:
    """A step that looks like a number is read as one."""
    path = tuple(steps)
    back = parse_path(path_text(path))

    assert tuple(map(str, back)) == tuple(map(str, path))
    assert parse_path(path_text(back)) == back
    assert all(isinstance(step, int) for step, was in zip(back, path, strict=True) if isinstance(was, int))


@given(texts())
def test_any_text_is_a_path(text: str) -> None:
    assert isinstance(parse_path(text), tuple)


@given(sessions())
def test_the_value_at_a_path_is_that_of_the_document(session: Session) -> None:
    """The same value, of the same type, at every path that the session's JSON document has."""
    for path, value in paths_of(json.loads(document_json(session))):
        assert json.dumps(value_at(session, path)) == json.dumps(value), path
        assert json.dumps(value_at(session, parse_path(path_text(path)))) == json.dumps(value), path


@given(sessions(), st.lists(STEPS | st.sampled_from([*FIELDS, "content", "timestamp", 0, -1]), max_size=4))
def test_no_other_path_leads_anywhere(session: Session, steps: list[str | int]) -> None:
    """Whatever the steps, there is what the document has, or nothing; never an error."""
    path = tuple(steps)
    whole: Any = json.loads(document_json(session)) | {"version": session.version}
    for step in path:
        whole = child(whole, step)
    expected = value_at(session, ()) if not path else whole

    assert value_at(session, path) == expected
    assert (part_at(session, path) is ABSENT) == (expected is ABSENT)


@given(st.dictionaries(texts(), json_values(), max_size=3), texts())
def test_null_is_a_value_and_a_missing_key_is_none(metadata: dict[str, Any], key: str) -> None:
    session = Session(id="s", user_id="u", metadata=metadata | {key: None})

    assert value_at(session, ("metadata", key)) is None
    del session.metadata[key]
    assert value_at(session, ("metadata", key)) is ABSENT


def test_what_the_document_leaves_out_is_absent() -> None:
    """An active id that is not set; but a field of an answer that nobody filled is null, as in the file."""
    session = Session(id="s", user_id="u", agent_responses=[AgentResponse("a", timestamp=START)])

    assert value_at(session, ("active_seed_id",)) is ABSENT
    assert value_at(session, ("agent_responses", 0, "seed_id")) is None
    assert value_at(session, ("agent_responses", 1, "seed_id")) is ABSENT
    assert value_at(session, ("user_messages", -1)) is ABSENT


def test_the_version_has_a_path_though_the_document_has_it_not() -> None:
    session = Session(id="s", user_id="u")
    session.version = 7

    assert value_at(session, ("version",)) == 7
    assert "version" not in value_at(session, ())  # type: ignore[operator]


def test_nothing_but_the_fields_of_a_session_can_be_reached() -> None:
    session = Session(id="s", user_id="u", user_messages=[UserMessage("a")])

    for path in (("_unsaved",), ("__class__",), ("copy",), ("user_messages", 0, "__class__"), ("id", 0)):
        assert value_at(session, path) is ABSENT


def test_a_list_of_messages_does_not_grow_with_the_session() -> None:
    """Whoever keeps a value keeps what it was."""
    session = Session(id="s", user_id="u")
    before = value_at(session, ("user_messages",))
    session.add_user_message("a")

    assert before == []


def test_absent_is_one_and_says_what_it_is() -> None:
    assert repr(ABSENT) == "ABSENT"
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
