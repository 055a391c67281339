"""What the records of an iteration say about what happened in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.resolve import resolve
from autoresearch.core.decision import Decision
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.record_builders import (
    MAX_KEPT_REPLY_CHARS,
    AttemptLog,
    IterationTimes,
    build_attempt,
    build_blocked,
    build_evaluated,
    build_loop_complete,
    build_proposed,
    build_proposer_failed,
)
from autoresearch.core.records import TrialEnded, decode, encode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import measurement
from rails import Rail, default_menu, gate

BASELINE = default_menu().defaults
GOOD = '{"knob": "lr", "new_value": 0.001, "reason": "a hunch"}'
HALVES = st.sampled_from(["\ud800", "\udbff", "\udfff"])  # of surrogate pairs: text in Python, but not in UTF-8
ANY_TEXT = st.lists(st.text(max_size=20) | HALVES, max_size=9).map("".join)


def ended(outcome: Outcome) -> TrialEnded:
    return TrialEnded(ts="now", trial=1, iter=1, seed=0, outcome=outcome)


def measured(train_s: float, val_s: float) -> TrialEnded:
    times = {"train_wall_s": train_s, "val_wall_s": val_s, "trial_wall_s": train_s + val_s + 0.5}
    return ended(measurement(2.0).model_copy(update=times))


class TestOverhead:
    def test_what_is_left_of_the_wall_after_proposing_training_and_validation(self) -> None:
        times = IterationTimes(wall_s=30.0, propose_s=4.0)
        assert times.overhead_s([measured(10.0, 1.0), measured(12.0, 2.0)]) == pytest.approx(1.0)

    def test_a_failed_trial_counts_whole_as_time_well_tried(self) -> None:
        failed = ended(Failure(cause=Cause.TIMEOUT, detail="", trial_wall_s=20.0))
        assert IterationTimes(wall_s=25.0, propose_s=4.0).overhead_s([failed]) == pytest.approx(1.0)

    def test_a_trial_that_never_began_took_nothing(self) -> None:
        lost = ended(Failure(cause=Cause.HOST_LOST, detail=""))
        assert IterationTimes(wall_s=5.0, propose_s=4.0).overhead_s([lost]) == pytest.approx(1.0)

    def test_two_clocks_that_disagree_do_not_make_it_negative(self) -> None:
        assert IterationTimes(wall_s=10.0, propose_s=0.0).overhead_s([measured(10.0, 0.1)]) == 0.0


class TestAttempt:
    def test_it_holds_the_reply_the_rail_and_the_proposal_as_far_as_it_got(self) -> None:
        refused = '{"knob": "lr", "new_value": 5, "reason": "bold"}'
        attempt = build_attempt(refused, "nim", gate(refused, BASELINE))
        assert (attempt.raw, attempt.source, attempt.rail, attempt.verdict_ok) == (
            refused,
            "nim",
            Rail.R3_RANGE,
            False,
        )
        assert attempt.proposal is None
        passed = build_attempt(GOOD, "nim", gate(GOOD, BASELINE))
        assert passed.proposal is not None
        assert (passed.proposal.knob, passed.proposal.new_value) == ("lr", 1e-3)

    @given(ANY_TEXT)
    def test_whatever_a_model_answers_can_be_written_and_read(self, raw: str) -> None:
        attempt = build_attempt(raw, "nim", gate(raw, BASELINE))
        blocked = build_blocked(1, AttemptLog([attempt], propose_s=0.5), "now", 1.0)
        assert decode(encode(blocked)) == blocked

    def test_a_reply_is_kept_up_to_a_bound(self) -> None:
        raw = "x" * (MAX_KEPT_REPLY_CHARS + 1)
        assert build_attempt(raw, "nim", gate(raw, BASELINE)).raw == raw[:-1]


class TestBlocked:
    def test_the_last_attempt_speaks_for_it_and_all_are_there(self) -> None:
        replies = ["no", '{"knob": "mood", "new_value": 1, "reason": ""}']
        attempts = [build_attempt(raw, "nim", gate(raw, BASELINE)) for raw in replies]
        blocked = build_blocked(3, AttemptLog(attempts, propose_s=4.0), "now", 5.0)
        assert (blocked.iter, blocked.rail, blocked.reason) == (3, Rail.R2_MENU, attempts[-1].reason)
        assert blocked.attempts == tuple(attempts)
        assert (blocked.iter_wall_s, blocked.propose_wall_s, blocked.overhead_s) == (5.0, 4.0, 1.0)


class TestProposerFailed:
    @given(ANY_TEXT)
    def test_whatever_the_error_says_can_be_written_and_read(self, message: str) -> None:
        failed = build_proposer_failed(1, "nim", RuntimeError(message), AttemptLog(propose_s=1.0), "now", 1.0)
        assert decode(encode(failed)) == failed
        assert failed.reason.startswith("RuntimeError: ")
        assert failed.reason.isprintable()


class TestProposed:
    def test_only_a_verdict_that_passed_opens_an_iteration(self) -> None:
        verdict = gate("no", BASELINE)
        with pytest.raises(ValueError, match="passed"):
            build_proposed(verdict, "nim", AttemptLog([build_attempt("no", "nim", verdict)]), 1, "now")

    def test_it_carries_what_the_trial_needs(self) -> None:
        verdict = gate(GOOD, BASELINE)
        proposed = build_proposed(
            verdict, "nim", AttemptLog([build_attempt(GOOD, "nim", verdict)], propose_s=1.5), 4, "now"
        )
        assert proposed.candidate_cfg == {**BASELINE, "lr": 1e-3}
        assert (proposed.iter, proposed.source, proposed.propose_wall_s) == (4, "nim", 1.5)
        assert proposed.diff.splitlines()[-2:] == [f"-lr = {BASELINE['lr']}", "+lr = 0.001"]


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("flops", ""),
        ("steps", ""),
        ("tokens", ""),
        ("seconds", "; it trained on 1,500 tokens a trial, the baseline on 1,000 (1.50 x)"),
    ],
)
def test_a_verdict_under_a_budget_in_seconds_names_the_tokens_of_both_sides(kind: str, note: str) -> None:
    yardstick = YARDSTICK.model_copy(update={"budget_kind": kind})
    settings = resolve({}, {}).settings
    trajectory = Trajectory.fold([build_meta(settings, build_policy(settings), yardstick)])
    trajectory.baseline_outcomes = [ended(measurement(2.0))]
    trajectory.outcomes = [ended(measurement(1.9).model_copy(update={"train_tokens": 1500}))]
    proposed = build_proposed(gate(GOOD, BASELINE), "tpe", AttemptLog(), 1, "now")
    decision = Decision("keep", 1.9, 2.0, 0.05, "a reason")
    record = build_evaluated(proposed, trajectory, decision, "now", IterationTimes(1.0, 0.5))
    assert record.reason == f"a reason{note}"


def test_a_run_without_a_baseline_is_not_complete() -> None:
    with pytest.raises(ValueError, match="baseline"):
        build_loop_complete(Trajectory(), 5, "now")
