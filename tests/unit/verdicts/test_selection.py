"""The corrected gain of a keep: its bias under the rule itself, by simulation, and its properties."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from autoresearch.verdicts.noise import Noise
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.selection import corrected_gain, truncated_mean
from autoresearch.verdicts.sequential import judge

RULE = SequentialRule(0.005)


def kept_gains(true: float, sd: float, candidates: int) -> list[tuple[float, float]]:
    """Mean and corrected gain of each keep among ``candidates`` with the same true gain."""
    rng, noise, found = random.Random(f"{true} {sd}"), Noise(sd, 40.0, "gains"), []
    for _ in range(candidates):
        gains: list[float] = []
        while True:
            gains.append(rng.gauss(true, sd))
            judged = judge(gains, noise, RULE, 20)
            if judged.decision:
                break
        if judged.decision == "keep":
            half = (judged.mean_frac - judged.low_frac) * math.sqrt(judged.n / RULE.max_seeds)
            error, bar = judged.sd_frac / math.sqrt(judged.n), max(RULE.accept_delta_frac, half)
            found.append((judged.mean_frac, corrected_gain(judged.mean_frac, error, bar)))
    return found


CELLS = [(0.004, 0.002), (0.005, 0.002), (0.004, 0.0035), (0.005, 0.0035), (0.006, 0.0035)]


@pytest.mark.parametrize(("true", "sd"), CELLS)
def test_its_bias_is_smaller_than_the_means(true: float, sd: float) -> None:
    found = kept_gains(true, sd, 1500)
    assert len(found) > 100
    raw, corrected = (fmean(values) - true for values in zip(*found, strict=True))
    assert raw > 1e-4
    assert abs(corrected) < 0.8 * raw


def test_a_clear_keep_is_hardly_corrected() -> None:
    found = kept_gains(0.02, 0.003, 300)
    assert len(found) == 300
    assert all(mean - corrected < 1e-5 for mean, corrected in found)


@pytest.mark.parametrize(("mean", "error", "bar"), [(0.006, 0.001, 0.005), (0.005, 0.002, 0.005), (0.02, 0.001, 0.005)])
def test_it_lies_between_half_the_mean_and_the_mean(mean: float, error: float, bar: float) -> None:
    assert mean / 2 <= corrected_gain(mean, error, bar) <= mean


def test_the_closer_to_the_bar_the_larger_the_correction() -> None:
    lost = [mean - corrected_gain(mean, 0.001, 0.005) for mean in (0.0055, 0.006, 0.007, 0.009)]
    assert lost == sorted(lost, reverse=True)


def test_without_noise_nothing_is_corrected() -> None:
    assert corrected_gain(0.006, 0.0, 0.005) == 0.006


def test_the_truncated_mean_is_that_of_what_lies_above_the_bar() -> None:
    rng = random.Random(1)
    above = [x for x in (rng.gauss(0.3, 1.0) for _ in range(200_000)) if x > 1.0]
    assert truncated_mean(0.3, 1.0, 1.0) == pytest.approx(fmean(above), abs=0.01)
    assert truncated_mean(0.0, 1.0, 50.0) == pytest.approx(50.02, abs=1e-4)
