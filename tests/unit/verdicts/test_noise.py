"""The pooled noise: its value by hand, its degrees of freedom by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts import Noise, pooled_noise
from autoresearch.verdicts.noise import (
    NO_NOISE,
    EarlierNoise,
    df_of_reach,
    effective_df,
    is_larger,
    merge_runs,
    noise_of_run,
    normal_consistency,
)


def test_the_interval_of_a_standard_deviation_is_that_of_the_chi_square():
    assert Noise(0.0025, 2, "trials").interval() == pytest.approx((0.0025 * 0.5207, 0.0025 * 6.2847), rel=1e-4)
    low, high = Noise(0.0025, 1000, "gains").interval()
    assert 0.95 * 0.0025 < low < 0.0025 < high < 1.05 * 0.0025
    assert Noise(0, 0, "none").interval() == (0, math.inf)


def test_before_any_repetition_the_noise_is_that_of_two_independent_baselines():
    noise = pooled_noise([2.00, 2.02, 1.98], [[0.01]])
    assert noise == Noise(pytest.approx(math.sqrt(2) * 0.02 / 2), 2, "trials")


def test_one_baseline_and_nothing_repeated_is_no_noise_known():
    assert pooled_noise([2.0], [[0.01], [0.02]]) == Noise(0, 0, "none")


def test_residuals_are_pooled_around_the_mean_of_each_candidate():
    gains = [[0.01, 0.03], [0.10, 0.10, 0.13], [0.2]]
    pooled = math.sqrt((0.0002 + 0.0006) / 3 / normal_consistency(2.5))
    assert pooled_noise([1.0], gains) == Noise(pytest.approx(pooled), effective_df([2, 3]), "gains")


def test_one_wild_trial_does_not_hide_every_effect_of_the_night():
    quiet = [[0.001, -0.001, 0.001, -0.001] for _ in range(12)]
    wild = [*quiet, [0.4, 0.001, -0.001, 0.001]]
    assert pooled_noise([1.0], wild).sd_frac < 2 * pooled_noise([1.0], quiet).sd_frac


def test_the_consistency_factor_is_that_of_the_normal_distribution():
    z = np.random.default_rng(1).standard_normal(400_000)
    assert normal_consistency(2.5) == pytest.approx(np.minimum(z * z, 2.5**2).mean(), rel=0.005)
    assert normal_consistency(40) == pytest.approx(1)


def test_the_trials_of_both_sides_count_until_the_gains_have_as_many_degrees_of_freedom():
    baseline, candidate = [1.0, 1.1, 0.9], [1.0, 1.2]
    noise = pooled_noise(baseline, [[0.0, -0.1]], candidate)
    assert noise == Noise(pytest.approx(math.sqrt(2 * (0.02 + 0.02) / 3)), 3, "trials")
    assert pooled_noise(baseline, [[0.1, 0.2]]).source == "trials"
    assert pooled_noise(baseline, [[0.1, 0.2, 0.1]]).source == "gains"


def test_seven_degrees_of_freedom_of_the_gains_are_enough_however_many_trials_there_are():
    """Only the gains know what equal seeds have in common."""
    baseline = [1.0, 1.1] * 4
    seven, eight = [0.1, 0.2] * 3 + [0.1], [0.1, 0.2] * 4
    assert pooled_noise(baseline, [seven], baseline[:7]).source == "trials"
    assert pooled_noise(baseline, [eight], baseline).source == "gains"


def test_the_noise_of_the_trials_is_that_of_a_difference_whatever_the_gain():
    values = np.random.default_rng(2).normal(1, 0.01, (4000, 8))
    variances = [pooled_noise(row[:4], [], 0.9 * row[4:]).sd_frac ** 2 for row in values]
    assert np.mean(variances) == pytest.approx((1 + 0.81) * 1e-4, rel=0.03)


def test_one_candidate_has_its_own_degrees_of_freedom():
    assert effective_df([8]) == 7


def test_candidates_with_two_seeds_share_two_baselines_so_their_degrees_of_freedom_are_bounded():
    assert effective_df([2] * 3) == 2  # 9 / (3 + 6 / 4), rounded down
    assert effective_df([2] * 100_000) == 3.75


@given(st.lists(st.integers(2, 12), min_size=1, max_size=40))
def test_the_degrees_of_freedom_never_exceed_the_naive_ones(counts):
    assert 0 < effective_df(counts) <= sum(n - 1 for n in counts)


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=8), min_size=1, max_size=6),
    st.floats(0.1, 10),
)
def test_the_noise_has_the_scale_of_the_gains(gains, factor):
    baseline = [1.0]
    noise, scaled = pooled_noise(baseline, gains), pooled_noise(baseline, [[factor * g for g in row] for row in gains])
    assert scaled.sd_frac == pytest.approx(factor * noise.sd_frac, abs=1e-9)
    assert scaled.df == noise.df


@given(st.lists(st.floats(0.5, 2), min_size=2, max_size=8), st.floats(0.01, 100))
def test_the_unit_of_the_baseline_does_not_matter(baseline, unit):
    other = pooled_noise([unit * b for b in baseline], [])
    assert other.sd_frac == pytest.approx(pooled_noise(baseline, []).sd_frac, abs=1e-9)


@pytest.mark.parametrize("counts", [[2] * 20, [2, 2, 3, 5, 8, 8], [8] * 5])
def test_the_variance_of_the_pooled_variance_is_that_of_its_degrees_of_freedom(counts):
    """A chi-square with df degrees of freedom over df has variance 2 / df: half of each gain is the shared baseline."""
    rng = np.random.default_rng(1)
    nights = 20_000
    baseline = rng.normal(size=(nights, 8))
    squares = np.zeros(nights)
    for n in counts:
        gains = (baseline[:, :n] - rng.normal(size=(nights, n))) / math.sqrt(2)
        squares += ((gains - gains.mean(1, keepdims=True)) ** 2).sum(1)
    variances = squares / sum(n - 1 for n in counts)
    assert variances.mean() == pytest.approx(1, rel=0.02)
    df = effective_df(counts)  # rounded down to a quarter
    assert 0.95 * df < 2 / variances.var() < 1.05 * (df + 0.25)


QUIET, LOUD = EarlierNoise(Noise(0.001, 20, "gains"), NO_NOISE), EarlierNoise(Noise(0.1, 20, "gains"), NO_NOISE)
GAINS = [[0.01, 0.012, 0.008, 0.011, 0.009]]


def test_earlier_runs_add_their_squares_and_degrees_of_freedom():
    own = pooled_noise([1.0, 1.002], GAINS)
    earlier = EarlierNoise(Noise(0.002, 12, "gains"), Noise(0.004, 4, "trials"))
    pooled = (4 * own.sd_frac**2 + 12 * 0.002**2) / 16
    assert pooled_noise([1.0, 1.002], GAINS, earlier=earlier) == Noise(pytest.approx(math.sqrt(pooled)), 16, "gains")


def test_before_any_repeat_the_noise_is_that_of_earlier_runs():
    assert pooled_noise([2.0], [[0.01]], earlier=LOUD) == LOUD.gains
    trials = EarlierNoise(NO_NOISE, Noise(0.004, 3, "trials"))
    assert pooled_noise([2.0], [[0.01]], earlier=trials) == trials.trials
    assert pooled_noise([2.0], [[0.01]], earlier=EarlierNoise()).df == 0


def test_too_small_an_earlier_noise_is_left_out_and_too_large_a_one_is_not():
    noisy = [[0.01, -0.02, 0.03, 0.0, 0.02]]
    own = pooled_noise([1.0], noisy)
    assert own.sd_frac > 10 * QUIET.gains.sd_frac
    assert pooled_noise([1.0], noisy, earlier=QUIET) == own
    assert pooled_noise([1.0], GAINS, earlier=LOUD).sd_frac > 0.08


def test_below_four_degrees_of_freedom_nothing_is_refuted():
    assert pooled_noise([1.0], [[0.01, -0.02, 0.03, 0.0]], earlier=QUIET).df == 23
    assert pooled_noise([1.0], [[0.01, -0.02, 0.03, 0.0, 0.02]], earlier=QUIET).df == 4


def test_the_trials_refute_it_too():
    earlier = EarlierNoise(Noise(0.001, 20, "gains"), Noise(0.0014, 20, "trials"))
    apart = [1.0, 1.02, 0.98, 1.01, 0.99]
    assert pooled_noise(apart, [[0.01]], earlier=earlier) == pooled_noise(apart, [[0.01]])


@pytest.mark.parametrize(("d1", "d2", "critical"), [(4, 10, 5.994), (10, 20, 3.368), (6, 60, 3.119)])
def test_the_test_is_fishers_at_one_percent(d1, d2, critical):
    """Upper 1% points of F from tables."""
    earlier = Noise(1.0, d2, "gains")
    assert is_larger(Noise(math.sqrt(critical * 1.002), d1, "gains"), earlier)
    assert not is_larger(Noise(math.sqrt(critical * 0.998), d1, "gains"), earlier)


def test_earlier_runs_together_have_a_bounded_weight():
    runs = [noise_of_run([1.0, 1.01, 0.99], [[0.0, 0.01, 0.02]] * 3)] * 40
    merged = merge_runs(runs)
    assert (merged.gains.df, merged.trials.df) == (60, 60)
    assert merged.gains.sd_frac == pytest.approx(runs[0].gains.sd_frac)
    assert merge_runs([]) == EarlierNoise() == noise_of_run([1.0], [[0.1]])


def test_another_level_has_another_interval():
    low, high = Noise(0.0025, 2, "trials").interval(0.9)
    assert (low, high) == pytest.approx((0.0025 * 0.57774, 0.0025 * 4.41545), rel=1e-4)  # sqrt(2 / 5.991), (2 / 0.1026)


@pytest.mark.parametrize(("k", "expected"), [(1.0, 0.5160585510), (2.5, 0.9776), (0.1, 0.00946843)])
def test_the_consistency_factor_has_its_known_values(k, expected):
    """From tables of the normal distribution: 1 - 2 q - 2 k f + 2 k^2 q, with the tail q and the density f at k."""
    assert normal_consistency(k) == pytest.approx(expected, rel=1e-4)


def test_degrees_of_freedom_are_bounded_and_rounded_down_to_a_quarter():
    assert df_of_reach(5000, 5000) == 1000
    assert df_of_reach(0, 0) == 0
    assert df_of_reach(7, 7) == 7
    assert df_of_reach(7, 9) == 6.5  # 49 / 7.5 = 6.53


def huber(candidates, k=2.5):
    """The largest solution of the equation, searched from above in small steps of the variance."""
    residuals = [
        ((len(g) - 1) / len(g), len(g) / (len(g) - 1) * (v - sum(g) / len(g)) ** 2) for g in candidates for v in g
    ]
    d = sum(len(g) - 1 for g in candidates)

    def excess(s2):
        return sum(w * min(r2, k * k * s2) for w, r2 in residuals) / (normal_consistency(k) * d) - s2

    low, high = 1e-12, 10 * max(r2 for _, r2 in residuals)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return math.sqrt(high)


@pytest.mark.parametrize("wild", [0.0, 0.03, 0.5])
def test_the_pooled_noise_solves_its_equation_with_and_without_clipped_residuals(wild):
    rng = np.random.default_rng(5)
    candidates = [list(rng.normal(0.01 * n, 0.002, n)) for n in (2, 3, 5, 4, 8, 6)]
    candidates[2][1] += wild
    noise = pooled_noise([1.0], candidates)
    assert noise.source == "gains"
    assert noise.sd_frac == pytest.approx(huber(candidates), rel=1e-3)


def test_the_noise_of_the_trials_is_relative_to_the_mean_of_the_baseline_alone():
    baseline, candidate = [4.0, 4.4, 3.6], [2.0, 2.2, 2.4, 2.2]
    pooled = math.sqrt(2 * (0.32 + 0.08) / 5) / 4
    assert pooled_noise(baseline, [], candidate) == Noise(pytest.approx(pooled), 5, "trials")
    assert pooled_noise([-b for b in baseline], [], candidate).sd_frac == pytest.approx(pooled)
    assert pooled_noise([4.0], [], candidate) == Noise(pytest.approx(math.sqrt(2 * 0.08 / 3) / 4), 3, "trials")


def test_two_values_on_one_side_are_a_noise():
    assert pooled_noise([1.0, 1.2], []) == Noise(pytest.approx(math.sqrt(2 * 0.02) / 1.1), 1, "trials")
    assert pooled_noise([2.0], [], [1.0, 1.2]) == Noise(pytest.approx(math.sqrt(2 * 0.02) / 2), 1, "trials")
    assert pooled_noise([2.0], [[0.1, 0.3]]).df == 1


def test_candidates_without_any_residual_do_not_hide_the_one_that_has_some():
    """The search begins above the solution: zero solves the equation too."""
    gains = [[0.1, 0.3], [0.2, 0.2], [0.3, 0.3]]
    assert pooled_noise([1.0], gains).sd_frac == pytest.approx(math.sqrt(0.02 / (3 * normal_consistency(2.5))))


def test_a_run_without_a_spread_refutes_nothing():
    still = Noise(0.0, 10.0, "gains")
    assert not is_larger(still, Noise(0.1, 10.0, "gains"))
    assert not is_larger(still, still)
