"""Keep, revert, or one more seed: the sequential test of one candidate against its baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from autoresearch.verdicts.noise import Noise
from autoresearch.verdicts.rule import SequentialRule, alpha_of_test
from autoresearch.verdicts.student_t import upper_quantile

OWN_NOISE = 3.0  # times the noise of the run: a candidate that is noisier than this has a noise of its own

# ``below the best`` is the loop's own (``core.decision``): this test knows nothing of other candidates.
Label = Literal["confirmed", "screened out", "no gain", "below the best", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the paired gains of one candidate say. ``decision`` and ``label`` are ``None`` while one more seed is
    needed.

    ``mean_frac`` is the mean gain over ``n`` seeds; ``low_frac`` and ``high_frac`` are its interval at the level of
    this look: mean -/+ critical * sd / sqrt(n), wider where ``own_seeds`` asks for the candidate's own noise, infinite
    without a known noise. ``statistic`` is compared with ``critical``. ``alpha`` is what this test, all its
    looks together, spends. ``sd_frac`` is the standard deviation of one gain that was used: that of the run, or this
    candidate's own if it is larger; ``df`` are its degrees of freedom.
    """

    decision: Literal["keep", "revert"] | None
    label: Label | None
    n: int
    mean_frac: float
    low_frac: float
    high_frac: float
    statistic: float
    critical: float
    alpha: float
    sd_frac: float
    df: float


def judge(gains: Sequence[float], noise: Noise, rule: SequentialRule, j: int) -> Judgement:
    """Judge a candidate by its paired gains so far, fractions of the baseline in the order of the seeds.

    ``noise`` is that of a paired gain (``pooled_noise``, this candidate's gains included); ``j`` numbers this test in
    its run directory, from 1. Raises ``ValueError`` without gains.

    - Futility: the mean gain is below ``futility_frac * accept_delta_frac``. Stopping early for this only lowers the
      probability of a keep, so that it costs no alpha.
    - Keep, from ``min_seeds`` on: the mean gain reaches ``accept_delta_frac``, its lower bound is above zero, and T =
      sum of clip(gain_i / s, -k, k) / sqrt(n) reaches Student's quantile at the level of this look (``rule.level``). s
      is the noise, or the standard deviation of this candidate's own gains if that is larger; if it is more than
      ``OWN_NOISE`` times the noise, the quantile has its degrees of freedom, n - 1. With fewer than ``own_seeds`` the
      lower bound is also that of the t-test of this candidate's own gains. Without an effect candidate and baseline are
      exchangeable, a gain is symmetric around zero whatever the tails of the noise, and clipping (Huber 1964) bounds
      what one wild trial can add to T.
    - ``max_seeds`` reached: revert.
    """
    if not gains:
        raise ValueError("a judgement needs at least one paired gain")
    n, mean, alpha = len(gains), fmean(gains), alpha_of_test(rule.alpha, j)
    sd, df = noise.sd_frac, noise.df
    if n >= 2 and (own := stdev(gains)) > sd:
        sd, df = own, min(df, n - 1) if own > OWN_NOISE * sd else df
    statistic = clipped_statistic(gains, sd, rule.clip)
    critical = upper_quantile(rule.level(j, n), df) if df > 0 else math.inf
    half = critical * sd / math.sqrt(n) if df > 0 else math.inf
    if rule.min_seeds <= n < rule.own_seeds:
        half = max(half, upper_quantile(rule.level(j, n), n - 1) * stdev(gains) / math.sqrt(n))
    decision: Literal["keep", "revert"] | None = None
    label: Label | None = None
    if mean < rule.futility_frac * rule.accept_delta_frac:
        decision, label = "revert", "screened out" if n == 1 else "no gain"
    elif n >= rule.min_seeds and mean >= rule.accept_delta_frac and mean > half and statistic >= critical:
        decision, label = "keep", "confirmed"
    elif n >= rule.max_seeds:
        decision, label = "revert", "inconclusive"
    return Judgement(decision, label, n, mean, mean - half, mean + half, statistic, critical, alpha, sd, df)


def clipped_statistic(gains: Sequence[float], sd: float, clip: float) -> float:
    """Return sum of clip(gain_i / sd, -clip, clip) / sqrt(n). Without noise (sd = 0) every gain counts ``clip``."""
    return math.fsum(_clipped(gain, sd, clip) for gain in gains) / math.sqrt(len(gains))


def _clipped(gain: float, sd: float, clip: float) -> float:
    if abs(gain) >= clip * sd:
        return math.copysign(clip, gain) if gain else 0.0
    return gain / sd
