"""The correlation of candidate and baseline at the same seed, pooled over candidates: what equal seeds save. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

MIN_SEEDS = 3  # of a candidate: two points always correlate at -1 or +1
SHARED = 0.5  # largest correlation of two candidates' residuals at one seed, given the baseline's: rho / (1 + rho)
NORMAL_975 = 1.959964

Pairs = Sequence[tuple[float, float]]  # baseline and candidate at each seed, in the order of the seeds


@dataclass(frozen=True, slots=True)
class Correlation:
    """A pooled correlation with its 95% interval; without data it is 0, and the interval excludes nothing."""

    value: float = 0.0
    low: float = -1.0
    high: float = 1.0
    pairs: int = 0  # seeds with both sides, of all candidates
    candidates: int = 0

    @property
    def is_known(self) -> bool:
        """Whether there is any data."""
        return self.pairs > 0


def pooled_correlation(candidates: Iterable[Pairs]) -> Correlation:
    """Return the correlation within candidates: the pooled covariance over the pooled variances.

    The deviations of each candidate with at least ``MIN_SEEDS`` seeds, and those of the baseline at the same seeds,
    are taken from their own means over these seeds

        r = sum of (b - mean b)(c - mean c) / sqrt(sum of (b - mean b)^2 * sum of (c - mean c)^2)

    The sums within groups of a bivariate normal distribution are Wishart with D = sum of (n_j - 1) degrees of freedom,
    so that r is distributed as that of one sample of D + 1 (Anderson, An Introduction to Multivariate Statistical
    Analysis, 2003, sections 4.2 and 7.2), and atanh r is about normal with variance 1 / (D - 2) (Fisher 1921).

    The candidates are compared with the same trials of the baseline. If trials at one seed all correlate at rho, the
    residuals of two candidates, given the baseline's, still correlate at rho / (1 + rho) <= 1/2, so that D is too many.
    With A_s candidates that have at least s seeds the interval uses

        df = D^2 / (D + 1/2 (sum over s >= 2 of A_s^2 - D))

    It is (-1, 1) below three degrees of freedom, and wide below ten. Normal noise is assumed: one wild trial can move
    r by much, which is why no verdict depends on it.
    """
    known = [pairs for pairs in candidates if len(pairs) >= MIN_SEEDS]
    products = [_products(pairs) for pairs in known]
    bb, cc, bc = (math.fsum(p[i] for p in products) for i in range(3))
    if bb <= 0 or cc <= 0:
        return Correlation()
    r = max(-1.0, min(1.0, bc / math.sqrt(bb * cc)))
    low, high = _interval(r, _df([len(pairs) for pairs in known]))
    return Correlation(r, low, high, sum(len(pairs) for pairs in known), len(known))


def _products(pairs: Pairs) -> tuple[float, float, float]:
    """The sums of squares of the baseline's and the candidate's deviations, and of their products."""
    b_mean, c_mean = fmean(b for b, _ in pairs), fmean(c for _, c in pairs)
    deviations = [(b - b_mean, c - c_mean) for b, c in pairs]
    return (
        math.fsum(b * b for b, _ in deviations),
        math.fsum(c * c for _, c in deviations),
        math.fsum(b * c for b, c in deviations),
    )


def _df(counts: Sequence[int]) -> float:
    reach = [sum(n >= s for n in counts) for s in range(2, max(counts) + 1)]  # A_2, A_3, ...
    d = sum(reach)
    return d * d / (d + SHARED * (sum(a * a for a in reach) - d))


def _interval(r: float, df: float) -> tuple[float, float]:
    if df < 3:
        return -1.0, 1.0
    if abs(r) == 1:
        return r, r
    half = NORMAL_975 / math.sqrt(df - 2)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
