"""The timeline: every state at random access, and what led to it."""

import gc
import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import SessionNotFoundError
from projections import MetadataSet, SessionProjection, SessionRewound, Timeline, UserMessageAdded, fold
from projections.difference import is_same
from tests.strategies import CREATED, START, contents, histories, moments, record, said, some


def folded(history, n):
    """The session after the first n records, by the plainest means."""
    return fold(history[:n], SessionProjection())


def talk(*events):
    """A history of these events, a second apart."""
    return [record(n, event, START + timedelta(seconds=n)) for n, event in enumerate((CREATED, *events), 1)]


def rewound(to, kept, *, at=START):
    """A rewind to a state of that many messages and nothing else."""
    return SessionRewound(
        to=to,
        user_id="u",
        created_at=START,
        updated_at=at,
        user_messages_kept=kept,
        agent_responses_kept=0,
    )


@some
@given(histories())
def test_a_state_is_the_fold_of_the_records_up_to_it(history):
    """timeline[n] equals folding the first n, whatever n comes first."""
    timeline = Timeline(history)
    wanted = [folded(history, n) for n in range(len(history) + 1)]

    for n in reversed(range(len(history) + 1)):
        assert is_same(timeline[n], wanted[n])
        assert timeline[n].version == n
    assert [state.version for state in timeline] == list(range(1, len(history) + 1))


@some
@given(histories())
def test_a_step_is_the_state_behind_its_record(history):
    for each, state in Timeline(history).steps():
        assert is_same(state, folded(history, each.seq))


@given(st.data())
def test_rewinds_of_rewinds_are_the_same_in_the_timeline(data):
    """Long chains of restarts, each of a part of the list before."""
    history = talk()
    length = 0
    for n in range(data.draw(st.integers(1, 40))):
        if data.draw(st.booleans()):
            kept = data.draw(st.integers(0, length))
            event, length = rewound(1, kept), kept
        else:
            event, length = said(str(n)), length + 1
        history.append(record(len(history) + 1, event))
    timeline = Timeline(history)

    for n in range(1, len(history) + 1):
        assert contents(timeline[n]) == contents(folded(history, n))
        assert timeline.history.user_messages.length(n) == len(timeline[n].user_messages)


@some
@given(histories(), moments())
def test_the_version_at_a_moment_is_the_last_that_is_not_later(history, moment):
    """Clocks go back; what counts is the order of the records."""
    timeline = Timeline(history)
    before = [each.seq for each in history if each.at <= moment]

    assert timeline.version_at(moment) == max(before, default=0)
    state = timeline.at(moment)
    assert (state.version if state else 0) == max(before, default=0)


@given(
    histories(), st.integers(-8, 8) | st.none(), st.integers(-8, 8) | st.none(), st.sampled_from([1, 2, -1])
)
def test_a_slice_is_that_of_a_list_whose_first_item_is_number_one(history, start, stop, step):
    timeline = Timeline(history)
    numbers = [state.version for state in timeline[start:stop:step] if state.version]

    numbered = list(range(len(history) + 1))
    if start is None and step > 0:
        start = 1
    assert numbers == [n for n in numbered[start:stop:step] if n]


def test_numbers_count_from_one_and_from_the_end():
    timeline = Timeline(talk(said("a"), said("b")))

    assert len(timeline) == timeline.version == 3
    assert contents(timeline[2]) == ["a"]
    assert contents(timeline[-1]) == ["a", "b"]
    assert timeline[0].id == ""
    for missing in (4, -4, 100):
        with pytest.raises(IndexError, match="at version 3"):
            timeline[missing]


def test_a_state_is_the_callers_own():
    timeline = Timeline(talk(MetadataSet(key="k", value={"a": [1]}), said("a")))
    state = timeline[-1]
    state.metadata["k"]["a"].append(2)
    state.user_messages.clear()

    assert timeline[-1].metadata == {"k": {"a": [1]}}
    assert contents(timeline[-1]) == ["a"]


@some
@given(histories(), st.integers(0, 6))
def test_first_and_bisect_agree_where_it_stays_true(history, wanted):
    """A scan and a bisection; of what is never true both say None."""
    timeline = Timeline(history)
    asked = []

    def is_reached(state):
        asked.append(state.version)
        return state.version >= wanted

    found = timeline.bisect(is_reached)
    assert len(asked) <= len(history).bit_length()
    assert found == timeline.first(is_reached)
    assert found == (None if wanted > len(history) else max(wanted, 1))


def test_first_is_exact_where_it_does_not_stay_true():
    timeline = Timeline(talk(said("a"), rewound(1, 0), said("b")))

    assert timeline.first(lambda state: contents(state) == ["a"]) == 2
    assert timeline.first(lambda state: contents(state) == ["c"]) is None


def test_memory_is_in_proportion_to_the_history():
    """Twice the records, twice the objects: rewinds, long lists and large metadata included."""

    def objects(size):
        events = []
        for n in range(size):
            events.append(MetadataSet(key=str(n), value=n))
            events.append(UserMessageAdded(content=str(n)))
            if n % 10 == 9:
                events.append(rewound(1, n // 2))
        history = talk(*events)
        gc.collect()
        timeline = Timeline(history)
        kept = sum(len(span.items) for span in timeline.history.user_messages._spans)
        kept += sum(len(keyframe.metadata) for keyframe in timeline.history._keyframes)
        return kept + len(timeline.history._settings) + sys.getsizeof(timeline.records) // 8

    assert objects(800) < 2.5 * objects(400)


def test_a_timeline_is_of_the_session_as_it_is_when_it_is_asked_for(store):
    session = store.get_or_create_session("u", "s")
    session.add_user_message("a")
    store.save_session(session)
    timeline = store.timeline("s")
    store.update_session_with("s", lambda s: s.add_user_message("b"))

    assert len(timeline) == 2
    assert [contents(state) for state in store.timeline("s")] == [[], ["a"], ["a", "b"]]
    assert timeline[2] == store.load_session("s", at=2)
    with pytest.raises(SessionNotFoundError):
        store.timeline("t")


def test_another_programs_session_has_one_state(store, snapshot_file):
    """Nobody knows its past: it is what it is before the first record."""
    session = store.get_or_create_session("u", "s")
    snapshot_file("t").write_text(
        '{"id":"t","user_id":"u","user_messages":[{"content":"a","timestamp":"2026-11-22T12:00:00Z"}],'
        '"agent_responses":[],"created_at":"2026-11-22T12:00:00Z","updated_at":"2026-11-22T12:00:00Z",'
        '"metadata":{}}'
    )
    timeline = store.timeline("t")

    assert session.id == "s"
    assert len(timeline) == 0
    assert timeline[0] == store.load_session("t")
