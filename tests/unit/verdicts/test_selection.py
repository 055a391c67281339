"""The gain of a keep, corrected for having been selected."""

import dataclasses

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
