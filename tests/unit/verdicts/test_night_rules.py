"""The simulated rules: ours is the loop's, decision for decision, and the others are what their names say."""

import math
import statistics

import numpy as np
import pytest

from autoresearch.verdicts import SequentialRule, judge, pooled_noise
from autoresearch.verdicts.earlier_nights import EarlierNights, Estimates
from autoresearch.verdicts.night_rules import (
    AfterEarlierRun,
    BestSoFar,
    MeanMinusSd,
    Record,
    SequentialNights,
    Threshold,
)
from autoresearch.verdicts.noise import NO_NOISE, EarlierNoise, Noise, merge_runs, noise_of_run
from autoresearch.verdicts.simulate import NOISES, World, resampled, simulate

RULES = [
    SequentialRule(0.005),
    SequentialRule(0.003, alpha=0.2, max_seeds=6, min_seeds=2, futility_frac=0.5, clip=2, own_seeds=0),
]


def night_by_hand(baseline, candidates, rule, baseline_seeds, earlier=None):
    """Judge one night as the loop does: seed by seed, with ``judge`` and ``pooled_noise``."""
    finished, decisions, measured = [], [], baseline_seeds
    for j, values in enumerate(candidates, 1):
        for n in range(1, rule.max_seeds + 1):
            measured = max(measured, n)
            mean = statistics.fmean(baseline[:n])
            gains = [(b - c) / mean for b, c in zip(baseline[:n], values[:n], strict=True)]
            noise = pooled_noise(baseline[:measured], [*finished, gains], values[:n], earlier)
            judgement = judge(gains, noise, rule, j)
            if judgement.decision:
                break
        finished.append(gains)
        decisions.append((judgement.decision == "keep", n))
    return decisions


def wild(residual):
    return resampled([residual, -residual] + [0.001, -0.001] * 100)


@pytest.mark.parametrize("noise", [*NOISES, "wild"])
@pytest.mark.parametrize(("rule", "baseline_seeds"), [(RULES[0], 3), (RULES[1], 2)])
def test_the_simulated_rule_is_the_rule_of_the_loop(rule, noise, baseline_seeds):
    rng = np.random.default_rng(5)
    draw = wild(0.4) if noise == "wild" else NOISES[noise](0.003)
    nights, proposals = 2, 70  # the second block of alpha begins at 65
    simulated = SequentialNights(rule, baseline_seeds)
    baseline = 1 + draw(rng, (nights, simulated.seeds))
    gains = rng.choice([-0.01, 0, 0.004, 0.007, 0.012, 0.03], (proposals, nights, 1))
    candidates = 1 + draw(rng, (proposals, nights, simulated.seeds)) - gains
    simulated.start(baseline)
    found = [simulated.judge(j, values) for j, values in enumerate(candidates, 1)]
    kept = 0
    for night in range(nights):
        expected = night_by_hand(baseline[night].tolist(), candidates[:, night].tolist(), rule, baseline_seeds)
        assert [(bool(keep[night]), int(trials[night])) for keep, trials in found] == expected
        kept += sum(keep for keep, _ in expected)
    assert 0 < kept < nights * proposals


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("kinds", ["both", "gains", "trials"])
def test_the_simulated_rule_takes_earlier_runs_as_the_loop_does(factor, kinds):
    """Also where the earlier noise is so small that it is refuted, in some nights and not in others."""
    rng, rule, nights = np.random.default_rng(6), SequentialRule(0.005), 6
    sd = factor * 0.0042
    known = {kind: 0.0 if kinds not in ("both", kind) else 18.0 for kind in ("gains", "trials")}
    earlier = EarlierNoise(*(Noise(sd, df, kind) if df else NO_NOISE for kind, df in known.items()))
    simulated = SequentialNights(rule)
    arrays = [Estimates(np.full(nights, sd**2 if df else 0.0), np.full(nights, df)) for df in known.values()]
    simulated.earlier_run = EarlierNights(*arrays)
    baseline = 1 + 0.003 * rng.standard_normal((nights, simulated.seeds))
    gains = rng.choice([-0.01, 0, 0.007, 0.012], (15, nights, 1))
    candidates = 1 + 0.003 * rng.standard_normal((15, nights, simulated.seeds)) - gains
    simulated.start(baseline)
    found = [simulated.judge(j, values) for j, values in enumerate(candidates, 1)]
    for night in range(nights):
        expected = night_by_hand(baseline[night].tolist(), candidates[:, night].tolist(), rule, 3, earlier)
        assert [(bool(keep[night]), int(trials[night])) for keep, trials in found] == expected


def test_a_simulated_run_says_to_a_later_one_what_a_run_says():
    rng, rule = np.random.default_rng(7), SequentialRule(0.005)
    run = SequentialNights(rule)
    baseline = 1 + 0.003 * rng.standard_normal((3, run.seeds))
    candidates = 0.995 + 0.003 * rng.standard_normal((10, 3, run.seeds))
    run.start(baseline)
    trials = np.array([run.judge(j, values)[1] for j, values in enumerate(candidates, 1)])
    found = run.as_earlier()
    for night in range(3):
        b, measured = baseline[night], max(3, *trials[:, night])
        gains = [(b[:n] - c[night, :n]) / b[:n].mean() for c, n in zip(candidates, trials[:, night], strict=True)]
        expected = merge_runs([noise_of_run(b[:measured].tolist(), [g.tolist() for g in gains])])
        for kind in ("gains", "trials"):
            noise, estimates = getattr(expected, kind), getattr(found, kind)
            assert estimates.df[night] == noise.df
            assert estimates.variance[night] == pytest.approx(noise.sd_frac**2)


def test_an_earlier_run_of_the_same_world_confirms_the_first_candidates():
    """Four seeds of a large gain: without earlier runs the noise has too few degrees of freedom."""
    rule = SequentialRule(0.005)
    world = World(NOISES["gaussian"](0.0046), 0.67, 0.02, 1, proposals=2)
    alone, after = simulate(world, [SequentialNights(rule), AfterEarlierRun(rule, world_of_nulls())], 200, (1,))
    assert after.trials < alone.trials
    assert after.true_keeps >= alone.true_keeps


def world_of_nulls():
    return World(NOISES["gaussian"](0.0046), 0.67, proposals=30)


BASELINE = np.array([[1.0, 1.02, 0.98]])


def test_the_threshold_judges_one_pair():
    rule = Threshold(0.005)
    rule.start(BASELINE)
    assert [rule.judge(1, np.array([[v, 0]]))[0].item() for v in (0.9951, 0.9949)] == [False, True]


def test_the_best_so_far_moves_with_each_keep():
    rule = BestSoFar()
    rule.start(BASELINE)
    assert [rule.judge(1, np.array([[v]]))[0].item() for v in (1.0, 0.99, 0.995, 0.98)] == [False, True, False, True]


def test_the_mean_minus_one_sd_takes_the_baselines_seeds():
    rule = MeanMinusSd()
    rule.start(BASELINE)
    assert [rule.judge(1, np.array([[v]]))[0].item() for v in (0.981, 0.979)] == [False, True]


def test_the_record_rule_takes_as_many_seeds_as_its_power_needs():
    rule = Record(0.0046, 0)
    assert Record(0.0046, 0.67).seeds == 7  # correlated runs: the same bar, and less noise
    assert rule.seeds == math.ceil(2 * (0.46 * (3.0902 + 1.2816)) ** 2) == 9
    rng = np.random.default_rng(1)
    shape = (40_000, 9)
    rule.start(1 + 0.0046 * rng.standard_normal(shape))
    null, _ = rule.judge(1, 1 + 0.0046 * rng.standard_normal(shape))
    true, trials = rule.judge(1, 0.99 + 0.0046 * rng.standard_normal(shape))
    assert null.mean() == pytest.approx(0.001, abs=0.0006)
    assert 0.9 <= true.mean() < 0.95
    assert set(trials) == {9}


def test_one_to_four_baseline_seeds_at_the_start_give_the_same_verdicts():
    """A keep needs four seeds of both: what is measured first saves trials of the baseline, and decides nothing."""
    rng, starts = np.random.default_rng(8), (1, 2, 3, 4)
    nights = [SequentialNights(RULES[0], seeds) for seeds in starts]
    baseline = 1 + 0.003 * rng.standard_normal((40, RULES[0].max_seeds))
    for one in nights:
        one.start(baseline)
    for j in range(1, 9):
        gains = rng.choice([0, 0.007, 0.02], (40, 1), p=[0.8, 0.1, 0.1])
        values = 1 - gains + 0.003 * rng.standard_normal(baseline.shape)
        (keep, trials), *others = (one.judge(j, values) for one in nights)
        for other_keep, other_trials in others:
            assert (keep == other_keep).all()
            assert (trials == other_trials).all()
