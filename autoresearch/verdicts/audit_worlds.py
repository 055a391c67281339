"""Nights whose truth is known, to calibrate the audit: simulated loops, the Brier score of its probabilities. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.verdicts.audit import Noise, audit
from autoresearch.verdicts.keep_posterior import Trial

THRESHOLD = 0.005
REPEATS = 10  # degrees of freedom with which a night knows its noise


@dataclass(frozen=True, slots=True)
class World:
    """The changes of a night: shares of gains (half of ``gain`` at least, ``gain`` on average) and of losses."""

    name: str
    gains: float
    losses: float
    sd: float  # of one measurement, relative
    gain: float = 0.01
    loss: float = 0.02


WORLDS = (
    World("nothing helps", 0.0, 0.1, 0.003),
    World("nothing helps, noisy", 0.0, 0.1, 0.006),
    World("few gains", 0.03, 0.3, 0.003),
    World("few gains, noisy", 0.03, 0.3, 0.006),
    World("many gains", 0.15, 0.5, 0.003),
    World("many gains, precise", 0.15, 0.5, 0.001),
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was predicted for the keeps of a world, and what was true."""

    world: str
    loop: str
    nights: int
    keeps: int
    predicted: float  # mean probability of a gain above zero
    true: float  # share of the keeps that are gains
    brier: float  # mean squared difference; 0 is perfect, 0.25 is what "one half" for each would have

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def calibrate(world: World, loop: str, nights: int, proposals: int, seed: int) -> Calibration:
    """Audit simulated nights of one world. ``loop``: fixed (keeps 0.5%) or ratchet (keeps whatever is better)."""
    found: list[tuple[float, bool]] = []
    for night in range(nights):
        rng = random.Random(f"{seed} {world.name} {loop} {night}")
        trials, truth = _night(world, loop, proposals, rng)
        seen = audit(trials, Noise(_estimated(world.sd, rng), REPEATS), THRESHOLD)
        found += [(j.p_real, gain > 0) for j, (kept, gain) in zip(seen.judged, truth, strict=True) if kept]
    n = max(1, len(found))
    brier = math.fsum((p - real) ** 2 for p, real in found) / n
    return Calibration(
        world.name, loop, nights, len(found), math.fsum(p for p, _ in found) / n, sum(r for _, r in found) / n, brier
    )


def pooled_brier(cells: Sequence[Calibration]) -> float:
    """The Brier score over all keeps of all cells."""
    return math.fsum(c.brier * c.keeps for c in cells) / max(1, sum(c.keeps for c in cells))


def _estimated(sd: float, rng: random.Random) -> float:
    """The SD that a sample with ``REPEATS`` degrees of freedom shows."""
    return sd * math.sqrt(math.fsum(rng.gauss(0, 1) ** 2 for _ in range(REPEATS)) / REPEATS)


def _night(world: World, loop: str, n: int, rng: random.Random) -> tuple[list[Trial], list[tuple[bool, float]]]:
    at, first = 0.0, rng.gauss(0, world.sd)
    incumbent = first
    trials, truth = [], []
    for _ in range(n):
        change = _change(world, rng)
        value = at + change + rng.gauss(0, world.sd)
        kept = value - incumbent > (0.0 if loop == "ratchet" else THRESHOLD)
        moves = kept and loop == "ratchet"
        trials.append(Trial(value - first, moves))
        truth.append((kept, change))
        if moves:
            at, incumbent = at + change, value
    return trials, truth


def _change(world: World, rng: random.Random) -> float:
    u = rng.random()
    if u < world.gains:
        return world.gain / 2 + rng.expovariate(2 / world.gain)
    if u < world.gains + world.losses:
        return -rng.expovariate(1 / world.loss)
    return 0.0
