"""McNemar's exact test on pairs of binary results. Pure."""

from __future__ import annotations

MIN_DISCORDANT = 6  # with fewer pairs that differ no result reaches p < 0.05: 2 / 2^5 = 0.0625


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p: of n = b + c pairs that differ, min(1, 2 sum over i <= min(b, c) of C(n, i) / 2^n).

    ``only_a``: pairs in which A alone is correct. Pairs with the same result on both sides do not enter (McNemar 1947,
    with the binomial distribution in place of its approximation).
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"{min(only_a, only_b)} is not a count")
    n = only_a + only_b
    tail = term = 1  # C(n, 0), then each from the one before
    for i in range(min(only_a, only_b)):
        term = term * (n - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))
