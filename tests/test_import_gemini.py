"""The format "gemini": sessions as lines, and as the document that they were before."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.importers import Outcome, import_path
from projections import (
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    Record,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)

HEAD = {
    "sessionId": "s",
    "projectHash": "h",
    "startTime": "2026-03-04T05:00:00Z",
    "lastUpdated": "2026-03-04T05:00:00Z",
}


def at(minute: int) -> str:
    return f"2026-03-04T05:{minute:02}:00.000Z"


def message(message_id: str, kind: str, content: Any, minute: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": message_id, "timestamp": at(minute), "type": kind, "content": content, **more}


def call(status: str = "success", minute: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "name": "ls",
        "args": {"path": "a"},
        "status": status,
        "timestamp": at(minute),
        **more,
    }


CALLED = ToolCalled(call_id="c1", name="ls", arguments={"path": "a"})


def as_lines(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in (HEAD, *lines)), encoding="utf-8")
    return path


def as_document(path: Path, *messages: object, **keys: Any) -> Path:
    path.write_text(json.dumps({**HEAD, **keys, "messages": messages}, indent=2), encoding="utf-8")
    return path


def taken(outcome: Outcome) -> Outcome:
    assert (outcome.problems, outcome.session_ids) == ([], ["s"])
    return outcome


def records(store: StateStore, path: Path) -> list[Record]:
    taken(import_path(store, path))
    return [
        each
        for each in store.records("s", after=1)
        if not isinstance(each.event, MetadataSet) and getattr(each.event, "name", "") != "gemini.session"
    ]


MESSAGES: list[tuple[dict[str, Any], list[object]]] = [
    (message("1", "user", "Hi"), [UserMessageAdded(content="Hi")]),
    (message("1", "user", [{"text": "a"}, "b"]), [UserMessageAdded(content="ab")]),
    (
        message("1", "user", [{"text": "See"}, {"inlineData": {"data": "…"}}], displayContent="See @a"),
        [
            UserMessageAdded(content="See"),
            CustomEvent(name="gemini.part", data={"inlineData": {"data": "…"}}),
            CustomEvent(name="gemini.user", data={"displayContent": "See @a"}),
        ],
    ),
    (message("1", "info", "Saved"), [CustomEvent(name="gemini.info", data={"content": "Saved"})]),
    (
        message(
            "1",
            "gemini",
            "Yes",
            model="m",
            thoughts=[{"subject": "First", "description": "look", "timestamp": at(0)}, "odd"],
            tokens={"input": 9, "output": 2, "cached": 4, "thoughts": 3, "tool": 0, "total": 14},
            toolCalls=[call(result=[{"functionResponse": {"output": "a b"}}], displayName="List")],
        ),
        [
            CustomEvent(name="gemini.model", data={"model": "m"}),
            ReasoningAdded(content="First\n\nlook"),
            CustomEvent(name="gemini.thought", data="odd"),
            AgentResponseAdded(content="Yes"),
            UsageRecorded(
                model="m",
                input_tokens=9,
                output_tokens=5,
                extra={"input": 9, "output": 2, "cached": 4, "thoughts": 3, "tool": 0, "total": 14},
            ),
            CALLED,
            ToolReturned(call_id="c1", result=[{"functionResponse": {"output": "a b"}}]),
            CustomEvent(
                name="gemini.tool_call", data={"id": "c1", "status": "success", "displayName": "List"}
            ),
        ],
    ),
    (
        message("1", "gemini", "", toolCalls=[call("error", result="no")]),
        [
            CALLED,
            ToolReturned(call_id="c1", result="no", is_error=True),
            CustomEvent(name="gemini.tool_call", data={"id": "c1", "status": "error"}),
        ],
    ),
    (message("1", "gemini", "", toolCalls=[call("executing")]), [CALLED]),
]


@pytest.mark.parametrize(("value", "events"), MESSAGES)
@pytest.mark.parametrize("write", [as_lines, as_document])
def test_what_a_message_becomes(
    store: StateStore, tmp_path: Path, write: Any, value: dict[str, Any], events: list[object]
) -> None:
    """The same in a line and in a document; what has no event of its own is kept in a CustomEvent."""
    assert [each.event for each in records(store, write(tmp_path / "x.json", value))] == events


@pytest.mark.parametrize("write", [as_lines, as_document])
def test_each_part_has_its_time(store: StateStore, tmp_path: Path, write: Any) -> None:
    """A thought came before its message, a tool's result after it."""
    thought = {"subject": "a", "description": "b", "timestamp": at(1)}
    value = message("1", "gemini", "Yes", 2, thoughts=[thought], toolCalls=[call(minute=3)])
    times = [each.at for each in records(store, write(tmp_path / "x.json", value))]

    assert times == [datetime(2026, 3, 4, 5, minute, tzinfo=UTC) for minute in (1, 2, 3, 3, 3)]


def test_a_message_that_is_told_again_brings_what_it_has_got(store: StateStore, tmp_path: Path) -> None:
    """Also across imports; what is told otherwise than before is kept as a change."""
    said = message("1", "gemini", "Yes")
    called = {**said, "toolCalls": [call("executing")]}
    done = {**said, "toolCalls": [call(result="a")]}
    masked = {**said, "toolCalls": [call(result="…")]}
    path = tmp_path / "x.jsonl"
    for lines in ([said], [said, called], [said, called, done], [said, called, done, masked, said]):
        found = records(store, as_lines(path, *lines))
    with StateStore(tmp_path / "other") as other:
        at_once = records(other, path)

    assert [each.event for each in found][:-1] == [
        AgentResponseAdded(content="Yes"),
        CALLED,
        ToolReturned(call_id="c1", result="a"),
        CustomEvent(name="gemini.tool_call", data={"id": "c1", "status": "success"}),
    ]
    assert isinstance(found[-1].event, CustomEvent)
    assert found[-1].event.name == "gemini.changed"
    assert [each.event for each in at_once] == [each.event for each in found]


def test_what_lines_say_of_the_session(store: StateStore, tmp_path: Path) -> None:
    """Its metadata, what was taken back, and the messages as they stand: the unknown ones are new."""
    checkpoint = {
        "messages": [message("1", "user", "Hi!"), message("2", "user", "Sum")],
        "lastUpdated": at(9),
    }
    lines = [
        message("1", "user", "Hi"),
        {"$set": {"lastUpdated": at(8)}},
        {"$set": {"summary": "A talk"}},
        {"$rewindTo": "1"},
        {"$set": checkpoint},
        message("1", "user", "Hi!"),
        7,
    ]
    found = records(store, as_lines(tmp_path / "x.jsonl", *lines))

    assert [each.event for each in found] == [
        UserMessageAdded(content="Hi"),
        CustomEvent(name="gemini.set", data={"summary": "A talk"}),
        CustomEvent(name="gemini.rewound", data={"$rewindTo": "1"}),
        CustomEvent(name="gemini.set", data=checkpoint),
        UserMessageAdded(content="Sum"),
        CustomEvent(name="gemini.unknown", data=7),
    ]


def test_a_document_that_is_changed_in_place(store: StateStore, tmp_path: Path) -> None:
    """Whatever part it has got, and wherever: each comes once."""
    path = tmp_path / "x.json"
    question, answer = message("1", "user", "Hi"), message("2", "gemini", "Yes")
    tokens = {"input": 1, "output": 1}
    versions = [
        [question],
        [question, answer],
        [question, {**answer, "toolCalls": [call("executing")]}],
        [question, {**answer, "toolCalls": [call(result="a")]}, message("3", "user", "And?")],
        [
            question,
            {**answer, "toolCalls": [call(result="a")], "tokens": tokens},
            message("3", "user", "And?"),
        ],
    ]
    appended = [taken(import_path(store, as_document(path, *each))).appended for each in versions]

    assert appended == [5, 1, 1, 3, 1]
    assert taken(import_path(store, path)).appended == 0


def test_what_a_document_says_of_the_session_is_metadata(store: StateStore, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    import_path(store, as_document(path, message("1", "user", "Hi")))
    import_path(store, as_document(path, message("1", "user", "Hi"), summary="A talk", lastUpdated=at(9)))
    session = store.load_session("s")

    assert session is not None
    assert session.metadata == {
        "sessionId": "s",
        "projectHash": "h",
        "startTime": HEAD["startTime"],
        "summary": "A talk",
    }


def test_a_message_of_a_document_that_became_another_is_told(store: StateStore, tmp_path: Path) -> None:
    """The document was rewritten; nothing of it is mixed in."""
    path = tmp_path / "x.json"
    import_path(store, as_document(path, message("1", "user", "Hi")))
    outcome = import_path(store, as_document(path, message("1", "user", "Bye"), message("2", "user", "And?")))

    assert ["was rewritten" in each.reason for each in outcome.problems] == [True]
    assert outcome.appended == 0
