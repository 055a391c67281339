"""The chi-square distribution: lower tail and quantile, by the regularised incomplete gamma function.

Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29 (the series) and 26.4.19.
"""

from __future__ import annotations

import math

MAX_TERMS = 100_000
NORMAL_DF = 1e5  # from here on Wilson and Hilferty's (1931) cube: it differs by less than 1e-7 of the quantile


def lower_tail(x: float, df: float) -> float:
    """Return P(X < x) for a chi-square with ``df`` degrees of freedom, any real number above 0."""
    a, half = df / 2, x / 2
    if half <= 0:
        return 0.0
    if df >= NORMAL_DF:
        z = ((x / df) ** (1 / 3) - (1 - 2 / (9 * df))) / math.sqrt(2 / (9 * df))
        return 0.5 * math.erfc(-z / math.sqrt(2))
    term = total = 1 / a
    for i in range(1, MAX_TERMS):
        term *= half / (a + i)
        total += term
        if term < total * 1e-16:
            break
    return min(total * math.exp(a * math.log(half) - half - math.lgamma(a)), 1.0)


def quantile(p: float, df: float) -> float:
    """Return the x with P(X < x) = p. Raises ``ValueError`` unless ``p`` and ``df`` are above 0 and ``p`` below 1."""
    if not 0 < p < 1 or not df > 0:
        raise ValueError(f"quantile {p} of a chi-square with {df} degrees of freedom is not defined")
    low, high = 0.0, df
    while lower_tail(high, df) < p:
        low, high = high, 2 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if lower_tail(middle, df) < p else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return high
