"""The messages for the next call of a model: what a provider takes, whatever the history is."""

import copy
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from projections import (
    AgentResponseAdded,
    Conversation,
    Erased,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
    fold,
    messages,
)
from projections.pairing import returns_of
from tests.strategies import CREATED, record, said, some, texts
from tests.test_conversation import answered, any_talk, called, compacted, returned

SAFE_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
SAFE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
UNKNOWN = "The outcome of this call is unknown: it may have run, or not, or in part."


def context(history):
    return fold(history, Conversation())


def talk(*events):
    """The context of a session of these events."""
    return context([record(seq, event) for seq, event in enumerate([CREATED, *events], 1)])


def is_openai(found):
    """Whether OpenAI's chat completions take it: each call is answered once, before anything else comes."""
    waiting, ids = [], []
    for message in found:
        match message:
            case {"role": "tool", "tool_call_id": call_id, "content": str()}:
                waiting.remove(call_id)
                assert message.keys() == {"role", "tool_call_id", "content"}
                continue
            case {"role": "user", "content": str(content)}:
                assert content.strip()
                assert message.keys() == {"role", "content"}
            case {"role": "assistant", "content": str(content)}:
                assert content.strip()
            case {"role": "assistant", "content": None, "tool_calls": [_, *_]}:
                pass
            case other:
                raise AssertionError(other)
        assert waiting == []
        for call in message.get("tool_calls", []):
            assert call.keys() == {"id", "type", "function"}
            assert call["type"] == "function"
            assert SAFE_ID.fullmatch(call["id"])
            assert SAFE_NAME.fullmatch(call["function"]["name"])
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting.append(call["id"])
            ids.append(call["id"])
    assert waiting == []
    assert len(set(ids)) == len(ids)
    return True


def is_anthropic(found):
    """Whether Anthropic's messages take it: it alternates, and the next message answers each call at once."""
    ids = []
    assert [each["role"] for each in found] == ["user", "assistant"] * (len(found) // 2) + ["user"] * (
        len(found) % 2
    )
    for before, message in itertools.pairwise([{"content": []}, *found, {"content": []}]):
        used = [block["id"] for block in before["content"] if block["type"] == "tool_use"]
        kinds = [block["type"] for block in message["content"]]
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert sorted(results) == sorted(used)
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        ids += used
    assert len(set(ids)) == len(ids)
    for message in found:
        assert message["content"]
        assert message["content"][-1]["type"] != "thinking"
        for block in message["content"]:
            match message["role"], block:
                case _, {"type": "text", "text": str(text)}:
                    assert text.strip()
                case "assistant", {"type": "thinking", "thinking": str(), "signature": str(signature)}:
                    assert signature
                case "assistant", {"type": "tool_use", "id": call_id, "name": name, "input": dict()}:
                    assert SAFE_ID.fullmatch(call_id)
                    assert SAFE_NAME.fullmatch(name)
                case "user", {"type": "tool_result", "is_error": bool()}:
                    assert block.get("content", "x").strip()
                case other:
                    raise AssertionError(other)
    return True


# Laws


@given(any_talk)
def test_openai_takes_any_history(history):
    """Every tool message answers a call of the message before; every call has exactly one."""
    assert is_openai(messages(context(history)))


@given(any_talk)
def test_anthropic_takes_any_history(history):
    """It begins with the user, alternates, and every call is answered in the next message."""
    assert is_anthropic(messages(context(history), "anthropic"))


def spoken(state):
    """What a conversation says, in order, of whom; a call with its record's number."""
    summary, records = state.view()
    if summary.strip():
        yield "user", f"Summary of the conversation so far:\n\n{summary}"
    for each in records:
        match each.event:
            case UserMessageAdded(content=content):
                yield "user", content if content.strip() else "(This message is empty.)"
            case Erased(was="user_message_added"):
                yield "user", "(The content of this message was erased.)"
            case AgentResponseAdded(content=content) if content.strip():
                yield "assistant", content
            case ToolCalled(arguments=dict(arguments)):
                yield "call", arguments
            case ToolCalled(arguments=arguments):
                yield "call", {} if arguments is None else {"arguments": arguments}


def said_to_openai(found):
    for message in found:
        if message["role"] != "tool" and message["content"] is not None:
            yield message["role"], message["content"]
        for call in message.get("tool_calls", []):
            yield "call", json.loads(call["function"]["arguments"])


def said_to_anthropic(found):
    for message in found:
        for block in message["content"]:
            if block["type"] == "text":
                yield message["role"], block["text"]
            elif block["type"] == "tool_use":
                yield "call", block["input"]


@some
@given(any_talk)
def test_everything_is_said_once_and_in_order(history):
    """Each message, answer and call, in both shapes; nothing is put into anybody's mouth."""
    state = context(history)
    expected = list(spoken(state))
    to_anthropic = list(said_to_anthropic(messages(state, "anthropic")))

    assert list(said_to_openai(messages(state))) == expected
    assert to_anthropic[to_anthropic[:1] == [("user", "(The conversation goes on.)")] :] == expected


@some
@given(any_talk)
def test_results_are_those_of_the_returns(history):
    """In the order of the calls; the same in both shapes."""
    state = context(history)
    records = state.view().records
    returns = returns_of(records)
    back = [returns.get(each.id) for each in records if isinstance(each.event, ToolCalled)]
    errors = [each is None or (isinstance(each.event, ToolReturned) and each.event.is_error) for each in back]
    results = [
        block
        for message in messages(state, "anthropic")
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    tools = [message["content"] for message in messages(state) if message["role"] == "tool"]

    assert [block["is_error"] for block in results] == errors
    assert [block.get("content", "").strip() for block in results] == [
        (text.removeprefix("Error: ") if is_error else text).strip()
        for text, is_error in zip(tools, errors, strict=True)
    ]


@some
@given(any_talk, texts())
def test_what_is_said_next_changes_nothing_before_it(history, text):
    """So a provider that keeps the beginning of a prompt finds it again."""
    more = [*history, record(len(history) + 1, said(text))]

    assert messages(context(more))[:-1] == messages(context(history))


@some
@given(any_talk, st.sampled_from(["openai", "anthropic"]))
def test_the_messages_are_the_callers_own(history, shape):
    """Whatever is done to them, the conversation stays as it is."""
    state = context(history)
    found = messages(state, shape)
    expected = copy.deepcopy(found)
    spoil(found)

    assert messages(state, shape) == expected


def test_arguments_are_a_copy():
    """As deep as they are."""
    state = talk(called("a", arguments={"q": [1]}))
    found = messages(state, "anthropic")
    found[1]["content"][0]["input"]["q"].append(2)

    assert messages(state, "anthropic")[1]["content"][0]["input"] == {"q": [1]}


def spoil(value):
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            spoil(inner)
    value.clear()


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="the shape is 'gemini'; expected 'openai' or 'anthropic'"):
        messages(talk(), "gemini")


# The shapes


TURN = talk(
    said("Where to?"),
    ReasoningAdded(content="hm", signature="s"),
    answered("I will look."),
    called("a", "search", {"q": "Lima"}),
    called("b", "book", {"n": 1}),
    returned("b", {"seat": "4A"}, is_error=True),
    returned("a", "found"),
    answered("Done."),
    said("Thanks."),
)


def test_openai():
    assert messages(TURN) == [
        {"role": "user", "content": "Where to?"},
        {
            "role": "assistant",
            "content": "I will look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "search", "arguments": '{"q":"Lima"}'}},
                {"id": "b", "type": "function", "function": {"name": "book", "arguments": '{"n":1}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "found"},
        {"role": "tool", "tool_call_id": "b", "content": 'Error: {"seat":"4A"}'},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Thanks."},
    ]


def test_anthropic():
    assert messages(TURN, "anthropic") == [
        {"role": "user", "content": [{"type": "text", "text": "Where to?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I will look."},
                {"type": "tool_use", "id": "a", "name": "search", "input": {"q": "Lima"}},
                {"type": "tool_use", "id": "b", "name": "book", "input": {"n": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "is_error": False, "content": "found"},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": '{"seat":"4A"}'},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {"role": "user", "content": [{"type": "text", "text": "Thanks."}]},
    ]


# What is mended


def tool_messages(*events):
    """What tools gave, by the id of the call."""
    found = messages(talk(said("go"), *events))
    return [(each["tool_call_id"], each["content"]) for each in found if each["role"] == "tool"]


def test_a_call_without_a_return_has_an_unknown_outcome():
    """A crash came in between, or it is under way."""
    assert tool_messages(called("a"), said("?")) == [("a", f"Error: {UNKNOWN}")]
    assert messages(talk(called("a")), "anthropic")[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": UNKNOWN}
    ]


def test_a_return_without_a_call_is_nobodys():
    """Also one that came before its call."""
    assert messages(talk(said("go"), returned("a"), answered("b"))) == [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "b"},
    ]
    assert tool_messages(returned("a"), called("a")) == [("a", f"Error: {UNKNOWN}")]


def test_one_return_of_a_call_counts():
    """The first; where they name its record as their cause, the last one."""
    twice = [called("a"), returned("a", "1"), returned("a", "2")]
    history = [record(seq, event) for seq, event in enumerate(twice, 2)]
    caused = [structs.replace(each, cause="id-2") for each in history]

    assert tool_messages(*twice) == [("a", "1")]
    assert messages(context(caused))[-1]["content"] == "2"


def test_a_return_that_names_its_call_belongs_to_it():
    """Whatever their ids are."""
    history = [record(seq, event) for seq, event in enumerate([called(""), called(""), returned("x")], 1)]
    history[-1] = structs.replace(history[-1], cause="id-1")

    assert [each["content"] for each in messages(context(history)) if each["role"] == "tool"] == [
        "r",
        f"Error: {UNKNOWN}",
    ]


def test_ids_that_repeat_are_told_apart():
    """The last call with an id that has no return yet is the one that returns."""
    assert tool_messages(called("a"), returned("a", "1"), called("a"), returned("a", "2")) == [
        ("a", "1"),
        ("call_5", "2"),
    ]
    assert tool_messages(called("a"), called("a"), returned("a", "1"), returned("a", "2")) == [
        ("a", "2"),
        ("call_4", "1"),
    ]
    # Somebody's own id may look like one that we give.
    assert [call_id for call_id, _ in tool_messages(*map(called, ["call_4", "", "call_6", "call_6"]))] == [
        "call_4",
        "call_4_2",
        "call_6",
        "call_6_2",
    ]


@pytest.mark.parametrize("call_id", ["", "a b", "é", "a\n", "functions.search:0", "x" * 41])
def test_an_id_that_a_provider_refuses_is_another_one(call_id):
    assert [found for found, _ in tool_messages(called(call_id), returned(call_id))] == ["call_3"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("search", "search"), ("mcp.files/read", "mcp_files_read"), ("", "tool"), ("x" * 65, "x" * 64)],
)
def test_a_tool_has_a_name_that_providers_take(name, shown):
    found = messages(talk(called("a", name)), "anthropic")

    assert found[1]["content"][0]["name"] == shown


@pytest.mark.parametrize(
    ("arguments", "given"),
    [({"a": 1}, {"a": 1}), (None, {}), ("{bad", {"arguments": "{bad"}), ([1], {"arguments": [1]})],
)
def test_arguments_are_an_object(arguments, given):
    """What a model wrote need not have been one."""
    state = talk(called("a", arguments=arguments))

    assert messages(state, "anthropic")[1]["content"][0]["input"] == given
    assert json.loads(messages(state)[0]["tool_calls"][0]["function"]["arguments"]) == given


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        (None, "null"),
        ({"a": [1, "é"]}, '{"a":[1,"é"]}'),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "text", "text": 1}], '[{"type":"text","text":1}]'),
        ([{"type": "image", "text": "x"}], '[{"type":"image","text":"x"}]'),
        ([], "[]"),
    ],
)
def test_a_result_is_a_text(result, text):
    assert tool_messages(called("a"), returned("a", result)) == [("a", text)]


def test_an_empty_result_has_no_content_for_anthropic():
    """It would be refused."""
    state = talk(called("a"), returned("a", "\n"))

    assert messages(state, "anthropic")[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "is_error": False}
    ]


def test_what_was_said_in_between_comes_after_the_results():
    """A user need not wait for a tool."""
    found = messages(talk(said("go"), called("a"), said("stop"), answered("wait"), returned("a", "1")))

    assert [(each["role"], each["content"]) for each in found] == [
        ("user", "go"),
        ("assistant", None),
        ("tool", "1"),
        ("user", "stop"),
        ("assistant", "wait"),
    ]


def test_calls_after_another_answer_are_another_turn():
    """And calls after a return."""
    found = messages(
        talk(answered("1"), called("a"), answered("2"), called("b"), returned("b"), called("c")), "anthropic"
    )

    assert [[block.get("text") or block.get("id") for block in each["content"]] for each in found[1::2]] == [
        ["1", "a"],
        ["2", "b"],
        ["c"],
    ]


def test_erased_content_leaves_a_note_where_something_must_be_said():
    """The tool of an erased return has run; who answered what was erased is not put into their mouth."""
    history = [
        record(seq, event)
        for seq, event in enumerate(
            [
                Erased(was="user_message_added"),
                Erased(was="agent_response_added"),
                Erased(was="reasoning_added"),
                called("a"),
                Erased(was="tool_returned"),
                Erased(was="tool_called"),
                returned("b"),
                said(" "),
            ],
            1,
        )
    ]
    history[4] = structs.replace(history[4], cause="id-4")
    history[6] = structs.replace(history[6], cause="id-6")

    assert [(each["role"], each["content"]) for each in messages(context(history))] == [
        ("user", "(The content of this message was erased.)"),
        ("assistant", None),
        ("tool", "(The tool returned. What it returned was erased.)"),
        ("user", "(This message is empty.)"),
    ]


@pytest.mark.parametrize("was", ["user_message_added", "tool_returned"])
def test_what_was_erased_still_ends_a_turn(was):
    """What came after it was not done at once with what came before."""
    found = messages(talk(called("a"), Erased(was=was), called("b")))

    assert [len(each["tool_calls"]) for each in found if each["role"] == "assistant"] == [1, 1]
    assert [each["role"] for each in found if each["role"] != "tool"] == (
        ["assistant", "user", "assistant"] if was == "user_message_added" else ["assistant", "assistant"]
    )


def test_reasoning_goes_back_to_who_signed_it():
    """Unsigned, or leading to nothing, it goes to nobody."""
    found = messages(
        talk(
            said("go"),
            ReasoningAdded(content="unsigned"),
            ReasoningAdded(content="one", signature="s"),
            ReasoningAdded(content="two", signature="t"),
            called("a"),
            returned("a"),
            ReasoningAdded(content="led to nothing", signature="u"),
            said("and?"),
        ),
        "anthropic",
    )

    assert [block.get("thinking") for block in found[1]["content"]] == ["one", "two", None]
    assert [each["role"] for each in found] == ["user", "assistant", "user"]


def test_a_summary_is_what_the_user_says_first():
    """In both shapes, before what follows it."""
    state = talk(said("a"), answered("b"), compacted(3, "They met."), said("c"))
    summary = "Summary of the conversation so far:\n\nThey met."

    assert messages(state) == [{"role": "user", "content": summary}, {"role": "user", "content": "c"}]
    assert messages(state, "anthropic") == [
        {"role": "user", "content": [{"type": "text", "text": summary}, {"type": "text", "text": "c"}]}
    ]


def test_an_agent_may_begin():
    """For Anthropic somebody else has to."""
    assert messages(talk(answered("Hi!"))) == [{"role": "assistant", "content": "Hi!"}]
    assert messages(talk(answered("Hi!")), "anthropic")[0] == {
        "role": "user",
        "content": [{"type": "text", "text": "(The conversation goes on.)"}],
    }
    assert messages(talk()) == messages(talk(), "anthropic") == []
