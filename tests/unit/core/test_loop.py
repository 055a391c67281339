"""The loop's stories, told with the real gate, the real records and fakes at the edge; nothing touches the disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure, Outcome, Suspended
from autoresearch.core.ports import Interrupted, OnProgress, Progress, Reply, SuspendControl
from autoresearch.core.records import (
    Attempt,
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
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    decode,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import BaselineFailed, JournalError
from autoresearch.storage.journal import Journal, read
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_exchange import fake_exchange
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail

T = TypeVar("T")

FAR = {"baseline.lr": 3e-4}  # the fake's best lr is 3e-3: from here that gains 2.5%
OUT_OF_MEMORY = Failure(cause=Cause.OUT_OF_MEMORY, detail="it held too much", trial_wall_s=4.0)


def say(knob: str, value: object, reason: str = "a hunch") -> str:
    """A proposer's reply."""
    return json.dumps({"knob": knob, "new_value": value, "reason": reason})


BETTER = say("lr", 3e-3)
NO_BETTER = say("weight_decay", 0.1)
NOT_JSON = "I would try a higher learning rate."


@pytest.fixture
def make_settings(make_settings):
    """Settings whose baseline leaves room for a keep, however the profile is tuned."""
    return lambda changes=None, **flags: make_settings(FAR | (changes or {}), **flags)


class Killed(BaseException):
    """SIGKILL: nobody catches it, and nothing after it happens."""


@dataclass
class Clock:
    """Moves only when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Measures:
    """A trial that answers what a function says, and remembers what it was given."""

    answer: Callable[..., Outcome]
    with_progress: bool = False
    measured: list[tuple[Cfg, int]] = field(default_factory=list)

    def measure(self, cfg: Cfg, seed: int, on_progress: OnProgress, hold: SuspendControl) -> Outcome:
        self.measured.append((cfg, seed))
        return self.answer(cfg, on_progress) if self.with_progress else self.answer(cfg)


@dataclass
class Reactions(RecordingObserver):
    """A user who does something when a certain record shows up."""

    react: Callable[[Event], None] = lambda _event: None

    def recorded(self, event: Event) -> None:
        self.events.append(event)
        self.react(event)


@dataclass
class MortalJournal(MemoryJournal):
    """The process dies right after the ``last``th record is durable, before anybody hears of it."""

    last: int = 10**9

    def append(self, payload: str) -> int:
        seq = MemoryJournal.append(self, payload)
        if len(self.payloads) >= self.last:
            raise Killed
        return seq


def records(loop: Loop) -> list[Any]:
    """What the journal holds, read back."""
    assert isinstance(loop.journal, MemoryJournal)
    return [decode(payload) for payload in loop.journal.payloads]


def stages(loop: Loop) -> list[str]:
    return [r.stage for r in records(loop)]


def only(kind: type[T], loop: Loop) -> list[T]:
    return [r for r in records(loop) if isinstance(r, kind)]


def started(boot_id: str, iters: int) -> Started:
    who = {"pid": 2, "host": "desk", "autoresearch_version": "0", "proposer": "script"}
    return Started(ts="now", boot_id=boot_id, iters_requested=iters, **who)


def restarted(loop: Loop, settings: Settings, replies: Sequence[str | Exception], boot_id: str = "boot") -> Loop:
    """Another daemon on the same journal: all it knows is what was recorded."""
    assert isinstance(loop.journal, MemoryJournal)
    assert isinstance(loop.trial, FakeTrial)
    proposer = ScriptedProposer(list(replies))
    again = fake_loop(settings, proposer, loop.trial, trajectory=Trajectory.fold(records(loop)))
    again.journal = MemoryJournal(loop.journal.payloads)
    again.boot_id = boot_id
    again.record(started(boot_id, settings.iters))
    return again


class TestJudging:
    def test_one_change_is_kept_and_one_is_reverted(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        assert loop.run() == "complete"
        one_iteration = ["proposed", "trial_started", "trial", "evaluated"]
        assert stages(loop) == [
            *("meta", "trial_started", "trial", "baseline"),
            *one_iteration,
            *one_iteration,
            "loop_complete",
        ]
        kept, reverted = only(Evaluated, loop)
        assert (kept.iter, kept.decision, reverted.iter, reverted.decision) == (1, "keep", 2, "revert")
        assert kept.improvement_frac == pytest.approx(0.025, abs=0.002)
        assert "needs" in reverted.reason
        (end,) = only(LoopComplete, loop)
        assert (end.accept_count, end.revert_count, end.best_iter, end.best_val_bpb) == (1, 1, 1, kept.val_bpb)

    def test_a_keep_changes_nothing_for_the_next_candidate(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        loop.run()
        kept, later = only(Evaluated, loop)
        assert later.candidate_cfg == {**loop.baseline_cfg, "weight_decay": 0.1}
        assert later.baseline_val_bpb == kept.baseline_val_bpb == only(Baseline, loop)[0].baseline_val_bpb

    def test_the_lowest_measurement_is_said_even_where_it_is_not_kept(self, make_settings) -> None:
        """``is_new_best`` keeps the origin's meaning: lowest so far, the baseline included."""
        bpbs = iter([2.0, 1.999, 1.9995, 1.98, 1.99])
        loop = fake_loop(make_settings(iters=4), ScriptedProposer([say("beta1", b) for b in (0.6, 0.7, 0.8, 0.95)]))
        loop.trial = Measures(lambda _cfg: measurement(next(bpbs)))
        loop.run()
        assert [r.is_new_best for r in only(Evaluated, loop)] == [True, False, True, False]
        assert [r.decision for r in only(Evaluated, loop)] == ["revert", "revert", "keep", "keep"]
        assert only(LoopComplete, loop)[0].best_iter == 3

    def test_a_record_is_durable_before_it_is_shown(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        journal = loop.journal
        assert isinstance(journal, MemoryJournal)
        shown: list[bool] = []
        loop.observer = Reactions(react=lambda event: shown.append(journal.payloads[-1] == encode(event)))
        loop.run()
        assert len(shown) == len(journal.payloads) - 1, "all but meta, which was there before"
        assert all(shown)

    def test_whoever_looks_on_cannot_stop_the_run(self, make_settings) -> None:
        class Broken(RecordingObserver):
            def recorded(self, event: Event) -> None:
                raise OSError("the terminal is gone")

            def progressed(self, progress: Progress) -> None:
                raise ZeroDivisionError

        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), FakeTrial(takes_s=0.002))
        loop.observer = Broken()
        assert loop.run() == "complete"

    def test_a_trial_is_on_record_before_it_begins(self, make_settings) -> None:
        """A trial that takes the machine down must be remembered."""
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        began = []

        def measure(cfg: Cfg) -> Outcome:
            began.append((records(loop)[-1].stage, records(loop)[-1].cfg == cfg, records(loop)[-1].boot_id))
            return measurement(2.0)

        loop.trial = Measures(measure)
        loop.run()
        assert began == [("trial_started", True, "boot")] * 2

    def test_candidate_and_baseline_are_measured_with_the_same_seed(self, make_settings) -> None:
        trial = FakeTrial()
        fake_loop(make_settings(iters=1, seed=17), ScriptedProposer([BETTER]), trial).run()
        assert [seed for _, seed in trial.measured] == [17, 17]

    def test_progress_says_of_which_iteration(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        seen: list[Progress] = []

        class Watching(RecordingObserver):
            def progressed(self, progress: Progress) -> None:
                seen.append(progress)

        def measure(_cfg: Cfg, on_progress: Callable[..., None]) -> Outcome:
            on_progress("train", 0.5, 7, 1000.0)
            return measurement(2.0)

        loop.observer, loop.trial = Watching(), Measures(measure, with_progress=True)
        loop.run()
        assert seen == [Progress(0, "train", 0.5, 7, 1000.0), Progress(1, "train", 0.5, 7, 1000.0)]


class TestRefused:
    def test_it_is_asked_again_and_told_why_and_every_attempt_is_on_record(self, make_settings) -> None:
        proposer = ScriptedProposer([NOT_JSON, say("lr", 99.0), BETTER])
        loop = fake_loop(make_settings(iters=1), proposer)
        assert loop.run() == "complete"
        assert [[a.rail for a in told] for _, told in proposer.asked] == [
            [],
            [Rail.R1_SCHEMA],
            [Rail.R1_SCHEMA, Rail.R3_RANGE],
        ]
        assert "outside" in proposer.asked[-1][1][-1].reason
        (closed,) = only(Evaluated, loop)
        assert [(a.raw, a.rail, a.verdict_ok) for a in closed.attempts] == [
            (NOT_JSON, Rail.R1_SCHEMA, False),
            (say("lr", 99.0), Rail.R3_RANGE, False),
            (BETTER, Rail.PASSED, True),
        ]
        assert only(Proposed, loop)[0].attempts == closed.attempts

    def test_at_the_bound_the_iteration_is_closed_as_blocked(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 3}, iters=2)
        proposer = ScriptedProposer([NOT_JSON, say("mood", 1), say("n_head", 3), BETTER])
        loop = fake_loop(settings, proposer)
        assert loop.run() == "complete"
        (blocked,) = only(Blocked, loop)
        assert [a.rail for a in blocked.attempts] == [Rail.R1_SCHEMA, Rail.R2_MENU, Rail.R3_RANGE]
        assert (blocked.iter, blocked.rail, blocked.verdict_ok) == (1, Rail.R3_RANGE, False)
        assert "n_head" in blocked.reason
        assert only(Evaluated, loop)[0].iter == 2
        assert proposer.asked[3] == (2, ()), "the next iteration begins with a clean slate"
        assert only(LoopComplete, loop)[0].blocked_count == 1

    def test_a_repeat_is_refused_as_known(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 1}, iters=2)
        loop = fake_loop(settings, ScriptedProposer([BETTER, BETTER]))
        loop.run()
        (blocked,) = only(Blocked, loop)
        assert blocked.rail == Rail.R6_NOVELTY
        assert blocked.proposal is not None
        assert blocked.proposal.knob == "lr"

    def test_the_longest_babble_is_kept_only_in_part(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 1}, iters=1)
        loop = fake_loop(settings, ScriptedProposer(["la\ud800la " * 10**6]))
        loop.run()
        (blocked,) = only(Blocked, loop)
        assert len(blocked.attempts[0].raw) < 10_000


def calls(*numbers: int) -> tuple[LlmCall, ...]:
    """What asking an LLM took, each call by the number of its exchange."""
    return tuple(fake_exchange(number).call for number in numbers)


class TestSeveralProposalsInAReply:
    """What a language model likes to answer: one reply, up to k proposals."""

    def test_the_first_that_passes_is_tried_and_all_are_kept(self, make_settings) -> None:
        spare, bad_spare = say("n_layer", 6), say("lr", 99.0)
        reply = Reply(NOT_JSON, "nim", (say("mood", 1), BETTER, spare, bad_spare))
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([reply]))
        assert loop.run() == "complete"
        (closed,) = only(Evaluated, loop)
        assert closed.proposal.knob == "lr"
        assert closed.candidate_cfg == {**loop.baseline_cfg, "lr": 3e-3}
        assert [(a.raw, a.rail, a.round, a.spare) for a in closed.attempts] == [
            (NOT_JSON, Rail.R1_SCHEMA, 1, False),
            (say("mood", 1), Rail.R2_MENU, 1, False),
            (BETTER, Rail.PASSED, 1, False),
            (spare, Rail.PASSED, 1, True),
            (bad_spare, Rail.R3_RANGE, 1, True),
        ]
        assert only(Proposed, loop)[0].attempts == closed.attempts
        assert len(loop.trial.measured) == 2, "the baseline and one candidate, not the spare one"

    def test_what_was_spare_is_not_tried_and_so_not_known(self, make_settings) -> None:
        reply = Reply(BETTER, "nim", (NO_BETTER,))
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([reply, NO_BETTER]))
        assert loop.run() == "complete"
        assert [r.proposal.knob for r in only(Evaluated, loop)] == ["lr", "weight_decay"]

    def test_the_bound_counts_replies_and_not_proposals(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 2}, iters=2)
        babble = Reply(NOT_JSON, "nim", (NOT_JSON, say("mood", 1)))
        proposer = ScriptedProposer([babble, babble, babble, BETTER])
        loop = fake_loop(settings, proposer)
        assert loop.run() == "complete"
        (blocked,) = only(Blocked, loop)
        assert [a.round for a in blocked.attempts] == [1, 1, 1, 2, 2, 2]
        assert (blocked.rail, blocked.source) == (Rail.R2_MENU, "nim"), "the last one speaks for it"
        (evaluated,) = only(Evaluated, loop)
        assert [a.round for a in evaluated.attempts] == [1, 1, 1, 2]
        assert [(n, len(refused)) for n, refused in proposer.asked] == [(1, 0), (1, 3), (2, 0), (2, 3)]

    def test_each_attempt_says_who_it_was(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([Reply(NOT_JSON, "nim"), Reply(BETTER, "tpe")]))
        loop.run()
        (closed,) = only(Evaluated, loop)
        assert [a.source for a in closed.attempts] == ["nim", "tpe"]
        assert closed.source == only(Proposed, loop)[0].source == "tpe"


class TestCallsOfAnLlm:
    """What it took to get the candidate: every call that any reply of the iteration reports, in their order."""

    def test_they_are_in_the_record_that_opens_and_the_one_that_closes(self, make_settings) -> None:
        replies = [
            Reply(NOT_JSON, "nim", calls=calls(1, 2)),
            Reply(NOT_JSON, "nim"),
            Reply(BETTER, "tpe", calls=calls(3)),
        ]
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([*replies, NO_BETTER]))
        assert loop.run() == "complete"
        assert [r.llm_calls for r in only(Proposed, loop)] == [calls(1, 2, 3), ()]
        assert [r.llm_calls for r in only(Evaluated, loop)] == [calls(1, 2, 3), ()]

    def test_of_a_trial_that_failed(self, make_settings) -> None:
        trial = FakeTrial(fail=lambda cfg: OUT_OF_MEMORY if cfg["n_layer"] == 6 else None)
        reply = Reply(say("n_layer", 6), "nim", calls=calls(1))
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([reply]), trial)
        loop.run()
        assert only(EvalFailed, loop)[0].llm_calls == calls(1)

    def test_of_an_iteration_that_the_rails_blocked(self, make_settings) -> None:
        settings = make_settings({"limits.max_attempts": 2}, iters=1)
        replies = [Reply(NOT_JSON, "nim", calls=calls(1)), Reply(NOT_JSON, "nim", calls=calls(2, 3))]
        loop = fake_loop(settings, ScriptedProposer(replies))
        loop.run()
        assert only(Blocked, loop)[0].llm_calls == calls(1, 2, 3)

    def test_of_a_proposer_that_failed_after_them(self, make_settings) -> None:
        replies = [Reply(NOT_JSON, "nim", calls=calls(1)), ValueError("a bug in the fallback")]
        loop = fake_loop(make_settings(iters=1), ScriptedProposer(replies))
        loop.run()
        assert only(ProposerFailed, loop)[0].llm_calls == calls(1)

    def test_they_outlive_a_daemon_that_was_killed_before_the_trial(self, make_settings) -> None:
        settings = make_settings(iters=1)
        loop = fake_loop(settings, ScriptedProposer([Reply(BETTER, "nim", (NO_BETTER,), calls(1, 2))]))
        loop.measure_baseline()
        journal = MortalJournal(loop.journal.payloads, last=len(loop.journal.payloads) + 1)
        loop.journal = journal
        with pytest.raises(Killed):
            loop.run()
        assert decode(journal.payloads[-1]).stage == "proposed"
        loop.journal = MemoryJournal(journal.payloads)
        again = restarted(loop, settings, [])
        assert again.run() == "complete"
        (closed,) = only(Evaluated, again)
        assert closed.llm_calls == calls(1, 2)
        assert [(a.source, a.spare) for a in closed.attempts] == [("nim", False), ("nim", True)]


class TestProposer:
    def test_one_that_raises_closes_the_iteration_and_the_night_goes_on(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([ConnectionError("no server at :8000"), BETTER]))
        assert loop.run() == "complete"
        (failed,) = only(ProposerFailed, loop)
        assert (failed.iter, failed.source, failed.reason) == (1, "script", "ConnectionError: no server at :8000")
        assert failed.rail is None, "no rail was asked"
        assert only(Evaluated, loop)[0].iter == 2
        assert only(LoopComplete, loop)[0].failed_count == 1

    def test_what_it_said_before_it_raised_is_kept(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([NOT_JSON, TimeoutError("no answer in 60 s")]))
        loop.run()
        (failed,) = only(ProposerFailed, loop)
        assert [a.raw for a in failed.attempts] == [NOT_JSON]
        assert failed.rail == Rail.R1_SCHEMA

    def test_one_that_only_raises_does_not_use_up_the_night(self, make_settings) -> None:
        """The LLM server is down at 22:00: fifty iterations must not be gone at 22:01."""
        settings = make_settings(iters=50)
        loop = fake_loop(settings, ScriptedProposer([ConnectionError("refused")] * 50))
        assert "5 times in a row: ConnectionError: refused" in loop.run()
        assert len(only(ProposerFailed, loop)) == 5
        assert records(loop)[-1].stage == "stopped"
        again = restarted(loop, settings, [ConnectionError("refused"), BETTER])
        assert again.run() == "the script is over"
        assert [r.stage for r in again.trajectory.iterations] == ["proposer_failed"] * 6 + ["evaluated"]

    def test_five_failures_that_are_not_in_a_row_are_no_reason_to_stop(self, make_settings) -> None:
        script = [reply for _ in range(6) for reply in (ConnectionError("refused"), NOT_JSON)]
        loop = fake_loop(make_settings({"limits.max_attempts": 1}, iters=12), ScriptedProposer(script))
        assert loop.run() == "complete"

    def test_its_error_cannot_write_on_a_terminal_or_fill_the_disk(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([RuntimeError("\x1b[2J\ud800" + "x" * 10**6)]))
        loop.run()
        (failed,) = only(ProposerFailed, loop)
        assert failed.reason.startswith(r"RuntimeError: \x1b[2J\ud800xxx")
        assert len(failed.reason) <= 1000

    def test_one_that_cannot_write_its_own_log_ends_the_run(self, make_settings) -> None:
        """A full disk is no bad idea of a model's: nothing more can be recorded, not even that it failed."""
        loop = fake_loop(make_settings(iters=5), ScriptedProposer([BETTER, JournalError("No space left on device")]))
        with pytest.raises(JournalError, match="No space left"):
            loop.run()
        assert stages(loop)[-1] == "evaluated"
        assert only(ProposerFailed, loop) == only(Stopped, loop) == []

    def test_with_nothing_left_to_propose_the_run_ends_in_good_order(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=5), ScriptedProposer([BETTER]))
        assert loop.run() == "the script is over"
        (stopped,) = only(Stopped, loop)
        assert (stopped.reason, stopped.completed_iters, stopped.requested_iters) == ("the script is over", 1, 5)
        assert records(loop)[-1] == stopped

    def test_what_was_refused_before_nothing_was_left_is_on_record_too(self, make_settings) -> None:
        loop = fake_loop(make_settings(iters=5), ScriptedProposer([BETTER, NOT_JSON]))
        assert loop.run() == "the script is over"
        (blocked,) = only(Blocked, loop)
        assert [a.raw for a in blocked.attempts] == [NOT_JSON]
        assert stages(loop)[-2:] == ["blocked", "stopped"]


@dataclass
class Attentive(ScriptedProposer):
    """One that waits for a server, notices there that the user wants something (``wish``), and gives up waiting."""

    wish: Callable[[], None] = lambda: None

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        try:
            return ScriptedProposer.propose(self, trajectory, refused)
        except Interrupted:
            self.wish()
            raise


NOTICED = Interrupted("the proposer was interrupted")


class TestInterruptedProposer:
    def story(self, settings: Settings, wish: Callable[[FakeControl], None]) -> tuple[Loop, Attentive]:
        """Its first reply is refused; it is interrupted by ``wish`` while it thinks of a better one."""
        control = FakeControl()
        proposer = Attentive([NOT_JSON, NOTICED, BETTER, NO_BETTER], wish=lambda: wish(control))
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
        trial.fail = lambda _cfg: None  # somebody freed memory
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


@dataclass
class Hasty(RecordingObserver):
    """A user who wants each of the first ``times`` trials to stop now, as soon as it trains."""

    control: FakeControl = field(default_factory=lambda: FakeControl(now=True))
    times: int = 1
    word: str = "pause"

    def progressed(self, progress: Progress) -> None:
        if self.times:
            self.times -= 1
            setattr(self.control, self.word, "the GPU is wanted")


def hasty(loop: Loop, **how: Any) -> Loop:
    user = Hasty(**how)
    loop.observer, loop.control = user, user.control
    return loop


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
                self, cfg: Cfg, seed: int, on_progress: OnProgress, hold: SuspendControl
            ) -> Outcome | Suspended:
                seen.append(hold.before)
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
        told = [(r.iter, r.val_bpb, r.decision) for r in only(Evaluated, undisturbed)]
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
            assert [(r.iter, r.val_bpb, r.decision) for r in only(Evaluated, again)] == told, f"after record {last}"
            assert len(only(TrialEnded, again)) == 3

    def test_its_seconds_are_those_of_all_its_parts(self, make_settings) -> None:
        """Put aside by one daemon after 4 s, gone on with by another a day later for 6 s."""
        settings, clock = make_settings(iters=1, on_pause="exit"), Clock()
        parts = iter(
            [
                (5.0, measurement(2.0)),
                (4.0, Suspended(step=3, resumes_at=3, train_wall_s=3.0, val_wall_s=0.0, trial_wall_s=4.0)),
                (6.0, TestTimes.MEASURED),
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


class TestRestart:
    """Whatever the last daemon had recorded counts, and nothing else."""

    SCRIPT = (BETTER, NOT_JSON, NO_BETTER, say("n_layer", 6), ConnectionError("gone"), say("beta1", 0.5))

    def daemon(self, settings: Settings, journal: MortalJournal, trial: FakeTrial) -> Loop:
        """One that begins, or goes on with the script from where the records say that it is."""
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

    MEASURED = measurement(2.0).model_copy(update={"train_wall_s": 7.0, "val_wall_s": 1.0, "trial_wall_s": 10.0})

    def test_overhead_is_all_but_proposing_training_and_validation(self, make_settings) -> None:
        loop = self.timed(make_settings(iters=1), [NOT_JSON, BETTER], Clock(), self.MEASURED)
        loop.run()
        (closed,) = only(Evaluated, loop)
        assert closed.iter_wall_s == pytest.approx(14.5)
        assert closed.propose_wall_s == pytest.approx(4.0)
        assert closed.overhead_s == pytest.approx(14.5 - 4.0 - 8.0)
        assert only(Baseline, loop)[0].wall_s == pytest.approx(10.0)

    def test_a_failed_trial_is_no_overhead(self, make_settings) -> None:
        clock = Clock()
        loop = self.timed(make_settings(iters=1), [BETTER], clock, self.MEASURED)
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
        loop = self.timed(settings, [NOT_JSON, NOT_JSON, NOT_JSON, TimeoutError()], Clock(), self.MEASURED)
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

        loop = self.timed(make_settings(iters=1), [BETTER], clock, self.MEASURED)
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

        loop = self.timed(make_settings(iters=1), [NOT_JSON, NOTICED, BETTER], clock, self.MEASURED)
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
        first = self.timed(settings, [BETTER], Clock(), self.MEASURED)
        first.measure_baseline()
        first.propose(first.active_s())
        second = self.timed(settings, [], Clock(now=90_000.0), self.MEASURED)
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
