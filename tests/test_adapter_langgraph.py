"""LangGraph's checkpointer: what is put is got, each message is said once, the journal can do the rest."""

import asyncio
import functools
import math
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("langgraph.checkpoint.base")

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from journal import JournalWarning, SessionNotFoundError, StateStore, VersionConflictError
from journal.adapters.langgraph import JournalSaver
from journal.adapters.opened import MAX_OPEN
from projections import Redaction
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)
from tests.strategies import a_store, some

SERDE = JsonPlusSerializer()


@pytest.fixture
def saver(store: StateStore) -> JournalSaver:
    return JournalSaver(store)


def at(thread_id: str, ns: str = "", id: str | None = None) -> dict[str, Any]:
    place = {"thread_id": thread_id, "checkpoint_ns": ns}
    return {"configurable": place | ({} if id is None else {"checkpoint_id": id})}


def put(
    saver: BaseCheckpointSaver, config: Any, id: str, version: str = "1", **values: Any
) -> dict[str, Any]:
    """A checkpoint in which these channels are new; others are as in the one before."""
    before = saver.get_tuple(config)
    versions = dict(before.checkpoint["channel_versions"]) if before else {}
    new = dict.fromkeys(values, version)
    kept = before.checkpoint["channel_values"] if before else {}
    checkpoint = {**empty_checkpoint(), "id": id, "channel_values": kept | values}
    checkpoint["channel_versions"] = versions | new
    return saver.put(config, checkpoint, {"source": "loop", "step": 1, "parents": {}}, new)


def values(saver: BaseCheckpointSaver, config: Any) -> dict[str, Any]:
    found = saver.get_tuple(config)
    assert found is not None
    return found.checkpoint["channel_values"]


def said(store: StateStore, thread_id: str = "t") -> list[tuple[str, str]]:
    """The messages of a thread's session, in order."""
    found = []
    for record in store.records(JournalSaver.session_id(thread_id)):
        match record.event:
            case UserMessageAdded(content=content):
                found.append(("user", content))
            case AgentResponseAdded(content=content):
                found.append(("agent", content))
            case ToolCalled(name=name):
                found.append(("call", name))
            case ToolReturned(result=result):
                found.append(("tool", result))
    return found


# What is put is got

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "$", "$$5", "é"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=10)
    | st.just(datetime(2026, 11, 22, tzinfo=UTC))
    | st.frozensets(st.integers(0, 9), max_size=3)
)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
)
ids = st.none() | st.sampled_from(["m1", "m2", "é"])
metadata = st.dictionaries(st.sampled_from(["model_name", "$x"]), plain, max_size=2)
contents = texts | st.lists(
    texts | st.builds(lambda text: {"type": "text", "text": text}, texts), min_size=1, max_size=2
)
calls = st.lists(
    st.builds(
        lambda name, args, id: {"name": name, "args": args, "id": id, "type": "tool_call"},
        texts,
        st.dictionaries(texts, plain, max_size=2),
        st.none() | texts,
    ),
    max_size=2,
)
messages = (
    st.builds(HumanMessage, content=contents, id=ids, name=st.none() | texts, additional_kwargs=metadata)
    | st.builds(AIMessage, content=contents, id=ids, tool_calls=calls, response_metadata=metadata)
    | st.builds(
        ToolMessage,
        content=contents,
        id=ids,
        tool_call_id=texts,
        status=st.sampled_from(["success", "error"]),
        artifact=plain,
    )
    | st.builds(SystemMessage, content=contents, id=ids)
)
things = st.recursive(
    plain | messages,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types down to the last value."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseMessage):
        return alike(vars(one), vars(other)) and one.__pydantic_extra__ == other.__pydantic_extra__
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other) and repr(one) == repr(other)


@some
@given(steps=st.lists(st.dictionaries(st.sampled_from("ab"), things, min_size=1), min_size=1, max_size=4))
def test_a_value_comes_back_as_langgraphs_serializer_gives_it(steps):
    """Also a list of which only a part is new, and messages that others repeat; in another process, too."""
    with a_store(durability="os") as store, StateStore(store.base_path, durability="os") as other:
        saver, expected = JournalSaver(store), []
        for number, step in enumerate(steps):
            put(saver, at("t"), str(number), str(number), **step)
            expected.append((expected[-1] if expected else {}) | SERDE.loads_typed(SERDE.dumps_typed(step)))

        for number, each in enumerate(expected):
            assert alike(
                dict(sorted(values(saver, at("t", id=str(number))).items())), dict(sorted(each.items()))
            )
            assert values(JournalSaver(other), at("t", id=str(number))).keys() == each.keys()


checkpoint_ids = st.sampled_from("abcd")
namespaces = st.sampled_from(["", "child:1"])
operations = st.one_of(
    st.tuples(st.just("put"), namespaces, checkpoint_ids, st.none() | checkpoint_ids, st.integers(0, 3)),
    st.tuples(
        st.just("write"),
        namespaces,
        checkpoint_ids,
        st.lists(st.tuples(st.sampled_from(["x", "__error__", "__interrupt__"]), things), max_size=3),
        st.sampled_from(["task1", "task2"]),
        st.sampled_from(["", "~a", "~b"]),
    ),
)


@settings(max_examples=60)
@given(steps=st.lists(operations, max_size=12), limit=st.none() | st.integers(0, 3))
def test_it_answers_as_langgraphs_own_checkpointer_does(steps, limit):
    with a_store(durability="os") as store:
        mine, theirs = JournalSaver(store), InMemorySaver()
        for number, (kind, ns, id, *rest) in enumerate(steps):
            for saver in (mine, theirs):
                if kind == "put":
                    parent, step = rest
                    checkpoint = {
                        **empty_checkpoint(),
                        "id": id,
                        "ts": "now",
                        "channel_versions": {"x": number},
                    }
                    checkpoint["channel_values"] = {"x": [number]}
                    saver.put(at("t", ns, parent), checkpoint, {"step": step}, {"x": number})
                else:
                    writes, task, path = rest
                    saver.put_writes(at("t", ns, id), writes, task, path)

        for ns in ("", "child:1"):
            for id in (None, *"abcd"):
                assert shown(mine.get_tuple(at("t", ns, id))) == shown(theirs.get_tuple(at("t", ns, id)))
            for before in (None, at("t", ns, "c")):
                for filter in (None, {"step": 1}):
                    options = {"before": before, "filter": filter, "limit": limit}
                    assert [*map(shown, mine.list(at("t", ns), **options))] == [
                        *map(shown, theirs.list(at("t", ns), **options))
                    ]


def shown(found: Any) -> Any:
    """A tuple without what differs from saver to saver."""
    if found is None:
        return None
    parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
    return repr(
        (found.config["configurable"]["checkpoint_id"], found.checkpoint, found.metadata, parent)
    ), repr(found.pending_writes)


def test_langgraphs_own_suite_passes():
    pytest.importorskip("langgraph.checkpoint.conformance")
    from conformance.langgraph import outcome

    found = asyncio.run(outcome())

    assert found.failed == []
    assert (found.tests, found.passed) == (81, 81)


def test_what_the_framework_wraps_is_taken_apart(saver, store):
    """So that the messages in it are on record, too. What has more in it than we know comes back as well."""
    types = pytest.importorskip("langgraph.types")
    from langgraph.checkpoint.serde.types import _DeltaSnapshot

    message = HumanMessage("yes", id="a")
    given = {
        "send": types.Send("agent", {"messages": [message]}),
        "timed": types.Send("agent", 1, timeout=5),
        "snapshot": _DeltaSnapshot([message]),
    }
    put(saver, at("t"), "1", **given)

    assert values(saver, at("t")) == given
    assert said(store) == [("user", "yes")]


def test_what_no_json_can_hold_is_the_serializers(store):
    serde = JsonPlusSerializer(pickle_fallback=True)
    saver = JournalSaver(store, serde=serde)
    given = {
        "messages": [HumanMessage("\ud800", id="a"), AIMessage("x", id="\udfff")],
        "large": 2**70,
        "half": "\ud800",
        "deep": functools.reduce(lambda inner, _: [inner], range(80), 0),
    }
    put(saver, at("t"), "1", **given, nothing=math.nan)
    found = values(saver, at("t"))

    assert math.isnan(found.pop("nothing"))
    assert found == {key: serde.loads_typed(serde.dumps_typed(value)) for key, value in given.items()}


def test_writes_are_ordered_and_told_apart_as_langgraph_does(saver):
    """By path, then by task, then by place; the special ones may be written again, others may not."""
    put(saver, at("t"), "1")
    place = at("t", id="1")
    saver.put_writes(place, [("x", 1), ("y", 2)], "a", "~2")
    saver.put_writes(place, [("x", 3), ("__error__", "first")], "b", "~1")
    saver.put_writes(place, [("x", 4), ("__error__", "second")], "b", "~1")

    assert saver.get_tuple(place).pending_writes == [
        ("b", "__error__", "second"),
        ("b", "x", 3),
        ("a", "x", 1),
        ("a", "y", 2),
    ]


def test_a_value_may_be_put_again_under_its_version(saver):
    for value in ([1], 2, [3], {"a": 4}, None):
        put(saver, at("t"), "1", "1", x=value)

        assert values(saver, at("t")) == {"x": value}


# Each message is said once


def graph_of(saver: JournalSaver) -> Any:
    """An agent that looks up what it is asked, and then tells it."""
    graphs = pytest.importorskip("langgraph.graph")

    def agent(state: Any) -> Any:
        last = state["messages"][-1]
        if isinstance(last, HumanMessage):
            number = len(state["messages"])
            call = {"name": "look_up", "args": {"what": last.content}, "id": f"c{number}"}
            return {"messages": [AIMessage("", tool_calls=[call], id=f"ai{number}")]}
        return {"messages": AIMessage(f"It is {last.content}.", usage_metadata=USAGE)}

    def tool(state: Any) -> Any:
        return {
            "messages": [ToolMessage("secret-42", tool_call_id=state["messages"][-1].tool_calls[0]["id"])]
        }

    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("agent", agent)
    graph.add_node("tool", tool)
    graph.add_edge(graphs.START, "agent")
    graph.add_conditional_edges(
        "agent", lambda state: "tool" if state["messages"][-1].tool_calls else graphs.END
    )
    graph.add_edge("tool", "agent")
    return graph.compile(checkpointer=saver)


USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
TURN = [("user", "what?"), ("call", "look_up"), ("tool", "secret-42"), ("agent", "It is secret-42.")]


def ask(graph: Any, thread_id: str = "t") -> list[str]:
    """One turn; the contents of all messages after it."""
    return [
        each.content
        for each in graph.invoke({"messages": [HumanMessage("what?")]}, at(thread_id))["messages"]
    ]


def test_a_graphs_conversation_is_the_sessions(store, folder):
    contents = [ask(graph_of(JournalSaver(store)))]
    with StateStore(folder, durability="os") as other:
        contents.append(ask(graph_of(JournalSaver(other))))
    session = store.load_session(JournalSaver.session_id("t"))

    assert said(store) == TURN * 2
    assert [len(each) for each in contents] == [4, 8]
    assert session is not None
    assert [message.content for message in session.user_messages] == ["what?"] * 2
    assert [response.content for response in session.agent_responses] == ["It is secret-42."] * 2
    assert session.user_id == "langgraph"
    assert store.verify().ok
    assert {hit.address.partition("@")[0] for hit in store.search("secret-42")} == {session.id}


def test_a_graph_may_be_asynchronous(store):
    async def talk() -> list[int]:
        async with JournalSaver(store) as saver:
            graph = graph_of(saver)
            for _ in range(2):
                await graph.ainvoke({"messages": [HumanMessage("what?")]}, at("t"))
            return [len(state.values["messages"]) async for state in graph.aget_state_history(at("t"))]

    assert asyncio.run(talk()) == [8, 7, 6, 5, 4, 4, 3, 2, 1, 0]
    assert said(store) == TURN * 2


def test_the_user_is_the_configs(saver, store):
    config = at("t")
    config["configurable"]["user_id"] = "ada"
    put(saver, config, "1", x=1)

    assert [summary.user_id for summary in store.list_sessions()] == ["ada"]


def test_the_same_words_are_another_message(saver, store):
    """Without ids as with them; one that is given an id later is the same."""
    put(saver, at("t"), "1", "1", asked={"messages": [HumanMessage("yes")]})
    put(saver, at("t"), "2", "2", messages=[HumanMessage("yes", id="a")])
    put(saver, at("t"), "3", "3", messages=[HumanMessage("yes", id="a"), HumanMessage("yes", id="b")])
    put(saver, at("t"), "4", "4", asked={"messages": [HumanMessage("yes")]})
    put(saver, at("t"), "5", "5", first=HumanMessage("yes", id="c"), asked=HumanMessage("yes"))
    put(saver, at("u"), "1", "1", messages=[HumanMessage("yes"), HumanMessage("yes")])
    put(saver, at("u"), "2", "2", messages=[HumanMessage("yes"), HumanMessage("yes"), HumanMessage("yes")])

    assert said(store) == [("user", "yes")] * 4
    assert said(store, "u") == [("user", "yes")] * 3
    assert [each.id for each in values(saver, at("t"))["messages"]] == ["a", "b"]
    assert [each.id for each in values(saver, at("u"))["messages"]] == [None] * 3


def test_a_message_that_changed_is_said_again(saver, store):
    """Also in place, where it is the same object; also where only a type changed."""
    message = AIMessage("one", id="a", additional_kwargs={"n": 1})
    put(saver, at("t"), "1", "1", messages=[message])
    message.content = "two"
    put(saver, at("t"), "2", "2", messages=[message])
    message.additional_kwargs["n"] = True
    put(saver, at("t"), "3", "3", messages=[message])
    put(saver, at("t"), "4", "4", messages=[message])

    assert said(store) == [("agent", "one"), ("agent", "two"), ("agent", "two")]
    assert [values(saver, at("t", id=id))["messages"][0].additional_kwargs["n"] for id in "1234"] == [
        1,
        1,
        True,
        True,
    ]
    assert values(saver, at("t", id="1"))["messages"][0].content == "one"


def test_nobody_changes_what_is_stored_by_changing_what_was_given(saver):
    put(
        saver,
        at("t"),
        "1",
        messages=[HumanMessage("one", id="a", additional_kwargs={"k": [1]})],
        x={"a": [1]},
    )
    given = values(saver, at("t"))
    given["messages"][0].additional_kwargs["k"].append(2)
    given["messages"][0].content = "two"
    given["x"]["a"].append(2)

    assert values(saver, at("t"))["messages"][0].additional_kwargs == {"k": [1]}
    assert values(saver, at("t"))["messages"][0].content == "one"
    assert values(saver, at("t"))["x"] == {"a": [1]}


def test_writes_that_come_before_their_checkpoint_do_not_change_the_order(saver, store):
    """Graphs do not wait for a checkpoint before they go on: what came early is told with its checkpoint."""
    asked, answer = HumanMessage("what?", id="a"), AIMessage("", tool_calls=[CALL], id="b")
    returned = ToolMessage("42", tool_call_id="c", id="c")
    saver.put_writes(at("t", id="2"), [("messages", returned), ("state", {"all": [asked, returned]})], "task")
    put(saver, at("t"), "1", "1", messages=[asked])
    saver.put_writes(at("t", id="1"), [("messages", answer)], "task")
    early = said(store)
    put(saver, at("t", id="1"), "2", "2", messages=[asked, answer])
    put(saver, at("t", id="2"), "3", "3", messages=[asked, answer, returned])
    written = saver.get_tuple(at("t", id="2")).pending_writes

    assert early == [("user", "what?"), ("call", "look_up")]
    assert said(store) == [*early, ("tool", "42")]
    assert alike([write[2] for write in written], [returned, {"all": [asked, returned]}])


CALL = {"name": "look_up", "args": {"n": 1}, "id": "c", "type": "tool_call"}


def test_an_answer_and_its_calls_are_records_of_their_own(saver, store):
    calls = [{"name": name, "args": {"n": 1}, "id": name, "type": "tool_call"} for name in ("one", "two")]
    message = AIMessage("I look.", tool_calls=calls, id="a")
    put(saver, at("t"), "1", messages=[message])

    assert said(store) == [("agent", "I look."), ("call", "one"), ("call", "two")]
    assert values(saver, at("t"))["messages"] == [message]


def test_only_what_is_new_of_a_list_is_written(saver, folder):
    """A step of a long conversation costs no more bytes than one of a short one, but for digits."""
    conversation = [HumanMessage("x" * 100, id=str(number)) for number in range(100, 500)]
    sizes = []
    for count in (1, 2, 300, 301, 302):
        put(
            saver, at("t"), f"{count:03}", f"{count:03}", messages=conversation[:count], items=[*range(count)]
        )
        sizes.append((folder / "sessions" / f"{saver.session_id('t')}.jsonl").stat().st_size)

    assert values(saver, at("t"))["messages"] == conversation[:302]
    assert values(saver, at("t", id="002"))["items"] == [0, 1]
    assert abs((sizes[4] - sizes[3]) - (sizes[1] - sizes[0])) < 50


def test_a_call_reads_only_what_is_new(store, monkeypatch):
    saver = JournalSaver(store)
    for id in "ab":
        put(saver, at("t"), id, id, x=[id])
    kept, _ = next(iter(saver._threads._opened._open.values()))
    monkeypatch.setattr(kept, "_records", None)  # a whole pass would fail
    for number in range(20):
        put(saver, at("t"), f"c{number:02}", str(number), x=[*range(number)])
        saver.put_writes(at("t", id=f"c{number:02}"), [("x", number)], "task")

        assert values(saver, at("t"))["x"] == [*range(number)]


# What the framework deletes


def test_a_pruned_thread_still_has_what_its_delta_channels_are_made_of(saver, store):
    for number in range(5):
        place = put(saver, at("t", id=str(number - 1) if number else None), str(number), str(number))
        saver.put_writes(place, [("log", number), ("other", 0)], "task")
    whole = BaseCheckpointSaver.get_delta_channel_history(saver, config=at("t"), channels=["log", "none"])
    mine = saver.get_delta_channel_history(config=at("t"), channels=["log", "none"])
    saver.prune(["t"])

    assert [write[2] for write in mine["log"]["writes"]] == [0, 1, 2, 3]
    assert mine == whole
    assert saver.get_delta_channel_history(config=at("t"), channels=["log", "none"]) == whole
    assert [each.config["configurable"]["checkpoint_id"] for each in saver.list(at("t"))] == ["4"]
    assert saver.get_tuple(at("t", id="2")) is None


def test_a_delta_channels_history_begins_where_its_value_is(saver):
    for number in range(4):
        place = at("t", id=str(number - 1) if number else None)
        place = put(saver, place, str(number), str(number), **({"log": [number]} if number == 1 else {}))
        saver.put_writes(place, [("log", number)], "task")
        # As a delta channel does: the channel has a version, and no value.
    found = saver.get_delta_channel_history(config=at("t"), channels=["log"])["log"]

    assert (
        found == BaseCheckpointSaver.get_delta_channel_history(saver, config=at("t"), channels=["log"])["log"]
    )
    assert found["seed"] == [1]


def test_a_deleted_thread_leaves_a_tombstone(saver, store):
    put(saver, at("t"), "1", x=1)
    saver.delete_thread("t")
    saver.delete_thread("t")
    put(saver, at("u"), "1", x=1)
    saver.prune(["u"], strategy="delete")

    assert saver.get_tuple(at("t")) is None
    assert list(saver.list(None)) == []
    assert [(each.id, each.why) for each in store.tombstones()] == [
        ("langgraph+t", "delete_thread"),
        ("langgraph+u", "delete_thread"),
    ]
    with pytest.raises(ValueError, match="keep_latest"):
        saver.prune(["t"], strategy="all")


def test_all_threads_are_listed_the_newest_checkpoint_first(saver):
    for thread_id, id in (("a", "1"), ("b", "2"), ("a", "3"), ("x+y" * 100, "4"), ("ü/" * 20, "5")):
        put(saver, at(thread_id), id, x=1)
    listed = [each.config["configurable"] for each in saver.list(None)]

    assert [each["checkpoint_id"] for each in listed] == ["5", "4", "3", "2", "1"]
    assert [each["thread_id"] for each in listed] == ["ü/" * 20, "x+y" * 100, "a", "b", "a"]


# What the journal adds


def test_after_a_rewind_the_framework_sees_what_it_saw(saver, store):
    session_id, seen = saver.session_id("t"), {}
    graph = graph_of(saver)
    for _ in range(2):
        ask(graph)
        version = store.load_session(session_id).version
        seen[version] = [*map(shown, saver.list(at("t")))]
    first, second = seen
    store.rewind(session_id, to=first)
    rewound = [*map(shown, saver.list(at("t")))]
    again = ask(graph)
    store.rewind(session_id, to=second)

    assert rewound == seen[first]
    assert len(again) == 8
    assert [*map(shown, saver.list(at("t")))] == seen[second]


def test_a_fork_is_another_thread(saver, store):
    graph = graph_of(saver)
    ask(graph)
    fork = store.fork(saver.session_id("t"), new_id=saver.session_id("what-if"))
    ask(graph, "what-if")
    saver.copy_thread("what-if", "copy" * 100)

    assert len(values(saver, at("t"))["messages"]) == 4
    assert len(values(saver, at("what-if"))["messages"]) == 8
    assert len(values(saver, at("copy" * 100))["messages"]) == 8
    assert {each.config["configurable"]["thread_id"] for each in saver.list(None)} == {
        "t",
        "what-if",
        "copy" * 100,
    }
    assert store.verify(fork.id).ok
    store.fork(saver.session_id("t"), new_id=saver.session_id("long" * 100))
    with pytest.warns(JournalWarning, match="longlong.*is not listed"):
        assert len([*saver.list(None)]) == 5 + 10 + 10
    with pytest.raises(VersionConflictError):
        saver.copy_thread("t", "what-if")
    with pytest.raises(SessionNotFoundError):
        saver.copy_thread("nobody", "somebody")


def test_an_erased_message_is_gone_everywhere(saver, store, folder):
    graph = graph_of(saver)
    ask(graph)
    session_id = saver.session_id("t")
    hits = [each.seq for each in store.records(session_id) if b"secret-42" in str(each.event).encode()]
    store.erase(session_id, hits, reason="asked for")
    contents = [message.content for message in values(saver, at("t"))["messages"]]
    store.close()

    assert contents == ["what?", ""]
    assert all(b"secret-42" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_whatever_is_erased_the_rest_can_be_read(store, folder, tmp_path):
    """Each record by itself. An erased value is an empty channel, an erased item of a list is not in it."""
    saver = JournalSaver(store)
    ask(graph_of(saver))
    for id, version, items in (("2", "9", [1, 2]), ("3", "10", [1, 2, 3, 4]), ("4", "11", [1, 2, 3, 4, 5])):
        put(saver, at("t"), id, version, items=items)
    records = [*store.records(saver.session_id("t"))]
    whole = [*saver.list(at("t"))]
    store.close()
    for record in records[1:]:
        shutil.copytree(folder, tmp_path / str(record.seq))
        with StateStore(tmp_path / str(record.seq), durability="os") as copy:
            copy.erase(saver.session_id("t"), [record.seq], reason="a test")
            left = [*JournalSaver(copy).list(at("t"))]
        is_checkpoint = isinstance(record.event, CustomEvent) and record.event.name == "langgraph.checkpoint"
        grew = "'keep': 2, 'value': [3, 4]" in str(record.event)
        items = left[0].checkpoint["channel_values"].get("items")

        assert len(left) == len(whole) - is_checkpoint
        assert not grew or items == [1, 2, 5]


def test_what_a_store_hides_is_stored_once(folder):
    with StateStore(folder, durability="os", redact=Redaction()) as store:
        saver = JournalSaver(store)
        message = HumanMessage("my mail is ada@example.com", id="a")
        for number in range(3):
            put(saver, at("t"), str(number), str(number), messages=[message], key={"k": "ada@example.com"})

        put(saver, at("t"), "4", "4", raw=b64decode("AKIAIOSFODNN7EXAMPLE"), other=b"x")

        assert len(said(store)) == 1
        assert values(saver, at("t")).keys() == {"messages", "key", "other"}
        assert "ada@example.com" not in str(values(saver, at("t")))
        assert all(b"ada@example.com" not in path.read_bytes() for path in folder.rglob("*.jsonl"))


class Cipher:
    """A cipher that anybody can read, but no search for a text."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(each ^ 0x55 for each in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return self.encrypt(ciphertext)[1]


def test_a_serializer_that_encrypts_leaves_nothing_readable(store, folder):
    saver = JournalSaver(store, serde=EncryptedSerializer(Cipher()))
    contents = ask(graph_of(saver))
    saver.delete_for_runs(["none"])

    assert contents == [*(message.content for message in values(saver, at("t"))["messages"])]
    assert said(store) == []
    assert all(b"secret-42" not in path.read_bytes() for path in folder.rglob("*.jsonl"))


# Many at once


def test_writers_of_several_stores_lose_nothing(folder):
    """Threads, each with a store of its own, as processes have."""
    failed: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with JournalSaver(folder) as saver:
                for number in range(15):
                    saver.put_writes(at("t", id="1"), [("x", number)], f"{name}{number}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with JournalSaver(folder) as saver:
        put(saver, at("t"), "1", x=1)
        found = saver.get_tuple(at("t"))

    assert failed == []
    assert found is not None
    assert len(found.pending_writes) == 45


def test_more_threads_than_are_kept_in_memory(saver):
    for number in range(MAX_OPEN + 5):
        put(saver, at(str(number)), "1", x=number)

    assert [values(saver, at(str(number)))["x"] for number in (0, MAX_OPEN + 4)] == [0, MAX_OPEN + 4]
    assert len(saver._threads._opened._open) == MAX_OPEN


def test_a_folders_store_is_closed_with_it(tmp_path):
    with JournalSaver(tmp_path) as saver:
        put(saver, at("t"), "1", x=[1])
    with JournalSaver(tmp_path) as again:
        found = values(again, at("t"))

    assert found == {"x": [1]}


def test_without_the_framework_it_says_what_to_install():
    code = "import sys; sys.modules['langgraph.checkpoint.base'] = None; import journal.adapters.langgraph"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "MissingExtraError" in result.stderr
    assert "pip install 'session-journal[langgraph]'" in result.stderr
