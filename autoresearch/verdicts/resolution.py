"""Which gain the sequential rule can confirm at a given noise, and which noise a gain needs. Pure.

For a sentence at the start of a run.
"""

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
    standard_error = noise.sd_frac / math.sqrt(rule.max_seeds)
    to_be_kept = max(_critical(noise, rule) * standard_error, rule.accept_delta_frac) + LOST * standard_error
    return max(rule.futility_frac * rule.accept_delta_frac + LOST * noise.sd_frac, to_be_kept)


def resolving_sd_frac(gain_frac: float, noise: Noise, rule: SequentialRule) -> float:
    """Return the largest noise of a paired gain, known as well as ``noise``, at which ``gain_frac`` is confirmed so.

    The inverse of ``resolvable_frac``; ``gain_frac`` is above ``accept_delta_frac``.
    """
    root = math.sqrt(rule.max_seeds)
    screen = (gain_frac - rule.futility_frac * rule.accept_delta_frac) / LOST
    test = gain_frac * root / (_critical(noise, rule) + LOST)
    return min(screen, test, (gain_frac - rule.accept_delta_frac) * root / LOST)


def _critical(noise: Noise, rule: SequentialRule) -> float:
    return upper_quantile(rule.level(1, rule.max_seeds), max(noise.df, rule.max_seeds - 1))
