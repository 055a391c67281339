"""The minimum detectable effect of a paired comparison, and the cases that a smaller one needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import stdev

FACTOR = 2.8  # 1.960 + 0.842: a two-sided test at 5% with 80% power


def minimum_detectable_effect(differences: Sequence[float]) -> float | None:
    """2.8 sd_d / sqrt(n): the true mean difference that a test at 5% finds in four of five repetitions.

    sd_d is the SD of the differences of the n cases, with n - 1 (Gelman and Hill 2007, chapter 20; Miller 2024,
    "Adding Error Bars to Evals"). ``None`` with fewer than two cases. 0 where no two differences differ: nothing is
    known of their scatter then.
    """
    n = len(differences)
    return FACTOR * stdev(differences) / sqrt(n) if n >= 2 else None


def cases_needed(differences: Sequence[float], effect: float) -> int | None:
    """The number of cases with which ``effect`` is the minimum detectable one: (2.8 sd_d / effect)^2, rounded up.

    ``None`` where that is not known: fewer than two cases, no scatter, or no effect.
    """
    if len(differences) < 2 or effect == 0 or not (sd := stdev(differences)):
        return None
    return ceil((FACTOR * sd / abs(effect)) ** 2)
