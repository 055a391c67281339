"""Student's t: upper tail and quantile, by the regularised incomplete beta function.

Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.8 (the continued fraction) and 26.7.1. The
fraction is evaluated by Lentz's method (Press et al., Numerical Recipes, 6.4).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

NORMAL_DF = 1e6  # from here on the normal distribution: it differs by less than 1e-6 of the quantile
MAX_TERMS = 10_000  # of the continued fraction: it needs about sqrt(max(a, b))
MAX_STEPS = 200  # of the search for a quantile: it needs about 8
TINY = 1e-300


def upper_tail(t: float, df: float) -> float:
    """Return P(T > t) for Student's t with ``df`` degrees of freedom, any real number above 0."""
    if df <= 0:
        raise ValueError(f"{df} degrees of freedom: more than 0 are needed")
    if df >= NORMAL_DF:
        return 0.5 * math.erfc(t / math.sqrt(2))
    half = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return half if t >= 0 else 1 - half


@lru_cache(maxsize=65536)
def upper_quantile(p: float, df: float) -> float:
    """Return the t with P(T > t) = p. ``p`` is above 0 and below 1. Raises ``ValueError``."""
    if not 0 < p < 1:
        raise ValueError(f"{p} is not a probability above 0 and below 1")
    if p > 0.5:
        return -upper_quantile(1 - p, df)
    if df >= NORMAL_DF:
        return -NormalDist().inv_cdf(p)
    low, high = 0.0, 1.0
    while upper_tail(high, df) > p:
        low, high = high, 2 * high
    t = high
    for _ in range(MAX_STEPS):  # Newton on log P against log t, nearly straight; else bisection
        tail = upper_tail(t, df)
        low, high = (t, high) if tail > p else (low, t)
        following = t * math.exp(min(math.log(tail / p) * tail / (t * density(t, df)), 1.0))
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - t) <= 1e-13 * t:
            break
        t = following
    return t


def density(t: float, df: float) -> float:
    """Return the density of Student's t with ``df`` degrees of freedom at ``t``."""
    log_norm = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log_norm - (df + 1) / 2 * math.log1p(t * t / df))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b above 0 and x from 0 to 1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only on the other side
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + ...)) of the incomplete beta function, by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for i in range(1, MAX_TERMS):
        m = i // 2
        if i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + term * d)
        c = _away_from_zero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
