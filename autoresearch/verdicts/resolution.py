"""Which gain the sequential rule can confirm at a given noise: for a sentence at the start of a run."""

from __future__ import annotations

import math

from autoresearch.verdicts.noise import Noise
from autoresearch.verdicts.rule import SequentialRule, alpha_of_test
from autoresearch.verdicts.student_t import upper_quantile

POWER_QUANTILE = 1.2816  # of the normal distribution at 0.9


def resolvable_frac(noise: Noise, rule: SequentialRule) -> float | None:
    """Return about the smallest true gain that is confirmed within ``max_seeds`` in nine of ten cases.

    It is that of the first candidate, whose own seeds add to the degrees of freedom; later ones need less. ``None``
    without a known noise.
    """
    if noise.df <= 0:
        return None
    standard_error = noise.sd_frac / math.sqrt(rule.max_seeds)
    df = max(noise.df, rule.max_seeds - 1)
    needed = upper_quantile(alpha_of_test(rule.alpha, 1) / rule.looks, df) * standard_error
    return max(needed, rule.accept_delta_frac) + POWER_QUANTILE * standard_error
