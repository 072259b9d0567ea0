"""Bisection: the first version at which something is true that stays true."""

import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from projections.bisection import bisect


class Case(NamedTuple):
    """Versions from `good` to `bad`, of which `first` is the first bad one."""

    good: int
    bad: int
    first: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    good = draw(st.integers(0, 50))
    bad = draw(st.integers(good + 1, good + 300))
    return Case(good, bad, draw(st.integers(good + 1, bad)))


@given(cases())
def test_it_finds_what_a_scan_finds_in_as_many_questions_as_the_logarithm(case: Case) -> None:
    """And asks about no version whose answer is known."""
    asked: list[int] = []

    def ask(version: int) -> bool:
        asked.append(version)
        return version >= case.first

    scanned = next(version for version in range(case.good + 1, case.bad + 1) if version >= case.first)

    assert list(bisect(case.good, case.bad, ask)) == [scanned]
    assert len(asked) <= math.ceil(math.log2(case.bad - case.good))
    assert all(case.good < version < case.bad for version in asked)


@given(cases(), st.data())
def test_what_cannot_be_told_widens_the_answer_and_no_more(case: Case, data: st.DataObject) -> None:
    """The first bad one is in it, and every version before its last was asked about in vain."""
    untold = data.draw(st.sets(st.integers(case.good + 1, case.bad)) | st.just({*range(500)}))
    asked: list[int] = []

    def ask(version: int) -> bool | None:
        asked.append(version)
        return None if version in untold else version >= case.first

    found = bisect(case.good, case.bad, ask)

    assert case.first in found
    assert set(found[:-1]) <= untold & set(asked)
    assert found[0] - 1 == case.good or found[0] - 1 in asked
    assert len(asked) == len(set(asked))


@given(cases(), st.data())
def test_a_single_version_that_cannot_be_told_costs_a_question_or_two(
    case: Case, data: st.DataObject
) -> None:
    untold = data.draw(st.integers(case.good + 1, case.bad))
    asked: list[int] = []

    def ask(version: int) -> bool | None:
        asked.append(version)
        return None if version == untold else version >= case.first

    bisect(case.good, case.bad, ask)

    assert len(asked) <= math.ceil(math.log2(case.bad - case.good)) + 2


def test_a_stretch_that_cannot_be_told_is_left_soon() -> None:
    """Not version by version."""
    asked: list[int] = []

    def ask(version: int) -> bool | None:
        asked.append(version)
        return None if 200 <= version < 900 else version >= 950

    assert list(bisect(0, 1000, ask)) == [950]
    assert len(asked) <= 20
