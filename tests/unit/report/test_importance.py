"""How much of the variation each knob explains: known answers, and what is too little to tell."""

from __future__ import annotations

import random

import pytest

from autoresearch.core.records import Evidence
from autoresearch.report.history import History, Row
from autoresearch.report.importance import (
    ABOUT,
    WITH_NOISE,
    WITHOUT_NOISE,
    WORST_GAIN,
    describe_importance,
    importance_block,
    knob_importance,
)
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
    table = importance_block(list(found.values()), ABOUT, 100, color=False)
    assert table[-2].split() == ["d_ff", "n", "too", "small", "2", "2", "-9.00%", "+9.00%", "2"]
    assert table[-1] == "n too small: fewer than 3 measured values, or than the menu has; such a knob is in no share"


def test_a_choice_with_no_more_values_has_enough(new_run):
    found = importance(new_run().begin(), *LR, *BETA2, ("precision", "bf16", 0.02))  # beside fp8
    assert found["precision"].share is not None


def test_one_knob_alone_explains_nothing(new_run):
    found = importance(new_run().begin(), *LR)
    assert found["lr"].share is None
    assert importance_block(list(found.values()), ABOUT, 100, color=False) == [
        "n too small for any knob: a share needs two knobs with at least 3 measured values each"
    ]


def test_equal_results_have_no_shares(new_run):
    changes = [(knob, value, 0.0) for knob, value, _ in (*LR, *BETA2)]
    assert [k.share for k in importance(new_run().begin(), *changes).values()] == [None, None]


def test_nothing_measured_is_no_table(new_run):
    nothing = knob_importance(build_history(new_run().begin().failed("lr", 1).records))
    assert importance_block(nothing, ABOUT, 80, False) == []


def test_the_origins_log_has_shares_too(origin_log):
    from autoresearch.report import load

    assert all(k.measured >= k.values >= 1 for k in knob_importance(load(origin_log)))


def evidence(seeds: int, sd: float) -> Evidence:
    return Evidence(
        label="confirmed", test=1, seeds=tuple(range(seeds)), baseline_trials=tuple(range(seeds)),
        gains_frac=(0.0,) * seeds, low_frac=None, high_frac=None, statistic=0.0, critical=None, sd_frac=sd, df=7.0,
        alpha=0.01, alpha_spent=0.01,
    )  # fmt: skip


def sequential(gains: dict[str, list[tuple[float, int]]], sd: float) -> History:
    """A run by rule sequential: for each knob its gains with their numbers of seeds."""
    rows = [
        Row(
            n,
            "evaluated",
            knob=knob,
            new_value=n / 10,
            improvement_frac=gain,
            trials=seeds,
            evidence=evidence(seeds, sd),
        )
        for n, (knob, gain, seeds) in enumerate(((k, *one) for k, found in gains.items() for one in found), 1)
    ]
    return History("autoresearch", tuple(gains), rule={"kind": "sequential"}, rows=tuple(rows))


def test_what_noise_adds_to_a_variance_is_subtracted_for_one_seed_and_for_several():
    """Null gains whose noise is half the baseline's, which all share: on average nothing is left of their variance."""
    from autoresearch.report.importance import _by_value, _expected_noise, _variance

    rng, sd, left = random.Random(2), 0.01, 0.0
    for _ in range(4000):
        baseline = [rng.gauss(0, sd / 2**0.5) for _ in range(8)]
        gains = [
            (sum(baseline[s] + rng.gauss(0, sd / 2**0.5) for s in range(seeds)) / seeds, seeds)
            for seeds in (1, 1, 4, 8)
        ]
        values = _by_value(sequential({"lr": gains}, sd).rows)
        left += _variance([0.0, *(v.gain for v in values)]) - _expected_noise(values, sd)
    assert abs(left / 4000) < 0.02 * sd**2


def test_a_knob_that_only_shows_noise_has_no_share():
    noise, effect = [(0.01, 1), (-0.01, 1), (0.0, 1)], [(0.05, 8), (-0.05, 1), (0.0, 1)]
    history = sequential({"beta2": noise, "lr": effect}, 0.02)
    found = {k.knob: k for k in knob_importance(history)}
    assert (found["lr"].share, found["beta2"].share) == (1.0, 0.0)
    assert (found["lr"].seeds, found["lr"].measured, found["beta2"].seeds) == (10, 3, 3)
    assert describe_importance(history).endswith(WITHOUT_NOISE)


def test_by_rule_threshold_the_noise_is_part_of_the_shares_and_that_is_stated(new_run):
    run = new_run().begin()
    importance(run, *LR)
    assert describe_importance(build_history(run.records)).endswith(WITH_NOISE)


def test_a_value_of_many_seeds_weighs_more_than_the_same_value_of_one():
    first = sequential({"lr": [(0.03, 8), (0.0, 1)], "beta2": [(0.01, 1)] * 2}, 0.001)
    same = tuple(Row(r.iter, r.stage, **{f: getattr(r, f) for f in ("knob", "improvement_frac", "trials", "evidence")},
                     new_value=1.0 if r.knob == "lr" else r.new_value) for r in first.rows)  # fmt: skip
    from autoresearch.report.importance import _by_value

    (value,) = _by_value([r for r in same if r.knob == "lr"])
    assert value.gain == pytest.approx(0.03 * 8 / 9)
