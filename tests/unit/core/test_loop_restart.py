"""The loop continues after a restart, a crash or a lost machine, and its times add up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.ports import Interrupted
from autoresearch.core.records import (
    Attempt,
    Baseline,
    Blocked,
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Proposed,
    ProposerFailed,
    Resumed,
    TrialEnded,
    TrialStarted,
    decode,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.storage.journal import Journal, read
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail
from tests.unit.core.loop_world import (
    BETTER,
    MEASURED,
    NO_BETTER,
    NOT_JSON,
    NOTICED,
    OUT_OF_MEMORY,
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
    started,
    with_room_for_a_keep,
)


@pytest.fixture
def make_settings(make_settings):
    return with_room_for_a_keep(make_settings)


class TestRestart:
    """Whatever the last daemon had recorded counts, and nothing else."""

    SCRIPT = (BETTER, NOT_JSON, NO_BETTER, say("n_layer", 6), ConnectionError("gone"), say("beta1", 0.5))

    def daemon(self, settings: Settings, journal: MortalJournal, trial: FakeTrial) -> Loop:
        """Build a new loop, or one that continues the script at the position that the records give."""
        if not journal.payloads:
            loop = fake_loop(settings, ScriptedProposer(list(self.SCRIPT)), trial)
            journal.payloads += [encode(r) for r in records(loop)]
            loop.journal = journal
            return loop
        trajectory = Trajectory.fold(decode(payload) for payload in journal.payloads)
        closed = trajectory.iterations
        heard = [*closed, trajectory.proposed] if trajectory.proposed else closed
        played = sum(len(r.attempts) + isinstance(r, ProposerFailed) for r in heard)
        loop = fake_loop(settings, ScriptedProposer(list(self.SCRIPT[played:])), trial, trajectory=trajectory)
        loop.journal = journal
        loop.record(started("boot", settings.iters))
        return loop

    def story(self, loop: Loop) -> list[tuple[Any, ...]]:
        """What a night comes to: everything but times and the numbers of trials."""
        closed = Trajectory.fold(records(loop)).iterations
        return [
            (r.iter, r.stage, r.rail, [a.raw for a in r.attempts], getattr(r, "val_bpb", 0), getattr(r, "decision", ""))
            for r in closed
        ]

    def test_killed_after_any_record_the_night_comes_to_the_same(self, make_settings) -> None:
        settings = make_settings(iters=5)

        def fail(cfg: Cfg) -> Failure | None:
            return OUT_OF_MEMORY if cfg["n_layer"] == 6 else None

        undisturbed = self.daemon(settings, MortalJournal(), FakeTrial(fail=fail))
        undisturbed.run()
        assert {r[1] for r in self.story(undisturbed)} == {"evaluated", "eval_failed", "proposer_failed"}
        for last in range(2, len(records(undisturbed))):
            journal, trial = MortalJournal(last=last), FakeTrial(fail=fail)
            with pytest.raises(Killed):
                self.daemon(settings, journal, trial).run()
            last_stage, journal.last = decode(journal.payloads[-1]).stage, 10**9
            survivor = self.daemon(settings, journal, trial)
            assert survivor.run() == "complete"
            assert self.story(survivor) == self.story(undisturbed), f"killed after record {last}, {last_stage}"
            assert trial.measured == undisturbed.trial.measured, "no configuration was measured twice"
            begun_in_vain = last_stage == "trial_started"
            assert len(only(TrialStarted, survivor)) == len(trial.measured) + begun_in_vain

    def test_a_proposal_is_not_asked_for_again(self, make_settings) -> None:
        settings = make_settings(iters=1)
        loop = fake_loop(settings, ScriptedProposer([BETTER]))
        loop.control = control = FakeControl()

        def stop_when_proposed(event: Event) -> None:
            control.stop = "SIGTERM" if isinstance(event, Proposed) else ""

        loop.observer = Reactions(react=stop_when_proposed)
        assert loop.run() == "SIGTERM"
        again = restarted(loop, settings, [])
        assert again.run() == "complete"
        assert again.proposer.asked == []
        assert only(Evaluated, again)[0].attempts == only(Proposed, again)[0].attempts

    def test_raising_iters_goes_on(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        assert loop.run() == "complete"
        again = restarted(loop, make_settings(iters=2), [NO_BETTER])
        assert again.run() == "complete"
        assert [r.iter for r in only(Evaluated, again)] == [1, 2]
        assert [r.iters_requested for r in only(LoopComplete, again)] == [1, 2]

    def test_a_known_configuration_stays_known(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        loop.run()
        again = restarted(loop, make_settings({"limits.max_attempts": 1}, iters=2), [BETTER])
        again.run()
        assert only(Blocked, again)[0].rail == Rail.R6_NOVELTY


class TestLostMachine:
    """A configuration that takes the machine down is tried once more, and then never again."""

    def lost(self, loop: Loop) -> Loop:
        """The machine goes down in the middle of the next trial."""

        def down(_cfg: Cfg) -> Outcome:
            raise Killed

        intact, loop.trial = loop.trial, Measures(down)
        with pytest.raises(Killed):
            loop.run()
        loop.trial = intact
        return loop

    def baseline_then_lost(self, settings: Settings) -> Loop:
        loop = fake_loop(settings, ScriptedProposer([say("n_layer", 6)]), FakeTrial())
        loop.measure_baseline()
        return self.lost(loop)

    def test_twice_is_host_lost_and_the_loop_goes_on(self, make_settings) -> None:
        settings = make_settings(iters=2)
        once = self.baseline_then_lost(settings)
        twice = self.lost(restarted(once, settings, [], boot_id="second boot"))
        third = restarted(twice, settings, [BETTER], boot_id="third boot")
        measured_before = len(third.trial.measured)
        assert third.run() == "complete"
        (failed,) = only(EvalFailed, third)
        assert (failed.iter, failed.cause) == (1, Cause.HOST_LOST)
        assert "2 times" in failed.reason
        assert len(third.trial.measured) == measured_before + 1, "only the next candidate, not a third time this one"
        (evaluated,) = only(Evaluated, third)
        assert evaluated.iter == 2

    def test_a_trial_that_goes_on_may_take_the_machine_down_twice_and_no_oftener(self, make_settings) -> None:
        settings = make_settings(iters=1)
        loop = fake_loop(settings, ScriptedProposer([say("n_layer", 6)]), FakeTrial(takes_s=0.02))
        loop.measure_baseline()
        assert hasty(loop, word="stop").run() == "the GPU is wanted"
        for boot in ("second boot", "third boot"):
            loop = self.lost(restarted(loop, settings, [], boot_id=boot))
        last = restarted(loop, settings, [], boot_id="fourth boot")
        assert last.run() == "complete"
        assert only(EvalFailed, last)[0].cause == Cause.HOST_LOST
        assert {r.trial for r in only(TrialStarted, last)} == {1, 2}

    def test_once_is_tried_again(self, make_settings) -> None:
        settings = make_settings(iters=1)
        once = self.baseline_then_lost(settings)
        again = restarted(once, settings, [], boot_id="second boot")
        assert again.run() == "complete"
        assert only(Evaluated, again)[0].proposal.knob == "n_layer"

    def test_a_daemon_that_was_killed_on_a_machine_that_stayed_up_does_not_count(self, make_settings) -> None:
        settings = make_settings(iters=1)
        loop = self.baseline_then_lost(settings)
        for _ in range(4):
            loop = self.lost(restarted(loop, settings, []))
        again = restarted(loop, settings, [])
        assert again.run() == "complete"
        assert len(only(Evaluated, again)) == 1

    def test_what_was_lost_in_one_iteration_does_not_count_in_the_next(self, make_settings) -> None:
        settings = make_settings(iters=2)
        once = self.baseline_then_lost(settings)
        second = restarted(once, settings, [BETTER], boot_id="second boot")
        second.iters = 1
        second.run()
        lost_again = restarted(second, settings, [NO_BETTER], boot_id="second boot")
        lost_again = self.lost(lost_again)
        third = restarted(lost_again, settings, [], boot_id="third boot")
        assert third.run() == "complete"
        assert [r.stage for r in third.trajectory.iterations] == ["evaluated", "evaluated"]


class TestTimes:
    """Where an iteration's time went; the clock is the test's."""

    def timed(self, settings: Settings, script: list[str | Exception], clock: Clock, outcome: Outcome) -> Loop:
        """Proposing takes 2 s, the rails 0.25 s, a trial 10 s."""
        loop = fake_loop(settings, ScriptedProposer(script))
        judge, propose = loop.judge, loop.proposer.propose

        def slow_judge(raw: str, trajectory: Trajectory) -> Any:
            clock.now += 0.25
            return judge(raw, trajectory)

        class SlowProposer:
            name = "slow"

            def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Any:
                clock.now += 2.0
                return propose(trajectory, refused)

        def measure(_cfg: Cfg) -> Outcome:
            clock.now += 10.0
            return outcome

        loop.clock, loop.judge, loop.proposer, loop.trial = clock, slow_judge, SlowProposer(), Measures(measure)
        return loop

    def test_overhead_is_all_but_proposing_training_and_validation(self, make_settings) -> None:
        loop = self.timed(make_settings(iters=1), [NOT_JSON, BETTER], Clock(), MEASURED)
        loop.run()
        (closed,) = only(Evaluated, loop)
        assert closed.iter_wall_s == pytest.approx(14.5)
        assert closed.propose_wall_s == pytest.approx(4.0)
        assert closed.overhead_s == pytest.approx(14.5 - 4.0 - 8.0)
        assert only(Baseline, loop)[0].wall_s == pytest.approx(10.0)

    def test_a_failed_trial_is_no_overhead(self, make_settings) -> None:
        clock = Clock()
        loop = self.timed(make_settings(iters=1), [BETTER], clock, MEASURED)
        loop.measure_baseline()

        def fail(_cfg: Cfg) -> Outcome:
            clock.now += 10.0
            return Failure(cause=Cause.CRASHED, detail="SIGSEGV", trial_wall_s=9.5)

        loop.trial = Measures(fail)
        loop.run()
        (closed,) = only(EvalFailed, loop)
        assert closed.iter_wall_s == pytest.approx(12.25)
        assert closed.overhead_s == pytest.approx(12.25 - 2.0 - 9.5)

    def test_a_blocked_iteration_and_a_failed_proposer_took_their_time_too(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 2}, iters=2)
        loop = self.timed(settings, [NOT_JSON, NOT_JSON, NOT_JSON, TimeoutError()], Clock(), MEASURED)
        loop.run()
        (blocked,), (failed,) = only(Blocked, loop), only(ProposerFailed, loop)
        assert (blocked.iter_wall_s, blocked.propose_wall_s, blocked.overhead_s) == pytest.approx((4.5, 4.0, 0.5))
        assert (failed.iter_wall_s, failed.propose_wall_s, failed.overhead_s) == pytest.approx((4.25, 4.0, 0.25))

    def test_a_pause_is_in_none_of_them(self, make_settings) -> None:
        clock = Clock()

        class LongBreak(FakeControl):
            def wait_while_paused(self) -> None:
                clock.now += 3600.0
                self.pause = ""

        loop = self.timed(make_settings(iters=1), [BETTER], clock, MEASURED)
        loop.control = control = LongBreak(pause="lunch")

        def pause_when_proposed(event: Event) -> None:
            control.pause = "dinner" if isinstance(event, Proposed) else control.pause

        loop.observer = Reactions(react=pause_when_proposed)
        loop.run()
        assert [r.paused_s for r in only(Resumed, loop)] == [3600.0, 3600.0]
        assert only(Baseline, loop)[0].wall_s == pytest.approx(10.0)
        (closed,) = only(Evaluated, loop)
        assert closed.iter_wall_s == pytest.approx(12.25)
        assert closed.overhead_s == pytest.approx(12.25 - 2.0 - 8.0)

    def test_a_pause_in_the_middle_of_proposing_is_in_none_of_them(self, make_settings) -> None:
        """Only the waiting for an answer that never came counts, as proposing."""
        clock = Clock()

        class LongBreak(FakeControl):
            def wait_while_paused(self) -> None:
                clock.now += 3600.0
                self.pause = ""

        loop = self.timed(make_settings(iters=1), [NOT_JSON, NOTICED, BETTER], clock, MEASURED)
        control, slow = LongBreak(), loop.proposer.propose

        def propose(trajectory: Trajectory, refused: Sequence[Attempt]) -> Any:
            try:
                return slow(trajectory, refused)
            except Interrupted:
                control.pause = "lunch"
                raise

        loop.control, loop.proposer.propose = control, propose
        loop.run()
        (closed,) = only(Evaluated, loop)
        assert [r.paused_s for r in only(Resumed, loop)] == [3600.0]
        assert closed.propose_wall_s == pytest.approx(3 * 2.0)
        assert closed.iter_wall_s == pytest.approx(3 * 2.0 + 2 * 0.25 + 10.0)
        assert closed.overhead_s == pytest.approx(3 * 2.0 + 2 * 0.25 + 10.0 - 3 * 2.0 - 8.0)

    def test_an_iteration_cut_in_two_counts_what_its_first_half_took(self, make_settings) -> None:
        """Proposed by one daemon, measured by the next one hours later."""
        settings = make_settings(iters=1)
        first = self.timed(settings, [BETTER], Clock(), MEASURED)
        first.measure_baseline()
        first.propose(first.active_s())
        second = self.timed(settings, [], Clock(now=90_000.0), MEASURED)
        second.trajectory = Trajectory.fold(records(first))
        second.journal = first.journal
        second.run()
        (closed,) = only(Evaluated, second)
        assert closed.iter_wall_s == pytest.approx(2.0 + 10.0)
        assert closed.overhead_s == pytest.approx(2.0 + 10.0 - 2.0 - 8.0)

    def test_a_clock_that_goes_backwards_changes_no_order_and_no_duration(self, make_settings, tmp_path) -> None:
        """NTP, or daylight saving in a badly set-up box: ``ts`` is for people, order is ``seq``."""
        hours = itertools.count(23, -1)
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        memory = loop.journal
        assert isinstance(memory, MemoryJournal)
        journal = Journal(tmp_path / "trajectory.jsonl")
        for payload in memory.payloads:
            journal.append(payload)
        loop.journal, loop.utc = journal, lambda: f"2026-11-20T{next(hours):02}:00:00.000Z"
        assert loop.run() == "complete"
        journal.close()
        found = [decode(p) for p in read(tmp_path / "trajectory.jsonl").payloads]
        assert [r.ts for r in found[1:]] == sorted((r.ts for r in found[1:]), reverse=True)
        assert [r.iter for r in found if isinstance(r, Evaluated)] == [1, 2]
        assert all(r.iter_wall_s >= 0 and r.overhead_s >= 0 for r in found if isinstance(r, Evaluated))
        assert Trajectory.fold(found) == loop.trajectory
        trials = [r for r in found if isinstance(r, TrialStarted | TrialEnded)]
        assert [(r.stage, r.trial) for r in trials] == [(s, n) for n in (1, 2, 3) for s in ("trial_started", "trial")]
