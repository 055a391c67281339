"""Bounds of a probability that was counted: Clopper and Pearson (1934), exact for every count."""

from __future__ import annotations

from autoresearch.verdicts.student_t import incomplete_beta


def upper_bound(count: int, of: int, level: float = 0.95) -> float:
    """Return the p at which ``count`` or fewer of ``of`` have probability 1 - ``level``: a one-sided upper bound."""
    if not 0 <= count <= of or of < 1:
        raise ValueError(f"{count} of {of} is not a count")
    if count == of:
        return 1.0
    low, high = count / of, 1.0
    while high - low > 1e-12:  # P(X <= count) = 1 - I_p(count + 1, of - count)
        middle = 0.5 * (low + high)
        low, high = (middle, high) if incomplete_beta(count + 1, of - count, middle) < level else (low, middle)
    return high
