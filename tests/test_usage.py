"""Usage: what a session spent, by model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import ANY, StateStore
from projections import Usage, UsageRecorded, fold
from projections.usage import Spending, Spent
from tests.strategies import CREATED, histories, record, said, some
from tests.test_conversation import talks


def used(model="m", into=10, out=2, cost=None):
    return UsageRecorded(model=model, input_tokens=into, output_tokens=out, cost=cost)


def spending(*events):
    return fold([record(seq, event) for seq, event in enumerate([CREATED, *events], 1)], Usage())


def test_each_model_has_its_sums():
    """In the order in which they were first used; and all together."""
    found = spending(used("b"), used("a", 1, 0), said("x"), used("b", 5, 5))

    assert list(found.models.items()) == [("b", Spent(2, 15, 7)), ("a", Spent(1, 1, 0))]
    assert found.total == Spent(3, 16, 7)


def test_a_cost_is_known_where_one_was_given():
    """Nothing is not for free."""
    found = spending(used("a"), used("b", cost=0.0), used("c", cost=0.5), used("c"), used("c", cost=0.25))

    assert {model: spent.cost for model, spent in found.models.items()} == {"a": None, "b": 0, "c": 0.75}
    assert found.total.cost == 0.75
    assert spending(used("a")).total.cost is None
    assert spending().total == Spent()


def test_what_was_rewound_was_spent_and_a_fork_spends_its_own(tmp_path):
    """The sum over both sessions is what was paid."""
    with StateStore(tmp_path, durability="os") as store:
        store.append("s", [CREATED, used(cost=1.0), said("a"), used(cost=2.0)], expected_version=0)
        store.rewind("s", 2)
        fork = store.fork("s", at=3)
        store.append(fork.id, [used("n", 1, 1)], expected_version=ANY)
        of_both = Spending()
        for session_id in ("s", fork.id):
            of_both.add(store.project(Usage(), session_id))

        assert store.project(Usage(), "s").models == {"m": Spent(2, 20, 4, 3.0)}
        assert store.project(Usage(), fork.id).models == {"n": Spent(1, 1, 1)}
        assert of_both.models == {"m": Spent(2, 20, 4, 3.0), "n": Spent(1, 1, 1)}
        assert store.project(Usage(), "s").models == {"m": Spent(2, 20, 4, 3.0)}


models = st.builds(
    used, st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 9), st.none() | st.sampled_from([0.5, 1.0])
)


@some
@given(talks(), st.lists(models, max_size=8), st.data())
def test_all_of_it_counts_wherever_it_stands(history, uses, data):
    """Among rewinds, documents and shortened prompts."""
    events = [each.event for each in history]
    for use in uses:
        events.insert(data.draw(st.integers(1, len(events))), use)
    found = fold([record(seq, event) for seq, event in enumerate(events, 1)], Usage()).total
    costs = [use.cost for use in uses if use.cost is not None]

    assert (found.calls, found.input_tokens, found.output_tokens) == (
        len(uses),
        sum(use.input_tokens for use in uses),
        sum(use.output_tokens for use in uses),
    )
    assert found.cost == (pytest.approx(sum(costs)) if costs else None)


@some
@given(histories(), st.data())
def test_folding_in_two_halves_is_folding_at_once(history, data):
    """From the state of any point on; that state stays as it was."""
    cut = data.draw(st.integers(0, len(history)))
    half = fold(history[:cut], Usage())

    assert fold(history[cut:], Usage(), start=half) == fold(history, Usage())
    assert half == fold(history[:cut], Usage())
