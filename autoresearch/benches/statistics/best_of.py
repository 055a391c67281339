"""The expected best of n random draws: what random search gives, without simulating it. Pure and exact."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, isfinite


def expected_best_of(values: Sequence[float], n: int) -> float:
    """E[lowest of n values drawn without replacement]: sum over i of y_(i) C(M-i, n-1) / C(M, n), y_(1) the lowest.

    y_(i) is the lowest of a draw if it is in it and the other n - 1 are among the M - i that are not lower (as in
    Dodge et al. 2019, "Show Your Work", there with replacement). Raises ``ValueError`` for n outside 1 to M, and for a
    value that is not finite.
    """
    size = len(values)
    if not 1 <= n <= size:
        raise ValueError(f"the best of {n} draws from {size} values is not defined")
    if not all(map(isfinite, values)):
        raise ValueError("a value is not a finite number")
    ordered = sorted(values)
    total = sum((Fraction(y) * comb(size - i, n - 1) for i, y in enumerate(ordered, 1)), Fraction(0))
    return float(total / comb(size, n))
