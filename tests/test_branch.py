"""A branch is what a list would be that is copied at every version."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from projections.branch import Branch
from projections.standing import Standing

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers()),
        st.tuples(st.just("rewind"), st.integers(0, 30)),
        st.tuples(st.just("restart"), st.integers(0, 5), st.lists(st.integers(), max_size=3)),
        st.tuples(st.just("nothing")),
    ),
    max_size=20,
)


def follow(branch, taken, start=0):
    """Take the steps; what a plain list was behind each of them."""
    lists = [list(branch)]
    for version, (name, *arguments) in enumerate(taken, start + 1):
        now = lists[-1]
        if name == "append":
            branch.append(arguments[0], version)
            now = [*now, arguments[0]]
        elif name == "rewind":
            branch.rewind(arguments[0], version)
            now = lists[min(arguments[0], version - 1)]
        elif name == "restart":
            kept = min(arguments[0], len(now))
            branch.restart(kept, arguments[1], version)
            now = [*now[:kept], *arguments[1]]
        lists.append(now)
    return lists


@given(steps)
def test_it_says_what_a_list_says(taken):
    """Forwards, backwards, and after rewinds of rewinds."""
    branch = Branch()
    now = follow(branch, taken)[-1]

    assert list(branch) == now
    assert list(reversed(branch)) == now[::-1]


@given(steps, steps)
def test_a_copy_goes_its_own_way(taken, more):
    """What becomes of it does not reach the first."""
    branch = Branch()
    now = follow(branch, taken)[-1]
    twin = copy.deepcopy(branch)
    for number, (name, *arguments) in enumerate(each for each in more if each[0] == "append"):
        getattr(twin, name)(*arguments, 100 + number)

    assert list(branch) == now
    assert (twin == branch) == (list(twin) == now)


@given(st.lists(st.none() | st.integers(0, 30), max_size=20))
def test_it_has_what_stands(rewinds):
    """Two ways to tell what rewinds leave of a history, one by the items and one by their numbers."""
    branch, standing = Branch(), Standing()
    for version, to in enumerate(rewinds, 1):
        if to is None:
            branch.append(version, version)
        else:
            branch.rewind(to, version)
            standing.rewind(version, to)

    assert list(branch) == [
        version for version, to in enumerate(rewinds, 1) if to is None and standing.stands(version)
    ]


def test_no_length_is_too_long():
    """To copy, to compare, to forget: nothing of it recurses."""
    branch = Branch()
    for version in range(100_000):
        branch.append(version, version)
    twin = copy.deepcopy(branch)

    assert twin == branch
    assert next(reversed(twin)) == 99_999
