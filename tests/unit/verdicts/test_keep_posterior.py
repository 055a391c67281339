"""The posterior of a change: against a direct computation, and its laws."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.verdicts import keep_posterior as k
from autoresearch.verdicts.audit import MAX_REPEATS, Noise, audit, repeats_to_settle
from autoresearch.verdicts.keep_posterior import Changes, Night, Trial, smooth, still
from tests.examples import examples

SD = 0.003
NULLS = [0.001, -0.002, 0.0005, -0.001, 0.002, -0.0015, 0.0, 0.001, -0.0005, 0.0015] * 3


def test_one_keep_in_a_night_of_nulls_is_a_selected_null() -> None:
    night = still([Trial(g, False) for g in [*NULLS, 2 * SD]], SD, 0.0)
    assert night.null_share > 0.8
    assert night.changes.above(0.0)[-1] < 0.5
    assert 0 <= night.changes.means[-1] < 0.5 * 2 * SD, "shrunk towards the changes that do nothing"


def test_a_gain_of_ten_standard_deviations_is_real_and_hardly_shrunk() -> None:
    changes = still([Trial(g, False) for g in [*NULLS, 10 * SD]], SD, 0.0).changes
    assert changes.above(0.0)[-1] > 0.999
    assert changes.means[-1] == pytest.approx(10 * SD, abs=1.5 * SD)


def test_a_jump_beyond_the_grid_keeps_its_size() -> None:
    changes = still([Trial(g, False) for g in [*NULLS, 0.5]], SD, 0.0).changes
    assert changes.means[-1] == pytest.approx(0.5, abs=2 * SD)
    assert changes.above(0.45)[-1] > 0.999
    first, second = smooth([Trial(0.5, True), Trial(0.501, False)], SD, SD).changes.means
    assert first == pytest.approx(0.5, abs=3 * SD)
    assert abs(second) < 2 * SD, "compared with the incumbent, not with the baseline"


def test_the_filter_agrees_with_the_sum_over_all_paths() -> None:
    """Two moves and a trial against the second incumbent: the joint posterior, enumerated on the same grid."""
    sd = 1.0
    trials = [Trial(2.0, True), Trial(1.0, False), Trial(3.5, True), Trial(3.0, False)]
    night = smooth(trials, sd, sd)
    steps = night.changes.steps
    near = np.abs(steps) <= 8 * sd
    coarse = steps[near]
    prior = _prior_of(night, near)
    positions = np.arange(-5 * sd, 5 * sd + 1e-9, sd / 3)
    found = np.zeros(len(coarse))
    for m in positions:  # the baseline's true position
        w0 = math.exp(-0.5 * (m / sd) ** 2)
        for i, first in enumerate(coarse):
            at1 = m + first
            w1 = w0 * prior[i] * _like(2.0 - at1) * float(prior @ _likes(1.0 - at1 - coarse))
            after = at1 + coarse
            found[i] += w1 * float(
                (prior * _likes(3.5 - after)) @ [float(prior @ _likes(3.0 - a - coarse)) for a in after]
            )
    found /= found.sum()
    mean = float(found @ coarse)
    assert night.changes.means[0] == pytest.approx(mean, abs=0.02)


def _prior_of(night: Night, near: np.ndarray) -> np.ndarray:
    """The prior that the night ended with: posterior over likelihood is not needed, its weights are found again."""
    steps = night.changes.steps
    pieces = k._pieces(steps, 1.0)
    counts = k._counts(len(pieces))
    weights = counts / counts.sum()
    trials = [Trial(2.0, True), Trial(1.0, False), Trial(3.5, True), Trial(3.0, False)]
    grid = np.arange(math.floor(-6 * 3), math.ceil((3.5 + 6) * 3) + 1) / 3
    measured = k._Measured.of(trials, [t.gain for t in trials], grid, 1.0)
    for _ in range(k.ROUNDS):
        last = weights @ pieces
        links, _ = k._pass(measured, last, k._normal(grid, 0.0, 1.0))
        known = weights[:, None] * pieces
        shares = known / np.maximum(known.sum(axis=0), 1e-300)
        before, weights = weights, counts + shares @ links.posteriors(last).sum(axis=0)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < k.CONVERGED:
            break
    return last[near]


def _like(z: float) -> float:
    return math.exp(-0.5 * z * z)


def _likes(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z)


def test_later_trials_say_where_an_incumbent_lies() -> None:
    """A lucky keep: ten trials after it, each worse by as much as it claimed, show that it was luck."""
    keep = Trial(1.5 * SD, True)
    unlucky = smooth([keep, *[Trial(0.0, False)] * 10], SD, SD)
    lucky = smooth([keep, *[Trial(1.5 * SD, False)] * 10], SD, SD)
    assert unlucky.changes.means[0] < lucky.changes.means[0]
    assert unlucky.changes.above(0.0)[0] < lucky.changes.above(0.0)[0]


def test_expected_steps_are_the_sum_of_the_posteriors_whatever_the_width_of_the_grid() -> None:
    """In blocks of columns as in one product, with moves and without."""
    rng = np.random.default_rng(1)
    prior = rng.random(41)
    grid = np.arange(-150, 151) / 3  # more than two blocks
    trials = [Trial(float(rng.normal(0, 5)), n % 3 == 2, float(1 + n % 2)) for n in range(20)]
    measured = k._Measured.of(trials, [t.gain for t in trials], grid, 1.0)
    links, _ = k._pass(measured, prior, k._normal(grid, 0.0, 1.0))
    posteriors = links.posteriors(prior)
    assert posteriors.sum(axis=1) == pytest.approx(np.ones(20))
    assert links.expected_steps(prior) == pytest.approx(posteriors.sum(axis=0))


def test_above_a_bound_counts_what_is_above_it() -> None:
    rows = np.array([[0.1, 0.2, 0.3, 0.4]] * 2)
    changes = Changes(np.array([-1.0, 0.0, 1.0, 2.0]), rows, np.array([0.0, 2.0]))
    assert changes.above(0.0) == pytest.approx([0.7, 1.0])
    assert changes.above(1.0) == pytest.approx([0.4, 0.9])
    assert changes.means == pytest.approx([1.0, 3.0])


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=12), st.floats(0.0005, 0.01), st.booleans())
def test_probabilities_are_probabilities(gains: list[float], sd: float, ratchet: bool) -> None:
    best, trials = 0.0, []
    for gain in gains:
        moves = ratchet and gain > best
        best = gain if moves else best
        trials.append(Trial(gain, moves))
    found = audit(trials, Noise(sd), 0.005)
    assert len(found.judged) == len(gains)
    for judged in found.judged:
        assert 0 <= judged.p_threshold <= judged.p_real <= 1
        assert math.isfinite(judged.gain)
        assert 2 <= judged.repeats <= MAX_REPEATS
    assert sd / 3 < found.sigma < 3 * sd


def test_a_larger_measurement_is_more_probably_real() -> None:
    rng = random.Random(1)
    nulls = [Trial(rng.gauss(0, SD), False) for _ in range(40)]
    ps = [audit([*nulls, Trial(g, False)], Noise(SD, 20), 0.005).judged[-1].p_real for g in (0.0, 0.004, 0.008, 0.016)]
    assert ps == sorted(ps)


def test_repeats_to_settle() -> None:
    # two means of n, 5% one-sided error and 90% power: n = 2 ((1.645 + 1.282) sigma / gain)^2
    assert repeats_to_settle(0.01, 0.003) == 2
    assert repeats_to_settle(0.005, 0.005) == math.ceil(2 * 2.927**2)
    assert repeats_to_settle(0.0, 0.003) == MAX_REPEATS
    assert repeats_to_settle(1e-9, 0.003) == MAX_REPEATS
