"""Measuring a table: which configurations, durable, resumed, failures as facts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autoresearch.benches.proposers.measure_table import SEED_OFFSET, TablePlan, measure_table
from autoresearch.benches.proposers.table_file import format_table, parse_table
from autoresearch.core.measurement import Cause, Failure
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver


@pytest.fixture
def measure(make_settings):
    """Measures with a fake; returns the table and what was trained."""

    def call(plan=TablePlan(values=3, seeds=2, baseline_seeds=3), **options):
        trial = FakeTrial(**options)
        backend = TrialBackend(trial, YARDSTICK, None, timer=FakeTimer())
        table = measure_table(make_settings(), plan, RecordingObserver(), make_backend=lambda *_: backend)
        return table, trial.measured

    return call


def test_every_knob_at_several_values_each_with_its_seeds_and_nothing_twice(measure):
    table, trained = measure()
    assert len(trained) == len(table.rows) == table.planned
    assert len({(tuple(r.cfg.items()), r.seed) for r in table.rows}) == table.planned
    baseline = [r for r in table.rows if r.cfg == table.baseline_cfg]
    assert [r.seed for r in baseline] == [SEED_OFFSET, SEED_OFFSET + 1, SEED_OFFSET + 2]
    changed = [{k for k, v in r.cfg.items() if v != table.baseline_cfg[k]} for r in table.rows if r not in baseline]
    assert all(len(one) == 1 for one in changed)
    refused = {r.knob for r in table.refused}
    assert set.union(*changed) | refused >= set(table.parsed_menu.knobs)
    assert len({r.cfg["lr"] for r in table.rows}) >= 3


def test_the_same_command_measures_only_what_is_missing(measure):
    first, _ = measure()
    again, trained = measure()
    assert trained == []
    assert again.rows == first.rows
    more, trained = measure(TablePlan(values=3, seeds=3, baseline_seeds=3))
    assert {seed for _, seed in trained} == {SEED_OFFSET + 2}
    assert len(more.rows) == len(first.rows) + len(trained)


def test_a_failure_is_a_row_with_its_cause_and_is_not_tried_again(measure):
    def fail(cfg):
        return Failure(cause=Cause.NON_FINITE_LOSS, detail="NaN at step 3") if cfg["lr"] > 5e-3 else None

    table, _ = measure(fail=fail)
    failed = [r for r in table.rows if r.val_bpb is None]
    assert failed
    assert all(r.cfg["lr"] > 5e-3 and r.cause == "non_finite_loss" and r.detail == "NaN at step 3" for r in failed)
    assert measure()[1] == []


def test_a_failure_by_chance_is_missing_and_tried_again(measure):
    def fail(cfg):
        return Failure(cause=Cause.KILLED, detail="SIGKILL") if cfg["lr"] > 5e-3 else None

    table, _ = measure(fail=fail)
    assert len(table.rows) < table.planned
    whole, trained = measure()
    assert len(whole.rows) == whole.planned
    assert all(cfg["lr"] > 5e-3 for cfg, _ in trained)


def test_a_baseline_that_fails_is_an_error(measure):
    with pytest.raises(BaselineFailed, match="seed 4000 measured nothing: NaN"):
        measure(fail=lambda _: Failure(cause=Cause.NON_FINITE_LOSS, detail="NaN"))


def test_a_signal_leaves_a_table_with_fewer_rows(make_settings, monkeypatch):
    from autoresearch.daemon.fresh_trials import FreshTrials

    measured = FreshTrials.measure
    count = 0

    def stop_after_five(self, wanted):
        nonlocal count
        count += 1
        return measured(self, wanted) if count <= 5 else None

    monkeypatch.setattr(FreshTrials, "measure", stop_after_five)
    backend = TrialBackend(FakeTrial(), YARDSTICK, None, timer=FakeTimer())
    plan = TablePlan(values=3, seeds=2, baseline_seeds=3)
    table = measure_table(make_settings(), plan, RecordingObserver(), make_backend=lambda *_: backend)
    assert len(table.rows) == 5 < table.planned
    assert count == 6


def test_the_file_holds_the_table(measure):
    table, _ = measure()
    assert parse_table(format_table(table), "x") == table


def test_bent_intervals_are_refined_at_their_middle_and_straight_ones_are_not(measure):
    def bent(cfg, seed):
        """Bent in lr, straight in everything else."""
        return 2.0 + 0.1 * math.log(cfg["lr"] / 2e-3) ** 2 + 1e-4 * (seed % 3) + 0.01 * cfg["beta1"]

    plan = TablePlan(values=3, seeds=2, baseline_seeds=3)
    coarse, _ = measure(plan, bpb=bent)
    fine, trained = measure(replace(plan, refine=2), bpb=bent)
    assert {k for cfg, _ in trained for k, v in cfg.items() if v != fine.baseline_cfg[k]} == {"lr"}
    before, after = ({row.cfg["lr"] for row in table.rows} for table in (coarse, fine))
    assert before < after
    low, high = sorted(before)[:2]
    assert any(value == pytest.approx(math.sqrt(low * high), rel=1e-3) for value in after)
    assert len(fine.rows) == fine.planned == len(coarse.rows) + len(trained)
    assert measure(replace(plan, refine=2), bpb=bent)[1] == []


def test_a_trainer_that_measures_another_metric_is_refused_and_nothing_counts_as_failed(make_settings):
    from autoresearch.core.metric import Metric
    from autoresearch.errors import ConfigError
    from autoresearch.testing.fake_trial import measurement

    class Accuracy:
        def measure(self, *_args, **_options):
            metric = Metric(name="accuracy", value=0.9, direction="higher")
            return measurement(2.0).model_copy(update={"val_bpb": None, "metric": metric})

    backend = TrialBackend(Accuracy(), YARDSTICK, None, timer=FakeTimer())
    with pytest.raises(ConfigError, match=r"measures accuracy 0\.9000, and a table holds val_bpb"):
        measure_table(make_settings(), TablePlan(3, 2, 3), RecordingObserver(), make_backend=lambda *_: backend)
