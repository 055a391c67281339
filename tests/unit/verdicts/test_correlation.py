"""The pooled correlation: by hand, and the coverage of its interval by simulation."""

import random

import pytest

from autoresearch.verdicts.correlation import Correlation, pooled_correlation


def night(rng: random.Random, rho: float, candidates: int, seeds: int) -> list[list[tuple[float, float]]]:
    """Candidates that are all compared with the same baseline; all trials at one seed correlate at ``rho``."""
    shared = [rho**0.5 * rng.gauss(0, 1) for _ in range(seeds)]

    def trials() -> list[float]:
        return [z + (1 - rho) ** 0.5 * rng.gauss(0, 1) for z in shared]

    baseline = trials()
    return [list(zip(baseline, trials(), strict=True)) for _ in range(candidates)]


def test_without_data_it_is_zero_and_nothing_is_excluded():
    assert pooled_correlation([]) == Correlation() == Correlation(0, -1, 1, 0, 0)
    assert not pooled_correlation([[(1.0, 2.0), (2.0, 1.0)]]).is_known  # two seeds always correlate at -1 or +1
    assert not pooled_correlation([[(1.0, 2.0), (1.0, 1.0), (1.0, 3.0)]]).is_known  # the baseline did not vary


def test_one_candidate_has_the_correlation_of_its_pairs():
    found = pooled_correlation([[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0)]])
    assert found.value == pytest.approx(0.8)
    assert (found.pairs, found.candidates) == (4, 1)
    assert found.low == pytest.approx(-0.697, abs=0.001)  # tanh(atanh(0.8) - 1.96 / sqrt(1))
    assert found.high == pytest.approx(0.996, abs=0.001)


def test_candidates_are_pooled_within_their_own_means():
    """The gain of a candidate is not a correlation: only what varies with the seed counts."""
    one = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    shifted = [(b, c + 100) for b, c in one]
    assert pooled_correlation([one, shifted]).value == pytest.approx(1)
    opposed = [(b, -c) for b, c in one]
    assert pooled_correlation([one, opposed]).value == pytest.approx(0)


def test_three_seeds_of_one_candidate_exclude_nothing():
    found = pooled_correlation([[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0)]])
    assert found.is_known
    assert (found.low, found.high) == (-1, 1)


def test_a_perfect_correlation_has_an_interval_without_width():
    found = pooled_correlation([[(float(i), 2.0 * i) for i in range(5)]])
    assert found.value == found.low == found.high == pytest.approx(1)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.67, 0.95])
@pytest.mark.parametrize(("candidates", "seeds"), [(1, 8), (3, 4), (10, 8)])
def test_the_interval_covers_although_all_candidates_share_the_baseline(rho, candidates, seeds):
    rng = random.Random(f"{rho} {candidates} {seeds}")
    found = [pooled_correlation(night(rng, rho, candidates, seeds)) for _ in range(400)]
    assert sum(c.low <= rho <= c.high for c in found) / 400 >= 0.92
