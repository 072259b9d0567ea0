"""What of an event can be searched for."""

import pytest
from hypothesis import given

from projections import (
    ActivePersonaSet,
    ActiveSeedSet,
    AgentResponseAdded,
    ContentErased,
    ContextCompacted,
    CustomEvent,
    Erased,
    JournalRepaired,
    MetadataSet,
    ReasoningAdded,
    SessionCreated,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UnknownEvent,
    UsageRecorded,
    UserMessageAdded,
)
from projections.searchable import leaves, text_of, texts_of
from tests.strategies import events, json_values


@pytest.mark.parametrize(
    ("event", "texts"),
    [
        (UserMessageAdded(content="hi"), [("user", "hi")]),
        (AgentResponseAdded(content="yes", phase_reached="p"), [("agent", "yes")]),
        (ReasoningAdded(content="hm", signature="s"), [("reasoning", "hm")]),
        (ToolCalled(call_id="c", name="look", arguments={"q": ["a", 1]}), [("tool_call", "look\nq: \na\n1")]),
        (ToolReturned(call_id="c", result="text"), [("tool_result", "text")]),
        (CustomEvent(name="n", data={"a": {"b": 1.5, "c": None}}), [("note", "n\na: \nb: 1.5\nc: ")]),
        (MetadataSet(key="k", value="v"), [("note", "k: v")]),
        (StepFinished(name="s", arguments=[1], result={"a": 2}), [("note", "s\n1\na: 2")]),
        (StepFinished(name="s", error="boom", error_type="E"), [("note", "s\nboom")]),
        (ContextCompacted(summary="in short", through=3), [("note", "in short")]),
        (UnknownEvent(type="x", raw=b'{"type":"x","t":"\\u00e9"}'), [("note", "type: x\nt: é")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_said_called_returned_and_noted(event, texts):
    """With whose words it is."""
    assert list(texts_of(event)) == texts


@pytest.mark.parametrize(
    "event",
    [
        Erased(was="user_message_added"),
        ContentErased(versions=[2], types=["user_message_added"], reason="the word was secret"),
        JournalRepaired(offset=0, size_bytes=1, reason="r", quarantine="q"),
        SessionCreated(session_id="s", user_id="u"),
        ActiveSeedSet(seed_id="x"),
        ActivePersonaSet(persona_id="x"),
        UsageRecorded(model="m", input_tokens=1, output_tokens=2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_tells_of_the_journal_itself_is_not_what_was_said(event):
    """Least of all what was erased."""
    assert list(texts_of(event)) == []


@given(events())
def test_every_event_has_texts_or_none(event):
    """Whatever is in it: a text for a role that the transcript knows."""
    roles = {"user", "agent", "reasoning", "tool_call", "tool_result", "note"}

    assert all(role in roles and isinstance(text, str) for role, text in texts_of(event))


@given(json_values())
def test_every_leaf_of_json_is_in_its_text(value):
    """Keys, texts and numbers."""
    assert all(leaf in text_of(value) for leaf in leaves(value))


def test_leaves_are_texts_numbers_and_keys():
    """Each for itself; nothing of null, true and false."""
    assert list(leaves({"a": [1, None, {"b": "c"}], "d": True})) == ["a", "1", "b", "c", "d"]
