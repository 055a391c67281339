"""A kept gain, corrected for having been selected: only means above a bar are kept, so that they are too large."""

from __future__ import annotations

import math

from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.sequential import Judgement

SQRT_2 = math.sqrt(2)
STEPS = 100  # of the bisection


def resolvable_gain(critical: float, sd_frac: float, n: int) -> float:
    """Return the mean gain over ``n`` seeds whose lower bound is zero: a smaller one cannot be kept."""
    return critical * sd_frac / math.sqrt(n)


def corrected_gain(keep: Judgement, rule: SequentialRule) -> float:
    """Return the gain of a keep corrected for having been selected: at most its mean, at least half of it.

    The average of the mean and the conditional maximum likelihood estimate (Ghosh, Zou and Wright 2008, who recommend
    it: the first is too large, the second too small). The latter is the gain with which a mean that is only seen
    above its bar is the observed one on average, or 0,

        mean = gain + se phi(z) / (1 - Phi(z)),    z = (bar - gain) / se,    se = sd / sqrt(n)

    with the least mean with which a keep is possible as its bar: ``accept_delta_frac``, or the resolvable gain at
    ``max_seeds`` if that is larger. The bar of its own look would correct too much: a candidate is kept at the first
    look at which its mean is above that, and so never far above. It takes the mean to be normal.
    """
    return 0.5 * (keep.mean_frac + _conditional(keep, rule))


def _conditional(keep: Judgement, rule: SequentialRule) -> float:
    se = keep.sd_frac / math.sqrt(keep.n)
    bar = max(rule.accept_delta_frac, resolvable_gain(keep.critical, keep.sd_frac, max(keep.n, rule.max_seeds)))
    if not se:
        return keep.mean_frac
    low, high = 0.0, max(keep.mean_frac, 0.0)
    if low + se * _hazard((bar - low) / se) >= keep.mean_frac:
        return 0.0
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        if middle + se * _hazard((bar - middle) / se) < keep.mean_frac:
            low = middle
        else:
            high = middle
    return high


def _hazard(z: float) -> float:
    """phi(z) / (1 - Phi(z)) of the standard normal distribution; asymptotic where the tail has no digits left."""
    if z > 30:
        return z + 1 / z
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / (0.5 * math.erfc(z / SQRT_2))
