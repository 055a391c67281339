"""Wilson's interval, the bootstrap, the spreads and the detectable effect against numbers computed otherwise."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.detectable import cases_needed, minimum_detectable_effect
from autoresearch.benches.statistics.spread import spread_across_runs, standard_error
from autoresearch.benches.statistics.wilson import wilson_interval

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(successes, trials, low, high):
    """Newcombe (1998), table I, method 3."""
    assert wilson_interval(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_ends_are_those_that_the_score_test_does_not_reject(case):
    successes, trials = case
    low, high = wilson_interval(successes, trials)
    rate = successes / trials
    assert 0 <= low <= rate <= high <= 1
    for end in (low, high):
        assert abs(rate - end) == pytest.approx(Z * sqrt(end * (1 - end) / trials), abs=1e-7)
    mirrored = wilson_interval(trials - successes, trials)
    assert (low, high) == (pytest.approx(1 - mirrored[1], abs=1e-12), pytest.approx(1 - mirrored[0], abs=1e-12))


def test_wilson_refuses_what_is_not_a_count():
    for successes, trials in ((1, 0), (0, 0), (-1, 2), (3, 2)):
        with pytest.raises(ValueError, match="not a count"):
            wilson_interval(successes, trials)
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=1)


def test_the_spread_of_runs_for_the_example_of_upstreams_docstring():
    """Its code gives 1/6 for the SD of the runs; the 0.1925 of the docstring belongs to other data."""
    spread = spread_across_runs([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]])
    assert spread is not None
    assert spread.runs == 4
    assert spread.sd == pytest.approx(1 / 6)  # means 2/3, 2/3, 2/3, 1/3: variance (3 (1/12)^2 + (1/4)^2) / 3
    assert spread.se == pytest.approx(1 / 12)
    assert spread.sample_sd == pytest.approx((2 * sqrt(1 / 3) + 0.5) / 3)


def test_the_spread_needs_two_runs_of_equal_size():
    assert spread_across_runs([]) is None
    assert spread_across_runs([[1], [0]]) is None
    with pytest.raises(ValueError, match="differ"):
        spread_across_runs([[1, 0], [1]])


def test_the_standard_error_is_over_cases():
    assert standard_error([0.0, 1.0]) == pytest.approx(sqrt(0.5) / sqrt(2))
    assert standard_error([0.2, 0.4, 0.9]) == pytest.approx(sqrt(0.13) / sqrt(3))
    assert standard_error([0.5]) is None


def test_the_detectable_effect():
    assert minimum_detectable_effect([0.0, 1.0, 0.0, 1.0]) == pytest.approx(2.8 * sqrt(1 / 3) / 2)
    assert minimum_detectable_effect([0.5]) is None
    assert minimum_detectable_effect([0.5, 0.5]) == 0
    assert cases_needed([0.0, 1.0, 0.0, 1.0], 0.1) == 262  # 2.8^2 / 3 / 0.01 = 261.3
    assert cases_needed([0.0, 1.0, 0.0, 1.0], -0.1) == 262
    assert cases_needed([0.5, 0.5], 0.1) is None
    assert cases_needed([0.5, 0.7], 0) is None
    assert cases_needed([], 0.1) is None


def test_the_bootstrap_of_many_cases_is_the_normal_interval():
    low, high = bootstrap_interval([0.0, 1.0] * 200) or (0, 0)
    assert (low, high) == (pytest.approx(0.5 - Z * 0.025, abs=0.003), pytest.approx(0.5 + Z * 0.025, abs=0.003))


def test_the_bootstrap_of_two_cases_is_their_range():
    assert bootstrap_interval([-0.25, 0.75]) == (-0.25, 0.75)  # each end has probability 1/4
    assert bootstrap_interval([0.5]) is None
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


@given(st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=2, max_size=12), st.data())
def test_laws_of_the_bootstrap(differences, data):
    low, high = bootstrap_interval(differences, draws=400) or (0, 0)
    assert min(differences) <= low <= high <= max(differences)
    assert bootstrap_interval(data.draw(st.permutations(differences)), draws=400) == (low, high)
    moved = bootstrap_interval([d + 0.5 for d in differences], draws=400) or (0, 0)
    assert moved == (pytest.approx(low + 0.5), pytest.approx(high + 0.5))
    wide = bootstrap_interval(differences, draws=400, level=0.99) or (0, 0)
    assert wide[0] <= low
    assert high <= wide[1]


def test_the_bootstrap_refuses_what_is_not_a_number():
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([0.0, float("nan")])
