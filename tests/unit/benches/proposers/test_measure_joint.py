"""Measuring a joint table: durable, resumed in the middle, refused configurations as rows without a trial."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from autoresearch.benches.proposers.joint_plan import JointPlan
from autoresearch.benches.proposers.measure_joint import measure_joint_table
from autoresearch.benches.proposers.table_file import REFUSED, format_table, parse_table
from autoresearch.core.measurement import Cause, Failure
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from rails import Estimate

PLAN = JointPlan(configurations=130, baseline_seeds=4, repeats=2, repeated=20)


@dataclass(frozen=True)
class WideIsTooLarge:
    """An estimator of R7."""

    baseline: dict[str, object]
    budget: object
    vocab: int = 4096

    def __call__(self, cfg):
        return Estimate(peak_bytes=2 << 30 if cfg["d_ff"] > 512 else 1 << 20, time_ratio=1.0)


@pytest.fixture
def measure(make_settings):
    """Measures with a fake; returns the table, what was trained, and the lines of progress."""

    def call(plan=PLAN, **options):
        trial, lines = FakeTrial(**options), []
        settings = make_settings(**{"limits.memory_gib": 1.0})
        policy = build_policy(settings)
        estimator = WideIsTooLarge(policy.baseline, policy.budget)
        backend = TrialBackend(trial, YARDSTICK, estimator, timer=FakeTimer())
        table = measure_joint_table(
            settings,
            plan,
            RecordingObserver(),
            on_trial=lambda done, of, _: lines.append((done, of)),
            make_backend=lambda *_: backend,
        )
        return table, trial.measured, lines

    return call


def test_many_knobs_change_at_once_and_some_configurations_have_several_seeds(measure):
    table, trained, lines = measure()
    values = [r for r in table.rows if r.val_bpb is not None]
    cfgs = {tuple(r.cfg.items()) for r in values} - {tuple(table.baseline_cfg.items())}
    assert len(cfgs) == 130
    assert len(trained) == len(values) == 4 + 130 + 2 * 7
    assert max(sum(v != table.baseline_cfg[k] for k, v in r.cfg.items()) for r in values) > 6
    assert table.planned == len(table.rows)
    assert lines[0] == (1, 134)
    assert lines[-1][0] <= lines[-1][1]


def test_what_r7_refuses_is_a_row_without_a_trial(measure):
    table, trained, _ = measure()
    refused = [r for r in table.rows if r.val_bpb is None]
    assert len(refused) > 30
    assert all(r.cfg["d_ff"] > 512 and r.cause == REFUSED and r.detail for r in refused)
    assert all(cfg["d_ff"] <= 512 for cfg, _ in trained)


def test_the_same_command_measures_nothing_twice_and_more_configurations_add_to_it(measure):
    first, _, _ = measure()
    again, trained, _ = measure()
    assert trained == []
    assert again.rows == first.rows
    more, trained, _ = measure(JointPlan(configurations=150, baseline_seeds=4, repeats=2, repeated=20))
    known = {(tuple(r.cfg.items()), r.seed) for r in first.rows}
    assert known < {(tuple(r.cfg.items()), r.seed) for r in more.rows}
    assert len(trained) == 20 + 2


def test_a_trial_missing_by_chance_ends_the_table_after_its_round(measure):
    def killed(cfg):
        return Failure(cause=Cause.KILLED, detail="SIGKILL") if cfg["lr"] > 1.2e-2 else None

    plan = JointPlan(configurations=230, baseline_seeds=4)
    cut, _, _ = measure(plan, fail=killed)
    assert len(cut.rows) < cut.planned
    whole, trained, _ = measure(plan)
    assert trained
    assert len(whole.rows) == whole.planned
    known = {(tuple(r.cfg.items()), r.seed) for r in whole.rows}
    assert known > {(tuple(r.cfg.items()), r.seed) for r in cut.rows}


def test_the_file_holds_the_table(measure):
    table, _, _ = measure()
    assert parse_table(format_table(table), "x") == table
