"""The audit on nights of known truth: its Brier score, and that a night without gains is seen as one."""

from __future__ import annotations

import random

import pytest

from autoresearch.verdicts.audit import ASSUMED_FACTOR, Noise, audit
from autoresearch.verdicts.audit_worlds import (
    THRESHOLD,
    WORLDS,
    Calibration,
    World,
    _night,
    calibrate,
    pooled_brier,
)


@pytest.mark.slow
def test_the_brier_score_over_all_worlds_is_at_most_a_tenth() -> None:
    cells = [calibrate(world, "fixed", 6, 60, seed=1) for world in WORLDS]
    cells += [calibrate(world, "ratchet", 1, 40, seed=1) for world in WORLDS[::2]]
    assert sum(c.keeps for c in cells) > 100
    assert pooled_brier(cells) <= 0.10


def test_without_a_gain_hardly_a_keep_is_believed() -> None:
    cell = calibrate(WORLDS[0], "fixed", 8, 60, seed=2)
    assert cell.keeps > 10
    assert cell.true == 0
    assert cell.predicted < 0.3


def test_a_night_is_reproducible() -> None:
    assert calibrate(WORLDS[2], "fixed", 2, 30, seed=3) == calibrate(WORLDS[2], "fixed", 2, 30, seed=3)


def test_cells_are_pooled_by_their_keeps() -> None:
    one = Calibration("a", "fixed", 1, 1, 0.5, 1.0, 0.25)
    three = Calibration("b", "fixed", 1, 3, 0.9, 1.0, 0.01)
    assert pooled_brier([one, three]) == pytest.approx((0.25 + 3 * 0.01) / 4)
    assert pooled_brier([]) == 0


@pytest.mark.parametrize("loop", ["fixed", "ratchet"])
def test_a_log_corrects_an_assumed_noise_that_is_a_fifth_of_the_true_one(loop: str) -> None:
    """Nothing helps, the noise is 0.5%, and the assumption says 0.1%: the keeps must not be believed."""
    rng = random.Random(7)
    trials, truth = _night(World("nothing helps", 0.0, 0.3, 0.005), loop, 60, rng)
    found = audit(trials, Noise(0.001, factor=ASSUMED_FACTOR), THRESHOLD)
    believed = [judged.p_real for judged, (kept, _) in zip(found.judged, truth, strict=True) if kept]
    assert believed
    assert sum(believed) / len(believed) < 0.2
    assert 0.003 < found.sigma < 0.008
