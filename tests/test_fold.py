"""Folds and differences: what history means, without a file in sight."""

import copy
import pickle
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import AgentResponse, Session, UserMessage
from projections import (
    ContentErased,
    CustomEvent,
    JournalRepaired,
    MetadataSet,
    SessionAdopted,
    SessionCreated,
    SessionForked,
    SessionProjection,
    SessionReplaced,
    SessionRewound,
    Transcript,
    UnknownEvent,
    UserMessageAdded,
    difference,
    fold,
)
from projections.difference import is_same
from tests.strategies import (
    START,
    acts,
    agent_responses,
    calls,
    histories,
    json_values,
    record,
    sessions,
    texts,
    user_messages,
    utc_moments,
)

NOW = START + timedelta(days=1)


def session_of(history, start=None):
    return fold(history, SessionProjection(), start=start)


def applied(old, changes):
    """A session after some changes, as the journal would replay them."""
    records = [record(seq, change.event, change.at) for seq, change in enumerate(changes, 1)]
    return session_of(records, start=old)


# Folds


@given(histories(), st.data())
def test_a_snapshot_anywhere_changes_nothing(history, data):
    """Folding on from any snapshot equals a full replay, and the snapshot stays as it is."""
    cut = data.draw(st.integers(0, len(history)))
    start = session_of(history[:cut])
    before = start.copy()
    whole = session_of(history)

    assert is_same(session_of(history[cut:], start=start), whole)
    assert session_of(history[cut:], start=start).version == whole.version
    assert is_same(start, before)


@given(histories(), st.data())
def test_a_transcript_continued_anywhere_is_the_same(history, data):
    """The law holds for other projections too."""
    cut = data.draw(st.integers(0, len(history)))
    start = fold(history[:cut], Transcript())

    assert fold(history[cut:], Transcript(), start=start) == fold(history, Transcript())


@given(histories())
def test_a_fold_is_pure(history):
    """The same records give the same state twice, and are what they were."""
    before = pickle.dumps([msgspec.to_builtins(each.event, builtin_types=(bytes,)) for each in history])
    first = session_of(history)
    for kept in first.metadata.values():
        if isinstance(kept, list):
            kept.append("edited")
        elif isinstance(kept, dict):
            kept["edited"] = True
    first.user_messages.clear()
    second, third = session_of(history), session_of(history)

    assert is_same(second, third)
    assert pickle.dumps([msgspec.to_builtins(e.event, builtin_types=(bytes,)) for e in history]) == before


@given(histories())
def test_every_record_sets_updated_at_housekeeping_excepted(history):
    """The last record that is no housekeeping says when it changed; an adopted file brings its own time."""
    state = SessionProjection().initial()
    for each in history:
        before = state.updated_at
        state = SessionProjection().apply(state, each)
        if isinstance(each.event, JournalRepaired | ContentErased | UnknownEvent):
            assert state.updated_at == before
        elif isinstance(each.event, SessionRewound):
            assert state.updated_at == each.event.updated_at
        elif isinstance(each.event, SessionForked):
            begun = each.event.document
            assert state.updated_at == (begun.updated_at if begun else each.event.created_at)
        elif isinstance(each.event, SessionAdopted):
            adopted = msgspec.json.decode(each.event.document)["updated_at"]
            assert state.updated_at == datetime.fromisoformat(adopted)
        else:
            assert state.updated_at == each.at
        assert state.version == each.seq


@given(histories())
def test_exchange_count_and_is_empty_follow_the_lists(history):
    """The smaller of two lengths; empty is when the user has said nothing."""
    session = session_of(history)

    assert session.exchange_count == min(len(session.user_messages), len(session.agent_responses))
    assert session.is_empty == (session.user_messages == [])


@given(histories())
def test_a_folded_session_survives_its_document(history):
    """to_document and from_document are each other's inverse."""
    session = session_of(history)
    text = msgspec.json.encode(session.to_document())
    back = Session.from_document(msgspec.json.decode(text, type=type(session.to_document())))

    assert is_same(back, session)


# Differences


@given(sessions(), sessions())
def test_applying_the_difference_gives_the_other_session(old, new):
    """For any two sessions, exactly, types of JSON included; both stay as they are."""
    old_before, new_before = old.copy(), new.copy()
    changes = difference(old, new, now=NOW)
    reached = applied(old, changes)
    if new.updated_at == old.updated_at and changes:
        new.updated_at = NOW
        new_before.updated_at = NOW

    assert is_same(reached, new)
    assert is_same(old, old_before)
    assert is_same(new, new_before)


@given(sessions())
def test_the_difference_from_nothing_creates_the_session(new):
    """The first event says whose it is, and the rest fills it."""
    changes = difference(None, new, now=NOW)

    assert isinstance(changes[0].event, SessionCreated | SessionReplaced)
    assert is_same(applied(None, changes), new)


@given(sessions(), st.lists(acts(), max_size=4))
def test_applying_the_difference_of_an_edit_gives_the_edited_session(old, done):
    """Two sessions that share most of what they hold, as a stored one and its edited copy do."""
    new = old.copy()
    for act in done:
        act.on(new)
    changes = difference(old, new, now=NOW)
    reached = applied(old, changes)
    if new.updated_at == old.updated_at and changes:
        new.updated_at = NOW

    assert is_same(reached, new)


@given(sessions())
def test_the_difference_of_a_session_from_itself_is_empty(session):
    """No change, no event."""
    assert difference(session, session.copy(), now=NOW) == []


@given(sessions(), st.lists(user_messages(), max_size=3), st.lists(agent_responses(), max_size=3))
def test_what_was_only_appended_becomes_small_events(old, messages, responses):
    """A long session that grew by a message is not written again."""
    new = old.copy()
    new.user_messages.extend(messages)
    new.agent_responses.extend(responses)
    changes = difference(old, new, now=NOW)

    assert len(changes) == len(messages) + len(responses)
    assert not any(isinstance(change.event, SessionReplaced) for change in changes)


@given(sessions(), texts(), json_values())
def test_a_new_value_of_metadata_becomes_one_small_event(old, key, value):
    """One key set by hand is one MetadataSet."""
    new = old.copy()
    new.metadata[key] = value
    changes = difference(old, new, now=NOW)

    assert [type(change.event) for change in changes] in ([], [MetadataSet])


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (1, 1.0), (0, False), ([1], [True]), ({"a": 1}, {"a": 1.0}), (0.0, -0.0)]
)
def test_values_that_python_calls_equal_and_json_does_not_are_a_difference(old, new):
    """1, 1.0 and True are three values; 0.0 and -0.0 are two."""
    before = Session(id="s", user_id="u", metadata={"k": old}, created_at=START)
    after = Session(id="s", user_id="u", metadata={"k": new}, created_at=START)
    [change] = difference(before, after, now=NOW)

    assert change.event == MetadataSet(key="k", value=new)


@given(st.lists(calls(), max_size=5))
def test_unsaved_changes_are_the_session(done):
    """What the methods note, replayed, is what the session shows."""
    session = Session.with_id("u", "s")
    for act in done:
        act.on(session)

    assert is_same(applied(None, session._unsaved), session)
    assert session.has_unsaved_changes


# Sessions


def test_messages_are_immutable():
    """Nobody rewrites what was said by reaching into a list."""
    for message in (UserMessage("x"), AgentResponse("x")):
        with pytest.raises(AttributeError):
            message.content = "y"


@given(json_values())
def test_metadata_is_decoupled_from_the_callers_object(value):
    """Later edits of the object that was set do not reach the session, nor its noted change."""
    session = Session.with_id("u", "s")
    mine = {"value": value, "list": [value]}
    session.set_metadata("k", mine)
    mine["list"].append("later")
    mine["value"] = "later"

    assert session.get_metadata("k") == {"value": value, "list": [value]}
    assert is_same(applied(None, session._unsaved), session)


def test_an_edit_inside_the_metadata_does_not_reach_the_noted_change():
    """What a method noted stays what it was; the edit by hand is found by the save."""
    session = Session.with_id("u", "s")
    session.set_metadata("k", [1])
    session.metadata["k"].append(2)

    assert applied(None, session._unsaved).metadata == {"k": [1]}


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, Session.copy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_shares_nothing(duplicate):
    """Version and unsaved changes come along; later edits stay apart."""
    session = Session.with_id("u", "s")
    session.add_user_message("one")
    session.set_metadata("k", {"a": [1]})
    session.version = 7
    twin = duplicate(session)
    same_at_first = is_same(session, twin) and twin.version == 7 and twin.has_unsaved_changes
    twin.add_user_message("two")
    twin.metadata["k"]["a"].append(2)
    twin.agent_responses.append(AgentResponse("three"))

    assert same_at_first
    assert [message.content for message in session.user_messages] == ["one"]
    assert session.metadata == {"k": {"a": [1]}}
    assert session.agent_responses == []
    assert len(session._unsaved) == 3


def test_every_method_that_changes_a_session_sets_updated_at():
    """As the seed's do."""
    for change in (
        lambda s: s.add_user_message("x"),
        lambda s: s.add_agent_response("x"),
        lambda s: s.add_agent_response(AgentResponse("x", timestamp=START)),
        lambda s: s.set_active_seed("x"),
        lambda s: s.set_active_persona(None),
        lambda s: s.set_metadata("k", 1),
    ):
        session = Session(id="s", user_id="u", created_at=START)
        before = datetime.now(UTC)
        change(session)
        assert before <= session.updated_at <= datetime.now(UTC)


def test_an_answer_keeps_the_time_it_was_given():
    """`timestamp` is now unless given; a plain string is an answer given now."""
    session = Session.with_id("u", "s")
    session.add_agent_response(AgentResponse("x", "sid", "seed", "phase", False, START))
    session.add_agent_response("plain")

    assert session.agent_responses[0] == AgentResponse("x", "sid", "seed", "phase", False, START)
    assert session.agent_responses[1] == AgentResponse("plain", timestamp=session.updated_at)


def test_sessions_are_equal_by_content():
    """Not by version or by what is unsaved; and they are no keys."""
    one = Session(id="s", user_id="u", created_at=START)
    other = one.copy()
    other.version = 5

    assert one == other
    assert one != Session(id="s", user_id="v", created_at=START)
    assert one != "s"
    with pytest.raises(TypeError):
        hash(one)


# Any fold of one's own


class ToolCount:
    """A projection as a user writes one."""

    name = "tool-count"
    version = 1

    def initial(self):
        return {}

    def apply(self, state, record):
        if isinstance(record.event, CustomEvent):
            return {**state, record.event.name: state.get(record.event.name, 0) + 1}
        return state


@given(histories(), st.data())
def test_a_projection_of_ones_own_obeys_the_same_law(history, data):
    """A state that `apply` makes anew works as one that it changes."""
    cut = data.draw(st.integers(0, len(history)))
    start = fold(history[:cut], ToolCount())

    assert fold(history[cut:], ToolCount(), start=start) == fold(history, ToolCount())


@given(st.lists(utc_moments(), min_size=1, max_size=5))
def test_order_is_by_number_and_never_by_time(times):
    """Clocks go backwards; what was said later stays later."""
    history = [record(1, SessionCreated(session_id="s", user_id="u"))]
    history += [record(n, UserMessageAdded(content=str(n)), at) for n, at in enumerate(times, 2)]

    assert [m.content for m in session_of(history).user_messages] == [
        str(n) for n in range(2, len(times) + 2)
    ]
