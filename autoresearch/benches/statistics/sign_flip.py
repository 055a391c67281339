"""The sign-flip permutation test of paired differences: exact for few pairs, else drawn with a fixed seed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np

MAX_EXACT = 20  # pairs that differ: 2^20 assignments of signs
DRAWS = 50_000
CHUNK = 1000
TOLERANCE = 1e-9  # relative: sums of the same differences in another order are the same


def sign_flip_test(differences: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p for a mean difference of 0: the share of assignments of signs whose |sum| is at least the observed.

    Under the hypothesis that A and B are exchangeable within each case, every assignment is equally likely (Fisher
    1935; Good 2005). A difference of 0 has no influence. Above ``MAX_EXACT`` pairs that differ p is
    (1 + hits) / (1 + draws), which is valid for any number of draws (Phipson and Smyth 2010).
    """
    sizes = np.sort(np.abs(np.array([d for d in differences if d != 0], dtype=float)))
    if not np.all(np.isfinite(sizes)):
        raise ValueError("a difference is not a finite number")
    if not len(sizes):
        return 1.0
    needed = abs(fsum(differences)) - TOLERANCE * float(sizes.sum())
    if len(sizes) <= MAX_EXACT:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums - size, sums + size])
        return float(np.count_nonzero(np.abs(sums) >= needed)) / len(sums)
    rng = np.random.default_rng(seed)
    hits, left = 0, draws
    while left:
        signs = rng.integers(0, 2, size=(min(CHUNK, left), len(sizes)), dtype=np.int8)
        sums = 2 * (signs @ sizes) - sizes.sum()
        hits += int(np.count_nonzero(np.abs(sums) >= needed))
        left -= len(signs)
    return (1 + hits) / (1 + draws)
