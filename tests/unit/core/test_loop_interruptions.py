"""The loop is interrupted: failed trials, pauses, pauses inside a trial, stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure, Outcome, Suspended
from autoresearch.core.ports import Interrupted, OnProgress, SuspendControl
from autoresearch.core.records import (
    Baseline,
    Blocked,
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Paused,
    Proposed,
    ProposerFailed,
    Resumed,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import BaselineFailed
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail
from tests.unit.core.loop_world import (
    BETTER,
    MEASURED,
    NO_BETTER,
    NOT_JSON,
    NOTICED,
    OUT_OF_MEMORY,
    Attentive,
    Clock,
    Killed,
    Measures,
    MortalJournal,
    Reactions,
    hasty,
    only,
    records,
    restarted,
    say,
    stages,
    with_room_for_a_keep,
)


@pytest.fixture
def make_settings(make_settings):
    return with_room_for_a_keep(make_settings)


class TestInterruptedProposer:
    def story(self, settings: Settings, request: Callable[[FakeControl], None]) -> tuple[Loop, Attentive]:
        """Its first reply is refused; it is interrupted by ``request`` while it computes a better one."""
        control = FakeControl()
        proposer = Attentive([NOT_JSON, NOTICED, BETTER, NO_BETTER], request=lambda: request(control))
        loop = fake_loop(settings, proposer)
        loop.control = control
        return loop, proposer

    def pause(self, control: FakeControl) -> None:
        control.pause = "pause.flag is there"

    def stop(self, control: FakeControl) -> None:
        control.stop = "SIGTERM"

    def test_after_a_pause_it_is_asked_the_same_again(self, make_settings) -> None:
        loop, proposer = self.story(make_settings(iters=2), self.pause)
        assert loop.run() == "complete"
        assert stages(loop)[4:9] == ["paused", "resumed", "proposed", "trial_started", "trial"]
        assert [(n, [a.raw for a in refused]) for n, refused in proposer.asked] == [
            (1, []),
            (1, [NOT_JSON]),
            (1, [NOT_JSON]),
            (2, []),
        ]
        first, second = only(Evaluated, loop)
        assert (first.iter, second.iter) == (1, 2), "no iteration was used up"
        assert [(a.raw, a.round) for a in first.attempts] == [(NOT_JSON, 1), (BETTER, 2)]
        (paused,) = only(Paused, loop)
        assert (paused.reason, paused.completed_iters) == ("pause.flag is there", 0)

    def test_a_flag_that_was_gone_at_once_is_no_pause(self, make_settings) -> None:
        loop, _ = self.story(make_settings(iters=2), lambda _control: None)
        assert loop.run() == "complete"
        assert only(Paused, loop) == only(ProposerFailed, loop) == []

    def test_as_often_as_the_user_likes(self, make_settings) -> None:
        """It is no failure, so the fifth one is not the end of a broken proposer."""
        loop, proposer = self.story(make_settings(iters=2), self.pause)
        proposer.replies[1:1] = [NOTICED] * 9
        assert loop.run() == "complete"
        assert len(only(Paused, loop)) == len(only(Resumed, loop)) == 10

    def test_by_a_stop_the_run_ends_in_good_order_and_the_next_daemon_asks_anew(self, make_settings) -> None:
        settings = make_settings(iters=2)
        loop, _ = self.story(settings, self.stop)
        assert loop.run() == "SIGTERM"
        assert stages(loop)[3:] == ["baseline", "stopped"]
        assert only(Stopped, loop)[0].completed_iters == 0
        again = restarted(loop, settings, [BETTER, NO_BETTER])
        assert again.run() == "complete"
        assert [r.iter for r in only(Evaluated, again)] == [1, 2]

    def test_on_pause_exit_ends_the_process(self, make_settings) -> None:
        loop, _ = self.story(make_settings(iters=2, on_pause="exit"), self.pause)
        assert loop.run() == "paused (pause.flag is there)"
        assert stages(loop)[3:] == ["baseline", "paused", "stopped"]


class TestFailedTrial:
    def test_it_closes_its_iteration_with_the_cause_and_the_loop_goes_on(self, make_settings) -> None:
        trial = FakeTrial(fail=lambda cfg: OUT_OF_MEMORY if cfg["n_layer"] == 6 else None)
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([say("n_layer", 6), BETTER]), trial)
        assert loop.run() == "complete"
        (failed,) = only(EvalFailed, loop)
        assert (failed.iter, failed.cause, failed.reason) == (1, Cause.OUT_OF_MEMORY, "it held too much")
        assert failed.val_bpb is None
        assert failed.eval_metrics == OUT_OF_MEMORY
        assert only(Evaluated, loop)[0].iter == 2
        assert only(LoopComplete, loop)[0].failed_count == 1

    @pytest.mark.parametrize(
        ("cause", "times"),
        [(Cause.OUT_OF_MEMORY, 1), (Cause.NON_FINITE_LOSS, 1), (Cause.TIMEOUT, 2), (Cause.KILLED, 2)],
    )
    def test_bad_luck_is_tried_once_more_and_a_property_of_the_configuration_is_not(
        self, make_settings, cause: Cause, times: int
    ) -> None:
        trial = FakeTrial(fail=lambda cfg: Failure(cause=cause, detail="no") if cfg["n_layer"] == 6 else None)
        settings = make_settings({"limits.max_attempts": 1}, iters=4)
        loop = fake_loop(settings, ScriptedProposer([say("n_layer", 6)] * 4), trial)
        loop.run()
        assert len(only(EvalFailed, loop)) == times
        assert {r.rail for r in only(Blocked, loop)} == {Rail.R6_NOVELTY}

    def test_without_a_baseline_there_is_nothing_to_compare_with(self, make_settings) -> None:
        trial = FakeTrial(fail=lambda _cfg: OUT_OF_MEMORY)
        proposer = ScriptedProposer([BETTER])
        loop = fake_loop(make_settings(iters=1), proposer, trial)
        with pytest.raises(BaselineFailed, match="out_of_memory: it held too much"):
            loop.run()
        assert stages(loop) == ["meta", "trial_started", "trial", "stopped"]
        assert only(Stopped, loop)[0].reason == "the baseline failed: out_of_memory: it held too much"
        assert proposer.asked == []

    @pytest.mark.parametrize("cause", [Cause.KILLED, Cause.TIMEOUT])
    def test_bad_luck_of_the_baseline_is_tried_once_more(self, make_settings, cause: Cause) -> None:
        outcomes = iter([Failure(cause=cause, detail="bad luck"), None, None])
        trial = FakeTrial(fail=lambda _cfg: next(outcomes))
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), trial)
        assert loop.run() == "complete"
        assert only(Baseline, loop)[0].trials == (2,)

    def test_bad_luck_of_the_baseline_twice_is_no_luck(self, make_settings) -> None:
        trial = FakeTrial(fail=lambda _cfg: Failure(cause=Cause.TIMEOUT, detail="not finished after 600 s"))
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), trial)
        with pytest.raises(BaselineFailed, match="timeout"):
            loop.run()
        assert len(trial.measured) == 2

    def test_a_baseline_that_failed_is_measured_afresh_by_the_next_daemon(self, make_settings) -> None:
        settings = make_settings(iters=1)
        trial = FakeTrial(fail=lambda _cfg: OUT_OF_MEMORY)
        loop = fake_loop(settings, ScriptedProposer([]), trial)
        with pytest.raises(BaselineFailed):
            loop.run()
        trial.fail = lambda _cfg: None  # memory has been freed
        again = restarted(loop, settings, [BETTER])
        assert again.run() == "complete"
        assert only(Baseline, again)[0].trials == (2,)


class TestPause:
    def test_it_waits_and_uses_up_no_iteration(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        control = FakeControl()

        def pause_after_the_first(event: Event) -> None:
            if isinstance(event, Evaluated) and event.iter == 1:
                control.pause = "pause.flag is there"

        loop.control, loop.observer = control, Reactions(react=pause_after_the_first)
        assert loop.run() == "complete"
        assert stages(loop)[8:11] == ["paused", "resumed", "proposed"]
        assert [r.iter for r in only(Evaluated, loop)] == [1, 2]
        (paused,) = only(Paused, loop)
        assert (paused.reason, paused.completed_iters, paused.requested_iters) == ("pause.flag is there", 1, 2)

    def test_between_a_proposal_and_its_trial_too(self, make_settings) -> None:
        """The GPU is wanted now: the trial that has not begun can wait."""
        proposer = ScriptedProposer([BETTER])
        loop = fake_loop(make_settings(iters=1), proposer)
        control = FakeControl()

        def pause_when_proposed(event: Event) -> None:
            if isinstance(event, Proposed):
                control.pause = "pause.flag is there"

        loop.control, loop.observer = control, Reactions(react=pause_when_proposed)
        assert loop.run() == "complete"
        assert stages(loop)[4:8] == ["proposed", "paused", "resumed", "trial_started"]
        assert len(proposer.asked) == 1

    def test_on_pause_exit_ends_the_process_and_the_next_one_goes_on(self, make_settings) -> None:
        settings = make_settings(iters=2, on_pause="exit")
        loop = fake_loop(settings, ScriptedProposer([BETTER]))
        control = FakeControl()

        def pause_when_closed(event: Event) -> None:
            control.pause = "pause.flag is there" if isinstance(event, Evaluated) else ""

        loop.control, loop.observer = control, Reactions(react=pause_when_closed)
        assert loop.run() == "paused (pause.flag is there)"
        assert stages(loop)[-2:] == ["paused", "stopped"]
        again = restarted(loop, settings, [NO_BETTER])
        assert again.run() == "complete"
        assert [r.iter for r in only(Evaluated, again)] == [1, 2]

    def test_a_stop_ends_the_pause(self, make_settings) -> None:
        class StopsWhilePaused(FakeControl):
            def wait_while_paused(self) -> None:
                self.stop = "SIGTERM"

        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        loop.control = StopsWhilePaused(pause="pause.flag is there")
        assert loop.run() == "SIGTERM"
        assert stages(loop) == ["meta", "paused", "stopped"]


class TestPauseInsideATrial:
    def loop(self, settings: Settings, script: Sequence[str | Exception], **how: Any) -> Loop:
        return hasty(fake_loop(settings, ScriptedProposer(list(script)), FakeTrial(takes_s=0.02)), **how)

    def test_the_trial_is_put_aside_and_goes_on_after_the_pause(self, make_settings) -> None:
        settings = make_settings(iters=1)
        undisturbed = self.loop(settings, [BETTER], times=0)
        assert undisturbed.run() == "complete"
        loop = self.loop(settings, [BETTER])
        assert loop.run() == "complete"
        paused = ["trial_suspended", "paused", "resumed", "trial_started"]
        assert stages(loop)[1:8] == ["trial_started", *paused, "trial", "baseline"]
        assert [(r.trial, r.continues) for r in only(TrialStarted, loop)] == [(1, False), (1, True), (2, False)]
        assert only(Baseline, loop)[0].trials == (1,)
        assert only(Evaluated, loop)[0].val_bpb == only(Evaluated, undisturbed)[0].val_bpb

    def test_a_candidate_as_the_baseline_and_oftener_than_once(self, make_settings) -> None:
        loop = self.loop(make_settings(iters=2), [BETTER, NO_BETTER], times=5)
        assert loop.run() == "complete"
        assert len(only(TrialSuspended, loop)) == len(only(Paused, loop)) == 5
        assert [r.trial for r in only(TrialEnded, loop)] == [1, 2, 3]
        assert [r.iter for r in only(Evaluated, loop)] == [1, 2]

    def test_on_pause_exit_ends_the_process_and_the_next_one_goes_on(self, make_settings) -> None:
        settings = make_settings(iters=1, on_pause="exit")
        loop = self.loop(settings, [BETTER])
        assert loop.run() == "paused (the GPU is wanted)"
        assert stages(loop)[-3:] == ["trial_suspended", "paused", "stopped"]
        again = restarted(loop, settings, [BETTER], boot_id="after a reboot")
        assert again.run() == "complete"
        assert [(r.trial, r.continues) for r in only(TrialStarted, again)] == [(1, False), (1, True), (2, False)]

    def test_a_stop_that_has_waited_long_enough_puts_it_aside(self, make_settings) -> None:
        settings = make_settings(iters=1)
        loop = self.loop(settings, [BETTER], word="stop")
        assert loop.run() == "the GPU is wanted"
        assert stages(loop)[-2:] == ["trial_suspended", "stopped"]
        again = restarted(loop, settings, [BETTER])
        assert again.run() == "complete"
        assert len(only(TrialEnded, again)) == 2

    def test_without_a_checkpoint_it_begins_again_under_its_number(self, make_settings) -> None:
        at = iter([None, None, 7, 7])
        seen: list[Suspended | None] = []

        class FullDisk(FakeTrial):
            def measure(
                self, cfg: Cfg, seed: int, on_progress: OnProgress, suspend: SuspendControl, *_: Any
            ) -> Outcome | Suspended:
                seen.append(suspend.suspended_at)
                for resumes_at in at:
                    return Suspended(step=9, resumes_at=resumes_at, problem="", train_wall_s=1.0, val_wall_s=0.0)
                return measurement(2.0)

        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), FullDisk())
        assert loop.run() == "complete"
        started = [(r.trial, r.continues) for r in only(TrialStarted, loop)]
        assert started == [(1, False), (1, False), (1, False), (1, True), (1, True), (2, False)]
        assert [before and before.resumes_at for before in seen] == [None, None, None, 7, 7, None]

    def test_killed_after_any_record_the_night_comes_to_the_same(self, make_settings) -> None:
        settings = make_settings(iters=2)
        undisturbed = self.loop(settings, [BETTER, NO_BETTER], times=0)
        undisturbed.run()
        expected = [(r.iter, r.val_bpb, r.decision) for r in only(Evaluated, undisturbed)]
        whole = self.loop(settings, [BETTER, NO_BETTER], times=3)
        whole.run()
        for last in range(2, len(records(whole))):
            loop = self.loop(settings, [BETTER, NO_BETTER], times=3)
            journal = MortalJournal([encode(r) for r in records(loop)], last)
            loop.journal = journal
            with pytest.raises(Killed):
                loop.run()
            trajectory = Trajectory.fold(records(loop))
            script = [BETTER, NO_BETTER][len(trajectory.iterations) + (trajectory.proposed is not None) :]
            again = hasty(restarted(loop, settings, script))
            assert again.run() == "complete"
            assert [(r.iter, r.val_bpb, r.decision) for r in only(Evaluated, again)] == expected, f"after record {last}"
            assert len(only(TrialEnded, again)) == 3

    def test_its_seconds_are_those_of_all_its_parts(self, make_settings) -> None:
        """Suspended by one daemon after 4 s, resumed by another a day later for 6 s."""
        settings, clock = make_settings(iters=1, on_pause="exit"), Clock()
        parts = iter(
            [
                (5.0, measurement(2.0)),
                (4.0, Suspended(step=3, resumes_at=3, train_wall_s=3.0, val_wall_s=0.0, trial_wall_s=4.0)),
                (6.0, MEASURED),
            ]
        )

        def measure(_cfg: Cfg) -> Outcome | Suspended:
            took_s, outcome = next(parts)
            clock.now += took_s
            return outcome

        loop = fake_loop(settings, ScriptedProposer([BETTER]))
        loop.control = control = FakeControl()

        def pause_when_aside(event: Event) -> None:
            control.pause = "dinner" if isinstance(event, TrialSuspended) else ""

        loop.clock, loop.trial, loop.observer = clock, Measures(measure), Reactions(react=pause_when_aside)
        assert loop.run() == "paused (dinner)"
        clock.now += 86_400.0
        again = fake_loop(settings, ScriptedProposer([]), trajectory=Trajectory.fold(records(loop)))
        again.journal, again.clock, again.trial = loop.journal, clock, loop.trial
        assert again.run() == "complete"
        (closed,) = only(Evaluated, again)
        assert closed.iter_wall_s == pytest.approx(10.0)
        assert closed.overhead_s == pytest.approx(10.0 - 8.0)


class TestStop:
    def test_the_running_trial_finishes_and_its_iteration_is_closed(self, make_settings) -> None:
        control = FakeControl()

        def measure(_cfg: Cfg) -> Outcome:
            control.stop = "SIGTERM" if len(trial.measured) == 2 else ""
            return measurement(2.0)

        trial = Measures(measure)
        loop = fake_loop(make_settings(iters=3), ScriptedProposer([BETTER, NO_BETTER]))
        loop.trial, loop.control = trial, control
        assert loop.run() == "SIGTERM"
        assert stages(loop)[-3:] == ["trial", "evaluated", "stopped"]
        assert (len(trial.measured), len(only(Evaluated, loop))) == (2, 1)

    def test_before_the_first_trial_nothing_is_measured(self, make_settings) -> None:
        trial = FakeTrial()
        loop = fake_loop(make_settings(iters=3), ScriptedProposer([BETTER]), trial)
        loop.control = FakeControl(stop="it is 06:30")
        assert loop.run() == "it is 06:30"
        assert stages(loop) == ["meta", "stopped"]
        assert trial.measured == []

    def test_at_once_loses_only_the_running_trial(self, make_settings) -> None:
        def measure(_cfg: Cfg) -> Outcome:
            if len(trial.measured) == 3:
                raise Interrupted("stopped at once")
            return measurement(2.0)

        trial = Measures(measure)
        settings = make_settings(iters=2)
        loop = fake_loop(settings, ScriptedProposer([BETTER, NO_BETTER]))
        loop.trial = trial
        assert loop.run() == "stopped at once"
        assert stages(loop)[-3:] == ["proposed", "trial_started", "stopped"]
        loop.trial = FakeTrial()
        again = restarted(loop, settings, [])
        assert again.run() == "complete"
        assert len(again.trial.measured) == 1
        assert [r.iter for r in only(Evaluated, again)] == [1, 2]
