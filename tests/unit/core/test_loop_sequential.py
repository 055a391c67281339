"""Rule sequential in the loop: which trials it runs, what it records, and that nothing depends on when it is killed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import (
    Baseline,
    DecisionRule,
    EvalFailed,
    Evaluated,
    Meta,
    TrialEnded,
    TrialStarted,
    decode,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.report.verify import verify
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, NO_BETTER, Killed, MortalJournal, only, records, say, stages

Make = Callable[..., Settings]
SCRIPT = [BETTER, NO_BETTER, say("lr", 2e-3), say("beta1", 0.95)]


@pytest.fixture
def make_settings(make_settings: Make) -> Make:
    """Rule sequential; the fake's best lr is 3e-3, and from 3e-4 it gains 2.5% at 0.06% of noise."""
    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4}
    return lambda changes=None, **flags: make_settings(fixed | (changes or {}), **flags)


def seeds_of(loop: Loop, n: int) -> list[int]:
    return [r.seed for r in only(TrialStarted, loop) if r.iter == n]


class TestTrials:
    def test_the_baseline_is_measured_with_several_seeds(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([]))
        loop.run()
        assert seeds_of(loop, 0) == [0, 1, 2]
        (baseline,) = only(Baseline, loop)
        measured = [t.outcome.val_bpb for t in only(TrialEnded, loop)]
        assert baseline.baseline_val_bpb == pytest.approx(sum(measured) / 3)
        assert baseline.trials == (1, 2, 3)

    def test_a_hopeless_candidate_costs_one_trial(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([NO_BETTER]))
        loop.run()
        (reverted,) = only(Evaluated, loop)
        assert (reverted.decision, len(reverted.trials)) == ("revert", 1)
        assert reverted.evidence is not None
        assert (reverted.evidence.label, reverted.evidence.test) == ("screened out", 1)
        assert reverted.reason.startswith("screened out: gain ")

    def test_a_good_one_is_confirmed_on_further_seeds_and_the_baseline_with_it(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, say("lr", 2e-3)]))
        loop.run()
        first, second = only(Evaluated, loop)
        for record in (first, second):
            assert record.evidence is not None
            n = len(record.evidence.seeds)
            assert record.evidence.seeds == tuple(range(n))
            assert len(record.evidence.gains_frac) == len(record.trials) == n >= 4
            assert record.improvement_frac == pytest.approx(sum(record.evidence.gains_frac) / n)
        assert (second.decision, second.evidence and second.evidence.label) == ("keep", "confirmed")
        assert seeds_of(loop, 0) == list(range(max(len(first.trials), len(second.trials), 3)))
        later = [r for r in only(TrialStarted, loop) if r.iter == 0 and r.seed > 2]
        assert all(r.cfg == loop.baseline_cfg for r in later)

    def test_every_candidate_spends_its_own_share_of_alpha(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=4), ScriptedProposer(list(SCRIPT)))
        loop.run()
        found = [r.evidence for r in only(Evaluated, loop)]
        assert [e.test for e in found if e] == [1, 2, 3, 4]
        spent = [e.alpha_spent for e in found if e]
        assert spent == sorted(spent)
        assert spent[-1] < 0.05

    def test_a_seed_with_which_the_baseline_fails_is_left_out(self, make_settings: Make) -> None:
        settings = make_settings(iters=1)
        loop = fake_loop(settings, ScriptedProposer([BETTER]), trial=FailsWith(seed=3, lr=3e-4))
        assert loop.run() == "complete"
        (kept,) = only(Evaluated, loop)
        assert kept.evidence is not None
        assert 3 not in kept.evidence.seeds
        assert len(kept.evidence.seeds) >= 4

    def test_a_seed_with_which_the_candidate_fails_closes_the_iteration(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), trial=FailsWith(seed=2, lr=3e-3))
        loop.run()
        (failed,) = only(EvalFailed, loop)
        assert (failed.cause, len(failed.trials)) == (Cause.NON_FINITE_LOSS, 3)


class FailsWith(FakeTrial):
    """Fails with one seed of one learning rate."""

    def __init__(self, seed: int, lr: float) -> None:
        FakeTrial.__init__(self)
        self.failing = (seed, lr)

    def measure(self, cfg, seed, on_progress, *_):  # type: ignore[no-untyped-def]
        if (seed, cfg["lr"]) == self.failing:
            return Failure(cause=Cause.NON_FINITE_LOSS, detail="NaN at step 3")
        return FakeTrial.measure(self, cfg, seed, on_progress)


class TestResuming:
    """A kill after any record changes neither the trials nor the alpha that is spent."""

    def whole(self, settings: Settings) -> Loop:
        loop = fake_loop(settings, ScriptedProposer(list(SCRIPT)))
        loop.run()
        return loop

    def continued(self, settings: Settings, last: int) -> list[object]:
        loop = fake_loop(settings, ScriptedProposer(list(SCRIPT)))
        loop.journal = MortalJournal(payloads=list(loop.journal.payloads), last=last)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            loop.run()
        known = [decode(payload) for payload in loop.journal.payloads]
        proposals = sum(r.stage == "proposed" for r in known)
        again = fake_loop(settings, ScriptedProposer(SCRIPT[proposals:]), trajectory=Trajectory.fold(known))
        again.journal = MemoryJournal(payloads=list(loop.journal.payloads))
        again.run()
        return [decode(payload) for payload in again.journal.payloads]

    def test_a_kill_after_any_record_gives_the_same_verdicts(self, make_settings: Make) -> None:
        settings = make_settings(iters=4)
        whole = self.whole(settings)
        verdicts = only(Evaluated, whole)
        for last in range(2, len(stages(whole))):
            found = [r for r in self.continued(settings, last) if isinstance(r, Evaluated)]
            assert [r.evidence for r in found] == [v.evidence for v in verdicts] or same_but_trial_numbers(
                found, verdicts
            )
            assert [r.decision for r in found] == [v.decision for v in verdicts]

    def test_more_iterations_later_decide_as_if_all_had_been_asked_for_at_once(self, make_settings: Make) -> None:
        whole = self.whole(make_settings(iters=4))
        loop = fake_loop(make_settings(iters=2), ScriptedProposer(SCRIPT[:2]))
        loop.run()
        more = fake_loop(
            make_settings(iters=4), ScriptedProposer(SCRIPT[2:]), trajectory=Trajectory.fold(records(loop))
        )
        more.run()
        both = [*only(Evaluated, loop), *only(Evaluated, more)]
        assert [r.evidence for r in both] == [r.evidence for r in only(Evaluated, whole)]


def same_but_trial_numbers(found: list[Evaluated], verdicts: list[Evaluated]) -> bool:
    """A trial that a kill cut off is run again under the next number."""
    plain = [
        [r.evidence and r.evidence.model_copy(update={"baseline_trials": ()}) for r in rs] for rs in (found, verdicts)
    ]
    return plain[0] == plain[1]


class TestVerify:
    def test_the_trials_of_a_run_give_its_decisions(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=4), ScriptedProposer(list(SCRIPT)))
        loop.run()
        found = verify([decode(encode(r)) for r in records(loop)])
        assert (found.decisions, found.difference) == (4, None)

    def test_a_changed_decision_is_named(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=2), ScriptedProposer(SCRIPT[:2]))
        loop.run()
        events = records(loop)
        at = next(i for i, r in enumerate(events) if isinstance(r, Evaluated) and r.iter == 2)
        events[at] = events[at].model_copy(update={"decision": "keep"})
        found = verify(events)
        assert str(found.difference) == "iteration 2: decision is recorded as 'keep'; its trials give 'revert'"

    def test_a_changed_trial_is_named(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=1), ScriptedProposer(SCRIPT[:1]))
        loop.run()
        events = records(loop)
        at = next(i for i, r in enumerate(events) if isinstance(r, TrialEnded) and r.iter == 1)
        outcome = events[at].outcome.model_copy(update={"val_bpb": events[at].outcome.val_bpb + 1e-9})
        events[at] = events[at].model_copy(update={"outcome": outcome})
        found = verify(events)
        assert found.difference is not None
        assert (found.difference.iter, found.difference.field) == (1, "val_bpb")

    def test_so_it_is_for_a_run_by_the_threshold(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings({"decision.rule": "threshold"}, iters=4), ScriptedProposer(list(SCRIPT)))
        loop.run()
        (meta,) = only(Meta, loop)
        assert meta.decision_rule == DecisionRule(accept_delta_frac=0.005, seed=0)
        found = verify(records(loop))
        assert (found.decisions, found.difference) == (4, None)


def test_the_fake_world_is_as_these_tests_assume() -> None:
    cfg: Cfg = {"lr": 3e-4}
    gain = 1 - fake_bpb({"lr": 3e-3}, 0) / fake_bpb(cfg, 0)
    assert gain == pytest.approx(0.025, abs=0.002)


@pytest.mark.parametrize(
    ("confirm", "labels"), [("all", ["confirmed", "confirmed"]), ("best", ["confirmed", "below the best"])]
)
def test_what_is_below_the_best_keep_is_confirmed_if_the_settings_say_so(make_settings: Make, confirm, labels) -> None:
    loop = fake_loop(make_settings({"decision.confirm": confirm}, iters=2), ScriptedProposer([BETTER, say("lr", 2e-3)]))
    loop.run()
    judged = only(Evaluated, loop)
    assert [r.evidence and r.evidence.label for r in judged] == labels
    assert len(judged[1].trials) == (1 if confirm == "best" else 4)
    assert verify(records(loop)).difference is None
