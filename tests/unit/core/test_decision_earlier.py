"""What earlier runs and the best keep add to a judgement, gains of a metric of 0, and the evidence's numbers."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest

from autoresearch.core.decision import (
    Comparison,
    Pair,
    decide,
    is_below,
    judgement_of,
    noise_of_earlier,
    paired_gains,
    unusable_baseline,
)
from autoresearch.core.records import EarlierRun, Evaluated
from autoresearch.verdicts.noise import EarlierNoise, Noise
from autoresearch.verdicts.student_t import upper_tail
from tests.unit.core.test_decision_sequential import BASELINE, RULE, compared, trials

QUIET = EarlierRun(run_id="a", gains_sd_frac=0.001, gains_df=20.0, trials_sd_frac=0.002, trials_df=30.0)


class TestNoiseOfEarlierRuns:
    def test_each_of_its_two_estimates_is_what_was_recorded(self) -> None:
        found = noise_of_earlier([QUIET])
        assert found == EarlierNoise(Noise(0.001, 20.0, "gains"), Noise(0.002, 30.0, "trials"))

    def test_an_estimate_that_was_not_made_is_none(self) -> None:
        """Its degrees of freedom are 0; the standard deviation beside them means nothing."""
        nothing = QUIET.model_copy(update={"gains_df": 0.0, "gains_sd_frac": 0.5})
        found = noise_of_earlier([nothing])
        assert (found.gains.df, found.gains.sd_frac) == (0.0, 0.0)
        assert found.trials == Noise(0.002, 30.0, "trials")
        nothing = QUIET.model_copy(update={"trials_df": 0.0, "trials_sd_frac": 0.5})
        found = noise_of_earlier([nothing])
        assert (found.trials.df, found.trials.sd_frac) == (0.0, 0.0)
        assert found.gains == Noise(0.001, 20.0, "gains")

    def test_a_judgement_has_their_degrees_of_freedom(self) -> None:
        candidate, baseline = trials(1.98, 1.981, first=101), trials(2.0, 2.0005)
        alone = judgement_of(Comparison(candidate, baseline), RULE)
        helped = judgement_of(Comparison(candidate, baseline, earlier_runs=[QUIET]), RULE)
        assert helped.df > alone.df
        assert helped.df >= 20


class TestBestKeep:
    def keep(self, seeds: tuple[int, ...], gains: tuple[float, ...]) -> Evaluated:
        whole = decide(compared(*[1.9] * 4), RULE).evidence
        assert whole is not None
        evidence = whole.model_copy(update={"seeds": seeds, "gains_frac": gains})
        return Evaluated.model_construct(evidence=evidence, iter=1, improvement_frac=fmean(gains))

    def test_the_same_gain_is_below(self) -> None:
        pairs = [Pair(10, 1.9, 2.0, 1), Pair(11, 1.9, 2.0, 2)]
        assert is_below(self.keep((10, 11), (0.05, 0.05)), pairs, (0.05, 0.05))
        assert not is_below(self.keep((10, 11), (0.05, 0.05)), pairs, (0.05, 0.0625))

    def test_only_seeds_that_both_have_are_compared(self) -> None:
        pairs = [Pair(10, 1.9, 2.0, 1), Pair(11, 1.9, 2.0, 2)]
        assert not is_below(self.keep((10, 12), (0.04, 0.9)), pairs, (0.05, 0.01))
        assert not is_below(self.keep((12, 13), (0.9, 0.9)), pairs, (0.05, 0.01))
        assert not is_below(None, pairs, (0.05, 0.01))


class TestEvidence:
    def test_p_is_the_tail_of_the_statistic(self) -> None:
        evidence = decide(compared(1.97, 1.99, 1.96, 1.98), RULE).evidence
        assert evidence is not None
        assert evidence.df > 0
        assert evidence.p == pytest.approx(upper_tail(evidence.statistic, evidence.df))

    def test_with_one_degree_of_freedom_too(self) -> None:
        evidence = decide(Comparison(trials(1.96, 1.97, first=101), trials(2.0, None, 2.0)), RULE).evidence
        assert evidence is not None
        two = decide(Comparison(trials(1.96, first=101), trials(2.0, 2.01)), RULE).evidence
        assert two is not None
        assert two.df == 1
        assert two.p == pytest.approx(upper_tail(two.statistic, 1))

    def test_without_a_noise_there_is_none(self) -> None:
        evidence = decide(Comparison(trials(1.96, first=101), trials(2.0)), RULE).evidence
        assert evidence is not None
        assert (evidence.df, evidence.p) == (0, None)


class TestAMetricOfZero:
    def test_a_gain_over_a_baseline_of_zero_is_whole_or_none(self) -> None:
        gains = paired_gains([Pair(1, -3.0, 0.0, 1), Pair(2, 2.0, 0.0, 2), Pair(3, 0.0, 0.0, 3)])
        assert gains == (1.0, -1.0, 0.0)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ((0.0, 0.0), "the baseline's metric is 0 (0, 0), and gains are relative to it"),
            ((-1.0, 2.5), "the baseline's metric lies on both sides of 0 (-1, 2.5), and gains"),
            ((0.0, 2.0), ""),
            ((-2.0, 0.0), ""),
            ((0.5, 2.0), ""),
            ((-2.0, -1.0), ""),
        ],
    )
    def test_gains_need_a_baseline_away_from_it(self, values: tuple[float, ...], words: str) -> None:
        found = unusable_baseline(values)
        assert found.startswith(words)
        assert bool(found) == bool(words)


def test_the_noise_of_the_baseline_alone_has_its_own_degrees_of_freedom() -> None:
    found = judgement_of(compared(1.97), RULE)
    assert found.df == len(BASELINE) - 1
    assert found.sd_frac == pytest.approx(2**0.5 * stdev(BASELINE) / fmean(BASELINE))
