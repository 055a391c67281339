"""The gain that can be confirmed at a noise."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from autoresearch.verdicts.noise import Noise
from autoresearch.verdicts.resolution import resolvable_frac, resolving_sd_frac
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.sequential import judge

RULE = SequentialRule(0.005)


@pytest.mark.parametrize("sd", [0.002, 0.0035])
def test_it_is_confirmed_in_about_nine_of_ten_cases(sd: float) -> None:
    noise = Noise(sd, 200.0, "gains")
    gain, rng, kept = resolvable_frac(noise, RULE), random.Random(3), 0
    assert gain is not None
    for _ in range(400):
        gains: list[float] = []
        decision = None
        while decision is None:
            gains.append(rng.gauss(gain, sd))
            decision = judge(gains, noise, RULE, 1).decision
        kept += decision == "keep"
    assert 0.85 < kept / 400 < 0.98


def test_more_seeds_or_less_noise_resolve_a_smaller_gain() -> None:
    noise = Noise(0.0035, 2.0, "trials")
    gain, more, quiet = (
        resolvable_frac(noise, RULE),
        resolvable_frac(noise, replace(RULE, max_seeds=16)),
        resolvable_frac(replace(noise, sd_frac=0.001), RULE),
    )
    assert gain is not None
    assert more is not None
    assert quiet is not None
    assert RULE.accept_delta_frac < quiet < gain
    assert more <= gain


def test_without_a_known_noise_it_is_unknown() -> None:
    assert resolvable_frac(Noise(0.0, 0.0, "none"), RULE) is None


@pytest.mark.parametrize("df", [2.0, 200.0])
@pytest.mark.parametrize("gain", [0.006, 0.0075, 0.02])
def test_the_noise_that_a_gain_needs_is_the_inverse(gain: float, df: float) -> None:
    noise = Noise(0.0035, df, "trials")
    needed = resolving_sd_frac(gain, noise, RULE)
    assert resolvable_frac(replace(noise, sd_frac=needed), RULE) == pytest.approx(gain)
