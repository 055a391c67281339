"""Which gain the sequential rule can confirm at a given noise: for a sentence at the start of a run."""

from __future__ import annotations

import math

from autoresearch.verdicts.noise import Noise
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.student_t import upper_quantile

LOST = 1.6449  # normal quantile at 0.95: a twentieth may be lost to the screen, another one to the test


def resolvable_frac(noise: Noise, rule: SequentialRule) -> float | None:
    """Return about the smallest true gain that is confirmed within ``max_seeds`` in nine of ten cases.

    It has to pass the screen on its first seed and the test on its last one. It is that of the first candidate, whose
    own seeds add to the degrees of freedom; later ones need less. ``None`` without a known noise.
    """
    if noise.df <= 0:
        return None
    df = max(noise.df, rule.max_seeds - 1)
    standard_error = noise.sd_frac / math.sqrt(rule.max_seeds)
    critical = upper_quantile(rule.level(1, rule.max_seeds), df)
    to_be_kept = max(critical * standard_error, rule.accept_delta_frac) + LOST * standard_error
    return max(rule.futility_frac * rule.accept_delta_frac + LOST * noise.sd_frac, to_be_kept)
