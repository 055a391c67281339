"""Sums and differences of measured gains, with the uncertainty that is left after what they share. Pure.

A gain is the mean over seeds of (baseline - candidate), relative to the baseline, and all candidates are measured with
the same first seeds and against the same baseline trials. So gains are not independent: a baseline trial that was bad
by chance raises all of them, and three gains added up count it three times. Of the contrast C = sum of k_c times gain_c

    C = sum over seeds s of [ (sum over c of w_cs) b_s - sum over c of w_cs x_cs ],   w_cs = k_c / n_c for its seeds

with b_s and x_cs the losses of baseline and candidates. At each seed the coefficients add up to 0, so what all trials
of a seed have in common cancels, and with sd the noise of one paired gain, sd^2 = 2 sigma^2 (1 - rho),

    var C = sd^2 / 2 * sum over seeds s of [ (sum over c of w_cs)^2 + sum over c of w_cs^2 ].

This holds for equal variances and equal correlations of the trials of a seed. It is checked by simulation
(tests/unit/verdicts/test_interaction.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch.verdicts.student_t import upper_quantile

LEVEL = 0.95  # of an interval
Interaction = Literal["adds up", "overlap", "cancel", "need each other", "unknown"]


@dataclass(frozen=True, slots=True)
class Term:
    """A measured gain and its factor in a contrast. ``sd_frac`` and ``df``: the noise that its verdict went by."""

    gain_frac: float
    seeds: tuple[int, ...]
    sd_frac: float = 0.0
    df: float = 0.0  # 0: the noise is not known
    factor: float = 1.0

    def times(self, factor: float) -> Term:
        """The same gain with another factor."""
        return Term(self.gain_frac, self.seeds, self.sd_frac, self.df, factor)


@dataclass(frozen=True, slots=True)
class Contrast:
    """A sum of gains with its 95% interval; the bounds are ``None`` where the noise is not known."""

    value_frac: float
    low_frac: float | None
    high_frac: float | None


def contrast(terms: Sequence[Term]) -> Contrast:
    """The sum of factor times gain. Its noise is that of the term that knows most of it. Raises ``ValueError`` for
    no terms, and for one without seeds.
    """
    if not terms or not all(term.seeds for term in terms):
        raise ValueError("a contrast needs gains, each with its seeds")
    value = math.fsum(term.factor * term.gain_frac for term in terms)
    noise = max(terms, key=lambda term: term.df)
    if noise.df <= 0:
        return Contrast(value, None, None)
    half = upper_quantile((1 - LEVEL) / 2, noise.df) * noise.sd_frac * math.sqrt(variance_factor(terms))
    return Contrast(value, value - half, value + half)


def variance_factor(terms: Sequence[Term]) -> float:
    """The variance of the contrast, divided by that of one paired gain."""
    weights: dict[int, list[float]] = {}
    for term in terms:
        for seed in set(term.seeds):
            weights.setdefault(seed, []).append(term.factor / len(set(term.seeds)))
    return 0.5 * math.fsum(math.fsum(w) ** 2 + math.fsum(x * x for x in w) for w in weights.values())


def sum_of_parts(parts: Sequence[Term]) -> Contrast:
    """What the parts would gain together if their gains added up."""
    return contrast(parts)


def interaction(union: Term, parts: Sequence[Term]) -> Contrast:
    """The gain of the union less the sum of its parts': 0 if they add up."""
    return contrast([union, *(part.times(-1.0) for part in parts)])


def label_interaction(union: Term, parts: Sequence[Term]) -> Interaction:
    """What the interaction says, at 95%.

    ``need each other``: more than the sum. ``overlap``: less than the sum, but more than the best part alone.
    ``cancel``: less than the sum, and no more than the best part alone. ``adds up``: the sum is not ruled out.
    """
    found = interaction(union, parts)
    if found.low_frac is None or found.high_frac is None:
        return "unknown"
    if found.low_frac > 0:
        return "need each other"
    if found.high_frac >= 0:
        return "adds up"
    return "overlap" if union.gain_frac > max(part.gain_frac for part in parts) else "cancel"
