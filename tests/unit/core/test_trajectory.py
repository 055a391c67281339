"""The fold: what a daemon knows is what the records add up to, wherever it begins to read."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Cause, Failure, Outcome, Suspended
from autoresearch.core.ports import Interrupted, SuspendControl
from autoresearch.core.records import (
    Baseline,
    Evaluated,
    Event,
    Paused,
    Proposed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    decode,
)
from autoresearch.core.trajectory import Trajectory, first_failure, measurements
from autoresearch.core.values import Cfg
from autoresearch.errors import BaselineFailed
from autoresearch.report.verify import verify
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.examples import examples

TS = "2026-11-20T22:00:00.000Z"
RULES = ("threshold", "sequential")
SETTINGS = {
    rule: resolve({"iters": 8, "baseline.lr": 3e-4, "limits.max_attempts": 2, "decision.rule": rule}, {}).settings
    for rule in RULES
}
REPLIES: list[str | Exception] = [
    *(json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}) for k, v in [("lr", 3e-3), ("lr", 1e-3)]),
    *(json.dumps({"knob": "beta1", "new_value": v, "reason": "a hunch"}) for v in (0.6, 0.7, 0.8, 9.0)),
    "no JSON at all",
    ConnectionError("no server"),
]
CAUSES = [Cause.OUT_OF_MEMORY, Cause.TIMEOUT, Cause.KILLED, Cause.CRASHED]


def started(boot_id: str = "boot") -> Started:
    fields = {"pid": 1, "host": "desk", "autoresearch_version": "0", "proposer": "script", "iters_requested": 8}
    return Started(ts=TS, boot_id=boot_id, **fields)


def night(seed: int, rule: str = "threshold") -> list[Event]:
    """The records of a real loop on a bad night: refusals, failures, pauses, interrupted trials, several daemons."""
    dice, journal = random.Random(seed), MemoryJournal()

    class Luck(FakeTrial):
        def measure(
            self, cfg: Cfg, seed: int, on_progress: Any, suspend: SuspendControl, *_: Any
        ) -> Outcome | Suspended:
            spent_j = suspend.suspended_at.energy_j if suspend.suspended_at else None
            joules = dice.choice([None, 5.0]) if spent_j is None else spent_j + 5.0
            match dice.randrange(7):
                case 0:
                    return Failure(cause=dice.choice(CAUSES), detail="bad luck", energy_j=joules)
                case 1:
                    raise Interrupted("stopped at once")
                case 2:
                    at = dice.choice([None, 3])
                    return Suspended(step=4, resumes_at=at, train_wall_s=1.0, val_wall_s=0.0, energy_j=joules)
            return measurement(2.0 - dice.random() / 10).model_copy(update={"energy_j": joules})

    for daemon in range(6):
        proposer = ScriptedProposer(dice.choices(REPLIES, k=6))
        past = Trajectory.fold(decode(p) for p in journal.payloads) if daemon else None
        loop = fake_loop(SETTINGS[rule], proposer, Luck(), trajectory=past)
        if daemon == 0:
            assert isinstance(loop.journal, MemoryJournal)
            journal = loop.journal
        loop.journal, loop.control = journal, FakeControl(pause=dice.choice(["", "lunch"]))
        loop.record(started(f"boot {dice.randrange(2)}"))
        try:
            loop.run()
        except BaselineFailed:
            continue
    return [decode(p) for p in journal.payloads]


NIGHTS = st.integers(0, 10**6).map(night)
BY_ANY_RULE = st.builds(night, st.integers(0, 10**6), st.sampled_from(RULES))


def of(kind: type[Event], records: Sequence[Event]) -> list[Any]:
    return [r for r in records if isinstance(r, kind)]


class TestLaws:
    def test_the_nights_have_something_of_everything(self) -> None:
        """Or the laws below would say little."""
        stages = {record.stage for seed in range(30) for record in night(seed)}
        closers = {"evaluated", "eval_failed", "blocked", "proposer_failed"}
        assert {*closers, "trial_suspended", "paused", "stopped", "loop_complete"} <= stages

    @given(BY_ANY_RULE)
    @settings(max_examples=examples(40))
    def test_every_decision_follows_from_the_trials_before_it(self, records: list[Event]) -> None:
        assert verify(records).difference is None

    @given(BY_ANY_RULE, st.data())
    @settings(max_examples=examples(40))
    def test_it_does_not_matter_where_the_fold_is_cut(self, records: list[Event], data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(records)))
        trajectory = Trajectory.fold(records[:cut])
        for record in records[cut:]:
            trajectory.add(record)
        assert trajectory == Trajectory.fold(records)

    @given(BY_ANY_RULE)
    @settings(max_examples=examples(40))
    def test_the_numbers_of_iterations_have_no_gap(self, records: list[Event]) -> None:
        trajectory = Trajectory()
        for record in records:
            expected = trajectory.next_iter
            trajectory.add(record)
            closed = len(trajectory.iterations)
            assert trajectory.next_iter == closed + 1
            assert trajectory.next_iter in (expected, expected + 1)
        assert [r.iter for r in trajectory.iterations] == list(range(1, closed + 1))

    @given(NIGHTS)
    @settings(max_examples=examples(40))
    def test_best_is_the_lowest_keep_and_lowest_the_lowest_measurement(self, records: list[Event]) -> None:
        trajectory = Trajectory.fold(records)
        evaluated = of(Evaluated, records)
        keeps = [r for r in evaluated if r.decision == "keep"]
        assert trajectory.keeps == keeps
        assert trajectory.best == max(keeps, key=lambda r: r.improvement_frac, default=None)
        closed = [*of(Baseline, records), *evaluated]
        assert trajectory.lowest == min((r.eval_metrics.val_bpb for r in closed), default=None)
        lowest_bpb = [r.eval_metrics.val_bpb for r in evaluated if r.is_new_best]
        assert lowest_bpb == sorted(lowest_bpb, reverse=True)
        if lowest_bpb:
            assert lowest_bpb[-1] == trajectory.lowest

    @given(BY_ANY_RULE)
    @settings(max_examples=examples(40))
    def test_trials_and_energy_are_counted_once(self, records: list[Event]) -> None:
        trajectory = Trajectory.fold(records)
        numbers = [r.trial for r in of(TrialStarted, records)]
        assert sorted(set(numbers)) == list(range(1, trajectory.trials_started + 1))
        assert numbers == sorted(numbers)
        totals = {r.trial: r.suspended.energy_j for r in of(TrialSuspended, records)}
        totals |= {r.trial: r.outcome.energy_j for r in of(TrialEnded, records)}
        joules = [j for j in totals.values() if j is not None]
        assert trajectory.energy_j == (sum(joules) if joules else None), "not measured is not zero"

    @given(NIGHTS)
    @settings(max_examples=examples(40))
    def test_a_trial_that_was_put_aside_goes_on_under_its_number_and_ends_once(self, records: list[Event]) -> None:
        ended: set[int] = set()
        aside: dict[int, Suspended] = {}
        for record in records:
            match record:
                case TrialStarted(trial=n):
                    assert n not in ended
                    assert record.continues == (n in aside and aside[n].resumes_at is not None)
                case TrialSuspended(trial=n):
                    aside[n] = record.suspended
                case TrialEnded(trial=n):
                    ended.add(n)


def baseline_night() -> tuple[Trajectory, Proposed]:
    """A run with its baseline measured and its first iteration open."""
    loop = fake_loop(SETTINGS["threshold"], ScriptedProposer([REPLIES[0]]))
    loop.measure_baseline()
    proposed = loop.propose(loop.active_s())
    assert proposed is not None
    return loop.trajectory, proposed


def trial(number: int, boot_id: str = "boot") -> TrialStarted:
    return TrialStarted(ts=TS, trial=number, iter=1, seed=0, cfg={"lr": 3e-3}, boot_id=boot_id)


class TestOpenIteration:
    def test_it_survives_a_restart_with_the_trials_it_has(self) -> None:
        trajectory, proposed = baseline_night()
        ended = TrialEnded(ts=TS, trial=2, iter=1, seed=0, outcome=measurement(1.9))
        for record in (trial(2), ended, started()):
            trajectory.add(record)
        assert trajectory.proposed == proposed
        assert trajectory.outcomes == [ended]
        assert trajectory.next_iter == 1

    def test_a_trial_that_never_ended_is_no_trial(self) -> None:
        trajectory, _ = baseline_night()
        trajectory.add(trial(2))
        assert trajectory.running is not None
        trajectory.add(started())
        assert (trajectory.running, trajectory.outcomes, trajectory.trials_started) == (None, [], 2)

    def test_a_failed_baseline_trial_is_forgotten_by_the_next_daemon(self) -> None:
        failed = TrialEnded(ts=TS, trial=1, iter=0, seed=0, outcome=Failure(cause=Cause.ERROR, detail=""))
        trajectory = Trajectory.fold([trial(1), failed])
        assert first_failure(trajectory.outcomes) == failed.outcome
        trajectory.add(started())
        assert trajectory.outcomes == []

    def test_bad_luck_of_the_baseline_is_tried_once_more_and_no_oftener(self) -> None:
        unlucky = TrialEnded(ts=TS, trial=1, iter=0, seed=0, outcome=Failure(cause=Cause.KILLED, detail=""))
        trajectory = Trajectory.fold([trial(1), unlucky])
        assert trajectory.outcomes == []
        trajectory.add(unlucky)
        assert first_failure(trajectory.outcomes) == unlucky.outcome

    def test_a_trial_dropped_by_the_user_is_no_loss_of_the_machine(self) -> None:
        """A second Ctrl-C in the evening, then a reboot, twice: nothing speaks against the configuration."""
        trajectory, _ = baseline_night()
        for boot in ("evening", "next evening"):
            trajectory.add(trial(2))
            trajectory.add(Stopped(ts=TS, reason="SIGINT", completed_iters=0, requested_iters=8))
            trajectory.add(started().model_copy(update={"boot_id": boot}))
        assert trajectory.host_losses == 0


class TestSuspended:
    WHERE = Suspended(step=4, resumes_at=4, train_wall_s=1.0, val_wall_s=0.0, trial_wall_s=2.0)

    def aside(self) -> TrialSuspended:
        return TrialSuspended(ts=TS, trial=2, iter=1, seed=0, suspended=self.WHERE)

    def test_it_resumes_under_its_number_in_any_process(self) -> None:
        trajectory, _ = baseline_night()
        for record in (trial(2), self.aside(), started("another boot")):
            trajectory.add(record)
        assert (trajectory.running, trajectory.suspended, trajectory.next_trial) == (None, self.WHERE, 2)
        assert trajectory.host_losses == 0, "the machine was switched off in the pause"

    def test_lost_while_it_goes_on_its_checkpoint_is_still_there(self) -> None:
        trajectory, _ = baseline_night()
        for record in (trial(2, "a"), self.aside(), trial(2, "a"), started("b")):
            trajectory.add(record)
        assert (trajectory.suspended, trajectory.next_trial, trajectory.host_losses) == (self.WHERE, 2, 1)

    def test_once_it_has_ended_the_next_one_begins(self) -> None:
        trajectory, _ = baseline_night()
        ended = TrialEnded(ts=TS, trial=2, iter=1, seed=0, outcome=measurement(1.9))
        for record in (trial(2), self.aside(), trial(2), ended):
            trajectory.add(record)
        assert (trajectory.suspended, trajectory.next_trial) == (None, 3)


class TestHostLosses:
    def lost(self, *boots: tuple[str, str]) -> int:
        """Trials begun under one boot and found unfinished under another."""
        trajectory, _ = baseline_night()
        for number, (during, after) in enumerate(boots, 2):
            trajectory.add(trial(number, during))
            trajectory.add(started(after))
        return trajectory.host_losses

    def test_only_another_boot_is_a_lost_machine(self) -> None:
        assert self.lost(("a", "a"), ("a", "a")) == 0
        assert self.lost(("a", "b")) == 1
        assert self.lost(("a", "b"), ("b", "b"), ("b", "c")) == 2

    def test_a_trial_dropped_at_the_users_wish_is_not_held_against_it(self) -> None:
        trajectory, _ = baseline_night()
        stopped = Stopped(ts=TS, reason="stopped at once", completed_iters=0, requested_iters=8)
        for record in (trial(2, "a"), stopped, started("b")):
            trajectory.add(record)
        assert trajectory.host_losses == 0

    def test_a_machine_that_went_down_between_trials_is_not_the_trials_fault(self) -> None:
        trajectory, _ = baseline_night()
        ended = TrialEnded(ts=TS, trial=2, iter=1, seed=0, outcome=measurement(1.9))
        for record in (trial(2, "a"), ended, started("b"), started("c")):
            trajectory.add(record)
        assert trajectory.host_losses == 0


class TestKnown:
    def test_before_the_first_record_nothing_is_known(self) -> None:
        with pytest.raises(ValueError, match="meta"):
            Trajectory().known()

    def test_what_was_measured_is_known_and_what_is_open_is_not(self) -> None:
        trajectory, proposed = baseline_night()
        assert trajectory.known().find(proposed.candidate_cfg) == ""
        loop = fake_loop(SETTINGS["threshold"], ScriptedProposer([]), trajectory=trajectory)
        loop.iterate()
        assert "measured" in trajectory.known().find(proposed.candidate_cfg)

    def test_a_pause_changes_nothing(self) -> None:
        trajectory, _ = baseline_night()
        before = Trajectory.fold([])
        before.add(Paused(ts=TS, reason="lunch", completed_iters=0, requested_iters=8))
        assert before == Trajectory()
        next_iter = trajectory.next_iter
        trajectory.add(Paused(ts=TS, reason="lunch", completed_iters=0, requested_iters=8))
        assert trajectory.next_iter == next_iter


def test_outcomes_are_sorted_into_measured_and_failed() -> None:
    failure = Failure(cause=Cause.TIMEOUT, detail="")
    outcomes: list[Outcome] = [measurement(2.0), failure, measurement(1.9)]
    ended = [TrialEnded(ts=TS, trial=n, iter=1, seed=0, outcome=o) for n, o in enumerate(outcomes)]
    assert [m.val_bpb for m in measurements(ended)] == [2.0, 1.9]
    assert first_failure(ended) == failure
    assert first_failure(ended[:1]) is None
