"""majority@k against the enumeration of every draw, and NeMo-Skills' variant against its documented rules."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.majority import Vote, majority_at_k, majority_at_k_nemo
from autoresearch.benches.statistics.pass_at_k import Estimate

votes = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", None]), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=7
)


def score_of_draw(draw: tuple[Vote, ...]) -> Fraction:
    """The rule, written as in the issue: one draw, answers with indices for those that are None."""
    labels = [answer if answer is not None else f"none {n}" for n, (answer, _) in enumerate(draw)]
    sizes = Counter(labels)
    top = [label for label, size in sizes.items() if size == max(sizes.values())]
    means = []
    for label in top:
        members = [Fraction(score) for name, (_, score) in zip(labels, draw, strict=True) if name == label]
        means.append(sum(members) / len(members))
    return sum(means, Fraction(0)) / len(means)


@given(votes, st.data())
def test_it_is_the_mean_over_all_draws(cast, data):
    k = data.draw(st.integers(1, len(cast)))
    draws = [score_of_draw(draw) for draw in combinations(cast, k)]
    assert majority_at_k([cast], k).value == float(sum(draws) / len(draws))


@given(votes)
def test_all_samples_are_one_draw_and_one_sample_is_the_mean(cast):
    assert majority_at_k([cast], len(cast)).value == float(score_of_draw(tuple(cast)))
    assert majority_at_k([cast], 1).value == pytest.approx(sum(score for _, score in cast) / len(cast))


@given(votes, st.data())
def test_the_order_of_the_samples_has_no_influence(cast, data):
    k = data.draw(st.integers(1, len(cast)))
    assert majority_at_k([data.draw(st.permutations(cast))], k) == majority_at_k([cast], k)


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        ([("1", 1), ("1", 1), ("2", 0)], 1),
        ([("1", 1), ("2", 0)], 0.5),  # a tie: the mean over the tied clusters
        ([("1", 1), (None, 0), (None, 0)], Fraction(1, 3)),  # two Nones do not agree: a tie of three
        ([("1", 1), ("1", 0), ("2", 0)], 0.5),  # scored both ways: the mean of the cluster
        ([(None, 1), (None, 0)], 0.5),  # a judge may accept a solution without an extracted answer
        ([("1", 0), ("1", 0), ("2", 1), ("2", 1), ("3", 1)], 0.5),
    ],
)
def test_examples(cast, expected):
    assert majority_at_k([cast], len(cast)).value == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        ([("1", 1), (None, 0), (None, 0)], 1),  # samples without an answer do not vote
        ([(None, 1), (None, 1)], 0),
        ([("1", 1), ("1", 0), ("2", 0)], Fraction(1, 3)),  # three pairs of answer and score tie
        ([("1", 1), ("1", 1), ("1", 0), ("2", 0), ("2", 0)], 0.5),
    ],
)
def test_the_variant_of_nemo_skills(cast, expected):
    assert majority_at_k_nemo([cast], len(cast)).value == pytest.approx(float(expected))


def test_nemo_skills_takes_the_first_samples():
    cast = [("1", 1.0), ("1", 1.0), ("2", 0.0), ("2", 0.0), ("2", 0.0)]
    assert majority_at_k_nemo([cast], 2).value == 1
    assert majority_at_k_nemo([cast], 5).value == 0
    assert majority_at_k([cast], 2).value == pytest.approx(1 / 10 + 6 / 10 * 0.5)


def test_absent_where_a_case_has_too_few_samples():
    for rule in (majority_at_k, majority_at_k_nemo):
        assert rule([[("1", 1.0)], [("1", 1.0), ("2", 0.0)]], 2) == Estimate(None, 2, 1)
        assert rule([], 2) == Estimate(None, 0)
        with pytest.raises(ValueError, match="at least 1"):
            rule([[("1", 1.0)]], 0)


def test_many_samples_take_no_time():
    cast = [(str(n % 13), float(n % 13 == 1)) for n in range(64)]
    assert 0 < (majority_at_k([cast], 32).value or 0) < 1
