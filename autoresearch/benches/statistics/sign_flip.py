"""The sign-flip permutation test of paired differences: exact for few pairs, else drawn with a fixed seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
MAX_EXACT = 20  # pairs that differ: 2^20 assignments of signs
DRAWS = 50_000
MAX_VALUES = 4_000_000  # of one chunk
FEW_VALUES = 64
DECIMALS = 12  # differences that are the same but for rounding are drawn together
TOLERANCE = 1e-9  # relative: sums of the same differences in another order are the same


def sign_flip_test(differences: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p for a mean difference of 0: the share of assignments of signs whose |sum| is at least the observed.

    Under the hypothesis that A and B are exchangeable within each case, every assignment is equally likely (Fisher
    1935; Good 2005). A difference of 0 has no influence. Above ``MAX_EXACT`` pairs that differ p is
    (1 + hits) / (1 + draws), which is valid for any number of draws (Phipson and Smyth 2010). Where few
    values occur, the signs of equal differences are drawn together, as a binomial count: the same law.
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
    hits = 0
    for sums in _draw_sums(sizes, draws, np.random.default_rng(seed)):
        hits += int(np.count_nonzero(np.abs(sums) >= needed))
    return (1 + hits) / (1 + draws)


def _draw_sums(sizes: Numbers, draws: int, rng: np.random.Generator) -> Iterator[Numbers]:
    """``draws`` sums of the sizes with random signs, in chunks."""
    values, counts = np.unique(sizes.round(DECIMALS), return_counts=True)
    is_few = len(values) <= FEW_VALUES
    chunk = max(1, MAX_VALUES // (len(values) if is_few else len(sizes)))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        if is_few:
            positive = rng.binomial(counts, 0.5, size=(rows, len(values)))
            yield (2 * positive - counts) @ values
        else:
            bits = np.unpackbits(rng.integers(0, 256, size=(rows, -(-len(sizes) // 8)), dtype=np.uint8), axis=1)
            yield 2 * (bits[:, : len(sizes)].astype(float) @ sizes) - sizes.sum()
