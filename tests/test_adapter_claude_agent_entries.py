"""An entry of Claude Code's transcript is one record, and comes back as it was."""

import importlib
import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import MissingExtraError
from journal.adapters.claude_agent_entries import entry_of, event_of
from journal.event_json import encode_event
from projections import (
    AgentResponseAdded,
    CustomEvent,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from projections.difference import same_json
from projections.events import KnownEvent
from tests.strategies import json_values, texts

decoded = msgspec.json.Decoder(KnownEvent).decode
ids = st.text("abc_0", min_size=1, max_size=4)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts() | json_values()}),
    st.fixed_dictionaries(
        {"type": st.just("thinking"), "thinking": texts()}, optional={"signature": texts() | json_values()}
    ),
    st.fixed_dictionaries({"type": st.just("tool_use"), "id": ids, "name": ids, "input": json_values()}),
    st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": ids},
        optional={"content": json_values(), "is_error": st.booleans() | json_values()},
    ),
    st.fixed_dictionaries({"type": st.just("image"), "source": json_values()}),
    json_values(),
)


def entries():
    """Of all kinds that there are, of some that there may be one day, and of none."""
    return st.one_of(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["user", "assistant"]),
                "message": st.fixed_dictionaries(
                    {"content": texts() | st.lists(blocks, max_size=3)}, optional={"role": ids, "id": ids}
                ),
            },
            optional={
                "uuid": ids,
                "parentUuid": st.none() | ids,
                "timestamp": texts(),
                "isMeta": st.booleans(),
            },
        ),
        st.dictionaries(st.sampled_from(["type", "uuid", "message", "content", "x"]), json_values()),
    )


@given(entries())
def test_an_entry_comes_back_unchanged(entry):
    """From the event, and from its bytes; types of numbers included."""
    before = json.dumps(entry)
    event = event_of(entry)

    assert same_json(entry_of(event), entry)
    assert same_json(entry_of(decoded(encode_event(event))), entry)
    assert json.dumps(entry) == before


def of_role(role, content):
    return {"type": role, "uuid": "u", "message": {"role": role, "content": content}}


@pytest.mark.parametrize(
    ("entry", "event"),
    [
        (of_role("user", "MARK"), UserMessageAdded),
        (of_role("user", [{"type": "text", "text": "MARK"}]), UserMessageAdded),
        (of_role("assistant", [{"type": "text", "text": "MARK"}]), AgentResponseAdded),
        (of_role("assistant", [{"type": "thinking", "thinking": "MARK", "signature": "s"}]), ReasoningAdded),
        (of_role("assistant", [{"type": "thinking", "thinking": "", "signature": "MARK"}]), ReasoningAdded),
        (
            of_role("assistant", [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"a": "MARK"}}]),
            ToolCalled,
        ),
        (of_role("user", [{"type": "tool_result", "tool_use_id": "t", "content": "MARK"}]), ToolReturned),
        ({"type": "summary", "summary": "MARK"}, CustomEvent),
    ],
)
def test_what_is_said_stands_once_in_an_event_of_its_kind(entry, event):
    assert type(event_of(entry)) is event
    assert encode_event(event_of(entry)).count(b"MARK") == 1


def test_a_message_of_several_parts_is_read_as_one_text_and_kept_whole():
    entry = of_role(
        "user", [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]
    )

    assert event_of(entry) == UserMessageAdded(content="one\ntwo", extra={"claude_agent": entry})


def test_what_another_program_wrote_is_no_entry():
    """The SDK's entries have ids that lead from one to the next; nobody can make up those."""
    for event in (
        UserMessageAdded(content="hi"),
        UserMessageAdded(content="hi", extra={"openai_agents": {"role": "user"}, "at": "/content"}),
        UserMessageAdded(content="hi", extra={"claude_agent": [], "at": "/message/content"}),
        CustomEvent(name="other", data={"type": "user"}),
    ):
        assert entry_of(event) is None


def test_real_transcripts_come_back(data):
    """Each line of those that are at hand, and no text of a message stands twice."""
    count = 0
    for path in sorted((data / "claude-code-context-evaluator").glob("**/*.jsonl")):
        for line in path.read_bytes().splitlines():
            entry = json.loads(line)
            event = event_of(entry)
            assert same_json(entry_of(decoded(encode_event(event))), entry)
            assert len(encode_event(event)) < len(line) + 200
            count += type(event) is not CustomEvent

    assert count == 808


def test_without_the_sdk_an_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    monkeypatch.delitem(sys.modules, "journal.adapters.claude_agent", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'session-journal\[claude-agent\]'"):
        importlib.import_module("journal.adapters.claude_agent")
