"""E[best of n] against the issue's numbers and the enumeration of every draw."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.best_of import expected_best_of

VALUES = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.mark.parametrize(("n", "expected"), [(1, 3.875), (2, 2.25), (3, 1.625), (5, 1.125), (8, 1)])
def test_the_numbers_of_the_issue(n, expected):
    assert expected_best_of(VALUES, n) == expected


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8), st.data())
def test_it_is_the_mean_of_the_lowest_of_every_draw(values, data):
    n = data.draw(st.integers(1, len(values)))
    draws = [min(draw) for draw in combinations(values, n)]
    assert expected_best_of(values, n) == float(Fraction(sum(draws), len(draws)))


def test_what_is_not_defined_is_refused():
    for n in (0, 9):
        with pytest.raises(ValueError, match=f"best of {n} draws from 8"):
            expected_best_of(VALUES, n)
    with pytest.raises(ValueError, match="finite"):
        expected_best_of([1.0, float("nan")], 1)
