"""Whether a gain holds when both sides train longer."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.promotion import ShortGain, judge_promotion

SHORT = ShortGain(0.02, 0.001, 20.0)
T3 = 3.182446305284263  # 97.5% quantile of Student's t with 3 degrees of freedom, from a table


@pytest.mark.parametrize(
    ("gains", "text"),
    [
        ((0.019, 0.021, 0.020, 0.0205), "holds"),
        ((0.030, 0.031, 0.029, 0.030), "holds"),
        ((0.010, 0.0105, 0.0095, 0.010), "shrinks to 50%"),
        ((0.0001, -0.0001, 0.0002, -0.0002), "shrinks to 0%"),
        ((-0.010, -0.011, -0.009, -0.010), "reverses"),
        ((0.05, -0.04, 0.06, -0.02), "cannot tell"),
        ((0.02,), "cannot tell"),
        ((), "cannot tell"),
    ],
)
def test_the_verdict_in_words(gains: tuple[float, ...], text: str) -> None:
    assert judge_promotion(SHORT, gains).text == text


def test_the_interval_is_students() -> None:
    gains = (0.012, 0.018, 0.021, 0.015)
    found = judge_promotion(SHORT, gains)
    half = T3 * stdev(gains) / 2
    assert found.low_frac == pytest.approx(fmean(gains) - half)
    assert found.high_frac == pytest.approx(fmean(gains) + half)
    assert found.share == pytest.approx(fmean(gains) / 0.02)


def test_an_uncertain_short_gain_is_not_called_shrunk() -> None:
    gains = (0.010, 0.0105, 0.0095, 0.010)
    assert judge_promotion(ShortGain(0.02, 0.008, 5.0), gains).text == "holds"
    assert judge_promotion(ShortGain(0.02), gains).text == "shrinks to 50%"


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=8), st.floats(0.001, 0.1), st.floats(0, 0.05))
def test_exactly_one_label_and_it_follows_from_the_bounds(gains: list[float], short: float, se: float) -> None:
    found = judge_promotion(ShortGain(short, se, 10.0), gains)
    assert found.low_frac <= found.gain_frac <= found.high_frac
    assert math.isfinite(found.gain_frac)
    assert (found.label == "reverses") == (found.high_frac < 0)
    if found.label == "holds":
        assert found.low_frac > 0
    if found.label == "shrinks":
        assert found.gain_frac < short
    if found.label == "cannot tell":
        assert found.low_frac <= 0 <= found.high_frac


@pytest.mark.parametrize("df", [10.0, math.inf])
@pytest.mark.parametrize("se", [1e-200, 1e-110, 0.01])
def test_gains_without_any_spread_are_judged_by_the_short_gains_uncertainty(se: float, df: float) -> None:
    assert judge_promotion(ShortGain(0.05, se, df), [0.0, 0.0]).label == "shrinks"
