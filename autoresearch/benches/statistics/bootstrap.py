"""The bootstrap over cases of a mean difference. Pure, with a fixed seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
MAX_VALUES = 4_000_000  # of one chunk


def bootstrap_interval(
    differences: Sequence[float], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """The percentile interval of the mean over cases, from ``draws`` samples of as many cases with replacement.

    One difference per case (B minus A), so that both sides of a pair are drawn together (Efron and Tibshirani 1993,
    chapter 13). Equal differences are drawn together, as the counts of a multinomial distribution: the same law, and
    the order of the cases has no influence. ``None`` with fewer than two cases.
    """
    if len(differences) < 2:
        return None
    values, counts = np.unique(np.array(differences, dtype=float), return_counts=True)
    if not np.all(np.isfinite(values)):
        raise ValueError("a difference is not a finite number")
    n = len(differences)
    rng = np.random.default_rng(seed)
    chunk = max(1, min(draws, MAX_VALUES // len(values)))
    parts = [
        rng.multinomial(n, counts / n, size=min(chunk, draws - start)) @ values / n for start in range(0, draws, chunk)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(parts), [tail, 1 - tail])
    return float(low), float(high)
