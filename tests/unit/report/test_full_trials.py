"""The full curves of a run and of null trials, in the form that a replay of early stopping takes."""

from __future__ import annotations

from statistics import fmean

import pytest

from autoresearch.core.records import Evaluated, TrialEnded
from autoresearch.report.full_trials import null_trials, points_of, trials_of_run
from tests.unit.core.loop_world import only, records
from tests.unit.core.test_loop_early_stop import BAD, GOOD, PAST, bpb, losses, new_loop, script


@pytest.fixture
def loop(make_settings):
    """A run in which one candidate is kept and one is stopped early."""
    changes = {"decision.rule": "sequential", "baseline.lr": 3e-4, "baseline.lr_warmup": 0, "early_stop.min_curves": 12}
    loop = new_loop(make_settings(changes, iters=PAST + 2), script(GOOD, BAD))
    loop.run()
    return loop


def test_every_measured_trial_of_a_candidate_is_there_with_the_baseline_of_its_seed(loop):
    found = trials_of_run(records(loop))
    kept = only(Evaluated, loop)[-1]
    measured = [t for t in only(TrialEnded, loop) if t.iter and t.outcome.ok]
    assert len(found) == len(measured) == PAST + len(kept.trials)
    assert {t.kind for t in found} == {"lr up"}
    last = found[-1]
    assert (last.group, last.run) == (f"lr={GOOD}", str(kept.evidence.seeds[-1]))
    assert last.points == points_of(losses({"lr": GOOD}, int(last.run)), bpb({"lr": GOOD}, int(last.run)))
    assert last.baseline == points_of(losses({"lr": 3e-4}, int(last.run)), bpb({"lr": 3e-4}, int(last.run)))
    assert last.gain == pytest.approx(kept.evidence.gains_frac[-1], rel=0.01)


def test_a_trial_that_was_stopped_early_is_not_among_them(loop):
    assert all(t.group != f"lr={BAD}" for t in trials_of_run(records(loop)))


def test_a_null_trial_is_compared_with_the_mean_of_all_others():
    curves = [(seed, tuple(4.0 + seed - n / 100 for n in range(32)), 2.0 + seed / 10) for seed in range(3)]
    found = null_trials(curves, 0.2)
    assert [(t.group, t.run, t.warmup_frac) for t in found] == [("null", str(n), 0.2) for n in range(3)]
    assert found[0].baseline[-1] == (1.0, pytest.approx(2.15))
    assert found[2].baseline[0] == (1 / 32, pytest.approx(fmean([4.0, 5.0])))
    assert found[1].gain == pytest.approx(0.0)
    assert null_trials(curves[:1], 0.0) == []
