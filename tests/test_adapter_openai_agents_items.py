"""An item of an OpenAI agent is one record, and comes back as it was."""

import importlib
import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import MissingExtraError
from journal.adapters.openai_agents_items import Items, event_of, item_of
from journal.adapters.parts import put_back, take_out
from journal.event_json import encode_event
from projections import (
    AgentResponseAdded,
    CustomEvent,
    ReasoningAdded,
    SessionCreated,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
    fold,
)
from projections.difference import same_json
from projections.events import KnownEvent
from tests.strategies import json_values, texts

decoded = msgspec.json.Decoder(KnownEvent).decode
ids = st.text("abc_0", min_size=1, max_size=4)
parts = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text", "text"]), "text": texts()}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": texts()}),
    st.fixed_dictionaries({"type": st.just("input_image"), "image_url": texts(), "detail": st.just("auto")}),
    json_values(),
)
arguments = st.one_of(
    json_values().map(json.dumps),
    json_values().map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
    json_values().map(lambda value: json.dumps(value, indent=1)),
    texts(),
    st.sampled_from(["", "{", '{"a":1,"a":2}', "1e5", "1.0", "-0", "NaN", "[" * 200, '"\\ud800"', "9" * 30]),
)


def optional(**keys):
    return {"id": ids, "status": st.just("completed"), **keys}


def items():
    """Of all kinds that the SDK has, of some that it may have one day, and of none."""
    return st.one_of(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system"]), "content": texts() | st.lists(parts)},
            optional=optional(type=st.just("message"), phase=texts()),
        ),
        st.fixed_dictionaries(
            {"type": st.just("reasoning"), "summary": st.lists(parts)},
            optional=optional(content=st.none() | st.lists(parts), encrypted_content=texts()),
        ),
        st.fixed_dictionaries(
            {"type": st.just("function_call"), "call_id": ids, "name": ids, "arguments": arguments},
            optional=optional(namespace=texts()),
        ),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["custom_tool_call", "computer_call", "shell_call", "mcp_call"]),
                "call_id": ids,
            },
            optional=optional(input=texts(), action=json_values(), name=json_values(), output=json_values()),
        ),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["function_call_output", "computer_call_output"]),
                "call_id": ids,
                "output": texts() | json_values(),
            },
            optional=optional(),
        ),
        st.dictionaries(st.sampled_from(["type", "role", "content", "call_id", "x"]), json_values()),
    )


@given(items())
def test_an_item_comes_back_unchanged(item):
    """From the event, and from its bytes; types of numbers included."""
    before = json.dumps(item)
    event = event_of(item)

    assert same_json(item_of(event), item)
    assert same_json(item_of(decoded(encode_event(event))), item)
    assert json.dumps(item) == before


@pytest.mark.parametrize(
    ("item", "event"),
    [
        ({"role": "user", "content": "MARK"}, UserMessageAdded),
        ({"role": "user", "content": [{"type": "input_text", "text": "MARK"}]}, UserMessageAdded),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "MARK", "annotations": []}],
            },
            AgentResponseAdded,
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "MARK"}]},
            AgentResponseAdded,
        ),
        (
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "MARK"}]},
            ReasoningAdded,
        ),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":"MARK"}'}, ToolCalled),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "MARK"}, ToolCalled),
        ({"type": "function_call_output", "call_id": "c", "output": "MARK"}, ToolReturned),
        ({"type": "web_search_call", "id": "w", "action": {"query": "MARK"}}, CustomEvent),
        ({"role": "system", "content": "MARK"}, CustomEvent),
    ],
)
def test_what_is_said_stands_once_in_an_event_of_its_kind(item, event):
    assert type(event_of(item)) is event
    assert encode_event(event_of(item)).count(b"MARK") == 1


def test_a_message_of_several_parts_is_read_as_one_text_and_kept_whole():
    item = {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "one"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            {"type": "input_text", "text": "two"},
        ],
    }
    event = event_of(item)

    assert isinstance(event, UserMessageAdded)
    assert event.content == "one\ntwo"
    assert event.extra == {"openai_agents": item}


@pytest.mark.parametrize("written", ['{"city":"Zürich"}', '{"city": "Zürich"}', '{"city": "Z\\u00fcrich"}'])
def test_arguments_are_json_however_they_were_written(written):
    event = event_of({"type": "function_call", "call_id": "c", "name": "f", "arguments": written})

    assert isinstance(event, ToolCalled)
    assert event.arguments == {"city": "Zürich"}


@given(json_values())
def test_what_another_program_keeps_beside_is_none_of_ours(extra):
    """Nor is what looks like ours and cannot be put together."""
    for beside in (extra, {"google_adk": extra}, {"openai_agents": [extra], "at": "/a/0/b"}):
        event = UserMessageAdded(content="hello", extra=beside)

        assert item_of(event) == {"role": "user", "content": "hello"}


def test_messages_and_tools_of_another_program_are_items():
    events = [
        UserMessageAdded(content="hi"),
        ReasoningAdded(content="hm"),
        ToolCalled(call_id="c", name="f", arguments={"a": 1}),
        ToolReturned(call_id="c", result=[1]),
        AgentResponseAdded(content="yes"),
        CustomEvent(name="other", data={"role": "user"}),
    ]

    assert [item_of(event) for event in events] == [
        {"role": "user", "content": "hi"},
        None,
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "[1]"},
        {"role": "assistant", "content": "yes"},
        None,
    ]


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(ids, inner)), st.data())
def test_what_is_taken_out_can_be_put_back(value, data):
    """And what it was taken from stays as it is."""
    item, path = {"top": value}, ["top"]
    inner = value
    while isinstance(inner, dict | list) and inner:
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        path.append(data.draw(st.sampled_from(keys)))
        inner = inner[path[-1]]
        if isinstance(path[-1], str) and data.draw(st.booleans()):
            break
    while isinstance(path[-1], int):
        path.pop()
    at = "".join(f"/{key}" for key in path)
    before = json.dumps(item)
    part, rest = take_out(item, at)
    kept = json.dumps(rest)

    assert put_back(rest, at, part) == item
    assert (json.dumps(item), json.dumps(rest)) == (before, kept)
    assert rest != item


def test_a_removal_of_everything_and_more_ends(store):
    """Whoever wrote it: a record that was made by hand must not stop a reader."""
    events = [
        SessionCreated(session_id="s", user_id="u"),
        UserMessageAdded(content="hi"),
        *(CustomEvent(name="openai_agents.removed", data={"from": first}) for first in (9, -1, 0)),
        CustomEvent(name="openai_agents.removed", data="all"),
        AgentResponseAdded(content="yes"),
    ]
    store.append("s", events, expected_version=0)
    found = fold(store.records("s"), Items())

    assert found.last(None) == [{"role": "assistant", "content": "yes"}]


def test_without_the_sdk_an_error_says_what_to_install(monkeypatch):
    """And nothing of it is needed for the events: whoever reads a journal can read them."""
    monkeypatch.setitem(sys.modules, "agents", None)
    monkeypatch.setitem(sys.modules, "agents.items", None)
    monkeypatch.delitem(sys.modules, "journal.adapters.openai_agents", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'session-journal\[openai-agents\]'"):
        importlib.import_module("journal.adapters.openai_agents")
