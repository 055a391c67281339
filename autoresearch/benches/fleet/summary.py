"""The figures of a fleet: trials until the serial run's level is reached, worker use, cost of the loop. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autoresearch.benches.fleet.levels import LevelRow, first_reached, level_rows, mean_curve
from autoresearch.benches.fleet.night import FleetNight, Plan
from autoresearch.proposers.cube import Array

GOALS = "efficiency 0.90 at 16 workers and 0.75 at 64, worker use 0.95, a proposal 50 ms, the loop 5% of a core at 64"


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One proposer with one number of workers. ``None``: the level was not reached, or there is no serial run."""

    proposer: str
    workers: int
    seeds: int
    level: float | None  # the serial run's mean at its end
    trials_to_level: float | None
    efficiency: float | None  # trials of the serial run divided by these
    low: float | None  # its 95% interval over resampled seeds
    high: float | None
    speedup: float | None  # the same in virtual time
    trials: int  # of a night; an efficiency below serial trials / trials is not seen
    final: float  # mean at the end
    worker_use: float
    proposal_s: float
    proposal_p95_s: float
    proposals_per_s: float  # that one core computes
    needed_per_s: float  # that the workers ask for
    records_per_s: float
    loop_core_frac: float  # CPU of the loop without its proposer, per second of the night
    propose_core_frac: float
    repeats: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def summarise(nights: Sequence[FleetNight], plan: Plan) -> list[FleetRow]:
    """One row for each proposer and number of workers that ran."""
    groups = _groups(nights)
    return [_row(groups, key, plan) for key in sorted(groups)]


def summarise_levels(nights: Sequence[FleetNight], plan: Plan) -> list[LevelRow]:
    """For each proposer with a serial run: how many trials each number of workers needs for each of its levels."""
    groups = _groups(nights)
    wide = [key for key in sorted(groups) if key[1] > 1 and (key[0], 1) in groups]
    return [row for key in wide for row in level_rows(groups[key[0], 1], groups[key], plan)]


def mean_curves(nights: Sequence[FleetNight], plan: Plan) -> dict[tuple[str, int], tuple[Array, Array, Array]]:
    """Trials, mean and standard error over seeds, of each proposer and number of workers."""
    curves = {}
    for key, found in sorted(_groups(nights).items()):
        mean = mean_curve(found)
        spread = np.std([n.curve[: len(mean)] for n in found], axis=0, ddof=1) if len(found) > 1 else 0 * mean
        curves[key] = plan.step * np.arange(len(mean)), mean, spread / np.sqrt(len(found))
    return curves


def _groups(nights: Sequence[FleetNight]) -> dict[tuple[str, int], list[FleetNight]]:
    groups: dict[tuple[str, int], list[FleetNight]] = {}
    for night in nights:
        if not night.missing and night.curve:
            groups.setdefault((night.proposer, night.workers), []).append(night)
    return groups


def _row(groups: dict[tuple[str, int], list[FleetNight]], key: tuple[str, int], plan: Plan) -> FleetRow:
    found, serial = groups[key], groups.get((key[0], 1))
    level = None if serial is None else float(mean_curve(serial)[-1])
    here, there = _reached(found, level, plan.step), _reached(serial or [], level, plan.step)
    efficiency = there[0] / here[0] if here and there and here[0] > 0 else None
    speedup = there[1] / here[1] if here and there and here[1] > 0 else None
    ends = level_rows(serial, found, plan)[-1:] if serial and key[1] > 1 else []
    elapsed = sum(n.elapsed_s for n in found) or float("inf")
    proposed, spent = sum(n.proposals for n in found), sum(n.propose_cpu_s for n in found)
    return FleetRow(
        proposer=key[0],
        workers=key[1],
        seeds=len(found),
        level=level,
        trials_to_level=here[0] if here else None,
        efficiency=efficiency,
        low=ends[0].low if ends else None,
        high=ends[0].high if ends else None,
        speedup=speedup,
        trials=min(n.trials for n in found),
        final=float(mean_curve(found)[-1]),
        worker_use=float(np.mean([n.worker_use for n in found])),
        proposal_s=float(np.mean([n.proposal_s for n in found])),
        proposal_p95_s=float(np.mean([n.proposal_p95_s for n in found])),
        proposals_per_s=proposed / spent if spent else 0.0,
        needed_per_s=proposed / elapsed,
        records_per_s=sum(n.records for n in found) / elapsed,
        loop_core_frac=sum(n.loop_cpu_s for n in found) / elapsed,
        propose_core_frac=spent / elapsed,
        repeats=sum(n.repeats for n in found),
    )


def _reached(nights: Sequence[FleetNight], level: float | None, step: int) -> tuple[float, float] | None:
    """Trials and virtual seconds after which the mean is at ``level`` for the first time, interpolated."""
    if not nights or level is None or (at := first_reached(mean_curve(nights), level)) is None:
        return None
    at_s = np.mean([n.at_s[: min(len(n.at_s) for n in nights)] for n in nights], axis=0)
    return step * at, float(np.interp(at, np.arange(len(at_s)), at_s))
