"""Early stopping in the loop: what is stopped and recorded, what the audit does, and that a kill changes nothing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import CURVE_POINTS, Measurement
from autoresearch.core.ports import SuspendControl
from autoresearch.core.records import (
    Evaluated,
    Event,
    LoopComplete,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    decode,
    encode,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPlan
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import build_early_stop
from autoresearch.report.verify import verify
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_meter import FakeMeter, fake_power
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import Killed, MortalJournal, hasty, only, records, say, started

Make = Callable[..., Settings]
PAST = 12  # candidates that run in full, before the first that can be stopped
GOOD, BAD = 3e-3, 1.5e-2  # gains 2.5%, loses much


@pytest.fixture
def make_settings(make_settings: Make) -> Make:
    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4, "baseline.lr_warmup": 0, "early_stop.min_curves": 12}
    return lambda changes=None, **flags: make_settings(fixed | (changes or {}), **flags)


def noise(*key: Any) -> float:
    """From -0.5 to 0.5, fixed by ``key``."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "little") / 2**32 - 0.5


def bpb(cfg: Cfg, seed: int) -> float:
    """Small changes do little; ``BAD`` is 5% worse."""
    lr = float(cfg["lr"])
    gain = 0.025 if lr == GOOD else -0.05 if lr == BAD else 0.01 * noise("cfg", lr) - 0.004 if lr != 3e-4 else 0.0
    return 2.0 * (1 - gain + 0.001 * noise(lr, seed))


def losses(cfg: Cfg, seed: int) -> tuple[float, ...]:
    """It falls to what val_bpb says, and the gap to the baseline is there from the start."""
    end = bpb(cfg, seed)
    return tuple(
        round((end + 3.0 * (1 - (k + 1) / CURVE_POINTS) ** 2) * (1 + 0.001 * noise(cfg["lr"], seed, k)), 5)
        for k in range(CURVE_POINTS)
    )


def script(*last: float) -> list[str]:
    """Learning rates that change little, then these."""
    return [say("lr", round(3e-4 * (1 + 0.02 * (n + 1)), 9)) for n in range(PAST)] + [say("lr", lr) for lr in last]


def new_loop(settings: Settings, replies: Sequence[str], trial: FakeTrial | None = None) -> Loop:
    loop = fake_loop(settings, ScriptedProposer(list(replies)), trial or FakeTrial(bpb=bpb, curve=losses))
    loop.trajectory.meta = None
    meta = records(loop)[0].model_copy(update={"run_id": "a run"})  # fixed: the audit is drawn from it
    loop.trajectory, loop.journal = Trajectory(), MemoryJournal()
    loop.record(meta)
    loop.record(started("boot", settings.iters).model_copy(update={"early_stop": build_early_stop(settings)}))
    return loop


def continued(settings: Settings, payloads: Sequence[str], replies: Sequence[str], trial: FakeTrial) -> Loop:
    """Another daemon on the same journal."""
    known = [decode(payload) for payload in payloads]
    tried = sum(r.stage == "proposed" for r in known)
    loop = fake_loop(settings, ScriptedProposer(list(replies[tried:])), trial, trajectory=Trajectory.fold(known))
    loop.journal = MemoryJournal(list(payloads))
    loop.record(started("boot", settings.iters).model_copy(update={"early_stop": build_early_stop(settings)}))
    return loop


def test_a_hopeless_trial_is_stopped_and_its_candidate_reverted_without_a_value(make_settings: Make) -> None:
    loop = new_loop(make_settings(iters=PAST + 1), script(BAD))
    assert loop.run() == "complete"
    (stopped,) = only(StoppedEarly, loop)
    assert (stopped.decision, stopped.label, stopped.val_bpb) == ("revert", "stopped early", None)
    point = stopped.eval_metrics.stopped_early
    assert point.fraction < 0.3
    assert point.loss > point.limit
    assert point.predicted_gain_frac == pytest.approx(-0.05, abs=0.01)
    assert stopped.reason.startswith(f"stopped early at {100 * point.fraction:.0f}% of the budget (loss ")
    (started_with,) = (r.stop for r in only(TrialStarted, loop) if r.iter == PAST + 1)
    assert started_with is not None
    assert started_with.curves >= 12
    assert started_with.needed_frac == pytest.approx(0.8 * 0.005)
    (complete,) = only(LoopComplete, loop)
    assert (complete.accept_count, complete.revert_count) == (0, PAST + 1)
    assert complete.credit[0].stopped_early == 1
    assert (complete.credit[0].measured, complete.credit[0].failed) == (PAST, 0)
    assert "stopped early at" in loop.trajectory.known().find(stopped.candidate_cfg), "it counts as known"
    assert loop.trajectory.candidates_tried == PAST + 1, "it has spent its share of alpha"
    assert all(curve.gain > -0.03 for curve in loop.trajectory.curves), "nothing is learned from it"


def test_a_good_trial_runs_on_and_its_further_seeds_have_no_limits(make_settings: Make) -> None:
    loop = new_loop(make_settings(iters=PAST + 1), script(GOOD))
    loop.run()
    kept = only(Evaluated, loop)[-1]
    assert kept.decision == "keep"
    plans = [r.stop for r in only(TrialStarted, loop) if r.iter == PAST + 1]
    assert plans[0] is not None
    assert len(plans) >= 4
    assert plans[1:] == [None] * (len(plans) - 1)
    assert all(r.stop is None for r in only(TrialStarted, loop) if r.iter == 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"early_stop.enabled": "off"},
        {"early_stop.min_curves": 100},
        {"decision.rule": "threshold"},
        {"budget.kind": "seconds", "budget.size": 2},
    ],
)
def test_it_is_off_where_it_is_not_wanted_or_cannot_be_fair(make_settings: Make, changes: dict[str, Any]) -> None:
    loop = new_loop(make_settings(changes, iters=PAST + 1), script(BAD))
    loop.run()
    assert all(r.stop is None for r in only(TrialStarted, loop))
    assert only(Evaluated, loop)[-1].improvement_frac == pytest.approx(-0.05, abs=0.005)


def test_without_curves_nothing_is_stopped(make_settings: Make) -> None:
    loop = new_loop(make_settings(iters=PAST + 1), script(BAD), FakeTrial(bpb=bpb))
    loop.run()
    assert only(StoppedEarly, loop) == []


def test_an_audited_trial_runs_on_and_says_where_it_would_have_been_stopped(make_settings: Make) -> None:
    settings = make_settings({"early_stop.audit_frac": 1}, iters=PAST + 1)
    loop = new_loop(settings, script(BAD))
    loop.run()
    assert only(StoppedEarly, loop) == []
    last = only(TrialEnded, loop)[-1]
    assert isinstance(last.outcome, Measurement)
    assert last.would_stop is not None
    stopped = new_loop(make_settings({"early_stop.audit_frac": 0}, iters=PAST + 1), script(BAD))
    stopped.run()
    assert last.would_stop == only(StoppedEarly, stopped)[0].eval_metrics.stopped_early
    assert only(Evaluated, loop)[-1].evidence.label == "screened out"  # type: ignore[union-attr]
    assert verify(records(loop)).difference is None


def test_a_kill_after_any_record_stops_the_same_trial_at_the_same_place(make_settings: Make) -> None:
    settings, replies = make_settings(iters=PAST + 2), script(BAD, GOOD)
    whole = new_loop(settings, replies)
    whole.run()
    (expected,) = only(StoppedEarly, whole)
    verdicts = [r.evidence.label for r in only(Evaluated, whole) if r.evidence]
    events = records(whole)
    began = next(n for n, r in enumerate(events) if r.stage == "proposed" and r.iter == PAST + 1)
    for last in range(began + 1, began + 7):
        loop = new_loop(settings, replies)
        loop.journal = MortalJournal(payloads=list(loop.journal.payloads), last=last)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            loop.run()
        again = continued(settings, loop.journal.payloads, replies, FakeTrial(bpb=bpb, curve=losses))
        again.run()
        (found,) = only(StoppedEarly, again)
        assert found.eval_metrics == expected.eval_metrics
        assert [r.evidence.label for r in only(Evaluated, again) if r.evidence] == verdicts
        assert len({r.stop for r in only(TrialStarted, again) if r.iter == PAST + 1}) == 1
        assert verify(records(again)).difference is None


def test_a_suspended_trial_resumes_with_the_same_limits(make_settings: Make) -> None:
    settings = make_settings(iters=PAST + 1)

    @dataclass
    class Slow(FakeTrial):
        """Only the bad candidate takes time in which it can be suspended."""

        def measure(self, cfg: Cfg, seed: int, on_progress: Any, suspend: Any = None, *rest: Any) -> Any:
            self.takes_s = 0.03 if cfg["lr"] == BAD else 0.0
            return FakeTrial.measure(self, cfg, seed, on_progress, suspend or SuspendControl(), *rest)

    loop = hasty(new_loop(settings, script(BAD), Slow(bpb=bpb, curve=losses)))
    assert loop.run() == "complete"
    assert len(only(TrialSuspended, loop)) == 1
    first, second = (r for r in only(TrialStarted, loop) if r.iter == PAST + 1)
    assert first.stop == second.stop is not None
    assert (first.trial, first.continues, second.continues) == (second.trial, False, True)
    assert len(only(StoppedEarly, loop)) == 1
    assert verify(records(loop)).difference is None


def test_its_joules_and_flops_are_counted_as_they_were(make_settings: Make) -> None:
    loop = new_loop(make_settings(iters=PAST + 1), script(BAD))
    loop.meter = FakeMeter([{"train": fake_power(300.0)}] * (3 + PAST) + [{"train": fake_power(40.0)}])
    loop.run()
    stop = only(StoppedEarly, loop)[0].eval_metrics
    assert (stop.energy_j, stop.train_flops, stop.train_steps) == (40.0, 4 * 10**8, 4)
    assert loop.trajectory.energy_j == 300 * (3 + PAST) + 40


class TestSlowStarters:
    """What starts slowly and catches up is not stopped for it."""

    def limits_of(self, loop: Loop, n: int) -> StopPlan | None:
        return next(r.stop for r in only(TrialStarted, loop) if r.iter == n)

    def test_the_first_two_trials_of_a_knob_in_a_direction_have_no_limits(self, make_settings: Make) -> None:
        downward = [say("lr", lr) for lr in (2.9e-4, 2.8e-4, 2.7e-4)]
        loop = new_loop(make_settings(iters=PAST + 4), [*script(), *downward, say("lr_warmup", 2)])
        loop.run()
        assert [self.limits_of(loop, PAST + n) is None for n in (1, 2, 3, 4)] == [True, True, False, True]

    def test_a_trial_is_not_looked_at_before_its_own_warmup_and_an_eighth_are_over(self, make_settings: Make) -> None:
        """The warmup of the baseline is 3 of 10 steps: 0.3 + 0.125 of the budget are 13.6 of its 32 parts."""
        changes = {"baseline.lr_warmup": 3, "menu.constraints": []}
        loop = new_loop(make_settings(changes, iters=PAST + 1), script(BAD))
        loop.run()
        plan = self.limits_of(loop, PAST + 1)
        assert plan is not None
        assert next(n for n, limit in enumerate(plan.limits) if limit is not None) == 13
        assert only(StoppedEarly, loop)[0].eval_metrics.stopped_early.fraction == 14 / 32


class TestVerify:
    def whole(self, make_settings: Make) -> list[Event]:
        loop = new_loop(make_settings(iters=PAST + 1), script(BAD))
        loop.run()
        return [decode(encode(r)) for r in records(loop)]

    def changed(self, events: list[Event], kind: type[Event], change: Callable[[Any], Event]) -> str:
        at = max(n for n, r in enumerate(events) if isinstance(r, kind))
        return str(verify([*events[:at], change(events[at]), *events[at + 1 :]]).difference)

    def test_the_stops_of_a_run_follow_from_its_records(self, make_settings: Make) -> None:
        found = verify(self.whole(make_settings))
        assert (found.decisions, found.difference) == (PAST + 1, None)

    def test_a_trial_that_was_stopped_below_its_limit_is_named(self, make_settings: Make) -> None:
        def harmless(trial: TrialEnded) -> TrialEnded:
            assert isinstance(trial.outcome, EarlyStop)
            low = tuple(loss - 0.5 for loss in trial.outcome.train_loss_curve)
            return trial.model_copy(update={"outcome": trial.outcome.model_copy(update={"train_loss_curve": low})})

        found = self.changed(self.whole(make_settings), TrialEnded, harmless)
        assert found.startswith(f"iteration {PAST + 1}: trial ")
        assert "early stop" in found
        assert found.endswith("its trials give None")

    def test_another_limit_is_named(self, make_settings: Make) -> None:
        def lower(trial: TrialStarted) -> TrialStarted:
            assert trial.stop is not None
            limits = tuple(limit and limit - 1 for limit in trial.stop.limits)
            return trial.model_copy(update={"stop": trial.stop.model_copy(update={"limits": limits})})

        assert "limits of its early stop" in self.changed(self.whole(make_settings), TrialStarted, lower)

    def test_another_loss_in_the_verdict_is_named(self, make_settings: Make) -> None:
        def other(record: StoppedEarly) -> StoppedEarly:
            metrics = record.eval_metrics.model_copy(update={"train_steps": 5})
            return record.model_copy(update={"eval_metrics": metrics})

        assert "eval_metrics" in self.changed(self.whole(make_settings), StoppedEarly, other)


def test_the_script_is_as_these_tests_assume() -> None:
    values = {say("lr", lr) for lr in (GOOD, BAD, 3e-4)}
    assert not values & set(itertools.islice(script(), PAST))
