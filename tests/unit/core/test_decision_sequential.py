"""Rule sequential on one candidate: its seeds, its evidence and its sentence, each by an example."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import pytest

from autoresearch.core.decision import (
    Comparison,
    Needed,
    Pair,
    decide,
    judgement_of,
    mean_loss,
    next_baseline_trial,
    next_trial,
    paired_gains,
    pairs_of,
    sequential_rule,
    usable_seeds,
)
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import DecisionRule, Evaluated, TrialEnded
from autoresearch.testing.fake_trial import measurement
from autoresearch.verdicts.noise import pooled_noise
from autoresearch.verdicts.rule import SequentialRule, alpha_of_test

RULE = DecisionRule(
    kind="sequential",
    accept_delta_frac=0.005,
    seed=10,
    baseline_seeds=3,
    alpha=0.05,
    min_seeds=4,
    max_seeds=6,
    futility_frac=0.8,
    clip=4.5,
)
BASELINE = (2.00, 2.02, 1.98, 2.01, 1.99, 2.00)  # of seeds 10 to 15
CONFIRMED = (1.90, 1.92, 1.89, 1.91)


def ended(seed: int, bpb: float | None, trial: int) -> TrialEnded:
    outcome = Failure(cause=Cause.TIMEOUT, detail="not finished after 5 s") if bpb is None else measurement(bpb)
    return TrialEnded(ts="", trial=trial, iter=1, seed=seed, outcome=outcome)


def trials(*bpbs: float | None, first: int = 1) -> list[TrialEnded]:
    """Trials with the seeds from 10 on; ``None`` is a failed one."""
    return [ended(10 + i, bpb, first + i) for i, bpb in enumerate(bpbs)]


def compared(*candidate: float | None, baseline: tuple[float | None, ...] = BASELINE, test: int = 1) -> Comparison:
    return Comparison(trials(*candidate, first=101), trials(*baseline), (), test)


class TestSeeds:
    def test_the_baseline_needs_its_own_number_of_seeds_from_the_first_on(self) -> None:
        assert next_baseline_trial(Comparison([], []), RULE) == Needed(10, of_baseline=True)
        assert next_baseline_trial(Comparison(trials(2.0, 2.0), []), RULE) == Needed(12, of_baseline=True)
        assert next_baseline_trial(Comparison(trials(2.0, 2.0, 2.0), []), RULE) is None

    def test_a_candidate_begins_with_the_first_seed_of_the_baseline(self) -> None:
        assert next_trial(compared(), RULE) == Needed(10)

    def test_an_open_one_gets_the_next_seed(self) -> None:
        assert next_trial(compared(1.97), RULE) == Needed(11)
        assert next_trial(compared(1.97, 1.99), RULE) == Needed(12)

    def test_and_the_baseline_first_where_it_lacks_that_seed(self) -> None:
        assert next_trial(compared(1.97, baseline=(2.0,)), RULE) == Needed(11, of_baseline=True)
        assert next_trial(compared(1.97, baseline=(2.0, 2.02)), RULE) == Needed(11)

    def test_a_judged_one_gets_none(self) -> None:
        assert next_trial(compared(2.1), RULE) is None
        assert next_trial(compared(*CONFIRMED), RULE) is None

    def test_where_every_usable_seed_was_tried_there_is_none(self) -> None:
        """Half of them failed, so that the rule has no judgement yet."""
        assert judgement_of(compared(1.99, None, None, None, None, None), RULE).decision is None
        assert next_trial(compared(1.99, None, None, None, None, None), RULE) is None

    def test_seeds_with_which_the_baseline_failed_are_replaced_by_later_ones(self) -> None:
        assert list(usable_seeds([], RULE)) == [10, 11, 12, 13, 14, 15]
        assert list(usable_seeds(trials(2.0, None, 2.0, None), RULE)) == [10, 12, 14, 15, 16, 17]
        assert next_trial(compared(1.97, baseline=(2.0, None, 2.0)), RULE) == Needed(12)

    def test_at_most_twice_as_many_seeds_are_looked_at(self) -> None:
        assert list(usable_seeds(trials(*[None] * 10), RULE)) == [20, 21]
        assert list(usable_seeds(trials(*[None] * 12), RULE)) == []

    def test_a_rule_without_a_number_of_seeds_has_one(self) -> None:
        rule = DecisionRule(accept_delta_frac=0.005, seed=10)
        assert list(usable_seeds([], rule)) == [10]
        assert list(usable_seeds(trials(None), rule)) == [11]
        assert list(usable_seeds(trials(None, None), rule)) == []


class TestPairs:
    def test_measured_on_both_sides_in_the_order_of_the_seeds(self) -> None:
        candidate = [ended(12, 1.7, 9), ended(10, 1.9, 7), ended(11, None, 8), ended(14, 1.5, 11)]
        baseline = [ended(14, 2.4, 5), ended(12, 2.2, 3), ended(11, 2.1, 2), ended(10, None, 1)]
        assert pairs_of(candidate, baseline) == [Pair(12, 1.7, 2.2, 3), Pair(14, 1.5, 2.4, 5)]

    def test_gains_are_relative_to_the_mean_of_the_baseline(self) -> None:
        assert paired_gains([Pair(1, 1.5, 2.0, 1), Pair(2, 4.0, 4.0, 2)]) == pytest.approx((0.5 / 3, 0.0))
        assert paired_gains([]) == ()


class TestJudgement:
    def test_earlier_gains_both_sides_and_the_number_of_the_test_count(self) -> None:
        earlier = [(0.01, 0.012), (0.001, -0.002, 0.003)]
        one = Comparison(trials(1.97, 1.96), trials(2.0, 2.02, None, 1.98), earlier, 70)
        judgement = judgement_of(one, RULE)
        gains = paired_gains(pairs_of(one.candidate, one.baseline))
        noise = pooled_noise([2.0, 2.02, 1.98], [*earlier, gains], [1.97, 1.96])
        assert judgement.df == noise.df
        assert judgement.sd_frac >= noise.sd_frac > 0
        assert (judgement.n, judgement.mean_frac) == (2, pytest.approx(fmean(gains)))
        assert judgement.alpha == alpha_of_test(0.05, 70)

    def test_the_values_of_the_candidate_add_to_what_is_known_of_the_noise(self) -> None:
        assert judgement_of(compared(1.97, 1.96, baseline=(2.0, 2.02)), RULE).df == 2

    def test_the_rule_of_the_statistics_has_the_constants_of_the_record(self) -> None:
        assert sequential_rule(RULE) == SequentialRule(0.005, 0.05, 6, 4, 0.8, 4.5, own_seeds=0), "an older record"
        whole = RULE.model_copy(update={"own_seeds": 7})
        assert sequential_rule(whole) == SequentialRule(0.005, 0.05, 6, 4, 0.8, 4.5, 7)

    def test_rule_threshold_has_none(self) -> None:
        with pytest.raises(ValueError, match=r"^rule threshold has no sequential test: \{.*'alpha': None"):
            sequential_rule(DecisionRule(accept_delta_frac=0.005, seed=0))
        partly = RULE.model_copy(update={"clip": None})
        with pytest.raises(ValueError, match=r"'min_seeds': 4.*'clip': None"):
            sequential_rule(partly)


class TestDecision:
    def test_a_keep_has_all_its_evidence(self) -> None:
        one = compared(*CONFIRMED, test=3)
        verdict, judgement = decide(one, RULE), judgement_of(one, RULE)
        baseline = fmean(BASELINE[:4])
        assert (verdict.decision, verdict.loss) == ("keep", pytest.approx(1.905))
        assert verdict.baseline_loss == pytest.approx(baseline)
        assert verdict.improvement_frac == pytest.approx((baseline - 1.905) / baseline)
        evidence = verdict.evidence
        assert evidence is not None
        assert (evidence.label, evidence.test) == ("confirmed", 3)
        assert (evidence.seeds, evidence.baseline_trials) == ((10, 11, 12, 13), (1, 2, 3, 4))
        assert evidence.gains_frac == paired_gains(pairs_of(one.candidate, one.baseline))
        interval = (evidence.low_frac, evidence.high_frac, evidence.statistic, evidence.critical)
        assert interval == (judgement.low_frac, judgement.high_frac, judgement.statistic, judgement.critical)
        assert (evidence.sd_frac, evidence.df, evidence.alpha) == (judgement.sd_frac, judgement.df, judgement.alpha)
        assert evidence.alpha_spent == pytest.approx(3 * alpha_of_test(0.05, 3))

    def test_without_a_known_noise_what_is_infinite_is_null(self) -> None:
        verdict = decide(compared(1.9, baseline=(2.0,)), RULE)
        assert verdict.evidence is not None
        evidence = verdict.evidence
        assert (evidence.low_frac, evidence.high_frac, evidence.critical) == (None, None, None)
        assert (evidence.df, math.isfinite(evidence.statistic)) == (0, True)

    def test_what_is_open_when_the_seeds_end_is_inconclusive_and_reverted(self) -> None:
        verdict = decide(compared(1.97, 2.0), RULE)
        assert (verdict.decision, verdict.evidence and verdict.evidence.label) == ("revert", "inconclusive")

    def test_without_a_pair_there_is_no_verdict(self) -> None:
        message = "^a decision needs a seed with which candidate and baseline are measured$"
        for none in (compared(), compared(None), compared(1.9, baseline=(None,))):
            with pytest.raises(ValueError, match=message):
                decide(none, RULE)


class TestSentence:
    def sentence(self, one: Comparison) -> str:
        return decide(one, RULE).reason

    def interval(self, one: Comparison) -> str:
        judgement = judgement_of(one, RULE)
        return f"(interval {100 * judgement.low_frac:+.2f} to {100 * judgement.high_frac:+.2f}%)"

    def test_of_a_keep(self) -> None:
        one = compared(*CONFIRMED, test=3)
        assert self.sentence(one) == (
            f"confirmed: gain +4.87% over 4 seeds {self.interval(one)}, which reaches the 0.5% that a keep needs; "
            "a false keep of test 3 has a probability of at most 0.00039"
        )

    def test_of_one_seed_without_a_known_noise(self) -> None:
        assert self.sentence(compared(2.02, baseline=(2.0,))) == (
            "screened out: gain -1.00% over 1 seed, too far below the 0.5% that a keep needs"
        )

    def test_of_several_seeds_without_a_gain(self) -> None:
        one = compared(1.97, 2.06)
        assert self.sentence(one) == (
            f"no gain: gain -0.25% over 2 seeds {self.interval(one)}, too far below the 0.5% that a keep needs"
        )

    def test_of_the_last_seed(self) -> None:
        one = compared(1.9, 2.05, 1.9, 2.05, 1.9, 2.05)
        assert self.sentence(one) == (
            f"inconclusive: gain +1.25% over 6 seeds {self.interval(one)}: 6 seeds are the most, "
            "and chance is not ruled out"
        )


def test_of_the_threshold_every_word_and_both_numbers() -> None:
    rule = DecisionRule(accept_delta_frac=0.0125, seed=10)
    keep, revert = decide(compared(1.9, baseline=(2.0,)), rule), decide(compared(2.1, baseline=(2.0,)), rule)
    assert keep.reason == "improvement +5.00% reaches the 1.25% that a keep needs"
    assert revert.reason == "improvement -5.00% is below the 1.25% that a keep needs"
    assert (keep.loss, keep.baseline_loss, keep.evidence) == (1.9, 2.0, None)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a decision needs at least one measured trial on either side$"):
        mean_loss(trials(None))


class TestOnlyTheBestIsConfirmed:
    """``confirm = "best"``: a candidate gets more seeds while it gains more than the best keep with the same seeds."""

    BEST = RULE.model_copy(update={"confirm": "best"})

    def best(self, gains: dict[int, float]) -> Evaluated:
        kept = decide(compared(*CONFIRMED), RULE)
        assert kept.evidence is not None
        evidence = kept.evidence.model_copy(update={"seeds": tuple(gains), "gains_frac": tuple(gains.values())})
        return Evaluated.model_construct(iter=7, improvement_frac=fmean(gains.values()), evidence=evidence)

    @pytest.mark.parametrize(
        ("keep", "label"),
        [
            ({10: 0.04, 11: 0.0}, "below the best"),
            ({10: 0.025 + 1e-9}, "below the best"),  # 1.95 gains 0.025 on 2.00
            ({10: 0.025 - 1e-9}, None),
            ({11: 0.04}, None),  # no seed in common: the gain of another seed says nothing of this one
        ],
    )
    def test_a_candidate_is_compared_on_common_seeds(self, keep: dict[int, float], label: str | None) -> None:
        against = replace(compared(1.95), best=self.best(keep))
        assert judgement_of(against, self.BEST).label == label
        assert next_trial(against, self.BEST) == (None if label else Needed(11))
        assert next_trial(against, RULE) == Needed(11), "every candidate is confirmed by default"

    def test_the_verdict_names_the_keep(self) -> None:
        found = decide(replace(compared(1.95), best=self.best({10: 0.04})), self.BEST)
        assert found.decision == "revert"
        assert found.evidence is not None
        assert found.evidence.label == "below the best"
        assert found.reason.startswith("below the best: gain +2.50% over 1 seed (interval ")
        assert found.reason.endswith("the keep of iteration 7 with the same seeds (+4.00% over all of its seeds)")

    def test_what_was_confirmed_stays_a_keep(self) -> None:
        against = replace(compared(*CONFIRMED), best=self.best({10: 0.06, 11: 0.06, 12: 0.06, 13: 0.06}))
        assert judgement_of(against, self.BEST).label == "confirmed"
