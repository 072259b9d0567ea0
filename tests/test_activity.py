"""Activity, strips and overviews: numbers that add up, whatever happened."""

import itertools
from collections import Counter
from datetime import UTC, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.event_json import event_type
from projections import (
    Activity,
    AgentResponse,
    AgentResponseAdded,
    ContentErased,
    CustomEvent,
    Erased,
    ReasoningAdded,
    Session,
    SessionAdopted,
    SessionForked,
    SessionSummary,
    ToolCalled,
    ToolReturned,
    UserMessage,
    UserMessageAdded,
    fold,
)
from projections.activity import MOST_KEPT, to_moment, to_us
from projections.document import parse_document
from projections.overview import overview, per_period
from projections.strip import LONG_US, gaps, strip
from projections.totals import ROLES, Totals
from tests.strategies import CREATED, START, histories, names, record, some, utc_moments

SECOND = timedelta(seconds=1)


def figures(*steps):
    """The figures of events, each so many seconds after the first."""
    return fold(
        [record(seq, event, START + seconds * SECOND) for seq, (seconds, event) in enumerate(steps, 1)],
        Activity(),
    )


def called(call_id="c", name="search"):
    return ToolCalled(call_id=call_id, name=name, arguments={})


def returned(call_id="c", **options):
    return ToolReturned(call_id=call_id, result="r", **options)


USER = UserMessageAdded(content="u")
AGENT = AgentResponseAdded(content="a")


@st.composite
def busy_histories(draw):
    """Histories with more messages and tools in them, at times from all at once to centuries apart."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [USER, AGENT, ReasoningAdded(content="r"), CustomEvent(name="c"), called(), returned()]
                )
                | st.builds(called, st.sampled_from("ab"), names())
                | st.builds(returned, st.sampled_from("ab"), is_error=st.booleans())
                | st.builds(Erased, was=st.sampled_from(["user_message_added", "tool_returned", "x"])),
                st.sampled_from([0, 1e-6, 0.5, 1, 30, 3600, 1e6, -5]) | st.floats(-1e9, 1e9),
            ),
            max_size=20,
        )
    )
    at, found = START, [record(1, CREATED)]
    for seq, (event, seconds) in enumerate(steps, 2):
        at += timedelta(seconds=seconds)
        if not 1900 < at.year < 2200:
            at = START
        found.append(record(seq, event, at))
    return found


any_history = busy_histories() | histories()


def roles_of(history):
    """Each record's role, and those of the messages in a document that a session began with."""
    plain = {
        "user_message_added": "user",
        "agent_response_added": "agent",
        "reasoning_added": "reasoning",
        "tool_called": "tool_call",
        "tool_returned": "tool_result",
    }
    for each in history:
        event = each.event
        if isinstance(event, ToolReturned) and event.is_error:
            yield "error"
        else:
            yield plain.get(event.was if isinstance(event, Erased) else event_type(event), "note")
        document = event.document if isinstance(event, SessionAdopted | SessionForked) else None
        if document is not None:
            said = parse_document(document) if isinstance(document, str) else document
            yield from ["user"] * len(said.user_messages) + ["agent"] * len(said.agent_responses)


# The figures


@some
@given(any_history)
def test_the_counts_are_those_of_the_records(history):
    """By role, by type, by actor and in all; each tool's calls, and their bytes."""
    found = fold(history, Activity())
    calls = Counter(each.event.name for each in history if isinstance(each.event, ToolCalled))

    assert dict(zip(ROLES, found.counts, strict=True)) == dict.fromkeys(ROLES, 0) | Counter(roles_of(history))
    assert Counter(ROLES[role] for role in found.roles) == Counter(roles_of(history))
    assert {kind: share.records for kind, share in found.types.items()} == Counter(
        event_type(each.event) for each in history
    )
    assert found.records == len(history) == sum(found.by.values())
    assert found.size_bytes == sum(share.size_bytes for share in found.types.values())
    assert {name: use.calls for name, use in found.tools.items()} == calls


@some
@given(any_history, st.data())
def test_folding_in_two_halves_is_folding_at_once(history, data):
    """From the state of any point on; that state stays as it was."""
    cut = data.draw(st.integers(0, len(history)))
    half = fold(history[:cut], Activity())
    whole = fold(history[cut:], Activity(), start=half)

    assert whole == fold(history, Activity())
    assert half == fold(history[:cut], Activity())


@some
@given(any_history)
def test_the_largest_records_are_those(history):
    """Of equals the first, the largest in front; not more than a few."""
    sizes = {
        each.seq: len(getattr(each.event, "raw", None) or msgspec.json.encode(each.event)) for each in history
    }
    expected = sorted(sizes.items(), key=lambda each: (-each[1], each[0]))[:MOST_KEPT]

    assert [(each.seq, each.size_bytes) for each in fold(history, Activity()).largest] == expected


@some
@given(utc_moments())
def test_a_moment_is_kept_to_the_microsecond(moment):
    """Whatever the century."""
    assert to_moment(to_us(moment)) == moment


def test_a_turn_begins_when_the_user_speaks_and_is_answered_once():
    """Several messages in a row are one turn; only the first answer ends the wait."""
    found = figures(
        (0, CREATED),
        (1, USER),
        (3, USER),
        (5, AGENT),
        (9, AGENT),
        (10, USER),
        (11, called()),
        (40, AGENT),
        (50, USER),
    )

    assert found.turns == 3
    assert list(found.answers_ms) == [4000, 30000]
    assert (found.first_at, found.last_at) == (START, START + 50 * SECOND)


def test_a_message_counts_at_its_own_time():
    """The record may have been written later."""
    found = figures((0, CREATED), (60, UserMessageAdded(content="u", timestamp=START + SECOND)), (61, AGENT))

    assert list(found.answers_ms) == [60000]


def test_a_tool_takes_what_its_result_says_or_the_time_between():
    """Where both were written at one moment, nothing is known of it."""
    found = figures(
        (0, called("a")),
        (1, called("b")),
        (2, returned("b", duration_ms=70.5)),
        (5, returned("a", is_error=True)),
        (5, called("c", "other")),
        (5, returned("c")),
        (6, returned("nobody's", is_error=True)),
        (7, called("d")),
    )
    search = found.tools["search"]

    assert (search.calls, search.errors, list(search.durations_ms)) == (3, 1, [70.5, 5000])
    assert list(found.tools["other"].durations_ms) == []
    assert [(each.seq, each.tool, each.text) for each in found.failures] == [(4, "search", "r"), (7, "", "r")]
    assert (found.failed, found.open_calls) == (2, 1)


def test_of_many_errors_the_first_are_kept_and_all_are_counted():
    """Memory does not grow with them."""
    found = figures(*[(n, returned(is_error=True)) for n in range(MOST_KEPT + 5)])

    assert [each.seq for each in found.failures] == list(range(1, MOST_KEPT + 1))
    assert found.failed == MOST_KEPT + 5


def test_an_answer_at_the_same_moment_tells_no_time():
    """As in what was imported without times."""
    found = figures((0, USER), (0, AGENT), (1, USER), (3, AGENT))

    assert (found.turns, list(found.answers_ms)) == (2, [2000])


def test_of_equally_large_records_the_first_are_kept():
    """However many there are."""
    found = figures(*[(n, USER) for n in range(MOST_KEPT + 5)])

    assert [each.seq for each in found.largest] == list(range(1, MOST_KEPT + 1))


def test_landmarks_are_told():
    """A repair, an erasure, a rewind, a fork, with their records."""
    erasure = ContentErased(versions=[2], types=["user_message_added"], reason="asked to")
    found = figures((0, CREATED), (1, USER), (2, erasure))

    assert [(each.seq, each.type) for each in found.landmarks] == [(3, "content_erased")]


def test_a_file_that_is_not_adopted_yet_has_messages_and_no_record():
    """Its record 0 is not there; what was said is."""
    session = Session(id="s", user_id="u", created_at=START)
    session.user_messages.append(UserMessage("u", timestamp=START))
    session.agent_responses.append(AgentResponse("a", timestamp=START + 2 * SECOND))
    text = msgspec.json.encode(session.to_document()).decode()
    found = fold([record(0, SessionAdopted(document=text), START + 99 * SECOND)], Activity())

    assert (found.records, found.turns, list(found.answers_ms)) == (0, 1, [2000])
    assert found.last_at == START + 2 * SECOND


@some
@given(st.lists(busy_histories(), max_size=2))
def test_the_totals_are_the_sums(many):
    """Of all that may be added up."""
    each = [fold(history, Activity()) for history in many]
    total = Totals()
    for one in each:
        total.add(one)

    assert total.records == sum(one.records for one in each)
    assert sum(total.counts) == sum(sum(one.counts) for one in each)
    assert total.turns == sum(one.turns for one in each)
    assert sorted(total.answers_ms) == sorted(ms for one in each for ms in one.answers_ms)
    assert sum(use.calls for use in total.tools.values()) == sum(one.counts[3] for one in each)
    assert sum(share.size_bytes for share in total.types.values()) == total.size_bytes
    assert sum(total.by.values()) == total.records


# The strip


@some
@given(any_history, st.integers(1, 200))
def test_a_strip_never_exceeds_its_width_and_loses_nothing(history, width):
    """The sums of its columns are the counts; a break is empty, and never at an end."""
    found = fold(history, Activity())
    columns = strip(found, width).columns

    assert 1 <= len(columns) <= width
    assert [sum(each) for each in zip(*(column.counts for column in columns), strict=True)] == found.counts
    assert not any(sum(column.counts) for column in columns if column.is_break)
    assert not columns[0].is_break
    assert not columns[-1].is_break


@some
@given(any_history, st.integers(1, 200))
def test_columns_are_in_order_and_stretches_begin_with_something(history, width):
    """What stands behind a break is what ended the silence."""
    drawn = strip(fold(history, Activity()), width)
    starts = [column.start for column in drawn.columns if not column.is_break]
    behind = [
        column
        for before, column in zip([None, *drawn.columns], drawn.columns, strict=False)
        if before is None or before.is_break
    ]

    assert starts == sorted(starts)
    assert all(sum(column.counts) for column in behind)


def test_only_a_long_silence_is_cut_out():
    """Long for what is around it, not by the clock alone; what lasts no time at all takes one column."""

    def breaks(*seconds):
        drawn = strip(figures(*[(each, USER) for each in seconds]), 60)
        return sum(column.is_break for column in drawn.columns)

    long = LONG_US / 1e6

    assert breaks(*range(10), *range(4000, 4010)) == 1
    assert breaks(*range(10), *range(int(long) - 1, int(long) + 9)) == 0
    assert breaks(0, 3600, 7200, 10800) == 0
    assert breaks(0, 1e6) == 0
    assert breaks(0, 0, 0, 1e6, 1e6) == 1
    assert breaks(*range(0, 3000, 10), *range(3400, 4000, 10)) == 0


def test_without_times_the_strip_goes_by_the_records():
    """A column for each, as far as there is room."""
    at_once = figures((0, CREATED), (0, USER), (0, AGENT), (0.2, USER))
    drawn = strip(at_once, 80)

    assert not drawn.is_by_time
    assert [column.start for column in drawn.columns] == [1, 2, 3, 4]
    assert [column.counts.index(1) for column in drawn.columns] == [6, 0, 1, 0]
    assert len(strip(at_once, 3).columns) == 3
    assert strip(figures((0, USER), (1, USER)), 80).is_by_time


def test_nothing_has_no_columns_and_no_strip_has_no_width():
    assert strip(Activity().initial(), 80).columns == []
    with pytest.raises(ValueError, match="at least one column"):
        strip(Activity().initial(), 0)


@some
@given(any_history, st.integers(0, 10**12))
def test_gaps_are_all_the_longer_silences(history, longer_than_us):
    """In the order of time, between neighbours, whatever order they were written in."""
    found = fold(history, Activity())
    silences = gaps(found, longer_than_us=longer_than_us)
    moments = sorted(found.moments_us)
    expected = [(one, other) for one, other in itertools.pairwise(moments) if other - one > longer_than_us]
    at = {(moment, seq) for moment, seq in zip(found.moments_us, found.seqs, strict=True)}

    assert [(gap.start_us, gap.end_us) for gap in silences] == expected
    assert all((gap.start_us, gap.before) in at and (gap.end_us, gap.after) in at for gap in silences)


# The overview


def summaries():
    return st.lists(
        st.builds(
            SessionSummary,
            id=st.just("s"),
            user_id=st.sampled_from("abc"),
            message_count=st.integers(0, 9),
            response_count=st.integers(0, 9),
            created_at=st.just(START),
            updated_at=utc_moments() | st.datetimes(timezones=st.just(UTC)),
            version=st.integers(0, 99),
            size_bytes=st.integers(0, 999),
        ),
        max_size=20,
    )


@some
@given(summaries())
def test_an_overview_adds_up(sessions):
    """In all, and by user."""
    found = overview(sessions)

    assert found.total.sessions == len(sessions)
    for name, field in (
        ("records", "version"),
        ("messages", "message_count"),
        ("replies", "response_count"),
        ("size_bytes", "size_bytes"),
    ):
        assert getattr(found.total, name) == sum(getattr(each, field) for each in sessions)
        assert getattr(found.total, name) == sum(getattr(user, name) for user in found.users.values())
    assert {user: each.sessions for user, each in found.users.items()} == Counter(
        each.user_id for each in sessions
    )


@some
@given(summaries(), st.integers(1, 100))
def test_periods_never_exceed_their_number_and_hold_every_session(sessions, most):
    """Of equal length, without holes, each with those that changed in it."""
    days, periods = per_period(sessions, most)

    assert len(periods) <= most
    assert sum(count for _, count in periods) == len(sessions)
    for (start, count), after in zip(periods, [*(start for start, _ in periods), None][1:], strict=True):
        assert after is None or (after - start).days == days
        inside = [each for each in sessions if 0 <= (each.updated_at.date() - start).days < days]
        assert len(inside) == count
    if periods:
        assert periods[0][1] > 0
        assert periods[-1][1] > 0


def test_weeks_begin_on_monday():
    days = [
        SessionSummary(
            id=str(n),
            user_id="u",
            message_count=0,
            created_at=START,
            updated_at=START + n * timedelta(days=1),
        )
        for n in range(30)
    ]
    period, found = per_period(days, 10)

    assert period == 7
    assert {start.weekday() for start, _ in found} == {0}
    assert per_period(days, 30)[0] == 1
