"""pass@1, pass@k and pass^k against the enumeration of every draw."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.pass_at_k import Estimate, pass_at_1, pass_at_k, pass_hat_k

counts = st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def share_of_draws(n: int, c: int, k: int, holds: object) -> Fraction:
    samples = [1] * c + [0] * (n - c)
    draws = list(combinations(samples, k))
    return Fraction(sum(holds(draw) for draw in draws), len(draws))  # type: ignore[operator]


@given(st.lists(counts, min_size=1, max_size=5), st.data())
def test_they_are_the_share_of_all_draws(cases, data):
    k = data.draw(st.integers(1, min(n for n, _ in cases)))
    size = len(cases)
    assert pass_at_k(cases, k).value == float(sum(share_of_draws(n, c, k, any) for n, c in cases) / size)
    assert pass_hat_k(cases, k).value == float(sum(share_of_draws(n, c, k, all) for n, c in cases) / size)
    assert pass_at_1(cases).value == pass_at_k(cases, 1).value == pass_hat_k(cases, 1).value


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6))
def test_more_draws_raise_pass_at_k_and_lower_pass_hat_k(correct):
    cases = [(6, c) for c in correct]
    at = [pass_at_k(cases, k).value for k in range(1, 7)]
    hat = [pass_hat_k(cases, k).value for k in range(1, 7)]
    assert at == sorted(at)  # type: ignore[type-var]
    assert hat == sorted(hat, reverse=True)  # type: ignore[type-var]
    assert at[-1] == sum(c > 0 for c in correct) / len(correct)
    assert hat[-1] == sum(c == 6 for c in correct) / len(correct)


def test_published_numbers():
    assert pass_at_k([(10, 3)], 5).value == pytest.approx(1 - 21 / 252)  # 1 - C(7,5) / C(10,5)
    assert pass_hat_k([(4, 2), (4, 4)], 2).value == pytest.approx((1 / 6 + 1) / 2)
    assert pass_at_k([(1000, 1)], 500).value == 0.5
    assert pass_hat_k([(4000, 3999)], 2000).value == 0.5


def test_absent_where_a_case_has_too_few_samples():
    assert pass_at_k([(4, 1), (2, 2), (3, 0)], 4) == Estimate(None, 3, 2)
    assert pass_hat_k([(4, 1), (2, 2), (3, 0)], 3) == Estimate(None, 3, 1)
    assert pass_at_k([], 1) == Estimate(None, 0)
    assert pass_at_1([(0, 0)]) == Estimate(None, 1, 1)


def test_what_is_not_a_count_is_refused():
    for cases in ([(2, 3)], [(2, -1)], [(-1, -1)]):
        with pytest.raises(ValueError, match="not a count"):
            pass_at_k(cases, 1)
    with pytest.raises(ValueError, match="at least 1"):
        pass_at_k([(1, 1)], 0)
