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
    found: list[_Night] = []
    moves = any(trial.moves for trial in trials)
    for sigma, prior in _sigmas(noise):
        baseline_sd = sigma / math.sqrt(baseline_trials)
        if moves:
            found.append(_Night.of(smooth(trials, sigma, baseline_sd), prior, threshold))
            continue
        found.extend(
            _Night.of(still(trials, sigma, z * baseline_sd), prior - 0.5 * z * z, threshold)
            for z in np.linspace(-POSITION_REACH, POSITION_REACH, POSITIONS)
        )
    scores = np.array([night.score for night in found])
    weights = np.exp(scores - scores.max())
    weights = weights / weights.sum()
    sigma = float(weights @ [night.sigma for night in found])
    gains = weights @ np.array([night.gains for night in found])
    real, beyond = (np.clip(weights @ np.array([night.above[n] for night in found]), 0, 1) for n in (0, 1))
    judged = [
        Judged(  # p_threshold equals p_real but for rounding where both are near 1
            p_real=float(p),
            p_threshold=min(float(q), float(p)),
            gain=float(gain),
            repeats=repeats_to_settle(max(float(gain), threshold), sigma),
        )
        for p, q, gain in zip(real, beyond, gains, strict=True)
    ]
    return Audit(tuple(judged), noise, sigma, float(weights @ [night.null_share for night in found]))


@dataclass(frozen=True, slots=True)
class _Night:
    """What is needed of one night: its posteriors themselves would fill the memory, of a log of 10,000 trials 2 GB."""

    score: float  # log of its weight
    sigma: float
    null_share: float
    gains: np.ndarray
    above: tuple[np.ndarray, np.ndarray]  # the probability of a gain, and of one beyond the threshold

    @classmethod
    def of(cls, night: Night, prior: float, threshold: float) -> _Night:
        above = night.changes.above(0.0), night.changes.above(threshold)
        return cls(prior + night.evidence, night.sigma, night.null_share, night.changes.means, above)


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


def repeats_to_settle(gain: float, sigma: float) -> int:
    """Measurements of each side that tell ``gain`` from zero, 5% error and 90% power: 2 (z sigma / gain)^2."""
    if gain <= 0:
        return MAX_REPEATS
    return int(min(MAX_REPEATS, max(2, math.ceil(2 * (SETTLED * sigma / gain) ** 2))))
