"""What a run adds up to, and the laws between its numbers."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import Cause
from autoresearch.report import History, Row, summarise, summary_json
from autoresearch.report.native import build_history
from autoresearch.report.summary import time_by_activity
from autoresearch.report.text import summary_facts
from rails import Rail, default_menu

PROMISED = """iterations evaluated keeps reverts blocked_by_rail failed knobs_total knobs_touched knobs_untouched
knob_counts repeat_count repeat_rate unique_pairs top_pairs keep_iters baseline_val_bpb best_val_bpb best_iter
best_improvement_frac wall_s energy_kwh""".split()  # noqa: SIM905 - a list literal would be 21 lines


def test_a_night_with_one_of_everything(night):
    s = summarise(build_history(night.records))
    assert (s.iterations, s.evaluated, s.keeps, s.reverts, s.failed) == (7, 4, 2, 2, 2)
    assert (s.keep_iters, s.blocked_by_rail) == ([1, 6], {"R3_range": 1})
    assert s.refused_attempts_by_rail == {"R2_menu": 1, "R3_range": 2, "R6_novelty": 1}
    assert (s.failed_by_cause, s.proposer_failed) == ({"out_of_memory": 1}, 1)
    assert s.knobs_touched == ["n_layer", "d_model", "lr", "beta2"]
    assert len(s.knobs_untouched) == 9
    assert s.knob_counts == {"n_layer": 1, "d_model": 1, "lr": 3, "beta2": 1}
    assert (s.repeat_count, s.unique_pairs, s.repeat_rate) == (1, 5, pytest.approx(1 / 6))
    assert (s.best_iter, s.best_knob, s.best_value, s.best_val_bpb) == (6, "d_model", 768, 3.3)
    assert s.best_improvement_frac == pytest.approx(0.1 / 3.4)
    assert (s.lowest_val_bpb, s.lowest_iter) == (3.3, 6)
    assert s.wall_s == pytest.approx(22.25 + 4 * 22.75 + 0.75 + 7.75 + 0.75)
    assert (s.train_s, s.eval_s, s.failed_s, s.propose_s) == (100.0, 10.0, 7.0, 3.5)
    assert (s.overhead_mean_s, s.overhead_median_s) == (0.25, 0.25)
    assert s.energy_kwh is None
    assert s.peak_bytes == 9 * 2**30


def test_the_promised_keys_are_in_the_json(night):
    keys = json.loads(summary_json(summarise(build_history(night.records))))
    assert set(PROMISED) <= set(keys)


def test_a_run_of_nothing_knows_nothing_and_divides_by_nothing(new_run):
    s = summarise(build_history(new_run().meta().records))
    assert (s.iterations, s.repeat_count, s.unique_pairs) == (0, 0, 0)
    unknown = [s.repeat_rate, s.baseline_val_bpb, s.best_val_bpb, s.best_iter, s.best_improvement_frac, s.wall_s]
    unknown += [s.energy_kwh, s.lowest_val_bpb, s.lowest_iter, s.overhead_mean_s, s.overhead_median_s, s.tokens]
    assert unknown == [None] * len(unknown)
    assert len(s.knobs_untouched) == s.knobs_total == 13


def test_the_lowest_measurement_can_be_the_baselines_and_is_not_the_best_keep(new_run):
    s = summarise(build_history(new_run().begin().evaluated("lr", 0.001, 3.5).records))
    assert (s.lowest_val_bpb, s.lowest_iter, s.best_iter) == (3.4, 0, None)
    lucky = summarise(build_history(new_run().begin().evaluated("lr", 0.001, 3.2, 3.6).records))
    assert (lucky.lowest_val_bpb, lucky.lowest_iter, lucky.best_iter) == (3.2, 1, None)


def test_of_equal_keeps_the_first_is_the_best(new_run):
    s = summarise(build_history(new_run().begin().evaluated("lr", 0.001, 3.3).evaluated("lr", 0.002, 3.3).records))
    assert s.best_iter == 1


def test_joules_become_kilowatt_hours_with_the_baselines(new_run):
    run = new_run().meta().start().baseline(energy_j=1.8e6).evaluated("lr", 0.001, 3.3, energy_j=1.8e6)
    assert summarise(build_history(run.records)).energy_kwh == pytest.approx(1.0)


def test_a_knob_off_the_menu_is_counted_but_covers_nothing(new_run):
    s = summarise(build_history(new_run().begin().blocked(Rail.R2_MENU, knob="dropout").records))
    assert (s.knob_counts, s.knobs_touched) == ({"dropout": 1}, [])


def test_an_iteration_without_a_trial_does_not_dilute_the_overhead(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3).blocked(Rail.R1_SCHEMA)
    history = build_history(run.records)
    quick = replace(history.rows[1], overhead_s=0.0)
    s = summarise(replace(history, rows=(history.rows[0], quick)))
    assert s.overhead_median_s == 0.25
    assert s.overhead_s == 0.5  # the baseline's and the first iteration's


def test_top_pairs_are_the_most_frequent_and_at_most_ten(new_run):
    run = new_run().begin()
    for n in range(12):
        run.evaluated("lr_warmup", n, 3.4)
    run.evaluated("lr_warmup", 11, 3.4)
    top = summarise(build_history(run.records)).top_pairs
    assert [(p.new_value, p.count) for p in top] == [(11, 2), *((n, 1) for n in range(9))]


def _step(run, kind, knob, value, bpb):
    match kind:
        case "evaluated":
            run.evaluated(knob, value, bpb, refused=(Rail.R3_RANGE,))
        case "blocked":
            run.blocked(Rail.R1_SCHEMA, Rail.R2_MENU)
        case "blocked proposal":
            run.blocked(Rail.R6_NOVELTY, knob=knob, value=value)
        case "failed":
            run.failed(knob, value, Cause.TIMEOUT)
        case "silent":
            run.proposer_failed()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["evaluated", "blocked", "blocked proposal", "failed", "silent"]),
        st.sampled_from([*default_menu().knobs, "dropout"]),
        st.sampled_from([1, 2.5, "fp8", 1e-4]),
        st.floats(1.0, 10.0),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_iteration_is_counted_once(new_run, steps):
    run = new_run().begin()
    for step in steps:
        _step(run, *step)
    history = build_history(run.records)
    s = summarise(history)
    assert s.iterations == s.keeps + s.reverts + sum(s.blocked_by_rail.values()) + s.failed == len(steps)
    assert s.evaluated == s.keeps + s.reverts
    assert s.failed == sum(s.failed_by_cause.values()) + s.proposer_failed
    assert s.keeps == len(s.keep_iters)
    assert sum(s.knob_counts.values()) == s.unique_pairs + s.repeat_count
    assert s.knobs_total == len(s.knobs_touched) + len(s.knobs_untouched)
    assert sum(s.refused_attempts_by_rail.values()) >= sum(s.blocked_by_rail.values())
    parts = [s.train_s, s.eval_s, s.failed_s, s.propose_s, s.overhead_s]
    assert sum(part or 0.0 for part in parts) == pytest.approx(s.wall_s)


@given(STEPS, st.randoms(use_true_random=False))
def test_the_sums_do_not_depend_on_the_order(new_run, steps, rng: random.Random):
    run = new_run().begin()
    for step in steps:
        _step(run, *step)
    history = build_history(run.records)
    rows = list(history.rows)
    rng.shuffle(rows)
    ordered = {"keep_iters", "top_pairs", "best_iter", "best_knob", "best_value", "lowest_iter"}
    ordered |= {"research", "cost_ratios"}
    one, other = summarise(history), summarise(replace(history, rows=tuple(rows)))
    assert one.model_dump(exclude=ordered) == other.model_dump(exclude=ordered)


def test_what_a_hand_made_row_leaves_out_is_called_unknown():
    rows = (Row(1, "blocked"), Row(2, "eval_failed"))
    s = summarise(History("origin", ("lr",), rows=rows))
    assert (s.blocked_by_rail, s.failed_by_cause) == ({"unknown": 1}, {"unknown": 1})


@pytest.mark.parametrize(
    ("voided", "failed", "label"),
    [
        (0, {}, "failed trials"),
        (0, {"killed": 1}, "failed trials"),
        (2, {}, "discarded trials"),
        (2, {"killed": 1}, "failed or discarded trials"),
    ],
)
def test_the_time_of_discarded_trials_is_not_called_that_of_failed_ones(voided, failed, label, night):
    summary = summarise(build_history(night.records)).model_copy(update={"voided": voided, "failed_by_cause": failed})
    assert list(time_by_activity(summary))[2] == label


def test_extended_deadlines_are_summed_and_placed(new_run):
    rows = (
        Row(1, "evaluated", deadline_extended_s=30.0),
        Row(2, "evaluated"),
        Row(3, "eval_failed", deadline_extended_s=6.5),
    )
    s = summarise(History("autoresearch", ("lr",), rows=rows))
    assert (s.deadline_extended_s, s.deadline_extended_iters) == (36.5, [1, 3])
    assert (
        "extended by 36 s in all for slowed trials that progressed, in iterations 1, 3"
        in dict(summary_facts(s))["deadlines"]
    )
    plain = summarise(build_history(new_run().begin().records))
    assert (plain.deadline_extended_s, plain.deadline_extended_iters) == (None, [])
    assert "deadlines" not in dict(summary_facts(plain))
