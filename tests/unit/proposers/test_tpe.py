"""Proposer tpe: begins with the baseline's neighbours, learns from results and from failures, beats chance."""

from __future__ import annotations

import json
import math
import random

import pytest
from optuna.trial import TrialState

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.results import Result
from autoresearch.core.stopped_trial import StopPoint
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.proposers.tpe import BEST_OF_KNOB, WINDOW, TpeProposer, results_to_learn_from
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from rails import Estimate, default_menu
from tests.unit.core.test_loop_early_stop import BAD, PAST, new_loop, script

BASELINE = default_menu().defaults
BEST_LR = 3e-3  # of testing.fake_bpb


def settings_of(iters: int, **more: object) -> Settings:
    return Settings(iters=iters, baseline=BASELINE, **more)


def space_of(settings: Settings) -> Space:
    policy = build_policy(settings)
    return Space(policy.menu, policy.baseline, policy.steps)


def night(settings: Settings, proposer: object, **given: object) -> Trajectory:
    loop = fake_loop(settings, proposer, **given)
    loop.run()
    return loop.trajectory


def changes(trajectory: Trajectory) -> list[tuple[str, object]]:
    return [(r.proposal.knob, r.proposal.new_value) for r in trajectory.iterations if r.verdict_ok]


@pytest.mark.parametrize("seed", range(3))
def test_it_begins_with_one_neighbour_of_the_baseline_per_knob(seed):
    settings = settings_of(13)
    space = space_of(settings)
    first = changes(night(settings, TpeProposer(space, seed)))
    assert sorted(knob for knob, _ in first) == sorted(BASELINE)
    assert all(value in space.neighbours(space.menu.knobs[knob]) for knob, value in first)


def test_a_neighbour_that_is_too_dear_is_replaced_by_the_one_on_the_other_side():
    """Wider, deeper and longer are refused; the knobs still get their first look."""

    def only_smaller(cfg: Cfg) -> Estimate:
        larger = [k for k in ("n_layer", "d_model", "d_ff", "seq_len") if cfg[k] > BASELINE[k]]
        return Estimate(peak_bytes=1, time_ratio=1.0, unsupported=f"{larger} too large" if larger else "")

    settings = settings_of(13)
    first = changes(night(settings, TpeProposer(space_of(settings), 0), estimator=only_smaller))
    assert sorted(knob for knob, _ in first) == sorted(BASELINE)
    assert {("n_layer", 19), ("d_model", 768), ("d_ff", 2048), ("seq_len", 512)} <= set(first)


def test_a_failed_knob_counts_as_looked_at():
    settings = settings_of(13)
    fails = FakeTrial(fail=lambda cfg: None if cfg == BASELINE else Failure(cause=Cause.ERROR, detail="no"))
    first = changes(night(settings, TpeProposer(space_of(settings), 0), trial=fails))
    assert sorted(knob for knob, _ in first) == sorted(BASELINE)


def test_where_a_step_did_harm_the_other_way_comes_next_the_worst_first():
    """Seed 0 steps down with lr; a bowl that is best above the baseline makes that the clearest loss of all."""
    settings = settings_of(14)
    thirteen = [r for r in night(settings, TpeProposer(space_of(settings), 0)).iterations if r.verdict_ok]
    steps = {r.proposal.knob: r for r in thirteen[:13]}
    worst = min(steps.values(), key=lambda r: r.improvement_frac)
    assert worst.improvement_frac < -0.005
    assert worst.proposal.new_value < BASELINE[worst.proposal.knob]
    assert thirteen[13].proposal.knob == worst.proposal.knob == "lr"
    assert thirteen[13].proposal.new_value > BASELINE["lr"]
    assert "the other way" in thirteen[13].proposal.reason


def test_harmless_steps_are_not_answered_with_their_opposite():
    settings = settings_of(20)
    flat = night(settings, TpeProposer(space_of(settings), 1), trial=FakeTrial(bpb=lambda _cfg, _seed: 2.0))
    assert not [r for r in flat.iterations if r.verdict_ok and "the other way" in r.proposal.reason]


def test_no_trial_is_spent_on_a_value_close_to_a_known_one(tmp_path):
    """Unless TPE suggests nothing better; the reason then contains that."""
    settings = only_lr(tmp_path, 30)
    places, near = [math.log10(BASELINE["lr"])], 0
    for record in night(settings, TpeProposer(space_of(settings), 0)).iterations:
        place = math.log10(record.proposal.new_value)
        is_near = min(abs(place - p) for p in places) < 0.02 * 3  # of the three decades of the range
        assert is_near == ("close to a known value" in record.proposal.reason)
        near += is_near
        places.append(place)
    assert near < 20


def test_after_a_step_that_did_harm_it_tries_the_other_way():
    """The fake wants a higher learning rate: seeds that first step down are seen to turn round at once."""
    settings = settings_of(14)
    nights = [changes(night(settings, TpeProposer(space_of(settings), seed))) for seed in range(6)]
    after_a_step_down = [moves[13] for moves in nights if ("lr", 1.5e-4) in moves[:13]]
    assert set(after_a_step_down) == {("lr", 6e-4)}


def only_lr(tmp_path, iters: int) -> Settings:
    """A menu of one knob, to see where in its range TPE looks."""
    file = tmp_path / "menu.json"
    lr = {"type": "float", "low": 1e-5, "high": 1e-2, "log": True, "default": 3e-4}
    file.write_text(json.dumps({"version": 1, "knobs": {"lr": lr}, "constraints": []}))
    return settings_of(iters, menu_file=file)


def looks_far_up(settings: Settings, trajectory: Trajectory) -> int:
    """How many of 12 seeds would next look at a learning rate of more than twice the baseline's."""
    space = space_of(settings)
    raws = [TpeProposer(space, seed).propose(trajectory, []).raw for seed in range(12)]
    return sum(json.loads(raw)["new_value"] > 2 * BASELINE["lr"] for raw in raws)


@pytest.mark.parametrize("seed", range(3))
def test_it_stays_away_from_where_configurations_fail(seed, tmp_path):
    """The best learning rate is ten times the baseline's; when all above the baseline fail, it is not sought there."""
    settings = only_lr(tmp_path, 24)
    fails = FakeTrial(fail=lambda cfg: Failure(cause=Cause.ERROR, detail="diverged") if cfg["lr"] > 3e-4 else None)
    space = space_of(settings)
    failing = night(settings, RandomProposer(space, seed), trial=fails)
    healthy = night(settings, RandomProposer(space, seed))
    assert changes(failing) == changes(healthy)
    assert looks_far_up(settings, healthy) >= 10
    assert looks_far_up(settings, failing) <= 2


def within(trajectory: Trajectory, decades: float) -> bool:
    """Whether the night's best keep is a learning rate that close to the best there is."""
    best = trajectory.best
    return best is not None and abs(math.log10(float(best.candidate_cfg["lr"]) / BEST_LR)) < decades


@pytest.mark.slow
def test_it_finds_a_better_learning_rate_more_reliably_than_chance():
    """13 knobs, one of which matters, in 60 iterations. The fake's noise is 0.2% of the bits per byte."""
    settings = settings_of(60)
    space = space_of(settings)
    tpe = [night(settings, TpeProposer(space, seed)) for seed in range(3)]
    chance = [night(settings, RandomProposer(space, seed)) for seed in range(3)]
    assert all(trajectory.best for trajectory in tpe)
    assert sum(within(t, 0.25) for t in tpe) > sum(within(t, 0.25) for t in chance)
    assert min(len(t.keeps) for t in tpe) > max(len(t.keeps) for t in chance)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("knob", "fields"),
    [
        ("n_layer", {"low": BASELINE["n_layer"], "high": BASELINE["n_layer"]}),
        ("lr", {"low": BASELINE["lr"], "high": BASELINE["lr"]}),
        ("lr", {"low": BASELINE["lr"], "high": math.nextafter(BASELINE["lr"], 1)}),
        ("weight_decay", {"low": BASELINE["weight_decay"], "high": BASELINE["weight_decay"]}),
        ("precision", {"choices": [BASELINE["precision"]]}),
    ],
)
def test_a_knob_with_one_value_gives_no_warning_and_is_not_proposed(knob, fields):
    settings = settings_of(25, menu={"knobs": {knob: fields}})
    proposer = TpeProposer(space_of(settings), 0)
    trajectory = night(settings, proposer)
    assert len(trajectory.iterations) == 25
    assert knob not in {name for name, _ in changes(trajectory)}


def results_of(count: int) -> list[Result]:
    """Results of three knobs, some of them failures, some iterations without a candidate."""
    dice, knobs = random.Random(count), ["lr", "beta1", "beta2"]
    found = []
    for n in range(1, count + 1):
        knob = dice.choice(knobs) if dice.random() < 0.95 else None
        bpb = dice.random() + 1 if knob and dice.random() < 0.9 else None
        found.append(Result(n, "evaluated", "tpe", knob, dice.random(), bpb))
    return found


def test_up_to_the_window_tpe_learns_from_every_candidate():
    results = results_of(1100)
    tried = [r for r in results if r.knob]
    upto = results[: results.index(tried[WINDOW - 1])]
    assert results_to_learn_from(upto) == [r for r in upto if r.knob]


@pytest.mark.parametrize("count", [1100, 1600, 5000, 5001])
def test_of_more_it_learns_from_the_newest_and_from_the_best_of_each_knob(count):
    tried = [r for r in results_of(count) if r.knob]
    learned = results_to_learn_from(results_of(count))
    newest = learned[-WINDOW // 2 :]
    assert newest == tried[-WINDOW // 2 :]
    assert len(learned) < WINDOW + 3 * BEST_OF_KNOB
    assert [r.iter for r in learned] == sorted(r.iter for r in learned)
    for knob in ("lr", "beta1", "beta2"):
        gains = sorted((r.improvement_frac or 0.0 for r in tried if r.knob == knob and r.loss), reverse=True)
        assert set(gains[:BEST_OF_KNOB]) <= {r.improvement_frac or 0.0 for r in learned if r.knob == knob}


def test_the_study_is_seldom_replaced():
    results = results_of(4000)
    replaced = 0
    before: list[Result] = []
    for count in range(2000, 4000):
        learned = results_to_learn_from(results[:count])
        replaced += learned[: len(before)] != before
        before = learned
    assert replaced <= 2000 // (WINDOW // 2)


def test_what_tpe_proposes_late_depends_on_the_trajectory_alone(monkeypatch):
    """As it does early: a window that moves during the night, against a start at each iteration."""
    monkeypatch.setattr("autoresearch.proposers.tpe.WINDOW", 20)
    monkeypatch.setattr("autoresearch.proposers.tpe.BEST_OF_KNOB", 2)

    class Forgetful(TpeProposer):
        def propose(self, trajectory, refused):
            return TpeProposer(self.space, self.seed).propose(trajectory, refused)

    settings = settings_of(60)
    space = space_of(settings)
    assert changes(night(settings, Forgetful(space, 0))) == changes(night(settings, TpeProposer(space, 0)))


def test_a_trial_that_was_stopped_early_is_pruned_and_has_no_value():
    """Optuna ranks it behind every measured one, before a failure, and the later of two before the earlier."""
    at = StopPoint(fraction=0.5, loss=5.2, limit=5.0, predicted_gain_frac=-0.03)
    settings = settings_of(1)
    tpe = TpeProposer(space_of(settings), 0)
    stopped = tpe._as_trial(Result(1, "stopped_early", "tpe", "lr", 1e-2, stopped=at))
    failed = tpe._as_trial(Result(2, "eval_failed", "tpe", "lr", 9e-3, cause=Cause.CRASHED))
    assert (stopped.state, stopped.value) == (TrialState.PRUNED, None)
    assert stopped.intermediate_values == {16: pytest.approx(1.04)}
    assert (failed.state, failed.intermediate_values) == (TrialState.PRUNED, {})


def test_a_run_with_early_stops_goes_on_and_tries_other_values(make_settings):
    rule = {"decision.rule": "sequential", "early_stop.min_curves": 12, "early_stop.audit_frac": 0}
    settings = make_settings({**rule, "baseline.lr": 3e-4, "baseline.lr_warmup": 0}, iters=PAST + 1)
    loop = new_loop(settings, script(BAD))
    loop.run()
    assert loop.trajectory.results[-1].stage == "stopped_early"
    loop.proposer, loop.iters = TpeProposer(space_of(settings), 0), PAST + 4
    assert loop.run() == "complete"
    assert len(set(changes(loop.trajectory))) == PAST + 4
