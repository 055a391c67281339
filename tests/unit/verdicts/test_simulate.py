"""The simulated nights are what they say: exchangeable, correlated, with these tails; and reproducible."""

import numpy as np
import pytest

from autoresearch.verdicts.night_rules import Threshold
from autoresearch.verdicts.simulate import NOISES, World, gaussian, resampled, simulate


@pytest.mark.parametrize("name", ["gaussian", "contaminated"])
def test_a_noise_has_its_standard_deviation_and_no_mean(name):
    values = NOISES[name](0.004)(np.random.default_rng(1), (400_000,))
    assert values.std() == pytest.approx(0.004, rel=0.02)
    assert abs(values.mean()) < 3e-5


def test_the_scale_of_t3_is_that_of_its_standard_deviation():
    values = NOISES["t3"](0.004)(np.random.default_rng(1), (400_000,))
    assert np.quantile(values, 0.975) == pytest.approx(3.182 * 0.004 / 3**0.5, rel=0.02)


def test_two_percent_of_contaminated_noise_is_ten_times_as_large():
    values = abs(NOISES["contaminated"](1.0)(np.random.default_rng(1), (400_000,)))
    bulk = (1 - 0.02 + 0.02 * 100) ** -0.5
    assert (values > 5 * bulk).mean() == pytest.approx(0.02 * 0.617, rel=0.05)  # P(|Z| > 0.5) = 0.617


def test_residuals_are_drawn_as_they_are_around_mean_zero():
    values = resampled([0.0, 0.0, 3.0])(np.random.default_rng(1), (3000,))
    assert set(values) == {-1.0, 2.0}


class Collect:
    """A rule that keeps nothing and remembers what it was given."""

    name, seeds = "collect", 3

    def start(self, baseline):
        self.baseline, self.candidates = baseline, []

    def judge(self, j, candidate):
        self.candidates.append(candidate)
        return np.zeros(len(candidate), dtype=bool), np.ones(len(candidate), dtype=np.int64)


@pytest.mark.parametrize("rho", [0, 0.3, 0.95])
def test_a_candidate_correlates_with_its_baseline_and_is_as_noisy(rho):
    rule = Collect()
    simulate(World(gaussian(0.01), rho, proposals=40), [rule], 1000, (1,))
    candidates = np.stack(rule.candidates)
    baseline = np.broadcast_to(rule.baseline, candidates.shape)
    assert np.corrcoef(baseline.ravel(), candidates.ravel())[0, 1] == pytest.approx(rho, abs=0.03)
    assert candidates.std() == pytest.approx(0.01, rel=0.05)
    assert candidates.mean() == pytest.approx(1, abs=0.001)


def test_one_proposal_in_ten_has_the_gain():
    (tally,) = simulate(World(gaussian(1e-6), 0, 0.01, 10), [Threshold(0.005)], 30, (1,))
    assert (tally.planted, tally.true_keeps, tally.false_keeps, tally.proposals) == (300, 300, 0, 3000)


def test_a_true_gain_of_zero_or_less_is_the_null():
    (tally,) = simulate(World(gaussian(1e-6), 0, -0.01, 10), [Threshold(0.005)], 30, (1,))
    assert tally.true_keeps == tally.nights_with_false_keep == 0


def test_the_same_seed_gives_the_same_nights_and_another_gives_others():
    world = World(gaussian(0.004), 0.3, proposals=20)
    first, again, other = (simulate(world, [Threshold(0.005)], 1500, (seed,)) for seed in (1, 1, 2))
    assert first == again != other


def test_progress_reaches_the_last_night():
    seen = []
    simulate(World(gaussian(0.01), 0, proposals=1), [Threshold(0.005)], 2500, (1,), done=seen.append)
    assert seen == [1000, 2000, 2500]


@pytest.mark.parametrize(("sd", "rho", "expected"), [(0.0025, 0, 0.68), (0.0025, 0.67, 0.18), (0.0046, 0, 0.91)])
def test_the_threshold_keeps_something_false_as_often_as_it_was_measured_to(sd, rho, expected):
    """The probabilities that led to the sequential rule: 10,000 nights of 100 nulls, simulated independently."""
    (tally,) = simulate(World(gaussian(sd), rho), [Threshold(0.005)], 1500, (1,))
    assert tally.nights_with_false_keep / tally.nights == pytest.approx(expected, abs=0.035)
