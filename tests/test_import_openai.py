"""The format "openai": trajectories, messages, calls and metadata."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.importers import import_path
from projections import AgentResponseAdded, CustomEvent, ToolCalled, ToolReturned, UserMessageAdded

USER = {"role": "user", "content": "Hello"}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, indent=2))
    return path


def call(arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "search", "arguments": arguments}}


@pytest.mark.parametrize(
    ("message", "events"),
    [
        (USER, [UserMessageAdded(content="Hello")]),
        (
            {"role": "system", "content": "Be kind"},
            [CustomEvent(name="openai.system", data={"content": "Be kind"})],
        ),
        (
            {"role": "developer", "content": "x"},
            [CustomEvent(name="openai.developer", data={"content": "x"})],
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            [UserMessageAdded(content="a\nb")],
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "n": 1}]},
            [
                UserMessageAdded(content="a"),
                CustomEvent(name="openai.image_url", data={"type": "image_url", "n": 1}),
            ],
        ),
        ({"role": "assistant", "content": "Hi", "refusal": None}, [AgentResponseAdded(content="Hi")]),
        (
            {"role": "assistant", "content": "", "tool_calls": [call('{"q": [1.5, null]}')]},
            [ToolCalled(call_id="c1", name="search", arguments={"q": [1.5, None]})],
        ),
        (
            {"role": "assistant", "content": "See", "tool_calls": [call("{torn"), {"id": 7}]},
            [
                AgentResponseAdded(content="See"),
                ToolCalled(call_id="c1", name="search", arguments="{torn"),
                CustomEvent(name="openai.tool_call", data={"id": 7}),
            ],
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [call("[" * 150 + "]" * 150)]},
            [ToolCalled(call_id="c1", name="search", arguments="[" * 150 + "]" * 150)],
        ),
        (
            {"role": "assistant", "content": None},
            [CustomEvent(name="openai.assistant", data={"role": "assistant", "content": None})],
        ),
        (
            {"role": "assistant", "content": "x", "function_call": {"name": "f"}},
            [
                AgentResponseAdded(content="x"),
                CustomEvent(name="openai.assistant", data={"function_call": {"name": "f"}}),
            ],
        ),
        (
            {"role": "tool", "tool_call_id": "c1", "name": "search", "content": "[]"},
            [ToolReturned(call_id="c1", result="[]")],
        ),
        (
            {"role": "tool", "content": "[]"},
            [CustomEvent(name="openai.tool", data={"role": "tool", "content": "[]"})],
        ),
        ({"role": "critic", "n": 1}, [CustomEvent(name="openai.critic", data={"role": "critic", "n": 1})]),
    ],
)
def test_what_a_message_becomes(
    store: StateStore, tmp_path: Path, message: dict[str, Any], events: list[object]
) -> None:
    """Nothing in it is dropped: what has no event of its own is kept in a CustomEvent."""
    outcome = import_path(store, write(tmp_path / "chat.json", [USER, message]))

    assert outcome.problems == []
    assert [record.event for record in store.records("chat", after=2)] == events or message == USER


@pytest.mark.parametrize(
    ("document", "session_ids"),
    [
        ([USER], ["chat"]),
        ({"messages": [USER]}, ["chat"]),
        ({"traj": [USER], "n": 1}, ["chat"]),
        ([{"traj": [USER]}, {"messages": [USER]}], ["chat-0", "chat-1"]),
    ],
)
def test_a_list_of_trajectories_one_of_them_or_messages(
    store: StateStore, tmp_path: Path, document: object, session_ids: list[str]
) -> None:
    """Each trajectory of a list is a session of its own, by its place."""
    assert import_path(store, write(tmp_path / "chat.json", document)).session_ids == session_ids


def test_a_bad_message_is_named_by_line_and_place(store: StateStore, tmp_path: Path) -> None:
    """The file's other messages and trajectories go on."""
    document = [{"traj": [USER, {"role": "user", "content": 7}, USER]}, 7, {"n": 1}, {"messages": [USER]}]
    outcome = import_path(store, write(tmp_path / "chat.json", document))

    assert [(problem.line, problem.reason.partition(":")[0]) for problem in outcome.problems] == [
        (8, "trajectory 0"),
        (18, "trajectory 1"),
        (19, "trajectory 2"),
    ]
    assert "message 1" in outcome.problems[0].reason
    assert outcome.session_ids == ["chat-0", "chat-3"]
    assert len(store.load_session("chat-0").user_messages) == 2  # type: ignore[union-attr]


def test_metadata_is_set_again_only_when_it_changed(store: StateStore, tmp_path: Path) -> None:
    """Also back to a value that it had before; 1 and 1.0 and True are not the same."""
    path = tmp_path / "chat.json"
    values: list[Any] = [1, 1, True, 1.0, 1, {"a": []}, {"a": []}]
    appended = [
        import_path(store, write(path, {"messages": [USER], "reward": value})).appended for value in values
    ]

    assert appended == [3, 0, 1, 1, 1, 1, 0]
    assert store.load_session("chat").metadata == {"reward": {"a": []}}  # type: ignore[union-attr]


def test_real_trajectories_come_out_whole(store: StateStore, data: Path) -> None:
    """200 sessions, with the counts that their SOURCE.md names."""
    outcome = import_path(store, data / "tau-bench-airline", user_id="tau")
    kinds = Counter(
        type(record.event).__name__ for each in outcome.session_ids for record in store.records(each)
    )

    assert outcome.problems == []
    assert outcome.session_ids == [f"gpt-4o-airline-{index}" for index in range(200)]
    assert kinds == {
        "SessionCreated": 200,
        "MetadataSet": 800,
        "UserMessageAdded": 1490,
        "AgentResponseAdded": 1380,
        "ToolCalled": 1164,
        "ToolReturned": 1164,
        "CustomEvent": 200,
    }


def test_each_real_trajectory_is_there_as_it_was(store: StateStore, data: Path) -> None:
    """An independent reading of the file gives the same texts, calls, results and metadata in order."""
    path = data / "tau-bench-airline" / "gpt-4o-airline.json"
    import_path(store, path)
    expected, found = [], []
    for index, trajectory in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        for message in trajectory.pop("traj"):
            if message["role"] in ("user", "tool") or (message["role"] == "assistant" and message["content"]):
                expected.append(message["content"])
            for each in message.get("tool_calls") or ():
                expected.append(json.loads(each["function"]["arguments"]))
        expected.append(trajectory)
        for record in store.records(f"gpt-4o-airline-{index}"):
            match record.event:
                case UserMessageAdded(content=told) | AgentResponseAdded(content=told):
                    found.append(told)
                case ToolCalled(arguments=told) | ToolReturned(result=told):
                    found.append(told)
        found.append(store.load_session(f"gpt-4o-airline-{index}").metadata)  # type: ignore[union-attr]

    assert found == expected
