"""The course of nights: the mean over seeds of the true mean, and after how many trials it reaches a level. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoresearch.benches.search.night import STEP, Night

RIVAL, OURS = "tpe", "joint"
SHARE = 0.6  # of the trials, after which OURS sets the level that the poisoned hybrids are timed to


@dataclass(frozen=True, slots=True)
class Curve:
    """``mean`` and ``se`` after ``trials``; the latter is null with one seed."""

    trials: tuple[int, ...]
    mean: tuple[float, ...]
    se: tuple[float | None, ...]
    seeds: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def reaches(self, level: float) -> float | None:
        """The trials after which the mean is at ``level`` for the first time, interpolated; null if never."""
        for i, value in enumerate(self.mean):
            if value <= level:
                if i == 0:
                    return 0.0
                before = self.mean[i - 1]
                share = (before - level) / (before - value)
                return self.trials[i - 1] + share * (self.trials[i] - self.trials[i - 1])
        return None


def mean_curves(nights: Sequence[Night]) -> dict[str, Curve]:
    """One for each proposer that ran, in the order of the nights."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for night in nights:
        if night.curve:
            found.setdefault(night.proposer, []).append(night.curve)
    return {name: _mean(curves) for name, curves in found.items()}


def _mean(curves: Sequence[tuple[float, ...]]) -> Curve:
    values = np.array([c[: min(map(len, curves))] for c in curves])
    count = len(values)
    means = tuple(float(v) for v in values.mean(axis=0))
    errors = values.std(axis=0, ddof=1) / math.sqrt(count) if count > 1 else []
    se = tuple(float(v) for v in errors) if count > 1 else (None,) * len(means)
    return Curve(tuple(STEP * i for i in range(len(means))), means, se, count)


def reached(curves: Mapping[str, Curve]) -> dict[str, Any]:
    """Trials to two levels: what TPE has at its end, and what ours has after 60% of the trials."""
    levels: dict[str, float] = {}
    if RIVAL in curves:
        levels["tpe_at_end"] = curves[RIVAL].mean[-1]
    if OURS in curves:
        mean = curves[OURS].mean
        levels["joint_at_60_percent"] = mean[round(SHARE * (len(mean) - 1))]
    return {
        name: {"level": level, "trials": {proposer: curve.reaches(level) for proposer, curve in curves.items()}}
        for name, level in levels.items()
    }


def describe_reached(found: Mapping[str, Any]) -> list[str]:
    """Lines for a terminal."""
    names = {"tpe_at_end": "what tpe has at its end", "joint_at_60_percent": "what joint has after 60% of the trials"}
    lines = []
    for key, entry in found.items():
        trials = {name: value for name, value in entry["trials"].items() if value is not None}
        never = [name for name, value in entry["trials"].items() if value is None]
        text = ", ".join(f"{name} {value:.0f}" for name, value in sorted(trials.items(), key=lambda pair: pair[1]))
        lines.append(f"trials to {entry['level']:.5f}, {names[key]}: {text}")
        if never:
            lines[-1] += f"; not reached: {', '.join(never)}"
    return lines
