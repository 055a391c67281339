"""The gain of a keep, corrected for having been selected."""

import dataclasses
import random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts import Noise, SequentialRule, judge
from autoresearch.verdicts.selection import corrected_gain, resolvable_gain

RULE = SequentialRule(0.005)
KEEP = judge([0.010, 0.011, 0.009, 0.010], Noise(0.002, 100, "gains"), RULE, 1)


def with_mean(mean):
    return dataclasses.replace(KEEP, mean_frac=mean)


def test_a_mean_far_above_its_bar_stays_and_one_at_its_bar_is_halved():
    assert KEEP.decision == "keep"
    assert corrected_gain(with_mean(0.03), RULE) == pytest.approx(0.03, rel=1e-3)
    assert corrected_gain(with_mean(max(0.005, resolvable_gain(KEEP.critical, 0.002, 4))), RULE) == 0.0025


@given(st.floats(0, 0.1), st.floats(0, 0.1))
def test_it_is_from_zero_to_the_mean_and_grows_with_it(a, b):
    small, large = (corrected_gain(with_mean(mean), RULE) for mean in sorted((a, b)))
    assert 0.5 * min(a, b) <= small <= min(a, b) + 1e-12
    assert small <= large + 1e-12


def test_without_noise_nothing_is_corrected():
    assert corrected_gain(dataclasses.replace(KEEP, sd_frac=0.0), RULE) == KEEP.mean_frac


@pytest.mark.parametrize("true", [0.003, 0.004, 0.005])
def test_it_is_closer_to_the_truth_than_the_mean_of_what_was_kept(true):
    """Means that were kept, all at one look: their average is too high, the corrected one is not."""
    rng = np.random.default_rng(1)
    bar = max(0.005, resolvable_gain(KEEP.critical, 0.002, 4))
    means = true + 0.001 * rng.standard_normal(200_000)
    kept = means[means >= bar][:500]
    corrected = np.mean([corrected_gain(with_mean(float(mean)), RULE) for mean in kept])
    assert kept.mean() > true
    assert abs(corrected - true) < 0.65 * (kept.mean() - true)


def keeps(true, sd, candidates):
    """The keeps among ``candidates`` with the same true gain, by the whole rule."""
    rng, noise, found = random.Random(f"{true} {sd}"), Noise(sd, 40.0, "gains"), []
    for _ in range(candidates):
        gains, judged = [], None
        while judged is None or judged.decision is None:
            gains.append(rng.gauss(true, sd))
            judged = judge(gains, noise, RULE, 20)
        if judged.decision == "keep":
            found.append(judged)
    return found


@pytest.mark.parametrize(
    ("true", "sd"), [(0.004, 0.002), (0.005, 0.002), (0.004, 0.0035), (0.005, 0.0035), (0.006, 0.0035)]
)
def test_its_bias_under_the_whole_rule_is_smaller_than_the_means(true, sd):
    found = keeps(true, sd, 1500)
    assert len(found) > 100
    raw = fmean(keep.mean_frac for keep in found) - true
    corrected = fmean(corrected_gain(keep, RULE) for keep in found) - true
    assert raw > 1e-4
    assert abs(corrected) < 0.8 * raw


def test_clear_keeps_are_hardly_corrected():
    found = keeps(0.02, 0.003, 300)
    assert len(found) == 300
    assert all(keep.mean_frac - corrected_gain(keep, RULE) < 1e-5 for keep in found)
