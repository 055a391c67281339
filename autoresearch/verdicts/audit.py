"""Judge the keeps of a log: the noise from its repeats or an assumption, the posterior of each keep's gain. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch.verdicts.keep_posterior import Night, Trial, smooth, still

POSITIONS, POSITION_REACH = 15, 3.5  # grid of a fixed baseline's true position, in SDs of its mean
SIGMAS, WIDE_SIGMAS = 5, 11  # grid points for the unknown noise: where it is roughly known, and where it is not
# A noise is taken to be right within this factor (one SD of its logarithm): one that the user gives, and one that is
# assumed or shown by very few repeats.
GIVEN_FACTOR, ASSUMED_FACTOR = 1.3, 2.5
SETTLED = 1.645 + 1.282  # one-sided 5% error, 90% power
MAX_REPEATS = 1000


@dataclass(frozen=True, slots=True)
class Noise:
    """SD of one measurement, a fraction of the first; ``df`` 0: not seen in the log, and right within ``factor``."""

    sd: float
    df: float = 0.0
    factor: float = GIVEN_FACTOR

    @property
    def is_assumed(self) -> bool:
        return self.df == 0


@dataclass(frozen=True, slots=True)
class Judged:
    """What the log says of one trial's change. Gains are fractions of the first measurement."""

    p_real: float  # that the gain is above zero
    p_threshold: float  # that it is above the threshold
    gain: float  # to expect: corrected for having been selected
    repeats: int  # of both sides, that would tell this gain from zero


@dataclass(frozen=True, slots=True)
class Audit:
    """All trials judged, and the noise that the log and the assumption together make probable."""

    judged: tuple[Judged, ...]
    noise: Noise  # as given
    sigma: float  # posterior mean
    null_share: float  # of all changes, that do nothing


def audit(trials: Sequence[Trial], noise: Noise, threshold: float, baseline_trials: float = 1.0) -> Audit:
    """Judge every trial; ``baseline_trials`` is how often the first measurement was repeated.

    The unknown noise is integrated over a grid: its prior is log-normal around the assumption, or what the repeats say
    (a chi-square with ``noise.df``), and the log's own values weigh each point by their evidence.
    """
    nights: list[tuple[float, Night]] = []
    moves = any(trial.moves for trial in trials)
    for sigma, prior in _sigmas(noise):
        baseline_sd = sigma / math.sqrt(baseline_trials)
        if moves:
            night = smooth(trials, sigma, baseline_sd)
            nights.append((prior + night.evidence, night))
            continue
        for z in np.linspace(-POSITION_REACH, POSITION_REACH, POSITIONS):
            night = still(trials, sigma, z * baseline_sd)
            nights.append((prior - 0.5 * z * z + night.evidence, night))
    top = max(score for score, _ in nights)
    raw = np.array([math.exp(score - top) for score, _ in nights])
    weights = raw / raw.sum()
    sigma = float(sum(w * night.sigma for w, (_, night) in zip(weights, nights, strict=True)))
    judged = tuple(_judge(i, weights, [n for _, n in nights], threshold, sigma) for i in range(len(trials)))
    null = float(sum(w * night.null_share for w, (_, night) in zip(weights, nights, strict=True)))
    return Audit(judged, noise, sigma, null)


def _sigmas(noise: Noise) -> list[tuple[float, float]]:
    """Grid of sigma with the log of its prior."""
    spread = math.log(noise.factor)
    if not noise.is_assumed:
        spread = min(math.log(ASSUMED_FACTOR), 1 / math.sqrt(2 * noise.df))
    found = []
    for z in np.linspace(-2.5, 2.5, SIGMAS if spread <= math.log(GIVEN_FACTOR) else WIDE_SIGMAS):
        sigma = noise.sd * math.exp(z * spread)
        ratio = noise.sd / sigma
        log_prior = -0.5 * z * z if noise.is_assumed else noise.df * (math.log(ratio) - 0.5 * ratio**2)
        found.append((sigma, log_prior))
    return found


def _judge(i: int, weights: np.ndarray, nights: Sequence[Night], threshold: float, sigma: float) -> Judged:
    changes = [night.changes[i] for night in nights]
    gain = float(sum(w * c.mean for w, c in zip(weights, changes, strict=True)))
    p_real = _share(sum(w * c.above(0.0) for w, c in zip(weights, changes, strict=True)))
    p_threshold = _share(sum(w * c.above(threshold) for w, c in zip(weights, changes, strict=True)))
    return Judged(
        p_real=p_real,
        p_threshold=min(p_threshold, p_real),  # equal but for rounding where both are near 1
        gain=gain,
        repeats=repeats_to_settle(max(gain, threshold), sigma),
    )


def _share(p: float) -> float:
    return min(1.0, max(0.0, float(p)))


def repeats_to_settle(gain: float, sigma: float) -> int:
    """Measurements of each side that tell ``gain`` from zero, 5% error and 90% power: 2 (z sigma / gain)^2."""
    if gain <= 0:
        return MAX_REPEATS
    return int(min(MAX_REPEATS, max(2, math.ceil(2 * (SETTLED * sigma / gain) ** 2))))
