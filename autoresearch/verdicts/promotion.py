"""Does a gain hold when both sides train longer? The verdict on paired gains at N times the budget. Pure.

Two questions, each at 95%: is the gain at the longer budget above 0 (Student's t of the paired gains), and is it
smaller than at the run's own budget (Welch 1947: two independent means of unequal variance)?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from autoresearch.verdicts.student_t import upper_quantile

TAIL = 0.025  # of a 95% interval, on each side

Label = Literal["holds", "shrinks", "reverses", "cannot tell"]


@dataclass(frozen=True, slots=True)
class ShortGain:
    """The gain at the run's own budget. Without ``se_frac`` it is taken as exact."""

    gain_frac: float
    se_frac: float | None = None
    df: float = math.inf


@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    """``share`` is the gain at the longer budget over the gain at the run's own; ``None`` where neither says."""

    label: Label
    gain_frac: float | None
    low_frac: float | None  # 95% interval; None with fewer than two seeds
    high_frac: float | None
    share: float | None

    @property
    def text(self) -> str:
        """``holds``, ``shrinks to 40%``, ``reverses`` or ``cannot tell``."""
        if self.label != "shrinks" or self.share is None:
            return self.label
        return f"shrinks to {100 * max(0.0, self.share):.0f}%"


def judge_promotion(short: ShortGain, gains: Sequence[float]) -> PromotionVerdict:
    """Judge the paired gains at the longer budget, one per seed.

    ``reverses``: below 0. ``shrinks``: smaller than at the run's own budget. ``holds``: above 0, and not shown to be
    smaller. ``cannot tell``: neither 0 nor the whole gain is excluded, or fewer than two seeds were measured.
    """
    if not gains:
        return PromotionVerdict("cannot tell", None, None, None, None)
    gain = fmean(gains)
    share = gain / short.gain_frac if short.gain_frac > 0 else None
    if len(gains) < 2:
        return PromotionVerdict("cannot tell", gain, None, None, share)
    se, df = stdev(gains) / math.sqrt(len(gains)), len(gains) - 1.0
    half = upper_quantile(TAIL, df) * se
    low, high = gain - half, gain + half
    label: Label = "cannot tell"
    if high < 0:
        label = "reverses"
    elif share is not None and is_smaller(gain, se, df, short):
        label = "shrinks"
    elif low > 0:
        label = "holds"
    return PromotionVerdict(label, gain, low, high, share)


def is_smaller(gain: float, se: float, df: float, short: ShortGain) -> bool:
    """Whether the upper bound of ``gain`` less the short gain is below 0."""
    parts = [(se * se, df), ((short.se_frac or 0.0) ** 2, short.df)]
    variance = math.fsum(v for v, _ in parts)
    if not variance:
        return gain < short.gain_frac
    uncertain = math.fsum((v / variance) ** 2 / d for v, d in parts if d)  # in shares: v * v may underflow
    effective = 1.0 / uncertain if uncertain else math.inf
    return gain + upper_quantile(TAIL, effective) * math.sqrt(variance) < short.gain_frac
