"""Differences between states, and who made them: diff, blame."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from projections import MetadataSet, SessionProjection, SessionReplaced, Timeline, fold
from projections.blame import value_in
from projections.diff import differences, patched
from projections.difference import same_json
from projections.paths import ABSENT, child, part_at, value_at
from tests.strategies import histories, record, said, sessions, some
from tests.test_timeline import rewound, talk


def document(session):
    """The session's JSON document."""
    return part_at(session, ())


def same(one, other):
    """Whether two values are the same, or both absent."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return same_json(one, other)


def paths_of(value, path=()):
    """Every path of a JSON value, its own included."""
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths_of(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from paths_of(each, (*path, index))


@given(sessions(), sessions())
def test_applying_a_diff_gives_the_other_session(one, other):
    found = list(differences(one, other))

    assert same_json(patched(document(one), found), document(other))
    assert all(not same(each.before, each.after) for each in found)
    for each in found:
        assert same(value_at(one, each.path), each.before)
        assert same(value_at(other, each.path), each.after)


@some
@given(histories(), st.data())
def test_applying_a_timelines_diff_gives_the_later_state_and_the_earlier_one(history, data):
    timeline = Timeline(history)
    a, b = (data.draw(st.integers(0, len(history))) for _ in range(2))
    found = timeline.diff(a, b)

    assert same_json(patched(document(timeline[a]), found), document(timeline[b]))
    for each in found:
        if a < b:
            assert each.version is not None
            assert a < each.version <= b
        assert each.version is None or each.version <= b


@some
@given(histories(), st.data())
def test_a_differences_version_is_the_record_that_gave_its_value(history, data):
    """One record earlier the value was another one, and from that record on it stays."""
    timeline = Timeline(history)
    b = data.draw(st.integers(1, len(history)))
    for each in timeline.diff(0, b):
        values = [value_at(timeline[n], each.path) for n in range(b + 1)]

        assert not same(values[each.version - 1], each.after)
        assert all(same(value, each.after) for value in values[each.version :])


@some
@given(histories(), st.data())
def test_blame_lists_every_record_that_made_a_value_another_one(history, data):
    timeline = Timeline(history)
    until = data.draw(st.integers(1, len(history)))
    path = data.draw(st.sampled_from([each for state in timeline for each in paths_of(document(state))]))
    values = [value_at(timeline[n], path) for n in range(until + 1)]
    turns = [n for n in range(1, until + 1) if not same(values[n - 1], values[n])]
    found = timeline.blame(path, until)

    assert [each.version for each in found] == turns[::-1]
    for each in found:
        assert same(each.before, values[each.version - 1])
        assert same(each.after, values[each.version])
        assert each.record is history[each.version - 1]


@some
@given(histories(), st.data())
def test_blame_names_the_last_record_whose_removal_changes_the_value(history, data):
    """But where a later one sets it alike: then that one is blamed in a history without the first."""
    path = data.draw(st.sampled_from(list(paths_of(document(Timeline(history)[-1])))))
    value = value_at(fold(history, SessionProjection()), path)

    def without(n):
        left = history[: n - 1] + history[n:]
        return [replace(each, seq=seq) for seq, each in enumerate(left, 1)]

    def is_needed(n):
        return not same(value_at(fold(without(n), SessionProjection()), path), value)

    needed = [n for n in range(1, len(history) + 1) if is_needed(n)]
    blamed = next((each.version for each in Timeline(history).blame(path)), None)

    if blamed is None or blamed in needed:
        assert blamed == max(needed, default=None)
    else:
        assert Timeline(without(blamed)).blame(path)[0].version >= blamed


@some
@given(histories(), st.data())
def test_a_value_of_a_state_needs_no_state(history, data):
    timeline = Timeline(history)
    n = data.draw(st.integers(0, len(history)))
    some = [each for state in timeline for each in paths_of(document(state))]
    path = data.draw(st.sampled_from([*some, ("x",), ("metadata", "x", 1), ("user_messages", 9, "content")]))

    assert same(value_in(timeline.history, path, n), value_at(timeline[n], path))


def test_a_message_is_counted_from_the_end_of_the_list_as_it_was():
    timeline = Timeline(talk(said("a"), said("b"), rewound(2, 1), said("c")))

    assert [each.version for each in timeline.blame("user_messages.-1.content")] == [5, 4, 3]
    assert [each.version for each in timeline.blame("user_messages.-1.content", 4)] == [2]


def test_setting_what_was_set_already_takes_no_blame():
    timeline = Timeline(talk(*(MetadataSet(key="k", value=value) for value in (1, 2, 2, 1, 1))))
    found = timeline.blame("metadata.k")

    assert [(each.version, each.before, each.after) for each in found] == [
        (5, 2, 1),
        (3, 1, 2),
        (2, ABSENT, 1),
    ]


def test_a_part_is_blamed_on_the_record_that_changed_that_part():
    plan = {"steps": ["look", "book"], "done": 0}
    timeline = Timeline(
        talk(MetadataSet(key="plan", value=plan), MetadataSet(key="plan", value={**plan, "done": 1}))
    )

    assert [each.version for each in timeline.blame("metadata.plan.steps.1")] == [2]
    assert [each.version for each in timeline.blame("/metadata/plan/done")] == [3, 2]
    assert timeline.blame("metadata.plan.steps.7") == []
    assert timeline.blame("metadata.other") == []


def test_what_is_gone_is_blamed_on_what_took_it_away():
    timeline = Timeline(talk(said("a"), said("b"), rewound(2, 1)))
    (gone,) = [each for each in timeline.diff(3, 4) if each.path[0] == "user_messages"]

    assert (gone.path, gone.after, gone.version) == (("user_messages", 1), ABSENT, 4)
    assert child(gone.before, "content") == "b"


def test_a_replacement_with_the_same_messages_takes_no_blame_for_them():
    history = talk(said("a"))
    replaced = SessionReplaced(session=fold(history, SessionProjection()).to_document())
    timeline = Timeline([*history, record(3, replaced)])

    assert [each.version for each in timeline.blame("user_messages.0.content")] == [2]
