"""How much of the variation each knob explains: known answers, and what is too little to tell."""

from __future__ import annotations

import pytest

from autoresearch.report.importance import WORST_GAIN, importance_block, knob_importance
from autoresearch.report.native import build_history

BASELINE = 3.4


def importance(run, *changes):
    for knob, value, gain in changes:
        run.evaluated(knob, value, BASELINE * (1 - gain))
    return {k.knob: k for k in knob_importance(build_history(run.records))}


LR = [("lr", 0.001, 0.02), ("lr", 0.002, 0.0), ("lr", 0.003, -0.02)]
BETA2 = [("beta2", 0.99, 0.01), ("beta2", 0.98, 0.0), ("beta2", 0.97, -0.01)]


def test_shares_are_the_variances_over_the_values(new_run):
    found = importance(new_run().begin(), *LR, *BETA2)
    assert list(found) == ["lr", "beta2"]
    assert found["lr"].share == pytest.approx(0.8)  # twice the spread, four times the variance
    assert found["beta2"].share == pytest.approx(0.2)
    assert (found["lr"].measured, found["lr"].values) == (3, 3)
    assert (found["lr"].worst_gain, found["lr"].best_gain) == (pytest.approx(-0.02), pytest.approx(0.02))


def test_a_value_that_was_measured_often_counts_once(new_run):
    often = [("beta2", 0.99, 0.01 + noise) for noise in (-0.002, 0.0, 0.002)]
    found = importance(new_run().begin(), *LR, *often, *BETA2[1:])
    assert found["beta2"].share == pytest.approx(0.2)
    assert (found["beta2"].measured, found["beta2"].values) == (5, 3)


def test_a_diverged_trial_is_not_all_of_the_variation(new_run):
    def shares(worst: float) -> list[float | None]:
        return [k.share for k in importance(new_run().begin(), *LR, ("lr", 0.01, worst), *BETA2).values()]

    assert shares(-3.0) == pytest.approx(shares(WORST_GAIN))
    assert importance(new_run().begin(), *LR, ("lr", 0.01, -3.0))["lr"].worst_gain == pytest.approx(-3.0)


def test_too_few_values_have_no_share_and_are_in_none(new_run):
    found = importance(new_run().begin(), *LR, *BETA2, ("d_ff", 512, 0.09), ("d_ff", 768, -0.09))
    assert list(found) == ["lr", "beta2", "d_ff"]
    assert found["d_ff"].share is None
    assert found["lr"].share == pytest.approx(0.8)
    table = importance_block(list(found.values()), 100, color=False)
    assert table[-2].split() == ["d_ff", "n", "too", "small", "2", "-9.00%", "+9.00%", "2"]
    assert table[-1] == "n too small: fewer than 3 measured values, or than the menu has; such a knob is in no share"


def test_a_choice_with_no_more_values_has_enough(new_run):
    found = importance(new_run().begin(), *LR, *BETA2, ("precision", "bf16", 0.02))  # beside fp8
    assert found["precision"].share is not None


def test_one_knob_alone_explains_nothing(new_run):
    found = importance(new_run().begin(), *LR)
    assert found["lr"].share is None
    assert "a share needs two knobs" in importance_block(list(found.values()), 100, color=False)[-1]


def test_equal_results_have_no_shares(new_run):
    changes = [(knob, value, 0.0) for knob, value, _ in (*LR, *BETA2)]
    assert [k.share for k in importance(new_run().begin(), *changes).values()] == [None, None]


def test_nothing_measured_is_no_table(new_run):
    assert importance_block(knob_importance(build_history(new_run().begin().failed("lr", 1).records)), 80, False) == []


def test_the_origins_log_has_shares_too(origin_log):
    from autoresearch.report import load

    assert all(k.measured >= k.values >= 1 for k in knob_importance(load(origin_log)))
