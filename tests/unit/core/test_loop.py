"""The loop proposes, judges and decides, with the real gate, the real records and fake ports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import CURVE_POINTS, Outcome
from autoresearch.core.ports import Progress, Reply
from autoresearch.core.records import (
    Baseline,
    Blocked,
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Proposed,
    ProposerFailed,
    Stopped,
    TrialEnded,
    decode,
    encode,
)
from autoresearch.core.values import Cfg
from autoresearch.errors import JournalError
from autoresearch.testing.fake_exchange import fake_exchange
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail
from tests.unit.core.loop_world import (
    BETTER,
    NO_BETTER,
    NOT_JSON,
    OUT_OF_MEMORY,
    Killed,
    Measures,
    MortalJournal,
    Reactions,
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

    def test_an_observer_cannot_stop_the_run(self, make_settings) -> None:
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

    def test_the_loss_curve_is_in_the_record_of_its_trial_alone(self, make_settings) -> None:
        curve = tuple(9.0 - n / 8 for n in range(CURVE_POINTS))
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
        loop.trial = Measures(lambda cfg: measurement(2.0).model_copy(update={"train_loss_curve": curve}))
        loop.run()
        assert [r.outcome.train_loss_curve for r in only(TrialEnded, loop)] == [curve, curve]
        (baseline,), (evaluated,) = only(Baseline, loop), only(Evaluated, loop)
        for repeated in (baseline.eval_metrics, evaluated.eval_metrics):
            assert repeated == measurement(2.0)
        lines = [encode(r) for r in records(loop)]
        assert sum(len(line.partition('"train_loss_curve":[')[2].partition("]")[0]) > 0 for line in lines) == 2

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
        assert [[a.rail for a in refused] for _, refused in proposer.asked] == [
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
        """A full disk is not a failure of the proposer: nothing more can be recorded, not even that it failed."""
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
