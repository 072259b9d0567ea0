"""The conversation: what the next call of a model must see."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from journal import Session, StateStore
from projections import (
    AgentResponse,
    AgentResponseAdded,
    ContextCompacted,
    Conversation,
    CustomEvent,
    Erased,
    MetadataSet,
    ReasoningAdded,
    SessionAdopted,
    SessionForked,
    SessionProjection,
    SessionReplaced,
    SessionRewound,
    StepFinished,
    ToolCalled,
    ToolReturned,
    UsageRecorded,
    UserMessage,
    UserMessageAdded,
    fold,
)
from projections.pairing import is_call, returns_of
from projections.rewind import rewound
from tests.strategies import CREATED, START, histories, moments, record, said, some, texts

words = st.sampled_from(["", " ", "a", "b", "Hello\n"]) | texts()


def called(call_id="c", name="search", arguments=None):
    return ToolCalled(call_id=call_id, name=name, arguments=arguments)


def returned(call_id="c", result="r", **options):
    return ToolReturned(call_id=call_id, result=result, **options)


def answered(text):
    return AgentResponseAdded(content=text)


def compacted(through, summary="in short"):
    return ContextCompacted(summary=summary, through=through)


def said_events():
    """What agents and people do, with few ids of calls: many repeat, many are orphans."""
    ids = st.sampled_from(["c", "d", "call_3", "", "no good"]) | texts()
    json = st.sampled_from([None, "x", "", [], {"q": [1]}, [{"type": "text", "text": "t"}], [1.5], {}])
    return st.one_of(
        st.builds(UserMessageAdded, content=words, timestamp=st.none() | moments()),
        st.builds(answered, words),
        st.builds(ReasoningAdded, content=words, signature=st.sampled_from([None, "", "s"])),
        st.builds(called, ids, st.sampled_from(["search", "a.b", ""]) | texts(80), json),
        st.builds(returned, ids, json, is_error=st.booleans()),
        st.builds(
            Erased,
            was=st.sampled_from(
                [
                    *("user_message_added", "agent_response_added", "reasoning_added", "tool_called"),
                    *("tool_returned", "context_compacted", "metadata_set"),
                ]
            ),
        ),
        st.builds(MetadataSet, key=st.just("k"), value=json),
    )


def tool_events():
    """Calls and returns, most of which can be paired, in one way or another."""
    ids = st.sampled_from("cd")
    return st.one_of(
        st.builds(called, ids),
        st.builds(returned, ids, st.sampled_from("123"), is_error=st.booleans()),
        st.sampled_from([Erased(was="tool_called"), Erased(was="tool_returned")]),
        st.sampled_from([said("a"), answered("b"), ReasoningAdded(content="r", signature="s")]),
    )


@st.composite
def documents_like(draw, state):
    """The document of a session as somebody edited it, or of another one."""
    state = state.copy()
    for messages in (state.user_messages, state.agent_responses):
        edit = draw(st.sampled_from(["none", "none", "drop", "change", "append"]))
        kind = UserMessage if messages is state.user_messages else AgentResponse
        if edit == "append":
            messages.append(kind("new", timestamp=START))
        elif messages and edit != "none":
            index = draw(st.integers(0, len(messages) - 1))
            messages[index : index + 1] = [kind("edited", timestamp=START)] if edit == "change" else []
    return state.to_document()


@st.composite
def talks(draw, happening=None):
    """Histories of conversations, with rewinds, states that were set as a whole, and shortened prompts.

    Each rewind is one that a store would write.
    """
    found = [record(1, CREATED)]
    states = [SessionProjection().initial(), fold(found, SessionProjection())]
    for seq in range(2, 2 + draw(st.integers(0, 16))):
        kind = draw(st.sampled_from(["said"] * 6 + ["compacted", "rewound", "document"]))
        if kind == "compacted":
            event = compacted(draw(st.integers(0, seq + 1)), draw(words))
        elif kind == "rewound":
            event = rewound(states[-1], states[draw(st.integers(1, seq - 1))])
        elif kind == "document":
            document = draw(documents_like(states[-1]))
            event = draw(st.sampled_from([SessionReplaced(session=document), adoption(document)]))
        else:
            event = draw(said_events() if happening is None else happening)
        causes = [each.id for each in found if is_call(each)] or [each.id for each in found]
        cause = draw(st.none() | st.sampled_from(causes))
        found.append(structs.replace(record(seq, event, START + seq * timedelta(seconds=1)), cause=cause))
        states.append(fold(found[-1:], SessionProjection(), start=states[-1]))
    return found


def adoption(document):
    return SessionAdopted(document=msgspec.json.encode(document).decode())


any_talk = talks() | talks(tool_events()) | histories()


def view(history):
    return fold(history, Conversation()).view()


def events_seen(*events):
    """The summary, and the events that are seen, of a session of these events."""
    seen = view([record(seq, event) for seq, event in enumerate([CREATED, *events], 2)])
    return seen.summary, [each.event for each in seen.records]


def without_compactions(history):
    return [
        structs.replace(each, event=CustomEvent(name="n"))
        if isinstance(each.event, ContextCompacted)
        else each
        for each in history
    ]


def contents(records, kind, was):
    """The texts of messages; of an erased one nothing."""
    return [
        each.event.content if isinstance(each.event, kind) else ""
        for each in records
        if isinstance(each.event, kind) or each.event == Erased(was=was)
    ]


# Laws


@some
@given(talks())
def test_it_says_what_the_session_says(history):
    """Each message and each answer of the session, in the order of its lists, and no other one."""
    history = without_compactions(history)
    session = fold(history, SessionProjection())
    seen = view(history).records

    assert contents(seen, UserMessageAdded, "user_message_added") == [
        message.content for message in session.user_messages
    ]
    assert contents(seen, AgentResponseAdded, "agent_response_added") == [
        response.content for response in session.agent_responses
    ]


@some
@given(talks() | talks(tool_events()), st.data())
def test_after_a_rewind_it_is_what_it_was(history, data):
    """Summary and all."""
    to = data.draw(st.integers(1, len(history)))
    now, then = (fold(part, SessionProjection()) for part in (history, history[:to]))
    rewind = record(len(history) + 1, rewound(now, then))

    assert view([*history, rewind]) == view(history[:to])


@some
@given(any_talk, st.data())
def test_folding_in_two_halves_is_folding_at_once(history, data):
    """From the state of any point on; that state stays as it was."""
    cut = data.draw(st.integers(0, len(history)))
    half = fold(history[:cut], Conversation())
    whole = fold(history[cut:], Conversation(), start=half)

    assert whole == fold(history, Conversation())
    assert half == fold(history[:cut], Conversation())


@some
@given(talks() | talks(tool_events()), st.data())
def test_a_summary_takes_the_place_of_what_it_stands_for(history, data):
    """What came later is seen as before; of the rest at most calls, whose returns came later."""
    through = data.draw(st.integers(0, len(history)))
    before = view(without_compactions(history)).records
    seen = view([*without_compactions(history), record(len(history) + 1, compacted(through))])
    later = [each for each in before if each.seq > through]
    kept = seen.records[: len(seen.records) - len(later)]

    assert seen.summary == "in short"
    assert seen.records[len(kept) :] == later
    assert all(is_call(each) and each.seq <= through for each in kept)
    assert [each for each in before if each in kept] == kept
    assert returns_of(seen.records) == {
        call: returned for call, returned in returns_of(before).items() if returned in later
    }


@some
@given(any_talk)
def test_what_no_model_said_or_heard_changes_nothing(history):
    """Settings, notes, steps and usage are no part of it."""
    notes = [
        CustomEvent(name="n"),
        MetadataSet(key="k", value=1),
        StepFinished(name="s", result=1),
        UsageRecorded(model="m", input_tokens=1, output_tokens=1),
        Erased(was="metadata_set"),
    ]
    more = [record(len(history) + number, event) for number, event in enumerate(notes, 1)]

    assert view([*history, *more]) == view(history)


# Shortened prompts


def test_the_last_summary_that_stands_counts():
    """A later one may stand for less, or for nothing at all: then all is seen again."""
    talk = [said("2"), said("3"), compacted(3, "two"), said("5")]

    assert events_seen(*talk)[0] == "two"
    first = record(1, CREATED)
    history = [first, *(record(seq, event) for seq, event in enumerate(talk, 2))]

    def then(*events):
        later = [record(seq, event) for seq, event in enumerate(events, len(history) + 1)]
        found = view([*history, *later])
        return found.summary, [each.seq for each in found.records]

    assert then() == ("two", [5])
    assert then(compacted(5, "all")) == ("all", [])
    assert then(compacted(2, "one")) == ("one", [3, 5])
    assert then(compacted(0, "")) == ("", [2, 3, 5])
    assert then(compacted(99, "more than there is"), said("7")) == ("more than there is", [7])


def test_a_call_stays_with_a_return_that_comes_later():
    """Else the model would not know that its tool has run."""
    talk = [
        record(1, CREATED),
        record(2, said("pay")),
        record(3, called("c")),
        record(4, called("d")),
        record(5, returned("d")),
        record(6, called("c")),
        record(7, compacted(6)),
        record(8, returned("c", "the second")),
    ]

    assert [each.seq for each in view(talk).records] == [6, 8]
    assert [each.seq for each in view([*talk, record(9, returned("c"))]).records] == [3, 6, 8, 9]
    assert [each.seq for each in view([*talk, record(9, returned("d"))]).records] == [6, 8, 9]


def test_a_return_stays_with_the_call_that_it_names():
    """Not with one of the same id that the model still sees."""
    talk = [record(1, CREATED), record(2, called("c")), record(3, compacted(2)), record(4, called("c"))]
    talk.append(structs.replace(record(5, returned("c")), cause="id-2"))
    seen = view(talk).records

    assert [each.seq for each in seen] == [2, 4, 5]
    assert returns_of(seen) == {"id-2": seen[-1]}


def test_a_summary_goes_with_what_it_stands_for():
    """A state that was set as a whole may say that it never was so."""
    session = Session(id="s", user_id="u", created_at=START)
    session.user_messages = [UserMessage(text, timestamp=START) for text in "abc"]
    talk = [CREATED, *(said(text) for text in "abc"), compacted(3), answered("d")]
    history = [record(seq, event) for seq, event in enumerate(talk, 1)]

    def after(edit):
        twin = session.copy()
        twin.agent_responses = [AgentResponse("d", timestamp=START)]
        edit(twin)
        document = SessionReplaced(session=twin.to_document())
        found = view([*history, record(7, document)])
        return found.summary, [(each.seq, each.event.content) for each in found.records]

    assert after(lambda state: state.set_metadata("k", 1)) == ("in short", [(4, "c"), (6, "d")])
    assert after(lambda state: state.agent_responses.clear()) == ("in short", [(4, "c")])
    assert after(lambda state: state.user_messages.pop()) == ("in short", [(7, "d")])
    assert after(lambda state: state.user_messages.pop(0)) == (
        "",
        [(7, "b"), (7, "c"), (7, "d")],
    )


# States that were set as a whole


def test_an_edit_by_hand_keeps_the_calls_before_it():
    """A session that was set as a whole says nothing of them."""
    with_call = [said("a"), called(), returned(), answered("b"), said("c")]
    history = [record(seq, event) for seq, event in enumerate([CREATED, *with_call], 1)]
    session = fold(history, SessionProjection())
    session.user_messages[1:] = [UserMessage("d", timestamp=START)]
    seen = view([*history, record(7, SessionReplaced(session=session.to_document()))]).records

    assert [each.seq for each in seen] == [2, 3, 4, 5, 7]
    assert seen[-1].event == UserMessageAdded(content="d", timestamp=START)


@pytest.mark.parametrize("kind", ["adopted", "forked"])
def test_a_session_that_began_elsewhere_reads_by_time(kind):
    """Its document has two lists and no common order."""
    session = Session(id="s", user_id="u", created_at=START)
    second = timedelta(seconds=1)
    session.user_messages = [
        UserMessage("1", timestamp=START),
        UserMessage("3", timestamp=START + 2 * second),
    ]
    session.agent_responses = [AgentResponse("2", timestamp=START + second)]
    document = session.to_document()
    forked = SessionForked(
        session_id="s",
        user_id="u",
        created_at=START,
        origin="o",
        version=1,
        chain="c",
        first_chain="f",
        document=document,
    )
    event = adoption(document) if kind == "adopted" else forked

    assert [each.event.content for each in view([record(1, event)]).records] == ["1", "2", "3"]


# With a store


def test_a_store_keeps_it_through_rewinds_forks_and_erasures(tmp_path):
    """What it gives is what a fold of the whole journal gives."""
    with StateStore(tmp_path, durability="os") as store:
        store.append("s", [CREATED, said("a"), answered("b"), said("secret")], expected_version=0)
        kept = store.keep(Conversation(), "s")
        whole = [each.event.content for each in kept.now().view().records]
        store.rewind("s", 3)
        back = [each.event.content for each in kept.now().view().records]
        store.rewind("s", 4)
        store.erase("s", [4], reason="asked to")
        erased = contents(kept.now().view().records, UserMessageAdded, "user_message_added")
        fork = store.fork("s", at=3)
        forked = store.project(Conversation(), fork.id).view().records

        assert whole == ["a", "b", "secret"]
        assert back == ["a", "b"]
        assert erased == ["a", ""]
        assert [each.event.content for each in forked] == ["a", "b"]
        assert kept.now() == fold(store.records("s"), Conversation())


def test_an_impossible_rewind_changes_nothing():
    """To a version that was not reached yet; nobody's journal has one."""
    assert events_seen(said("a"), REWIND_TO_99) == ("", [said("a")])


REWIND_TO_99 = SessionRewound(
    to=99, user_id="u", created_at=START, updated_at=START, user_messages_kept=1, agent_responses_kept=0
)
