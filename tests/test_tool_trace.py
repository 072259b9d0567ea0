"""The trace of tool calls: what was called, for how long, and how it ended."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from projections import Change, Erased, SessionProjection, ToolReturned, ToolTrace, fold
from projections.rewind import rewound
from projections.tool_trace import TracedCall
from tests.strategies import CREATED, START, a_store, record, said, some
from tests.test_conversation import any_talk, called, returned, talks, tool_events

SECOND = timedelta(seconds=1)


def calls(history):
    return fold(history, ToolTrace()).calls()


def session_of(*events):
    """Records, a second apart."""
    return [record(seq, event, START + seq * SECOND) for seq, event in enumerate([CREATED, *events], 1)]


def traced(*events):
    return calls(session_of(*events))


def test_a_call_and_its_return():
    """With its arguments and its times."""
    assert traced(said("go"), called("c", "search", {"q": 1}), returned("c", duration_ms=70.5)) == [
        TracedCall(
            name="search",
            call_id="c",
            arguments={"q": 1},
            version=3,
            started_at=START + 3 * SECOND,
            finished_at=START + 4 * SECOND,
            duration_ms=70.5,
            error=None,
            outcome="ok",
        )
    ]


def test_what_failed_says_why():
    """As a text, or as JSON."""
    found = traced(
        called("a"), returned("a", "no", is_error=True), called("b"), returned("b", [1], is_error=True)
    )

    assert [(each.outcome, each.error) for each in found] == [("failed", "no"), ("failed", "[1]")]


def test_a_call_without_a_return_has_an_unknown_outcome():
    """It is under way, or it was when all ended."""
    (found,) = traced(called("a"))

    assert (found.outcome, found.finished_at, found.duration_ms, found.error) == ("unknown", None, None, None)


def test_it_takes_what_its_return_says_or_the_time_between():
    """Where both were written at one moment, or the clock went back, nothing is known of it."""

    def duration(seconds, **options):
        history = [record(1, called("a")), record(2, returned("a", **options), START + seconds * SECOND)]
        return calls(history)[0].duration_ms

    assert [duration(2), duration(0), duration(-1), duration(2, duration_ms=0.0)] == [2000, None, None, 0]


def test_a_rewind_takes_calls_and_returns_back():
    """And another one brings them back."""
    history = session_of(called("a"), returned("a"), called("b"))
    session = fold(history, SessionProjection())

    def outcomes(*versions):
        rewinds = [
            record(len(history) + number, rewound(session, fold(history[:to], SessionProjection())))
            for number, to in enumerate(versions, 1)
        ]
        return [(each.version, each.outcome) for each in calls([*history, *rewinds])]

    assert outcomes() == [(2, "ok"), (4, "unknown")]
    assert outcomes(3) == [(2, "ok")]
    assert outcomes(2) == [(2, "unknown")]
    assert outcomes(1) == []
    assert outcomes(1, 4) == [(2, "ok"), (4, "unknown")]


def test_a_return_after_a_rewind_is_of_the_call_that_waits_again():
    """Its first one was taken back."""
    history = session_of(called("a"), returned("a", "first", is_error=True))
    session, then = (fold(part, SessionProjection()) for part in (history, history[:2]))
    history += [record(4, rewound(session, then)), record(5, returned("a"))]

    assert [each.outcome for each in calls(history)] == ["ok"]


def test_a_return_that_names_no_call_is_of_the_last_one_that_waits():
    """A later one with its id has its own, which names it."""
    history = session_of(called("a"), called("a"), returned("a", "1", is_error=True), returned("a", "2"))
    history[3] = structs.replace(history[3], cause="id-3")

    assert [each.outcome for each in calls(history)] == ["ok", "failed"]


def test_of_an_erased_return_it_is_known_that_it_came():
    """If it names its call; an erased call has no name to be listed by, and its return is nobody else's."""
    history = session_of(called("a"), Erased(was="tool_returned"), called("b"), Erased(was="tool_called"))
    history.append(record(6, returned("b")))
    history[2] = structs.replace(history[2], cause="id-2")
    history[5] = structs.replace(history[5], cause="id-5")
    found = calls(history)

    assert [(each.call_id, each.outcome, each.finished_at is None) for each in found] == [
        ("a", "unknown", False),
        ("b", "unknown", True),
    ]


@some
@given(any_talk)
def test_every_call_that_stands_is_in_it_once(history):
    """In order, and no return counts twice."""
    found = calls(history)
    returns = [each for each in history if isinstance(each.event, ToolReturned)]
    by_version = {each.seq: each.event for each in history}

    assert sorted({each.version for each in found}) == [each.version for each in found]
    assert all(by_version[each.version].call_id == each.call_id for each in found)
    assert sum(each.outcome != "unknown" for each in found) <= len(returns)


def uuid(name):
    """An id as stores give them, for the short one of a test."""
    return f"00000000-0000-7000-8000-{int(name.removeprefix('id-')):012}"


@some
@given(talks(tool_events()))
def test_what_is_unknown_is_what_a_live_session_has_to_settle(history):
    """Two ways to tell it: from the records, and from the lines. What was erased is known to one alone."""
    changes = [
        Change(event=each.event, at=each.at, id=uuid(each.id), cause=each.cause and uuid(each.cause))
        for each in history
        if not isinstance(each.event, Erased)
    ]
    with a_store() as store:
        store.append("s", changes, expected_version=0)
        unknown = [call for call in store.project(ToolTrace(), "s").calls() if call.outcome == "unknown"]
        with store.open_session("s") as live:
            unfinished = live.unfinished()

    assert [(call.call_id, call.name) for call in unfinished] == [
        (call.call_id, call.name) for call in unknown
    ]


@some
@given(talks(tool_events()), st.data())
def test_after_a_rewind_it_is_what_it_was(history, data):
    """And without one every call is in it."""
    to = data.draw(st.integers(1, len(history)))
    now, then = (fold(part, SessionProjection()) for part in (history, history[:to]))

    assert calls([*history, record(len(history) + 1, rewound(now, then))]) == calls(history[:to])


@some
@given(any_talk, st.data())
def test_folding_in_two_halves_is_folding_at_once(history, data):
    """From the state of any point on; that state stays as it was."""
    cut = data.draw(st.integers(0, len(history)))
    half = fold(history[:cut], ToolTrace())
    whole = fold(history[cut:], ToolTrace(), start=half)

    assert whole == fold(history, ToolTrace())
    assert half == fold(history[:cut], ToolTrace())
    assert whole.calls() == calls(history)


def test_without_rewinds_every_call_is_traced():
    """Whatever comes in between."""
    found = traced(*[called(str(number)) for number in range(20)], said("x"))

    assert [each.call_id for each in found] == [str(number) for number in range(20)]
