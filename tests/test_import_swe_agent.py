"""The format "swe-agent": histories with the steps that made them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from journal import StateStore
from journal.importers import import_path
from projections import (
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from projections.events import Event

SYSTEM = {"role": "system", "content": "Be brief", "agent": "main", "message_type": "system_prompt"}
TASK = {"role": "user", "content": "Mend it", "agent": "main", "message_type": "observation"}


def write(path: Path, *history: Any, **keys: Any) -> Path:
    path.write_text(json.dumps({**keys, "history": [SYSTEM, TASK, *history]}, indent=1), encoding="utf-8")
    return path


def events(store: StateStore, path: Path) -> list[Event]:
    """What comes after the system prompt and the task."""
    outcome = import_path(store, path)

    assert (outcome.problems, outcome.session_ids) == ([], ["run"])
    found = [each.event for each in store.records("run", after=1) if not isinstance(each.event, MetadataSet)]
    assert found[:2] == [
        CustomEvent(name="swe_agent.system", data={"content": "Be brief", "agent": "main"}),
        UserMessageAdded(content="Mend it"),
    ]
    return found[2:]


def test_calls_and_results_are_paired_by_their_ids(store: StateStore, tmp_path: Path) -> None:
    asked = {"id": "c1", "type": "function", "function": {"name": "open", "arguments": '{"path": "a"}'}}
    answer = {
        "role": "assistant",
        "content": "I look",
        "thought": "I look",
        "action": "open a",
        "agent": "main",
        "tool_calls": [asked],
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "x"}, {"type": "redacted"}],
    }
    seen = {"role": "tool", "content": "text", "agent": "main", "tool_call_ids": ["c1"], "tags": ["a"]}

    assert events(store, write(tmp_path / "run.traj", answer, seen)) == [
        ReasoningAdded(content="Hm", signature="x"),
        CustomEvent(name="swe_agent.thinking", data={"type": "redacted"}),
        AgentResponseAdded(content="I look"),
        ToolCalled(call_id="c1", name="open", arguments={"path": "a"}),
        CustomEvent(name="swe_agent.assistant", data={"action": "open a"}),
        ToolReturned(call_id="c1", result="text"),
        CustomEvent(name="swe_agent.tool", data={"tags": ["a"]}),
    ]


@pytest.mark.parametrize(
    ("marks", "after"),
    [
        ({"message_type": "observation"}, ToolReturned(call_id="action-2", result="a b")),
        ({}, UserMessageAdded(content="a b")),
    ],
)
def test_an_action_without_an_id_is_told_by_its_place(
    store: StateStore, tmp_path: Path, marks: dict[str, str], after: Event
) -> None:
    """What is marked as an observation is what it gave; what is not is what was said."""
    answer = {"role": "assistant", "content": "Look:\n```\nls\n```", "thought": "Look:\n", "action": "ls\n"}
    found = events(store, write(tmp_path / "run.traj", answer, {"role": "user", "content": "a b", **marks}))

    assert found == [
        AgentResponseAdded(content=answer["content"]),
        ToolCalled(call_id="action-2", name="action", arguments="ls\n"),
        after,
    ]


def test_an_action_gives_one_observation(store: StateStore, tmp_path: Path) -> None:
    """What is marked as one with no action before it is what was said, as the task is."""
    answer = {"role": "assistant", "content": "Look", "action": "ls"}
    seen = {"role": "user", "content": "a b", "message_type": "observation"}
    found = events(store, write(tmp_path / "run.traj", answer, seen, seen))

    assert found[-2:] == [ToolReturned(call_id="action-2", result="a b"), UserMessageAdded(content="a b")]


def test_a_step_follows_its_message_without_what_that_says(store: StateStore, tmp_path: Path) -> None:
    """Also where the file has no message for it; a query that is not the history is kept."""
    answer = {"role": "assistant", "content": "Look", "thought": "Look", "action": ""}
    demo = {**answer, "content": "As here", "is_demo": True}
    step = {"response": "Look", "thought": "other", "action": "", "observation": "o", "state": {"cwd": "/"}}
    steps = [
        {**step, "query": [{"role": "user", "content": "Mend it"}]},
        {"response": "alone", "query": [{"role": "user", "content": "short"}]},
    ]
    found = events(store, write(tmp_path / "run.traj", demo, answer, trajectory=steps))

    assert found == [
        AgentResponseAdded(content="As here"),
        CustomEvent(name="swe_agent.assistant", data={"thought": "Look", "is_demo": True}),
        AgentResponseAdded(content="Look"),
        CustomEvent(
            name="swe_agent.step", data={"thought": "other", "observation": "o", "state": {"cwd": "/"}}
        ),
        CustomEvent(name="swe_agent.step", data=steps[1]),
    ]


def test_a_run_that_goes_on(store: StateStore, tmp_path: Path) -> None:
    """The whole file is written after each step; steps stay behind their messages, tokens count once."""
    path = tmp_path / "run.traj"
    history: list[Any] = []
    steps: list[Any] = []
    for number in (1, 2, 3):
        history += [
            {"role": "assistant", "content": f"{number}", "action": "ls"},
            {"role": "user", "content": "out", "message_type": "observation"},
        ]
        steps.append({"response": f"{number}", "state": {}})
        stats = {"tokens_sent": 10 * number, "tokens_received": number}
        write(path, *history, trajectory=steps, info={"model_stats": stats})
        growing = events(store, path)
    with StateStore(tmp_path / "other") as other:
        at_once = events(other, path)

    def without_usage(found: list[Event]) -> list[Event]:
        return [each for each in found if not isinstance(each, UsageRecorded)]

    def used(found: list[Event]) -> list[tuple[object, object]]:
        usage = [each for each in found if isinstance(each, UsageRecorded)]
        return [(each.input_tokens, each.output_tokens) for each in usage]

    assert without_usage(growing) == without_usage(at_once)
    assert used(growing) == [(10, 1)] * 3
    assert used(at_once) == [(30, 3)]
    assert import_path(store, path).appended == 0


def test_a_message_that_is_none_is_a_problem(store: StateStore, tmp_path: Path) -> None:
    """It says where it stands, and the others go on."""
    path = write(tmp_path / "run.traj", 7, {"role": "user"}, {"role": "assistant", "content": "Yes"})
    outcome = import_path(store, path)

    assert [each.reason.partition(":")[0] for each in outcome.problems] == ["history 2", "history 3"]
    assert outcome.appended == 4


def test_real_trajectories_come_out_whole(store: StateStore, data: Path) -> None:
    """12 sessions, with the counts that their SOURCE.md names.

    It counts 8 user's observations as results; of these 4 are the task, before any action.
    """
    outcome = import_path(store, data / "swe-agent-demos")
    events = [record.event for each in outcome.session_ids for record in store.records(each)]
    kinds = Counter(type(event).__name__ for event in events)
    customs = Counter(event.name for event in events if isinstance(event, CustomEvent))

    assert (outcome.problems, outcome.created) == ([], 12)
    assert customs["swe_agent.system"] == 12
    assert (kinds["AgentResponseAdded"], kinds["ToolCalled"]) == (115, 115)
    assert (kinds["UserMessageAdded"], kinds["ToolReturned"]) == (83 + 4, 27 + 8 - 4)
    assert all(store.load_session(each).user_messages for each in outcome.session_ids)  # type: ignore[union-attr]


def test_each_real_text_is_there_as_it_was_said(store: StateStore, data: Path) -> None:
    """An independent reading: what was said in the histories, in order; escapes, mojibake and all."""
    expected, found = [], []
    for path in sorted((data / "swe-agent-demos").glob("*.traj")):
        document = json.loads(path.read_text(encoding="utf-8"))
        expected += [each["content"] for each in document["history"]]
        [session_id] = import_path(store, path).session_ids
        for record in store.records(session_id):
            match record.event:
                case (
                    UserMessageAdded(content=told)
                    | AgentResponseAdded(content=told)
                    | ToolReturned(result=told)
                ):
                    found.append(told)
                case CustomEvent(name="swe_agent.system", data={"content": told}):
                    found.append(told)

    assert found == expected
