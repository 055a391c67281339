"""Which keep of a run is its winner. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.core.records import Evaluated

MAX_FINALISTS = 3  # keeps that may win: those with the best lower bounds


def add_finalist(finalists: Sequence[Evaluated], keep: Evaluated) -> list[Evaluated]:
    """The best keeps so far, the best first; of equal ones the earlier."""
    return sorted([*finalists, keep], key=rank, reverse=True)[:MAX_FINALISTS]


def rank(keep: Evaluated) -> tuple[float, float]:
    """The lower bound of a keep's gain, and the gain; by rule threshold, which has no bound, the gain alone."""
    low = keep.evidence.low_frac if keep.evidence else None
    return (keep.improvement_frac if low is None else low, keep.improvement_frac)
