"""A race of few configurations on common seeds: best-arm identification by successive elimination. Pure.

Each round trains every arm that is left with one more seed. An arm leaves once the upper bound of its gain over another
arm that is left is below 0. Source of the scheme: E. Even-Dar, S. Mannor, Y. Mansour, "Action Elimination and Stopping
Conditions for the Multi-Armed Bandit and Reinforcement Learning Problems", JMLR 7, 2006. The bounds are Student's t of
paired differences, with the run's own noise pooled in. The error is divided over all ordered pairs of arms and all
rounds, so that with at least probability 1 - alpha no bound fails in any round (Bonferroni), and the best arm is not
eliminated, whenever the race stops. This assumes Gaussian differences of one variance, as the verdicts do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from autoresearch.verdicts.student_t import upper_quantile

ALPHA = 0.05
MIN_SEEDS, MAX_SEEDS = 2, 8

Losses = Mapping[tuple[int, int], float | None]  # by arm and seed; None: the trial failed


@dataclass(frozen=True, slots=True)
class RaceNoise:
    """Noise of one paired difference, a fraction of the reference arm, as known before the race."""

    sd_frac: float = 0.0
    df: float = 0.0


@dataclass(frozen=True, slots=True)
class Elimination:
    """An arm that left. ``by``: the arm that is better; ``None`` where a trial of it failed."""

    arm: int
    after_seeds: int
    by: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The race so far. ``needed``: arm and seed of the next trial; ``None`` once it is over."""

    left: tuple[int, ...]
    eliminated: tuple[Elimination, ...]
    seeds: tuple[int, ...]  # of the rounds that are complete
    needed: tuple[int, int] | None


def run_race(arms: Sequence[int], seeds: Sequence[int], losses: Losses, noise: RaceNoise) -> Standing:
    """Replay the race on the losses that are known. ``arms[0]`` is the reference. Deterministic in its arguments."""
    left, out, done = list(arms), list[Elimination](), list[int]()
    level = ALPHA / (len(arms) * (len(arms) - 1) * (len(seeds) - MIN_SEEDS + 1)) if len(arms) > 1 else ALPHA
    for seed in seeds:
        if len(left) < 2:
            break
        if missing := [arm for arm in left if (arm, seed) not in losses]:
            return Standing(tuple(left), tuple(out), tuple(done), (missing[0], seed))
        done.append(seed)
        for arm in [a for a in left if losses[a, seed] is None]:
            out.append(Elimination(arm, len(done), None))
            left.remove(arm)
        if len(done) >= MIN_SEEDS:
            worse = {arm: by for arm in left if (by := _better_arm(arm, left, done, losses, noise, level)) is not None}
            out += [Elimination(arm, len(done), by) for arm, by in worse.items()]
            left = [arm for arm in left if arm not in worse]
    return Standing(tuple(left), tuple(out), tuple(done), None)


def _better_arm(
    arm: int, left: Sequence[int], seeds: Sequence[int], losses: Losses, noise: RaceNoise, level: float
) -> int | None:
    """The first other arm that is better with confidence, if any."""
    for other in left:
        if other == arm:
            continue
        theirs = [float(losses[other, s] or 0.0) for s in seeds]
        reference = abs(fmean(theirs)) or 1.0
        gains = [(float(losses[arm, s] or 0.0) - loss) / reference for s, loss in zip(seeds, theirs, strict=True)]
        if lower_bound(gains, noise, level) > 0:
            return other
    return None


def lower_bound(gains: Sequence[float], noise: RaceNoise, level: float) -> float:
    """The one-sided lower bound of a mean of paired gains at this level."""
    n, mean = len(gains), fmean(gains)
    df = noise.df + n - 1
    spread = noise.df * noise.sd_frac**2 + math.fsum((g - mean) ** 2 for g in gains)
    return mean - upper_quantile(level, df) * math.sqrt(spread / df / n)
