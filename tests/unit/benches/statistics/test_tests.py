"""McNemar's test and the sign-flip test against the enumeration of every outcome."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.mcnemar import MIN_DISCORDANT, mcnemar_exact
from autoresearch.benches.statistics.sign_flip import MAX_EXACT, sign_flip_test


def enumerate_mcnemar(b: int, c: int) -> float:
    """Twice the share of the sequences of n fair coins with at most min(b, c) heads, at most 1."""
    tail = sum(sum(flips) <= min(b, c) for flips in product((0, 1), repeat=b + c))
    return min(1.0, 2 * tail / 2 ** (b + c))


def enumerate_sign_flips(differences: list[Fraction]) -> float:
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    return sum(s >= observed for s in sums) / len(sums)


@given(st.integers(0, 5), st.integers(0, 5))
def test_mcnemar_is_the_share_of_all_outcomes(b, c):
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b) == enumerate_mcnemar(b, c)


def test_mcnemar_of_known_tables():
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(0, MIN_DISCORDANT - 1) > 0.05 >= mcnemar_exact(0, MIN_DISCORDANT)
    assert mcnemar_exact(6, 16) == pytest.approx(0.052478790283203125)  # sum of C(22,i), i <= 6, is 110,056
    assert mcnemar_exact(5000, 5000) == 1
    assert 0 < mcnemar_exact(4800, 5200) < 1e-4
    with pytest.raises(ValueError, match="-1 is not a count"):
        mcnemar_exact(-1, 3)


sixths = st.integers(-6, 6).map(lambda n: Fraction(n, 6))


@given(st.lists(sixths, max_size=8))
def test_the_sign_flip_test_is_the_share_of_all_assignments(differences):
    p = sign_flip_test([float(d) for d in differences])
    assert p == enumerate_sign_flips(differences)
    assert sign_flip_test([-float(d) for d in differences]) == p
    assert sign_flip_test([float(d) for d in reversed(differences)] + [0.0]) == p


@given(st.integers(0, 10), st.integers(0, 10))
def test_with_equal_differences_it_is_mcnemar(b, c):
    assert sign_flip_test([-1.0] * b + [1.0] * c) == pytest.approx(mcnemar_exact(b, c))


def test_drawn_signs_are_close_to_the_enumeration_and_the_same_each_time():
    differences = [0.1 * (n % 7) - 0.22 for n in range(MAX_EXACT)]
    exact = sign_flip_test(differences)
    drawn = sign_flip_test([*differences, 1e-12])  # one more pair that differs, and by nothing that matters
    assert drawn == sign_flip_test([1e-12, *differences[::-1]])
    assert drawn == pytest.approx(exact, abs=0.01)
    assert sign_flip_test([1.0] * 100) == 1 / 50_001  # never 0
    assert sign_flip_test([1.0, -1.0] * 50) == 1


def test_what_is_not_a_number_is_refused():
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            sign_flip_test([0.5, value])


def test_thousands_of_pairs_agree_with_the_binomial_test():
    drawn = sign_flip_test([1.0] * 2100 + [-1.0] * 1900)
    assert drawn == pytest.approx(mcnemar_exact(1900, 2100), abs=5e-4)
    spread = [0.001 * n for n in range(1, 1500)]
    assert sign_flip_test([d if n % 2 else -d for n, d in enumerate(spread)]) > 0.5
