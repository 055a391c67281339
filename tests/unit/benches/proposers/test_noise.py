"""Noise by hash: deterministic, of the measured spread, another one for another configuration or seed."""

from __future__ import annotations

import math
import random
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.proposers.noise import MeasuredNoise, hash_of, uniform_of


def test_the_spread_is_pooled_with_n_minus_one():
    noise = MeasuredNoise.of([[1.0, 3.0], [10.0]])  # mean 2: -0.5 and +0.5, one degree of freedom
    assert noise.sd_frac == pytest.approx(math.sqrt(0.5))
    assert sorted(noise.residuals) == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)])


def test_draws_have_the_spread_of_the_measured_noise():
    rng = random.Random(0)
    groups = [[2.0 * (1 + rng.gauss(0, 0.004)) for _ in range(3)] for _ in range(200)]
    noise = MeasuredNoise.of(groups)
    draws = [noise.draw("cfg", seed) for seed in range(20_000)]
    assert noise.sd_frac == pytest.approx(0.004, rel=0.05)
    assert pstdev(draws) == pytest.approx(noise.sd_frac, rel=0.05)
    assert abs(fmean(draws)) < 0.0001


def test_a_draw_depends_on_configuration_and_seed_alone():
    noise = MeasuredNoise.of([[1.0, 1.1, 0.9, 1.05], [2.0, 2.3]])
    assert noise.draw("a", 1) == noise.draw("a", 1)
    assert len({noise.draw(key, seed) for key in "abcdef" for seed in range(10)}) > 3


def test_without_a_repeated_configuration_the_noise_is_not_known():
    with pytest.raises(ValueError, match="no configuration has two seeds"):
        MeasuredNoise.of([[1.0], [2.0], []])


@given(st.text(max_size=20), st.integers())
def test_numbers_by_hash_are_in_their_range(key, seed):
    assert 0 <= uniform_of(key, seed, "crash") < 1
    assert hash_of(key, seed, "noise") == hash_of(key, seed, "noise") >= 0
