"""Joules and marks in the records of the real loop, with a fake meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from autoresearch.core.energy_accounting import MAX_BASELINE_REPEATS, trial_energy_j
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.core.ports import OnProgress
from autoresearch.core.power import Phase, Power, Scope
from autoresearch.core.records import Evaluated, Paused, Resumed, TrialEnded, TrialStarted, TrialSuspended, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.hooks.notice import RunInfo, build_notice
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.report import summarise
from autoresearch.report.html.headline import build_verdict
from autoresearch.report.native import build_history
from autoresearch.report.text import describe_best
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_meter import FakeMeter, fake_power
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer

BETTER = '{"knob": "lr", "new_value": 0.003, "reason": "a hunch"}'
TRIAL: dict[Phase, Power] = {"start": fake_power(10.0), "train": fake_power(300.0, 3.0), "validate": fake_power(50.0)}
THROTTLED: dict[Phase, Power] = TRIAL | {"train": fake_power(200.0, slowed_frac=0.5, slowdowns=("hw_thermal",))}
FAR = {"baseline.lr": 3e-4}


@dataclass(slots=True)
class Phased(FakeTrial):
    """A trial that reports its phases."""

    def measure(self, cfg: Any, seed: int, on_progress: OnProgress, *rest: Any) -> Any:
        for phase in ("train", "validate"):
            on_progress(phase, 1.0, 1, None)
        return FakeTrial.measure(self, cfg, seed, on_progress, *rest)


class Scripted:
    """A trial whose outcomes are given."""

    def __init__(self, outcomes: list[Measurement]) -> None:
        self.outcomes = outcomes

    def measure(self, *_: Any) -> Measurement:
        return self.outcomes.pop(0)


def steps_in_a_minute(steps: int) -> Measurement:
    """A trial of a budget of 60 seconds: the more steps, the lower its val_bpb."""
    counts = {"train_steps": steps, "train_tokens": 1000 * steps, "train_flops": 10**9 * steps, "train_wall_s": 60.0}
    return measurement(3.0 - 0.001 * steps).model_copy(update=counts)


def loop_with(
    make_settings,
    meter: FakeMeter,
    budget_kind: str = "steps",
    trial: Any = None,
    disturbed: str | None = None,
    rule: str = "threshold",
) -> Loop:
    """A run of one iteration that has just begun; ``disturbed`` is ``None`` as in a run of an older version."""
    settings = make_settings(FAR | {"decision.rule": rule}, iters=1)
    loop = fake_loop(settings, ScriptedProposer([BETTER]), trial or Phased(), trajectory=Trajectory())
    yardstick = YARDSTICK.model_copy(update={"budget_kind": budget_kind})
    meta = build_meta(settings, build_policy(settings), yardstick)
    loop.record(meta.model_copy(update={"disturbed_baseline": disturbed}))
    loop.meter = meter
    return loop


def records(loop: Loop) -> list[Any]:
    return [decode(p) for p in loop.journal.payloads]  # type: ignore[attr-defined]


def of(kind: type, loop: Loop) -> list[Any]:
    return [r for r in records(loop) if isinstance(r, kind)]


def test_a_trial_has_its_phases_and_their_sum(make_settings) -> None:
    loop = loop_with(make_settings, FakeMeter(usual=TRIAL))
    loop.run()
    trials = of(TrialEnded, loop)
    assert [t.power for t in trials] == [TRIAL, TRIAL]
    assert [t.outcome.energy_j for t in trials] == [360.0, 360.0]
    assert loop.trajectory.energy_j == 720.0


def test_a_meter_that_knows_nothing_leaves_null(make_settings) -> None:
    loop = loop_with(make_settings, FakeMeter())
    loop.run()
    assert [(t.power, t.outcome.energy_j) for t in of(TrialEnded, loop)] == [({}, None)] * 2
    assert (loop.trajectory.energy_j, loop.trajectory.power) == (None, {})


def test_the_phases_in_their_order(make_settings) -> None:
    meter = FakeMeter()
    loop_with(make_settings, meter).run()
    heard = [p for n, p in enumerate(meter.phases) if n == 0 or meter.phases[n - 1] != p]
    trial = ["start", "train", "validate", "idle"]
    assert heard == [*trial, "propose", "idle", *trial]


def test_a_pause_is_a_phase_and_so_is_what_comes_after(make_settings) -> None:
    meter = FakeMeter(usual={"paused": fake_power(5.0), "idle": fake_power(1.0)})
    loop = loop_with(make_settings, meter)
    loop.control = FakeControl(pause="pause.flag is there")
    loop.run()
    assert meter.phases[:2] == ["paused", "idle"]
    assert of(Paused, loop)[0].power == of(Resumed, loop)[0].power == meter.usual


class TestMarks:
    def test_with_a_budget_in_seconds_a_marked_trial_is_run_again_once(self, make_settings) -> None:
        meter = FakeMeter([TRIAL, THROTTLED], usual=TRIAL)
        loop = loop_with(make_settings, meter, "seconds")
        assert loop.run() == "complete"
        trials = of(TrialEnded, loop)
        assert [(t.trial, t.iter, t.marks, t.void) for t in trials] == [
            (1, 0, (), False),
            (2, 1, ("throttled",), True),
            (3, 1, (), False),
        ]
        assert trials[1].seed == trials[2].seed
        (closed,) = of(Evaluated, loop)
        assert closed.trials == (3,)
        assert loop.trajectory.energy_j == pytest.approx(360 + 260 + 360), "what it took is not forgotten"

    def test_marked_a_second_time_it_counts(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([TRIAL], usual=THROTTLED), "seconds")
        assert loop.run() == "complete"
        assert [t.void for t in of(TrialEnded, loop)] == [False, True, False]
        assert of(Evaluated, loop)[0].trials == (3,)

    def test_the_baseline_too(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([THROTTLED], usual=TRIAL), "seconds")
        assert loop.run() == "complete"
        assert [(t.iter, t.void) for t in of(TrialEnded, loop)] == [(0, True), (0, False), (1, False)]
        assert loop.trajectory.baseline is not None
        assert loop.trajectory.baseline.trials == (2,)

    def test_with_a_budget_in_steps_it_is_marked_and_counts(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([TRIAL, THROTTLED]), "steps")
        loop.run()
        assert [(t.marks, t.void) for t in of(TrialEnded, loop)] == [((), False), (("throttled",), False)]
        assert of(Evaluated, loop)[0].decision == "keep"

    def test_a_restart_between_the_two_tries_knows_of_the_first(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([TRIAL], usual=THROTTLED), "seconds")
        loop.run()
        upto = next(n for n, r in enumerate(records(loop)) if isinstance(r, TrialEnded) and r.void)
        trajectory = Trajectory.fold(records(loop)[: upto + 1])
        assert [t.trial for t in trajectory.voided] == [2]
        assert trajectory.outcomes == []
        again = fake_loop(make_settings(FAR, iters=1), ScriptedProposer([]), Phased(), trajectory=trajectory)
        again.meter = FakeMeter(usual=THROTTLED)
        assert again.run() == "complete"
        assert [t.void for t in of(TrialEnded, again)] == [False]

    @pytest.mark.parametrize("wanted", ["wait", "repeat"])
    def test_a_disturbed_baseline_is_measured_again_a_bounded_number_of_times(self, make_settings, wanted: str) -> None:
        loop = loop_with(make_settings, FakeMeter([THROTTLED] * 3, usual=TRIAL), "seconds", disturbed=wanted)
        assert loop.run() == "complete"
        assert [(t.iter, t.void) for t in of(TrialEnded, loop)] == [(0, True)] * 3 + [(0, False), (1, False)]
        (closed,) = of(Evaluated, loop)
        assert (closed.marks, closed.baseline_marks) == ((), ())
        assert closed.reason.endswith(" tokens a trial, the baseline on 1,000 (1.00 x)")

    def test_one_that_stays_disturbed_is_used_and_every_verdict_carries_its_mark(self, make_settings) -> None:
        disturbed = [THROTTLED] * (1 + MAX_BASELINE_REPEATS)
        loop = loop_with(make_settings, FakeMeter(disturbed, usual=TRIAL), "seconds", disturbed="repeat")
        assert loop.run() == "complete"
        tries = [(t.iter, t.void) for t in of(TrialEnded, loop)]
        assert tries == [(0, True)] * MAX_BASELINE_REPEATS + [(0, False), (1, False)]
        (closed,) = of(Evaluated, loop)
        assert (closed.decision, closed.marks, closed.baseline_marks) == ("keep", (), ("throttled",))
        assert closed.reason.endswith("; the baseline ran throttled")
        history = build_history(records(loop))
        assert history.baseline is not None
        assert history.baseline.disturbance == history.rows[0].disturbance == "the baseline ran throttled"
        sentence = "The baseline ran throttled: under a budget in seconds, the difference may be the machine's."
        assert sentence in " ".join(describe_best(summarise(history), history))
        assert sentence in build_verdict(summarise(history), history).basis
        notice = build_notice("best", "", loop.trajectory, RunInfo("host", "dir", "tiny", 1), "now", closed)
        assert "(the baseline ran throttled)" in notice.message
        assert notice.best is not None
        assert (notice.best["marks"], notice.best["baseline_marks"]) == ([], ["throttled"])

    def test_a_seed_that_a_candidate_needs_later_is_repeated_as_often(self, make_settings) -> None:
        """The baseline's seeds 0 to 2, the candidate's, then the baseline's seed 3, which is disturbed three times."""
        meter = FakeMeter([TRIAL] * 6 + [THROTTLED] * 3, usual=TRIAL)
        loop = loop_with(make_settings, meter, "seconds", disturbed="repeat", rule="sequential")
        assert loop.run() == "complete"
        tries = [(t.iter, t.seed, t.void) for t in of(TrialEnded, loop)]
        assert tries[6:10] == [(0, 3, True)] * 3 + [(0, 3, False)]
        assert sum(void for _, _, void in tries) == 3

    def test_where_it_is_refused_none_is_accepted(self, make_settings) -> None:
        disturbed = [THROTTLED] * (3 + MAX_BASELINE_REPEATS)
        loop = loop_with(make_settings, FakeMeter(disturbed, usual=TRIAL), "seconds", disturbed="refuse")
        assert loop.run() == "complete", "refusing is the daemon's part (SteadyBaseline)"
        assert [t.void for t in of(TrialEnded, loop)] == [True] * (3 + MAX_BASELINE_REPEATS) + [False, False]

    def test_with_a_budget_in_flops_marks_are_information(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter(usual=THROTTLED), "flops", disturbed="refuse")
        assert loop.run() == "complete"
        assert [t.marks for t in of(TrialEnded, loop)] == [("throttled",), ("throttled",)]
        (closed,) = of(Evaluated, loop)
        assert (closed.marks, closed.baseline_marks) == ((), ())
        assert "throttled" not in closed.reason

    def test_an_undisturbed_candidate_is_no_keep_against_a_baseline_that_was_held_back_unseen(
        self, make_settings
    ) -> None:
        """49 steps against 172 in the same seconds: repeated once, and then the verdict and the headline say it."""
        outcomes = [steps_in_a_minute(49), steps_in_a_minute(172), steps_in_a_minute(180)]
        loop = loop_with(make_settings, FakeMeter(usual=TRIAL), "seconds", Scripted(outcomes), disturbed="wait")
        assert loop.run() == "complete"
        assert [(t.iter, t.marks, t.void) for t in of(TrialEnded, loop)] == [
            (0, (), False),
            (1, ("fast",), True),
            (1, ("fast",), False),
        ]
        (closed,) = of(Evaluated, loop)
        assert closed.marks == ("fast",)
        assert closed.reason.endswith(" (3.67 x); the candidate ran fast")

    def test_the_report_says_it(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([TRIAL, THROTTLED], usual=TRIAL), "seconds")
        loop.run()
        summary = summarise(history := build_history(records(loop)))
        assert (summary.marks, summary.voided) == ({"throttled": 1}, 1)
        (row,) = history.rows
        assert (row.marks, row.voided, row.trials) == (("throttled",), 1, 1)
        assert row.energy_j == pytest.approx(260 + 360)


@dataclass(slots=True)
class AsideOnce(FakeTrial):
    """Its second trial is suspended once, as for ``pause --now``."""

    resumes_at: int | None = 5

    def measure(self, cfg: Any, seed: int, on_progress: OnProgress, *rest: Any) -> Any:
        self.measured.append((cfg, seed))
        if len(self.measured) == 2:
            return Suspended(step=5, resumes_at=self.resumes_at, train_wall_s=1.0, val_wall_s=0.0, trial_wall_s=1.0)
        return measurement(2.0)


class TestParts:
    """A trial that was suspended and resumed."""

    def test_its_joules_are_the_sum_of_its_parts(self, make_settings) -> None:
        meter = FakeMeter([TRIAL, {"train": fake_power(150.0)}, TRIAL])
        loop = loop_with(make_settings, meter, trial=AsideOnce())
        assert loop.run() == "complete"
        (aside,) = of(TrialSuspended, loop)
        assert (aside.suspended.energy_j, list(aside.power)) == (150.0, ["train"])
        ended = of(TrialEnded, loop)[-1]
        assert (ended.trial, ended.outcome.energy_j, ended.power) == (2, 510.0, TRIAL)
        assert [s.trial for s in of(TrialStarted, loop)] == [1, 2, 2]
        assert loop.trajectory.energy_j == 360 + 510
        assert loop.trajectory.power["gpu"]["train"].energy_j == 300 + 150 + 300

    def test_one_that_begins_again_is_not_marked_for_what_was_discarded(self, make_settings) -> None:
        trial = AsideOnce(resumes_at=None)
        loop = loop_with(make_settings, FakeMeter([TRIAL, THROTTLED, TRIAL]), "seconds", trial)
        loop.run()
        ended = of(TrialEnded, loop)[-1]
        assert (ended.marks, ended.void, ended.outcome.energy_j) == ((), False, 260.0 + 360.0)

    def test_an_earlier_part_that_was_throttled_marks_it(self, make_settings) -> None:
        loop = loop_with(make_settings, FakeMeter([TRIAL, THROTTLED, TRIAL]), trial=AsideOnce())
        loop.run()
        assert of(TrialEnded, loop)[-1].marks == ("throttled",)
        assert loop.trajectory.earlier_parts == {}

    @pytest.mark.parametrize(
        ("first", "scope", "whole"),
        [(None, None, None), (10.0, "gpu", 370.0), (10.0, "system", None), (10.0, None, None)],
    )
    def test_joules_that_are_not_known_of_every_part_in_one_scope_are_not_known(
        self, first: float | None, scope: Scope | None, whole: float | None
    ) -> None:
        before = Suspended(step=1, resumes_at=1, train_wall_s=1.0, val_wall_s=0.0, energy_j=first, energy_scope=scope)
        assert trial_energy_j(TRIAL, before) == whole
        assert trial_energy_j({}, before) is None

    def test_a_restart_with_another_sensor_adds_nothing_up(self, make_settings) -> None:
        system: dict[Phase, Power] = {p: power.model_copy(update={"scope": "system"}) for p, power in TRIAL.items()}
        meter = FakeMeter([TRIAL, {"train": fake_power(150.0)}], usual=system)
        loop = loop_with(make_settings, meter, trial=AsideOnce())
        loop.run()
        (aside,) = of(TrialSuspended, loop)
        assert (aside.suspended.energy_j, aside.suspended.energy_scope) == (150.0, "gpu")
        assert of(TrialEnded, loop)[-1].outcome.energy_j is None
        assert loop.trajectory.trials_j == {"gpu": 360.0 + 150.0}

    def test_trials_of_different_scope_have_no_sum(self, make_settings) -> None:
        system: dict[Phase, Power] = {p: power.model_copy(update={"scope": "system"}) for p, power in TRIAL.items()}
        loop = loop_with(make_settings, FakeMeter([TRIAL], usual=system))
        loop.run()
        assert loop.trajectory.trials_j == {"gpu": 360.0, "system": 360.0}
        assert loop.trajectory.energy_j is None
        assert summarise(build_history(records(loop))).energy_kwh is None


class TestPhasesWithoutJoules:
    def test_a_trial_of_which_training_is_not_known_has_no_joules(self) -> None:
        assert trial_energy_j({"start": fake_power(100.0), "train": fake_power(None, 60.0)}, None) is None

    def test_one_that_was_over_before_the_sensor_spoke_takes_nothing_away(self) -> None:
        assert trial_energy_j({"train": fake_power(100.0), "validate": fake_power(None, 0.2)}, None) == 100.0

    def test_one_that_changed_its_scope_has_no_sum(self) -> None:
        assert trial_energy_j({"start": fake_power(1.0, scope="system"), "train": fake_power(9.0)}, None) is None
