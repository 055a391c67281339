"""pass@1[avg-of-n], pass@k and pass^k, from the counts of each case. Pure and exact up to the last division.

A case is a pair (n, c): n planned samples, c of them correct. A missing or failed sample is a planned one that is not
correct; ``statistics.missing`` gives the bounds of an incomplete run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import comb

Counts = Iterable[tuple[int, int]]  # (n, c) of each case


@dataclass(frozen=True, slots=True)
class Estimate:
    """``value`` is ``None`` where it is not defined: there is no case, or ``too_few`` cases have n < k."""

    value: float | None
    cases: int
    too_few: int = 0


def pass_at_1(counts: Counts) -> Estimate:
    """pass@1[avg-of-n]: the mean over cases of c / n."""
    return _mean(counts, 1, lambda n, c: Fraction(c, n))


def pass_at_k(counts: Counts, k: int) -> Estimate:
    """The probability that at least one of k samples, drawn without replacement, is correct: 1 - C(n-c,k) / C(n,k).

    The mean over cases; absent where any case has n < k. Unbiased for the model's own pass@k (Chen et al. 2021,
    "Evaluating Large Language Models Trained on Code", equation 1).
    """
    return _mean(counts, k, lambda n, c: 1 - Fraction(comb(n - c, k), comb(n, k)))


def pass_hat_k(counts: Counts, k: int) -> Estimate:
    """The probability that all of k samples, drawn without replacement, are correct: C(c,k) / C(n,k).

    The mean over cases; absent where any case has n < k (Yao et al. 2024, "tau-bench").
    """
    return _mean(counts, k, lambda n, c: Fraction(comb(c, k), comb(n, k)))


def _mean(counts: Counts, k: int, of_case: Callable[[int, int], Fraction]) -> Estimate:
    cases = list(counts)
    if k < 1:
        raise ValueError(f"k = {k} is not at least 1")
    if wrong := [case for case in cases if not 0 <= case[1] <= case[0]]:
        raise ValueError(f"{wrong[0][1]} correct of {wrong[0][0]} is not a count")
    too_few = sum(n < k for n, _ in cases)
    if too_few or not cases:
        return Estimate(None, len(cases), too_few)
    known: dict[tuple[int, int], Fraction] = {}
    for case in cases:
        if case not in known:
            known[case] = of_case(*case)
    return Estimate(float(sum((known[case] for case in cases), Fraction(0)) / len(cases)), len(cases))
