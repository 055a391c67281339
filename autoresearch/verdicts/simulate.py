"""Nights of proposals whose truth is known, and what a rule keeps of them. Vectorised over nights, with numpy.

A trial's value is 1 + noise for the baseline, and 1 - gain + noise for a candidate. At the same seed they share a part
of their noise:

    baseline = sqrt(rho) z + sqrt(1 - rho) u        candidate = sqrt(rho) z + sqrt(1 - rho) v

z, u and v are drawn alike, so that without a gain the two are exchangeable whatever the noise, and correlate with rho.
All candidates of a night are compared with the same z and u: a lucky baseline is lucky the whole night. The baseline
stays when a candidate is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]  # values of this shape, with mean zero

CHUNK = 1000  # nights simulated at once: their arrays stay in a core's cache
OUTLIERS = 0.02  # of the trials of contaminated noise
OUTLIER_FACTOR = 10.0


def gaussian(sd: float) -> Draw:
    """Normal noise with standard deviation ``sd``."""
    return lambda rng, shape: sd * rng.standard_normal(shape)


def contaminated(sd: float) -> Draw:
    """Normal noise, ten times as large in 2% of the trials (Tukey 1960); ``sd`` is that of all trials together."""
    bulk = sd / math.sqrt(1 - OUTLIERS + OUTLIERS * OUTLIER_FACTOR**2)

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return bulk * rng.standard_normal(shape) * np.where(rng.random(shape) < OUTLIERS, OUTLIER_FACTOR, 1.0)

    return draw


def t3(sd: float) -> Draw:
    """Student's t with 3 degrees of freedom, scaled to standard deviation ``sd``; its kurtosis is infinite."""
    return lambda rng, shape: sd / math.sqrt(3) * rng.standard_t(3, shape)


def resampled(residuals: Sequence[float]) -> Draw:
    """Residuals of real repeats (``repeats.py``), drawn with replacement."""
    pool = np.asarray(residuals, dtype=np.float64)
    pool = pool - pool.mean()
    return lambda rng, shape: pool[rng.integers(0, len(pool), shape)]


NOISES: dict[str, Callable[[float], Draw]] = {"gaussian": gaussian, "contaminated": contaminated, "t3": t3}


@dataclass(frozen=True, slots=True)
class World:
    """The truth of the nights. Of ``every`` consecutive proposals one has ``gain``, a fraction; 0: none has."""

    draw: Draw
    rho: float
    gain: float = 0.0
    every: int = 0
    proposals: int = 100


class NightRule(Protocol):
    """A rule that judges many nights at once. ``seeds`` is how many trials of a proposal it may ask for."""

    name: str
    seeds: int

    def start(self, baseline: Floats) -> None:
        """Begin nights with these baseline values, of shape (nights, seeds of the world)."""

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        """Judge proposal ``j`` (from 1) of every night: which are kept, and how many trials each took."""


@dataclass(slots=True)
class Tally:
    """What one rule did, summed over nights."""

    nights: int = 0
    nights_with_false_keep: int = 0
    proposals: int = 0
    false_keeps: int = 0
    planted: int = 0
    true_keeps: int = 0
    trials: int = 0
    null_trials: int = 0

    def add(self, keep: Bools, trials: Counts, planted: Bools) -> None:
        """Count one proposal of every night."""
        self.proposals += len(keep)
        self.planted += int(planted.sum())
        self.false_keeps += int((keep & ~planted).sum())
        self.true_keeps += int((keep & planted).sum())
        self.trials += int(trials.sum())
        self.null_trials += int(trials[~planted].sum())


def simulate(
    world: World,
    rules: Sequence[NightRule],
    nights: int,
    seed: tuple[int, ...],
    *,
    done: Callable[[int], None] = lambda n: None,
) -> list[Tally]:
    """Let every rule judge the same ``nights``; one tally a rule. ``done`` receives the nights simulated so far.

    The same ``seed`` gives the same nights. Memory does not grow with the number of nights.
    """
    rng = np.random.default_rng(seed)
    tallies = [Tally() for _ in rules]
    for start in range(0, nights, CHUNK):
        _simulate_chunk(world, rules, min(CHUNK, nights - start), rng, tallies)
        done(min(start + CHUNK, nights))
    return tallies


def _simulate_chunk(
    world: World, rules: Sequence[NightRule], nights: int, rng: np.random.Generator, tallies: Sequence[Tally]
) -> None:
    shape = (nights, max(rule.seeds for rule in rules))
    shared, own = math.sqrt(world.rho), math.sqrt(1 - world.rho)
    z = 1 + shared * world.draw(rng, shape)
    baseline = z + own * world.draw(rng, shape)
    for rule in rules:
        rule.start(baseline)
    fooled = [np.zeros(nights, dtype=np.bool_) for _ in rules]
    first = rng.integers(0, max(world.every, 1), nights)  # of the planted proposals of a night
    for j in range(1, world.proposals + 1):
        planted = (j - 1 - first) % world.every == 0 if world.every else np.zeros(nights, dtype=np.bool_)
        candidate = z + own * world.draw(rng, shape) - world.gain * planted[:, None]
        for rule, tally, any_false in zip(rules, tallies, fooled, strict=True):
            keep, trials = rule.judge(j, candidate)
            tally.add(keep, trials, planted)
            any_false |= keep & ~planted
    for tally, any_false in zip(tallies, fooled, strict=True):
        tally.nights += nights
        tally.nights_with_false_keep += int(any_false.sum())
