"""A framework's items as batches of records, without any framework: whatever is split comes back."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.adapters import adk_events, strands_messages
from journal.adapters.items import Item, ItemsProjection, item_events, other_part
from journal.adapters.opened import Opened
from projections import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    JournalRepaired,
    MetadataSet,
    Record,
    SessionCreated,
    ToolReturned,
    Transcript,
    UserMessageAdded,
    fold,
)
from tests.strategies import a_store, json_values, texts


class View:
    """All items, in their order."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def take(self, item: Item) -> None:
        self.items.append(item)


def items(events: list[Event]) -> list[Item]:
    """What a framework "f" sees of these events, each a record."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    begun = SessionCreated(session_id="s", user_id="u")
    records = [
        Record(seq=seq, id=str(seq), at=at, event=event, digest="", chain="")
        for seq, event in enumerate([begun, *events], 1)
    ]
    return fold(records, ItemsProjection("f", View)).view.items


def stored(name: str, events: list[Event]) -> list[Item]:
    """The items of these events, from a journal."""
    with a_store() as store:
        store.append("s", [SessionCreated(session_id="s", user_id="u"), *events], expected_version=0)
        found = store.project(ItemsProjection(name, View), "s")
        assert found is not None
        return found.view.items


def likely(*shapes: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Objects that look like parts, rightly or not, with whatever else they may say."""
    words = (
        st.sampled_from(["text", "id", "name", "args", "input", "content", "thought", "signature"]) | texts()
    )
    more = st.dictionaries(words, json_values(), max_size=2)
    made = [st.fixed_dictionaries(shape) for shape in shapes]
    return st.builds(lambda part, rest: {**rest, **part}, st.one_of(*made), more)


ID = st.sampled_from(["i", ""]) | json_values()
ADK_PARTS = likely(
    {},
    {"text": ID},
    {"text": texts(), "thought": st.booleans(), "thought_signature": ID},
    {"function_call": likely({}, {"id": ID, "name": ID, "args": st.none() | json_values()})},
    {"function_response": likely({}, {"id": ID, "name": ID, "response": st.none() | json_values()})},
)
STRANDS_BLOCKS = likely(
    {},
    {"text": ID},
    {"reasoningContent": likely({}, {"reasoningText": likely({"text": ID, "signature": ID})})},
    {"toolUse": likely({}, {"toolUseId": ID, "name": ID, "input": json_values()})},
    {"toolResult": likely({}, {"toolUseId": ID, "status": ID, "content": json_values()})},
)


@given(
    author=st.sampled_from(["user", "agent"]),
    parts=st.lists(ADK_PARTS, min_size=1, max_size=3),
    delta=st.dictionaries(texts() | st.just("app:x"), json_values(), min_size=1, max_size=3),
)
def test_any_event_of_adk_comes_back(author, parts, delta):
    event = {"author": author, "content": {"parts": parts}, "actions": {"state_delta": delta}}
    (item,) = stored("adk", adk_events.records_of(event))

    assert adk_events.event_of(item) == event


@given(role=st.sampled_from(["user", "assistant"]), blocks=st.lists(STRANDS_BLOCKS, max_size=3))
def test_any_message_of_strands_comes_back(role, blocks):
    message = {"message": {"role": role, "content": blocks}, "message_id": 0}
    (item,) = stored("strands", strands_messages.records_of("a", message))

    assert strands_messages.message_of(item) == message


def test_one_part_is_one_record():
    """Others have one of their own before them."""
    said = UserMessageAdded(content="hello"), {"more": 1}

    assert [type(each) for each in item_events("f", {}, [said])] == [UserMessageAdded]
    assert [type(each) for each in item_events("f", {}, [said, said], {"k": 1})] == [
        CustomEvent,
        UserMessageAdded,
        UserMessageAdded,
        MetadataSet,
    ]
    assert [type(each) for each in item_events("f", {}, [(other_part("f", 1), {})])] == [CustomEvent] * 2


@pytest.mark.parametrize("sets", [{}, {"k": 1}])
def test_what_others_write_is_no_part_of_an_item(sets):
    """Not even where an item is cut short: by a repair, or by whoever copies half of a batch."""
    parts = [(UserMessageAdded(content="a"), {}), (other_part("f", "b"), {})]
    whole = item_events("f", {"n": 1}, parts, sets)
    others: list[Event] = [
        AgentResponseAdded(content="x"),
        UserMessageAdded(content="x", extra={"g": {"item": {}}}),
        ToolReturned(call_id="c", result=1, extra=["f"]),
        CustomEvent(name="g.item", data={"item": {}}),
        CustomEvent(name="f.item", data=1),
        JournalRepaired(offset=0, size_bytes=1, reason="torn", quarantine="q"),
    ]

    assert [item.head for item in items([*others, *whole, *others])] == [{"n": 1}]
    for cut in range(1, len(whole)):
        for other in others:
            assert items([*whole[:cut], other, *whole[cut:]]) == []


def test_a_fork_that_was_cut_inside_an_item_does_not_take_what_comes_after_for_the_rest():
    with a_store() as store:
        batch = item_events("f", {}, [(UserMessageAdded(content="a"), {})], {"k": 1})
        store.append("s", [SessionCreated(session_id="s", user_id="u"), *batch], expected_version=0)
        store.fork("s", at=2, new_id="fork")
        store.append("fork", [MetadataSet(key="k", value=2)], expected_version=2)
        seen = [store.project(ItemsProjection("f", View), each) for each in ("s", "fork")]

        assert [len(each.view.items) for each in seen if each is not None] == [1, 0]


def test_a_session_is_one_threads_at_a_time():
    with a_store() as store:
        opened = Opened(store, lambda _: Transcript())
        order = []

        def use() -> None:
            with opened.session("s"):
                order.append("other")

        with opened.session("s"):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join(0.05)
            order.append("first")
        thread.join()

        assert order == ["first", "other"]
