"""How many trials a night needs for a level that the serial run reaches early or late, with intervals. Pure.

The first trials of n workers know nothing of each other: a run of n workers that lost nothing else would need n - 1
trials more than the serial run, whatever the level. That is ``delay_alone``, and it weighs less at a later level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autoresearch.benches.fleet.night import FleetNight, Plan
from autoresearch.proposers.cube import Array

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the serial run's trials: the levels
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class LevelRow:
    """``None``: not reached. An efficiency that was not reached is below ``seen_from``, and 0 in the interval."""

    proposer: str
    workers: int
    serial_trials: int  # of the serial run, whose mean after so many is the level
    level: float
    trials_to_level: float | None
    efficiency: float | None
    low: float  # of the efficiency, over resampled seeds
    high: float
    delay_alone: float
    seen_from: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def mean_curve(nights: Sequence[FleetNight]) -> Array:
    """The mean over seeds, as far as every night goes."""
    return np.asarray(_whole([n.curve for n in nights]).mean(axis=0))


def first_reached(mean: Array, level: float) -> float | None:
    """The place on a curve, in points, at which it is at ``level`` for the first time; interpolated."""
    below = np.flatnonzero(mean <= level + 1e-12)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return 0.0
    return i - 1 + min(1.0, float((mean[i - 1] - level) / (mean[i - 1] - mean[i])))


def level_rows(serial: Sequence[FleetNight], wide: Sequence[FleetNight], plan: Plan) -> list[LevelRow]:
    """One row for each level that the serial run has reached, of nights of one proposer and number of workers."""
    shared = sorted({n.seed for n in serial} & {n.seed for n in wide})
    if not shared:
        return []
    ours = _whole([n.curve for n in wide if n.seed in shared])
    theirs = _whole([n.curve for n in serial if n.seed in shared])
    workers = wide[0].workers
    found = []
    for share in SHARES:
        at = min(round(share * plan.trials / plan.step), theirs.shape[1] - 1)
        needed, efficiency, level = _efficiency(theirs, ours, at, plan.step)
        draws = np.random.default_rng(0).integers(len(shared), size=(RESAMPLES, len(shared)))
        resampled = [_efficiency(theirs[rows], ours[rows], at, plan.step)[1] or 0.0 for rows in draws]
        low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        trials = at * plan.step
        found.append(
            LevelRow(
                proposer=wide[0].proposer,
                workers=workers,
                serial_trials=trials,
                level=level,
                trials_to_level=needed,
                efficiency=efficiency,
                low=float(low),
                high=float(high),
                delay_alone=trials / (trials + workers - 1) if trials else 1.0,
                seen_from=trials / max(plan.step * (ours.shape[1] - 1), trials, 1),
            )
        )
    return found


def _efficiency(serial: Array, wide: Array, at: int, step: int) -> tuple[float | None, float | None, float]:
    """Trials that the wide nights need for the serial level at point ``at``, the efficiency, and the level."""
    mean = serial.mean(axis=0)
    level = float(mean[at])
    here, there = first_reached(wide.mean(axis=0), level), first_reached(mean, level)
    if not here or not there:
        return None if here is None else step * here, None, level
    return step * here, there / here, level


def _whole(curves: Sequence[tuple[float, ...]]) -> Array:
    return np.array([curve[: min(map(len, curves))] for curve in curves])
