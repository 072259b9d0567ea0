"""An adapter's ids are session ids, and no two of a framework's become one of ours."""

from hypothesis import given
from hypothesis import strategies as st

from journal.adapters.ids import joined, parted, prefix
from journal.names import is_session_id

_PARTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=4)


@given(parts=_PARTS)
def test_they_are_safe_and_can_be_parted(parts):
    made = joined("x", *parts)

    assert is_session_id(made)
    assert parted(made) in (["x", *parts], None)
    assert len(made.encode()) <= 200


@given(one=_PARTS, other=_PARTS)
def test_two_are_one_only_if_they_are_the_same(one, other):
    assert (joined("x", *one) == joined("x", *other)) == (one == other)


def test_long_ones_are_told_apart_by_their_hash():
    one, other = (joined("x", "a" * 300 + end) for end in "12")

    assert one != other
    assert (len(one), parted(one)) == (200, None)


def test_a_prefix_is_of_whole_parts():
    assert joined("adk", "app", "s").startswith(prefix("adk", "app"))
    assert not joined("adk", "apple", "s").startswith(prefix("adk", "app"))
