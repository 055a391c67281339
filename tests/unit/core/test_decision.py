"""Keep or revert: the threshold is exact, all trials count, and units do not matter."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoresearch.core.decision import Comparison, Decision, Needed, mean_loss, next_baseline_trial, next_trial
from autoresearch.core.decision import decide as decide_on
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.records import DecisionRule, TrialEnded
from autoresearch.testing.fake_trial import measurement

BPB = st.floats(0.1, 20.0)
SEVERAL = st.lists(BPB, min_size=1, max_size=5)
FRACS = st.floats(0.0, 0.5)


def rule(accept_delta_frac: float = 0.005) -> DecisionRule:
    return DecisionRule(accept_delta_frac=accept_delta_frac, seed=0)


def trials(*val_bpbs: float) -> list[TrialEnded]:
    return [ended(seed, measurement(bpb)) for seed, bpb in enumerate(val_bpbs)]


def ended(seed: int, outcome: Outcome) -> TrialEnded:
    return TrialEnded(ts="", trial=seed + 1, iter=1, seed=seed, outcome=outcome)


def decide(candidate: list[TrialEnded], baseline: list[TrialEnded], by: DecisionRule) -> Decision:
    return decide_on(Comparison(candidate, baseline), by)


FAILED = ended(0, Failure(cause=Cause.TIMEOUT, detail="not finished after 5 s"))


class TestThreshold:
    EIGHTH = 1 / 8  # exact in binary, so that the boundary can be hit exactly

    def test_exactly_the_threshold_is_kept(self) -> None:
        verdict = decide(trials(1.75), trials(2.0), rule(self.EIGHTH))
        assert (verdict.decision, verdict.improvement_frac) == ("keep", self.EIGHTH)

    def test_one_bit_above_it_is_reverted(self) -> None:
        verdict = decide(trials(math.nextafter(1.75, 2.0)), trials(2.0), rule(self.EIGHTH))
        assert verdict.decision == "revert"
        assert verdict.improvement_frac < self.EIGHTH

    def test_the_baseline_itself_is_no_improvement(self) -> None:
        assert decide(trials(2.0), trials(2.0), rule()).decision == "revert"

    def test_with_a_threshold_of_zero_a_draw_is_kept(self) -> None:
        assert decide(trials(2.0), trials(2.0), rule(0.0)).decision == "keep"

    @pytest.mark.parametrize(
        ("bpb", "decision", "words"),
        [(1.98, "keep", "+1.00% reaches the 0.5%"), (2.02, "revert", "-1.00% is below the 0.5%")],
    )
    def test_the_reason_says_it_in_numbers(self, bpb: float, decision: str, words: str) -> None:
        verdict = decide(trials(bpb), trials(2.0), rule())
        assert verdict.decision == decision
        assert words in verdict.reason


class TestSeveralTrials:
    def test_the_means_are_compared_and_the_single_ones_are_not(self) -> None:
        """One lucky candidate and one unlucky baseline: the origin kept two of eight that way."""
        lucky, unlucky = trials(1.90, 2.04), trials(2.10, 1.90)
        verdict = decide(lucky, unlucky, rule(0.01))
        assert (verdict.loss, verdict.baseline_loss) == pytest.approx((1.97, 2.0))
        assert verdict.improvement_frac == pytest.approx(0.015)
        assert verdict.decision == "keep"
        assert decide(trials(1.90, 2.08), unlucky, rule(0.01)).decision == "revert"

    def test_without_trials_there_is_no_verdict(self) -> None:
        for candidate, baseline in (([], trials(2.0)), (trials(2.0), []), ([FAILED], trials(2.0))):
            with pytest.raises(ValueError, match="at least one measured trial"):
                decide(candidate, baseline, rule())

    def test_a_failed_one_is_in_no_mean(self) -> None:
        assert mean_loss([*trials(1.9), FAILED, *trials(2.1)]) == pytest.approx(2.0)

    @given(SEVERAL, SEVERAL, FRACS, st.randoms(use_true_random=False))
    def test_their_order_does_not_matter(self, candidate, baseline, frac, random) -> None:
        shuffled = random.sample(candidate, len(candidate))
        assert decide(trials(*shuffled), trials(*baseline), rule(frac)) == decide(
            trials(*candidate), trials(*baseline), rule(frac)
        )


class TestLaws:
    @given(SEVERAL, SEVERAL, FRACS, st.integers(-30, 30))
    def test_bits_or_nats_the_verdict_is_the_same(self, candidate, baseline, frac, exponent) -> None:
        """Relative: another unit of loss changes nothing (powers of two, so that not even rounding does)."""
        scale = 2.0**exponent
        one = decide(trials(*candidate), trials(*baseline), rule(frac))
        other = decide(trials(*(scale * c for c in candidate)), trials(*(scale * b for b in baseline)), rule(frac))
        assert (other.decision, other.improvement_frac) == (one.decision, one.improvement_frac)
        assert other.loss == scale * one.loss

    @given(BPB, BPB, BPB, FRACS)
    def test_a_lower_val_bpb_is_never_judged_worse(self, one, other, baseline, frac) -> None:
        better, worse = sorted((one, other))
        if decide(trials(worse), trials(baseline), rule(frac)).decision == "keep":
            assert decide(trials(better), trials(baseline), rule(frac)).decision == "keep"

    @given(SEVERAL, SEVERAL, FRACS, FRACS)
    def test_a_stricter_rule_keeps_no_more(self, candidate, baseline, one, other) -> None:
        loose, strict = sorted((one, other))
        if decide(trials(*candidate), trials(*baseline), rule(strict)).decision == "keep":
            assert decide(trials(*candidate), trials(*baseline), rule(loose)).decision == "keep"

    @given(BPB, BPB)
    def test_candidate_and_baseline_cannot_both_beat_each_other(self, one, other) -> None:
        assume(one != other)
        there = decide(trials(one), trials(other), rule(1e-12)).decision
        back = decide(trials(other), trials(one), rule(1e-12)).decision
        assert "revert" in (there, back)


class TestWantedSeed:
    def test_the_threshold_asks_for_its_seed_and_then_for_nothing(self) -> None:
        seventeen = DecisionRule(accept_delta_frac=0.005, seed=17)
        assert next_trial(Comparison([], []), seventeen) == Needed(17)
        assert next_trial(Comparison([ended(3, measurement(2.0))], []), seventeen) == Needed(17)
        assert next_trial(Comparison([ended(17, measurement(2.0))], []), seventeen) is None
        assert next_baseline_trial(Comparison([], []), seventeen) == Needed(17, of_baseline=True)
        assert next_baseline_trial(Comparison([ended(17, measurement(2.0))], []), seventeen) is None
