"""Two runs side by side: what may be compared, and what each of them kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autoresearch.report import load
from autoresearch.report.comparison import Comparison, compare, comparison_json
from autoresearch.report.comparison_text import render_comparison
from autoresearch.report.history import History
from autoresearch.report.native import build_history
from rails import Rail

PATHS = ("runs/a", "runs/b")
BASELINE = 3.4


def history(run, **changes) -> History:
    return replace(build_history(run.records), **changes)


def changed_yardstick(one: History, **changes) -> History:
    assert one.yardstick is not None
    return replace(one, yardstick=one.yardstick.model_copy(update=changes))


@pytest.fixture
def a(new_run) -> History:
    run = new_run().begin().evaluated("lr", 0.001, 3.3).evaluated("beta2", 0.99, 3.36).evaluated("d_ff", 2048, 3.37)
    return history(run.failed("n_layer", 48).complete())


@pytest.fixture
def b(new_run) -> History:
    run = new_run().begin().evaluated("lr", 0.001 * (1 + 1e-12), 3.31).evaluated("beta2", 0.99, 3.4)
    return history(run.evaluated("n_layer", 48, 3.35).stopped(), run_id="night-2")


def kept(changes) -> list[tuple[str, str, str]]:
    return [(c.knob, c.a, c.b) for c in changes]


def test_two_runs_of_one_yardstick(a, b):
    c = compare(a, b, PATHS)
    assert (c.same_yardstick, c.same_baseline, c.same_rule) == (True, True, True)
    assert (c.val_bpb_comparable, c.gains_comparable, c.verdicts_comparable) == (True, True, True)
    assert c.yardstick_differences == c.baseline_differences == c.rule_differences == []
    assert kept(c.kept_in_both) == [("lr", "keep", "keep")]
    assert kept(c.kept_only_in_a) == [("beta2", "keep", "revert"), ("d_ff", "keep", "not tried")]
    assert kept(c.kept_only_in_b) == [("n_layer", "failed", "keep")]
    assert c.measured_in_both == 2
    assert c.gain_difference_max == pytest.approx((3.4 - 3.36) / BASELINE)
    assert c.gain_difference_median == pytest.approx((0.04 + 0.01) / 2 / BASELINE)
    assert (c.baseline_change_frac, c.same_run) == (0.0, False)
    assert (c.a.path, c.a.run_id, c.a.keeps, c.a.failed, c.b.state) == ("runs/a", "night-1", 3, 1, "stopped")
    assert (c.a.best_knob, c.a.best_improvement_frac) == ("lr", pytest.approx(0.1 / BASELINE))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"budget_size": 400.0}, ["budget_size"]),
        ({"corpus_sha256": "d", "span_tokens": 7}, ["corpus_sha256", "span_tokens"]),
        ({"versions": {"torch": "2.13.0", "numpy": "2"}}, ["versions.numpy"]),
        ({"fp8_recipe": "tensorwise"}, ["fp8_recipe"]),
    ],
)
def test_each_part_of_the_yardstick_that_differs_is_named(a, b, changes, names):
    c = compare(a, changed_yardstick(b, **changes), PATHS)
    assert c.same_yardstick is False
    assert [d.name for d in c.yardstick_differences] == names
    assert (c.val_bpb_comparable, c.gains_comparable, c.verdicts_comparable) == (False, False, False)
    assert (c.baseline_change_frac, c.gain_difference_median, c.gain_difference_max) == (None, None, None)
    assert c.measured_in_both == 2


def test_another_baseline_configuration_leaves_val_bpb_comparable(a, b):
    c = compare(a, replace(b, baseline_cfg={**b.baseline_cfg, "lr": 0.5}), PATHS)
    assert [d.model_dump() for d in c.baseline_differences] == [{"name": "lr", "a": "0.0003", "b": "0.5"}]
    assert (c.val_bpb_comparable, c.gains_comparable, c.verdicts_comparable) == (True, False, False)


def test_another_rule_leaves_the_gains_comparable(a, b):
    c = compare(a, replace(b, rule={**b.rule, "accept_delta_frac": 0.01}), PATHS)
    assert [d.name for d in c.rule_differences] == ["accept_delta_frac"]
    assert (c.val_bpb_comparable, c.gains_comparable, c.verdicts_comparable) == (True, True, False)
    assert c.gain_difference_max is not None


def test_another_seed_is_named_and_leaves_all_comparable(a, b):
    c = compare(a, replace(b, rule={**b.rule, "seed": 5}), PATHS)
    assert [d.model_dump() for d in c.rule_differences] == [{"name": "seed", "a": "0", "b": "5"}]
    assert c.verdicts_comparable
    assert "The seeds differ" in render_comparison(c)


def test_a_log_without_a_yardstick_makes_it_unknown(a, origin_log):
    c = compare(a, load(origin_log), PATHS)
    assert (c.same_yardstick, c.val_bpb_comparable, c.baseline_change_frac) == (None, False, None)


def test_a_copy_is_recognised_by_its_run_id(a):
    assert compare(a, a, PATHS).same_run


def test_the_measurement_counts_where_a_failure_came_first(a, new_run):
    run = new_run().begin().failed("lr", 0.001).evaluated("lr", 0.001, 3.3)
    run.blocked(Rail.R3_RANGE, knob="d_ff", value=2048)
    c = compare(a, history(run), PATHS)
    assert kept(c.kept_in_both) == [("lr", "keep", "keep")]
    assert ("d_ff", "keep", "blocked") in kept(c.kept_only_in_a)


def test_runs_that_have_only_begun(new_run):
    nothing = history(new_run().meta())
    c = compare(nothing, nothing, PATHS, live=(True, False))
    assert (c.kept_in_both, c.measured_in_both, c.baseline_change_frac) == ([], 0, None)
    assert (c.a.live, c.b.live, c.a.baseline_val_bpb) == (True, False, None)


def test_the_json_has_it_all(a, b):
    c = compare(a, b, PATHS)
    assert Comparison.model_validate(json.loads(comparison_json(c))) == c
    assert comparison_json(c).isascii()
