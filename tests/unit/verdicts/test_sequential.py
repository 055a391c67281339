"""Keep, revert or one more seed: each way out, by hand, and what must hold for any numbers."""

import math
import statistics
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts import Noise, SequentialRule, alpha_of_test, judge
from autoresearch.verdicts.sequential import clipped_statistic
from autoresearch.verdicts.student_t import upper_quantile

RULE = SequentialRule(0.005, min_seeds=3, max_seeds=8, futility_frac=0.8, clip=2.5, own_seeds=0)
KNOWN = Noise(0.002, 200, "gains")
gains_of_any_size = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("gains", "decision", "label"),
    [
        ([0.0039], "revert", "screened out"),
        ([0.0041], None, None),
        ([0.009, -0.002], "revert", "no gain"),
        ([0.01, 0.01], None, None),
        ([0.01, 0.01, 0.01], "keep", "confirmed"),
        ([0.0045] * 7, None, None),
        ([0.0045] * 8, "revert", "inconclusive"),
    ],
)
def test_each_way_out(gains, decision, label):
    judgement = judge(gains, KNOWN, RULE, 1)
    assert (judgement.decision, judgement.label, judgement.n) == (decision, label, len(gains))


def test_a_judgement_states_what_it_was_made_of():
    j = judge([0.008, 0.010, 0.012], KNOWN, RULE, 70)
    assert j.mean_frac == pytest.approx(0.01)
    assert j.alpha == alpha_of_test(0.05, 70)
    assert j.critical == upper_quantile(j.alpha / 4, 200)  # the first of six looks, at 3 to 8 seeds
    assert (j.mean_frac - j.low_frac) == pytest.approx(j.critical * 0.002 / math.sqrt(3))
    assert (j.high_frac - j.mean_frac) == pytest.approx(j.mean_frac - j.low_frac)
    assert j.statistic == pytest.approx(2.5 * 3 / math.sqrt(3))
    assert (j.sd_frac, j.df) == (0.002, 200)


def test_nothing_is_kept_without_a_known_noise():
    judgement = judge([0.05] * 8, Noise(0, 0, "none"), RULE, 1)
    assert (judgement.decision, judgement.critical, judgement.low_frac) == ("revert", math.inf, -math.inf)


def test_one_wild_trial_counts_as_the_clip_says():
    assert clipped_statistic([0.5, 0, 0, 0], 0.002, 2.5) == pytest.approx(2.5 / 2)
    assert judge([0.5, 0, 0, 0.001], KNOWN, RULE, 1).decision is None


def test_a_candidate_that_is_noisier_than_the_run_is_judged_by_its_own_noise():
    judgement = judge([0.05, 0.01, 0.03, 0.07], KNOWN, RULE, 1)
    assert judgement.sd_frac == pytest.approx(statistics.stdev([0.05, 0.01, 0.03, 0.07]))
    assert judgement.decision is None


def test_a_candidate_with_a_noise_of_its_own_has_its_own_degrees_of_freedom():
    """Four wild values that happen to agree do not prove a gain: 3 degrees of freedom, whatever the run knows."""
    judgement = judge([0.05, 0.06, 0.07, 0.08], KNOWN, RULE, 1)
    assert judgement.sd_frac == pytest.approx(statistics.stdev([0.05, 0.06, 0.07, 0.08]))
    assert judgement.df == 3
    assert judgement.statistic > upper_quantile(RULE.level(1, 4), KNOWN.df)  # the run's own would keep it
    assert judgement.decision is None
    assert judge([0.05, 0.055, 0.06, 0.065], Noise(0.0022, 200, "gains"), RULE, 1).df == 200


def test_trials_without_any_noise_count_as_the_clip_says():
    assert clipped_statistic([0.01, 0.01, -0.01, 0], 0, 2) == pytest.approx(2 / 2)


def test_a_judgement_needs_a_gain():
    with pytest.raises(ValueError, match="at least one"):
        judge([], KNOWN, RULE, 1)


@given(gains_of_any_size, st.floats(1e-5, 0.1), st.floats(1, 1000), st.integers(1, 5000))
def test_a_keep_always_has_both_a_gain_and_a_lower_bound_above_zero(gains, sd, df, j):
    judgement = judge(gains, Noise(sd, df, "gains"), RULE, j)
    if judgement.decision == "keep":
        assert judgement.mean_frac >= RULE.accept_delta_frac
        assert judgement.low_frac > 0
        assert judgement.statistic >= judgement.critical
        assert RULE.min_seeds <= len(gains)
    assert (judgement.decision is None) == (judgement.label is None)
    assert judgement.decision is not None or len(gains) < RULE.max_seeds


@given(gains_of_any_size, st.floats(1e-5, 0.1), st.integers(1, 200))
def test_a_later_test_or_fewer_degrees_of_freedom_never_keep_more(gains, sd, j):
    for harder in (judge(gains, Noise(sd, 20, "gains"), RULE, 10 * j), judge(gains, Noise(sd, 4, "gains"), RULE, j)):
        if harder.decision == "keep":
            assert judge(gains, Noise(sd, 20, "gains"), RULE, j).decision == "keep"


@given(gains_of_any_size, st.floats(1e-5, 0.1))
def test_without_an_effect_the_statistic_is_symmetric(gains, sd):
    assert clipped_statistic(gains, sd, 2.5) == pytest.approx(-clipped_statistic([-g for g in gains], sd, 2.5))


class TestBounds:
    """In binary fractions, so that each bound can be hit exactly."""

    RULE = SequentialRule(1 / 8, min_seeds=2, max_seeds=4, futility_frac=0.5, clip=64, own_seeds=0)
    KNOWN = Noise(1 / 1024, 1000, "gains")

    def test_a_gain_of_exactly_the_share_is_not_futile(self):
        assert judge([1 / 16], self.KNOWN, self.RULE, 1).decision is None
        assert judge([1 / 16 - 1 / 4096], self.KNOWN, self.RULE, 1).label == "screened out"

    def test_a_gain_of_exactly_the_threshold_is_kept_from_the_first_look_on(self):
        assert judge([1 / 8], self.KNOWN, self.RULE, 1).decision is None
        assert judge([1 / 8, 1 / 8], self.KNOWN, self.RULE, 1).label == "confirmed"
        assert judge([1 / 8, 1 / 8 - 1 / 4096], self.KNOWN, self.RULE, 1).decision is None

    def test_the_last_seed_is_the_last(self):
        below = 1 / 8 - 1 / 4096
        assert judge([below] * 3, self.KNOWN, self.RULE, 1).decision is None
        assert judge([below] * 4, self.KNOWN, self.RULE, 1).label == "inconclusive"
        assert judge([below] * 5, self.KNOWN, self.RULE, 1).label == "inconclusive"

    def test_a_lower_bound_below_zero_keeps_nothing_although_the_statistic_is_reached(self):
        """A wide interval and a high clip: T is large by one gain."""
        noise = Noise(1 / 16, 3, "gains")
        judgement = judge([3 / 16, 1 / 8], noise, self.RULE, 1)
        assert judgement.low_frac < 0
        assert judgement.decision is None

    def test_a_statistic_below_its_quantile_keeps_nothing_although_the_interval_is_above_zero(self):
        rule = SequentialRule(1 / 8, min_seeds=2, max_seeds=4, clip=1, own_seeds=0)
        judgement = judge([1 / 4, 1 / 4], self.KNOWN, rule, 1)
        assert judgement.low_frac > 0
        assert judgement.statistic == pytest.approx(2 / math.sqrt(2))
        assert judgement.decision is None


def test_two_gains_have_a_noise_of_their_own_and_one_has_none():
    assert judge([0.1, 0.3], Noise(0.002, 5, "gains"), RULE, 1).sd_frac == pytest.approx(math.sqrt(0.02))
    assert judge([0.1], Noise(0.002, 5, "gains"), RULE, 1).sd_frac == 0.002


def test_half_a_degree_of_freedom_is_a_known_noise():
    judgement = judge([0.1, 0.1, 0.1], Noise(0.002, 0.5, "gains"), RULE, 1)
    assert math.isfinite(judgement.critical)
    assert judgement.low_frac == pytest.approx(0.1 - judgement.critical * 0.002 / math.sqrt(3))


def test_a_gain_within_the_clip_counts_as_its_number_of_noises():
    assert clipped_statistic([0.003, -0.001, 0.0], 0.002, 2.5) == pytest.approx((1.5 - 0.5) / math.sqrt(3))
    assert clipped_statistic([-0.5], 0.002, 2.5) == -2.5


def test_a_judgement_without_gains_says_what_it_needs():
    with pytest.raises(ValueError, match=r"^a judgement needs at least one paired gain$"):
        judge([], KNOWN, RULE, 1)


def test_few_seeds_need_the_t_test_of_their_own_gains_too():
    """A candidate that is noisier than the run may look calm over four seeds."""
    rule, noise = SequentialRule(0.005), Noise(0.001, 200.0, "gains")
    lucky, calm = [0.008, 0.010, 0.012, 0.011], [0.0100, 0.0101, 0.0100, 0.0099]
    without = replace(rule, own_seeds=0)
    assert judge(lucky, noise, without, 70).decision == judge(calm, noise, rule, 70).decision == "keep"
    found = judge(lucky, noise, rule, 70)
    assert found.decision is None
    own = upper_quantile(rule.level(70, 4), 3) * stdev(lucky) / 2
    assert found.low_frac < 0
    assert found.low_frac == pytest.approx(fmean(lucky) - own)
    assert judge([*lucky, 0.010, 0.009], noise, rule, 70).decision == "keep", "six seeds are enough"


def test_from_own_seeds_on_their_t_test_is_not_asked():
    rule, noise = SequentialRule(0.005), Noise(0.002, 200.0, "gains")
    gains = [0.008, 0.010, 0.012, 0.011, 0.004, 0.013]
    assert len(gains) == rule.own_seeds
    found = judge(gains, noise, rule, 70)
    critical = upper_quantile(rule.level(70, 6), 200.0)
    assert found.low_frac == pytest.approx(fmean(gains) - critical * stdev(gains) / math.sqrt(6))


def test_what_lies_on_a_bound():
    """A lower bound of 0 is not above zero; the critical value is reached by itself; three times is not more."""
    rule = SequentialRule(0.005, min_seeds=4, max_seeds=8, clip=64, own_seeds=0)
    noise = Noise(0.25, 200.0, "gains")
    critical = upper_quantile(rule.level(1, 4), 200.0)
    on_zero = judge([critical * 0.25 / 2] * 4, noise, rule, 1)
    assert (on_zero.low_frac, on_zero.statistic >= critical, on_zero.decision) == (0.0, True, None)
    clipped = judge([8.0] * 4, noise, replace(rule, clip=critical / 2), 1)
    assert (clipped.statistic, clipped.decision) == (critical, "keep")
    assert judge([8 - 0.75, 8.0, 8 + 0.75], noise, rule, 1).df == 200.0
    assert judge([8 - 0.8125, 8.0, 8 + 0.8125], noise, rule, 1).df == 2.0
