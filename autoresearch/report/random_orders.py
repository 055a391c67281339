"""The best gain so far of a run, beside random orders of the same gains: random search on the run's own trials. Pure.

The best so far is at least 0, the baseline's. A run that improves as it learns finds its best late, and is behind: this
compares when the best was found, not how good the candidates are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from autoresearch.core.values import FrozenModel

SHUFFLES = 1000
SEED = 0  # of the shuffles: the same trajectory gives the same numbers
MIN_MEASURED = 5
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95  # quantiles of the band
POINTS = 60  # of the band, at most; the first ten candidates have one each


class OrderPoint(FrozenModel):
    """The best gain after the first ``measured`` candidates, and quantiles of it over all orders of the run's gains."""

    measured: int
    best_frac: float
    random_low_frac: float  # 5% of the orders are below
    random_median_frac: float
    random_high_frac: float  # 5% of the orders are above


def ahead_of_random(gains: Sequence[float]) -> float | None:
    """The share of random orders of ``gains`` that this order is ahead of, in its mean best-so-far; ties count half.

    ``None`` for fewer than five gains, or if none is above 0.
    """
    if not _has_order(gains):
        return None
    ranked = sorted((max(0.0, gain) for gain in gains), reverse=True)
    best_so_far: list[float] = [0.0]
    for gain in gains:
        best_so_far.append(max(best_so_far[-1], gain))
    own = math.fsum(best_so_far)
    rng = random.Random(SEED)
    sums = [_random_order(ranked, rng) for _ in range(SHUFFLES)]
    equal = 1e-9 * max(own, ranked[0])
    below = sum(s < own - equal for s in sums)
    return (below + (sum(s <= own + equal for s in sums) - below) / 2) / SHUFFLES


def _random_order(ranked: Sequence[float], rng: random.Random) -> float:
    """The sum of the best-so-far over one random order of ``ranked`` (descending), from its last record to its first.

    The best of the first m of an order stands at a uniform place among them, and what comes before it is a uniform
    subset of the worse ones, whose best has a rank with a known distribution: a few draws instead of a shuffle.
    """
    n, end, rank = len(ranked), len(ranked), 0
    found = 0.0
    while end > 0 and ranked[rank] > 0:
        at = rng.randrange(end)
        found += ranked[rank] * (end - at)
        end = at
        if end:
            rank += 1 + _skipped(n - rank - 1, end, rng.random())
    return found


def _skipped(worse: int, chosen: int, u: float) -> int:
    """How many of ``worse`` ranked items precede the best of a uniform subset of ``chosen`` of them, by inversion.

    P(at least j) = C(worse - j, chosen) / C(worse, chosen); chosen! cancels.
    """
    log_gamma = math.lgamma  # most of the time of a report is spent here
    low, high = 0, worse - chosen
    rest = worse - chosen + 1
    least = log_gamma(worse + 1) - log_gamma(rest) + (math.log(u) if u > 0 else -math.inf)
    while low < high:  # the largest j with P(at least j) >= u
        middle = (low + high + 1) // 2
        if log_gamma(worse - middle + 1) - log_gamma(rest - middle) >= least:
            low = middle
        else:
            high = middle - 1
    return low


def order_band(gains: Sequence[float]) -> list[OrderPoint]:
    """The best so far of this order and its exact quantiles over all orders; empty where ``ahead_of_random`` is None.

    The best of the first m of a random order is that of a uniform subset of m gains, whose rank has a known
    distribution: no order is drawn.
    """
    if not _has_order(gains):
        return []
    n = len(gains)
    ranked = sorted((max(0.0, gain) for gain in gains), reverse=True)
    best, points = 0.0, set(_band_places(n))
    found = []
    for m, gain in enumerate(gains, 1):
        best = max(best, gain)
        if m in points:
            low, middle, high = (ranked[_skipped(n, m, u)] for u in (LOW, MIDDLE, HIGH))
            found.append(
                OrderPoint(
                    measured=m, best_frac=best, random_low_frac=low, random_median_frac=middle, random_high_frac=high
                )
            )
    return found


def _has_order(gains: Sequence[float]) -> bool:
    return len(gains) >= MIN_MEASURED and max(gains) > 0


def _band_places(n: int) -> Iterator[int]:
    """The first ten, then equal steps up to ``n``."""
    yield from range(1, min(n, 10) + 1)
    steps = POINTS - 10
    yield from (round(10 + (n - 10) * k / steps) for k in range(1, steps + 1) if n > 10)
