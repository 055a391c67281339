"""What a night hands over: by hand-made records whose checkpoints were computed by hand."""

from __future__ import annotations

import pytest

from autoresearch.benches.proposers.checkpoints import read_night
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import Baseline, Meta, TrialEnded, TrialStarted
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import measurement
from tests.unit.benches.proposers.worlds import truth

TS = "2026-11-26T00:00:00.000Z"
START = {"lr": 1.0, "k": 1}


def trial(number, cfg, value, seed=0, of=1):
    outcome = (
        Failure(cause=Cause.OUT_OF_MEMORY, detail="", trial_wall_s=2.0)
        if value is None
        else measurement(value).model_copy(update={"trial_wall_s": 10.0})
    )
    return [
        TrialStarted(ts=TS, trial=number, iter=of, seed=seed, cfg=cfg, boot_id="b"),
        TrialEnded(ts=TS, trial=number, iter=of, seed=seed, outcome=outcome),
    ]


def night(*trials):
    """A baseline of two trials, 2.0 and 2.2, then these."""
    from autoresearch.core.records import DecisionRule

    rule = DecisionRule(accept_delta_frac=0.005, seed=0)
    meta = Meta(
        ts=TS,
        schema_version=1,
        run_id="r",
        autoresearch_version="1",
        profile="tiny",
        yardstick=YARDSTICK,
        yardstick_sha256="0",
        baseline_cfg=START,
        menu={},
        policy_sha256="0",
        decision_rule=rule,
    )
    first = [*trial(1, START, 2.0, 0, 0), *trial(2, START, 2.2, 1, 0)]
    base = Baseline(
        ts=TS,
        baseline_cfg=START,
        baseline_val_bpb=2.1,
        trials=(1, 2),
        eval_metrics=measurement(2.0),
        wall_s=20.0,
    )
    return [meta, *first, base, *(record for one in trials for record in one)]


def true_mean(cfg):
    return {1.0: 2.05, 2.0: 1.99, 3.0: 2.3, 4.0: 1.5}[cfg["lr"]]


def cfg(lr):
    return {**START, "lr": lr}


def test_the_lowest_noisy_mean_is_chosen_and_judged_by_its_truth():
    records = night(
        trial(3, cfg(3.0), 1.9),  # lucky: its truth is 2.3
        trial(4, cfg(2.0), 1.95),
        trial(5, cfg(3.0), 2.4, seed=1),  # its mean is now 2.15
    )
    checkpoints, path = read_night(records, true_mean, [1, 2, 3, 10])
    assert [(c.trials, c.reached, c.chosen, c.true) for c in checkpoints] == [
        (1, 1, {"lr": 3.0}, 2.3),
        (2, 2, {"lr": 3.0}, 2.3),
        (3, 3, {"lr": 2.0}, 1.99),
        (10, 3, {"lr": 2.0}, 1.99),
    ]
    assert [(c.noisy, c.seeds) for c in checkpoints[:3]] == [(1.9, 1), (1.9, 1), (1.95, 1)]
    assert [c.virtual_s for c in checkpoints] == [10.0, 20.0, 30.0, 30.0]
    assert [(s.trials, s.virtual_s, s.true) for s in path] == [(0, 0.0, 2.05), (1, 10.0, 2.3), (3, 30.0, 1.99)]


def test_the_baseline_is_handed_over_while_nothing_looks_better():
    checkpoints, path = read_night(night(trial(3, cfg(3.0), 2.15)), true_mean, [1])
    assert (checkpoints[0].chosen, checkpoints[0].noisy, checkpoints[0].seeds) == ({}, pytest.approx(2.1), 2)
    assert checkpoints[0].kept == {}
    assert len(path) == 1


def test_a_further_trial_of_the_baseline_costs_one_and_moves_its_mean():
    checkpoints, _ = read_night(night(trial(3, cfg(2.0), 2.05), trial(4, START, 1.5, 2, 0)), true_mean, [1, 2])
    assert [c.chosen for c in checkpoints] == [{"lr": 2.0}, {}]
    assert checkpoints[1].noisy == pytest.approx((2.0 + 2.2 + 1.5) / 3)


def test_a_configuration_that_failed_once_is_not_handed_over():
    records = night(trial(3, cfg(4.0), 1.5), trial(4, cfg(4.0), None, 1))
    checkpoints, _ = read_night(records, true_mean, [1, 2])
    assert [c.chosen for c in checkpoints] == [{"lr": 4.0}, {}]
    assert checkpoints[1].virtual_s == 12.0


def test_a_night_without_a_measurement_has_no_checkpoint():
    with pytest.raises(ValueError, match="nothing"):
        read_night(night()[:1], truth, [1])
