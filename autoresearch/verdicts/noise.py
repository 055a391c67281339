"""The noise of a paired gain: pooled over repeated trials or repeated gains, with its degrees of freedom."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import fmean
from typing import Literal

from autoresearch.verdicts.chi_square import quantile
from autoresearch.verdicts.student_t import incomplete_beta

CLIP = 2.5  # a residual counts as at most this many noises: one wild trial must not hide every effect of the night
ITERATIONS = 30  # of the fixed point, from above: stopping early leaves the noise too large, never too small
BASELINE_SHARE = 0.5  # of the variance of a paired difference: what the baseline's trial adds, shared by all candidates
ENOUGH_DF = 7.0  # of the gains: with fewer the trials say more, although they cannot tell what equal seeds share
DF_STEP = 0.25  # degrees of freedom are rounded down to a multiple of this
MAX_DF = 1000.0
MAX_EARLIER_DF = 60.0  # of earlier runs together: from then on this run's own noise matters no less than theirs
TESTED_DF = 4.0  # of this run's own noise, from which on it is tested whether that of earlier runs is too small
TEST_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Noise:
    """The standard deviation of one paired gain, a fraction of the baseline, with its degrees of freedom.

    ``source``: ``gains`` if it is pooled from the residuals of paired gains, ``trials`` if it is that of two
    independent trials (correlation 0), ``none`` if nothing was repeated: then ``df`` is 0 and nothing can be kept.
    """

    sd_frac: float
    df: float
    source: Literal["gains", "trials", "none"]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of ``sd_frac`` under Gaussian noise: df s^2 / sigma^2 is a chi-square. (0, inf) if df is 0."""
        if not self.df:
            return 0.0, math.inf
        tail = (1 - level) / 2
        low, high = (math.sqrt(self.df / quantile(p, self.df)) for p in (1 - tail, tail))
        return low * self.sd_frac, high * self.sd_frac


NO_NOISE = Noise(0.0, 0.0, "none")


@dataclass(frozen=True, slots=True)
class EarlierNoise:
    """What earlier runs on the same yardstick say of the noise: of their repeated gains, and of their trials."""

    gains: Noise = NO_NOISE
    trials: Noise = NO_NOISE

    @property
    def df(self) -> float:
        """Of the kind that is known best."""
        return max(self.gains.df, self.trials.df)


def noise_of_run(baseline: Sequence[float], gains: Iterable[Sequence[float]]) -> EarlierNoise:
    """Return what a run says to later runs; arguments as in ``pooled_noise``."""
    return EarlierNoise(_noise_of_gains(gains), _noise_of_trials(baseline, ()))


def merge_runs(runs: Iterable[EarlierNoise]) -> EarlierNoise:
    """Pool the noise of several earlier runs, with at most ``MAX_EARLIER_DF`` degrees of freedom."""
    gains = trials = NO_NOISE
    for run in runs:
        gains, trials = pool(gains, run.gains), pool(trials, run.trials)
    return EarlierNoise(*(replace(noise, df=min(noise.df, MAX_EARLIER_DF)) for noise in (gains, trials)))


def pool(one: Noise, other: Noise) -> Noise:
    """Pool two estimates of one standard deviation: squares weighted by degrees of freedom."""
    if not (one.df and other.df):
        return one if one.df else other
    df = one.df + other.df
    return replace(one, sd_frac=math.sqrt((one.df * one.sd_frac**2 + other.df * other.sd_frac**2) / df), df=df)


def is_larger(own: Noise, earlier: Noise) -> bool:
    """Whether a run's own noise is larger than that of earlier runs by an F test at ``TEST_LEVEL``."""
    if own.df < TESTED_DF or not earlier.df or own.sd_frac <= earlier.sd_frac:
        return False
    ratio = (earlier.sd_frac / own.sd_frac) ** 2
    # P(F > 1 / ratio), Abramowitz and Stegun 26.6.2
    tail = incomplete_beta(earlier.df / 2, own.df / 2, earlier.df * ratio / (earlier.df * ratio + own.df))
    return tail < TEST_LEVEL


def is_refuted(earlier: EarlierNoise, own: EarlierNoise) -> bool:
    """Whether a run's own noise is too large for that of earlier runs, which would then keep something false."""
    return is_larger(own.gains, earlier.gains) or is_larger(own.trials, earlier.trials)


def pooled_noise(
    baseline: Sequence[float],
    gains: Iterable[Sequence[float]],
    candidate: Sequence[float] = (),
    earlier: EarlierNoise | None = None,
) -> Noise:
    """Return the noise of a paired gain as this run knows it.

    ``baseline``: one value per seed, in any unit. ``gains``: per candidate (the one under judgement included) its
    paired gains in the order of the seeds, fractions of the baseline; the i-th gain of every candidate is paired with
    the i-th seed. ``candidate``: the values of the candidate under judgement, in the unit of the baseline.

    Pooled from the gains' residuals r from each candidate's own mean, with D = sum of (n_j - 1) and each r^2 scaled by
    n_j / (n_j - 1) to the variance of a gain, s is the largest solution of (Huber's proposal 2, 1964)

        s^2 = sum over j and i of (n_j - 1) / n_j min(r_ji^2, k^2 s^2) / (beta D),    beta = E min(Z^2, k^2), Z normal

    The baseline's trial at a seed is part of the gain of every candidate at this seed: residuals of different
    candidates correlate, and D degrees of freedom would be too many. With the baseline's share w of the variance

        var(s^2) = 2 sigma^4 (D + w^2 (sum over s >= 2 of A_s^2 - D)) / D^2,    A_s = candidates with at least s seeds

    and a chi-square with this variance has (Satterthwaite 1946) D^2 / (D + w^2 (sum A_s^2 - D)) degrees of freedom.
    w is 1/2 for exchangeable trials, whatever their correlation.

    While these are fewer than ``ENOUGH_DF`` and fewer than those of the trials, s^2 is the variance of a difference of
    two independent trials, 2 (S_b + S_c) / (m + n - 2) with S_b and S_c the sums of squares of the m values of the
    baseline and the n of the candidate around their means, as in the t-test of two samples: m + n - 2 degrees of
    freedom. It is too large, never too small, where equal seeds correlate positively.

    Each of the two is pooled with that of ``earlier`` runs, squares weighted by degrees of freedom; these are other
    trials of baseline and candidates, so that the degrees of freedom add up. Where this run's own noise of either kind
    is larger by an F test (``is_refuted``), the earlier runs are left out: too small a noise makes false keeps. Where
    it is smaller they stay in.
    """
    own = EarlierNoise(_noise_of_gains(gains), _noise_of_trials(baseline, candidate))
    of_gains, of_trials = own.gains, own.trials
    if earlier and not is_refuted(earlier, own):
        of_gains, of_trials = pool(of_gains, earlier.gains), pool(of_trials, earlier.trials)
    if of_gains.df > 0 and of_gains.df >= min(of_trials.df, ENOUGH_DF):
        return of_gains
    return of_trials


def _noise_of_gains(gains: Iterable[Sequence[float]]) -> Noise:
    candidates = [g for g in gains if len(g) >= 2]
    df = effective_df([len(g) for g in candidates])
    return Noise(_pooled_sd(candidates), df, "gains") if df else NO_NOISE


def _noise_of_trials(baseline: Sequence[float], candidate: Sequence[float]) -> Noise:
    samples = [values for values in (baseline, candidate) if len(values) >= 2]
    df = sum(len(values) - 1 for values in samples)
    if not df or not fmean(baseline):
        return NO_NOISE
    sd = math.sqrt(2 * math.fsum(_squares(values) for values in samples) / df)
    return Noise(sd / abs(fmean(baseline)), float(df), "trials")


def effective_df(counts: Sequence[int]) -> float:
    """Return the degrees of freedom of a variance pooled over candidates with ``counts`` seeds each."""
    reach = [sum(n >= s for n in counts) for s in range(2, max(counts, default=0) + 1)]  # A_2, A_3, ...
    return df_of_reach(sum(reach), sum(a * a for a in reach))


def df_of_reach(d: int, squares: int) -> float:
    """The degrees of freedom from D = sum of A_s and the sum of A_s^2, rounded down."""
    if not d:
        return 0.0
    df = d * d / (d + BASELINE_SHARE**2 * (squares - d))
    return min(math.floor(df / DF_STEP) * DF_STEP, MAX_DF)


def normal_consistency(k: float) -> float:
    """Return E min(Z^2, k^2) for a standard normal Z."""
    tail = 0.5 * math.erfc(k / math.sqrt(2))
    density = math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
    return 1 - 2 * tail - 2 * k * density + 2 * k * k * tail


def _pooled_sd(candidates: Sequence[Sequence[float]]) -> float:
    d = sum(len(g) - 1 for g in candidates)
    weighted: list[tuple[float, float]] = []  # squared residual, scaled to the variance of a gain; its weight
    for g in candidates:
        n, mean = len(g), fmean(g)
        weighted += [((v - mean) ** 2 * n / (n - 1), (n - 1) / n) for v in g]
    weighted.sort()
    squares = [square for square, _ in weighted]
    below = list(accumulate((square * weight for square, weight in weighted), initial=0.0))
    weights = list(accumulate((weight for _, weight in weighted), initial=0.0))
    variance = below[-1] / d
    scale = normal_consistency(CLIP) * d
    for _ in range(ITERATIONS):
        bound = CLIP * CLIP * variance
        i = bisect_right(squares, bound)
        variance = (below[i] + bound * (weights[-1] - weights[i])) / scale
    return math.sqrt(variance)


def _squares(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.fsum((v - mean) ** 2 for v in values)
