"""The costs of a candidate beside the baseline's."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.costs import UNKNOWN_RATIOS, CostRatios, cost_ratios, describe_compute
from autoresearch.core.measurement import Measurement
from autoresearch.testing.fake_trial import measurement


def measured(**changes: Any) -> Measurement:
    known = {"train_tokens": 1000, "train_flops": 8000, "train_wall_s": 4.0, "energy_j": 100.0}
    return measurement(2.0).model_copy(update={**known, **changes})


def test_each_cost_is_the_mean_over_the_trials_of_both_sides() -> None:
    candidate = [measured(train_flops=16000, train_tokens=2000, train_wall_s=6.0, energy_j=300.0)]
    baseline = [measured(train_wall_s=4.0), measured(train_wall_s=8.0)]
    assert cost_ratios(candidate, baseline) == CostRatios(tokens=2.0, flops=2.0, seconds=1.0, joules=3.0)
    assert cost_ratios(candidate * 3, baseline) == cost_ratios(candidate, baseline)


def test_what_one_side_did_not_measure_is_unknown() -> None:
    assert cost_ratios([measured(energy_j=None)], [measured()]).joules is None
    assert cost_ratios([measured()], [measured(), measured(energy_j=None)]).joules is None
    assert cost_ratios([measured()], [measured(train_wall_s=0.0)]).seconds is None
    assert cost_ratios([], [measured()]) == cost_ratios([measured()], []) == UNKNOWN_RATIOS


@pytest.mark.parametrize(("flops", "text"), [(2.0, "2.00"), (0.5, "0.50"), (1.02, "1.02"), (0.98, "0.98")])
def test_other_flops_are_said(flops: float, text: str) -> None:
    ratios = CostRatios(flops=flops)
    assert describe_compute(ratios) == f"trained on {text} x the baseline's FLOPs"


@pytest.mark.parametrize("flops", [None, 1.0, 1.0099, 0.991])
def test_the_same_or_unknown_flops_are_not(flops: float | None) -> None:
    assert describe_compute(CostRatios(flops=flops)) == ""
