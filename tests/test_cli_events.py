"""A record in words, as `journal log` lists it: its gist and its colour."""

import pytest
from hypothesis import given

from journal.cli.events import color_of
from journal.gist import gist
from projections import (
    AgentResponseAdded,
    ContextCompacted,
    CustomEvent,
    Erased,
    ReasoningAdded,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessageAdded,
)
from tests.strategies import events, record


@pytest.mark.parametrize(
    ("event", "text", "color"),
    [
        (UserMessageAdded(content="hi"), "hi", "cyan"),
        (AgentResponseAdded(content="yes"), "yes", "green"),
        (ReasoningAdded(content="hm", signature="s"), "hm", "magenta"),
        (ToolCalled(call_id="c", name="look", arguments={"q": 1}), 'look({"q": 1})', "yellow"),
        (ToolReturned(call_id="c", result="found"), "found", "yellow"),
        (ToolReturned(call_id="c", result="no", is_error=True), "failed: no", "red"),
        (StepFinished(name="pay", result=[1]), "pay: [1]", "yellow"),
        (StepFinished(name="pay", error="", error_type="E"), "pay: failed: ", "red"),
        (StepFinished(name="pay", error="no", error_type="E"), "pay: failed: no", "red"),
        (UsageRecorded(model="m", input_tokens=1200, output_tokens=3), "m: 1,200 tokens in, 3 out", None),
        (
            UsageRecorded(model="m", input_tokens=1, output_tokens=0, cost=0.25),
            "m: 1 tokens in, 0 out, cost 0.25",
            None,
        ),
        (ContextCompacted(summary="in short", through=7), "up to version 7: in short", "blue"),
        (CustomEvent(name="n", data={"a": 1}), 'n {"a": 1}', None),
        (Erased(was="tool_called"), "it was tool_called", "red"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_record_in_one_line(event, text, color):
    """What a person reads all day."""
    assert (gist(event), color_of(record(1, event))) == (text, color)


@given(events())
def test_every_event_has_a_gist(event):
    """Whatever is in it."""
    assert isinstance(gist(event), str)
