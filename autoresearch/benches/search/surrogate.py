"""A surrogate of a measured joint space: mean, noise and crashes of any configuration, in place of a trial.

Values: the Gaussian process of ``proposers/gaussian_process.py`` over a logarithmic scale of the distance to the best
value, so that the many bad configurations do not drown the differences among the good ones. Crashes: the sign of a
second process over the outcomes, or a logistic regression with products of knobs, whichever is right more often on
configurations that it has not seen. Noise: residuals of configurations that the table repeats, drawn as they are.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch.benches.search.crashes import CrashModel, choose_crash_model
from autoresearch.benches.search.table import Table, TableRow
from autoresearch.core.values import Cfg
from autoresearch.proposers.cube import Array, Cube
from autoresearch.proposers.gaussian_process import Hyper, Process, fit, maximise

MAX_ROWS = 2000  # measured configurations that the process is fitted to: the cost grows with the cube of it
HYPER_ROWS = 320
HELD_OUT = 5  # every fifth configuration
MIN_RESIDUALS = 20
SOFT = 0.25  # of the distance between the best and the median value: added before the logarithm is taken


@dataclass(frozen=True, slots=True)
class Quality:
    """On configurations that the models had not seen."""

    spearman: float
    mae: float
    crash_accuracy: float


@dataclass(frozen=True)
class Scale:
    """Values to the logarithm of their distance from below the best, and back."""

    low: float
    soft: float

    @classmethod
    def of(cls, values: Array) -> Scale:
        best, middle = float(values.min()), float(np.median(values))
        return cls(best, max(1e-9, SOFT * (middle - best)))

    def forward(self, values: Array) -> Array:
        return np.asarray(np.arcsinh((values - self.low) / self.soft))

    def back(self, scaled: Array) -> Array:
        return self.low + self.soft * np.sinh(scaled)


@dataclass(frozen=True)
class Surrogate:
    """Deterministic in configuration and seed, so that all proposers meet the same luck."""

    cube: Cube
    baseline: Cfg
    process: Process
    scale: Scale
    crashes: CrashModel | None  # None: nothing crashes
    residuals: Array  # of single measurements, from repeated configurations or drawn from the process's own noise
    are_measured: bool  # whether the table repeats enough configurations
    estimate: CrashModel | None  # what a rail that knows a random half of the table takes for a crash
    costs: Costs | None  # FLOPs by coordinates; None where the table has none

    def mean(self, cfg: Cfg) -> float:
        """The true mean, which no proposer sees."""
        return float(self.means([cfg])[0])

    def means(self, cfgs: Sequence[Cfg]) -> Array:
        return self.scale.back(self.process.mean_at(self.points(cfgs)))

    def fails(self, cfg: Cfg) -> bool:
        """Whether a trial of it has no value. The baseline never fails."""
        return self.crashes is not None and cfg != self.baseline and bool(self.crashes(self.points([cfg]))[0] > 0.5)

    def draw(self, cfg: Cfg, seed: int) -> float | None:
        """One measurement with the noise of its seed; ``None`` for a crash."""
        if self.fails(cfg):
            return None
        luck = np.random.default_rng([seed, zlib.crc32(json.dumps(cfg, sort_keys=True).encode())])
        return self.mean(cfg) + float(luck.choice(self.residuals))

    def flops(self, cfg: Cfg) -> float:
        """Training FLOPs of a trial; 1 where the table has none."""
        return 1.0 if self.costs is None else float(self.costs(self.points([cfg]))[0])

    def points(self, cfgs: Sequence[Cfg]) -> Array:
        """Their coordinates."""
        return self.cube.expand(self.cube.places(cfgs))


@dataclass(frozen=True)
class Groups:
    """Measured configurations, each once: coordinates, mean, number of measurements, and residuals of repeats."""

    points: Array
    means: Array
    repeats: Array
    residuals: Array


def fit_surrogate(table: Table) -> tuple[Surrogate, Quality]:
    """Fit to every configuration, and state the error of the same models fitted without a fifth of them."""
    cube = Cube(table.menu)
    groups = group_rows(table.rows, cube)
    scale = Scale.of(groups.means)
    hyper = _hyper(groups, scale)
    crashes, accuracy = _crash_model(table.rows, cube)
    half = np.random.default_rng(1).permutation(len(table.rows))[::2]
    estimate, _ = _crash_model([table.rows[i] for i in half], cube)
    process = _fit_values(groups, np.arange(len(groups.means)), scale, hyper)
    spearman, mae = _held_out(groups, scale, hyper)
    residuals, are_measured = _noise(groups, process, scale, cube, table)
    surrogate = Surrogate(
        cube=cube,
        baseline=table.menu.defaults,
        process=process,
        scale=scale,
        crashes=crashes,
        estimate=estimate,
        residuals=residuals,
        are_measured=are_measured,
        costs=_costs(table.rows, cube),
    )
    return surrogate, Quality(spearman, mae, accuracy)


def group_rows(rows: Sequence[TableRow], cube: Cube) -> Groups:
    """Measurements of the same configuration together."""
    found: dict[str, list[float]] = defaultdict(list)
    cfgs: dict[str, Cfg] = {}
    for row in rows:
        if row.value is not None:
            key = json.dumps(row.cfg, sort_keys=True)
            cfgs[key] = row.cfg
            found[key].append(row.value)
    means = np.array([math.fsum(values) / len(values) for values in found.values()])
    residuals = [
        (value - mean) * math.sqrt(len(values) / (len(values) - 1))
        for values, mean in zip(found.values(), means, strict=True)
        for value in values
        if len(values) > 1 and mean <= np.median(means)
    ]
    points = cube.expand(cube.places(cfgs.values()))
    return Groups(points, means, np.array([float(len(v)) for v in found.values()]), np.array(residuals))


def _hyper(groups: Groups, scale: Scale) -> Hyper:
    """From the better half of a sample: there the proposers end, and there the shape matters."""
    order = np.argsort(groups.means, kind="stable")
    half = HYPER_ROWS // 2
    rest = order[half:]
    rows = np.concatenate([order[:half], rest[:: max(1, len(rest) // half)]])
    values = scale.forward(groups.means[rows])
    standard = (values - values.mean()) / (values.std() or 1.0)
    return maximise(groups.points[rows], standard, groups.repeats[rows], np.ones(len(rows)))


def _fit_values(groups: Groups, rows: Array, scale: Scale, hyper: Hyper) -> Process:
    if len(rows) > MAX_ROWS:
        order = rows[np.argsort(groups.means[rows], kind="stable")]
        best, rest = order[: MAX_ROWS // 2], order[MAX_ROWS // 2 :]
        rows = np.concatenate([best, rest[:: -(-len(rest) // (MAX_ROWS - len(best)))]])
    return fit(groups.points[rows], scale.forward(groups.means[rows]), groups.repeats[rows], hyper)


def _held_out(groups: Groups, scale: Scale, hyper: Hyper) -> tuple[float, float]:
    """Spearman's correlation and the mean absolute error, on every fifth configuration."""
    order = np.random.default_rng(0).permutation(len(groups.means))
    apart, kept = order[::HELD_OUT], np.setdiff1d(order, order[::HELD_OUT])
    process = _fit_values(groups, kept, scale, hyper)
    predicted = scale.back(process.mean_at(groups.points[apart]))
    return spearman(predicted, groups.means[apart]), float(np.abs(predicted - groups.means[apart]).mean())


def _crash_model(rows: Sequence[TableRow], cube: Cube) -> tuple[CrashModel | None, float]:
    points = cube.expand(cube.places([row.cfg for row in rows]))
    crashed = np.array([row.value is None for row in rows], dtype=float)
    if not crashed.any():
        return None, 1.0
    return choose_crash_model(points, crashed)


def _noise(groups: Groups, process: Process, scale: Scale, cube: Cube, table: Table) -> tuple[Array, bool]:
    """Residuals to draw from: those of repeats, or of a Gaussian with the process's own noise at the baseline."""
    if len(groups.residuals) >= MIN_RESIDUALS:
        return groups.residuals - groups.residuals.mean(), True
    own = process.mean_at(cube.expand(cube.places([table.menu.defaults])))
    sd = process.sd * math.exp(0.5 * process.hyper.noise)
    width = float((scale.back(own + sd) - scale.back(own - sd))[0]) / 2
    return width * np.random.default_rng(0).standard_normal(1000), False


def _costs(rows: Sequence[TableRow], cube: Cube) -> Costs | None:
    """A ridge regression of the logarithm of the FLOPs over the coordinates and their squares."""
    known = [row for row in rows if row.flops is not None]
    if len(known) < MIN_RESIDUALS:
        return None
    features = _quadratic(cube.expand(cube.places([row.cfg for row in known])))
    target = np.log(np.array([row.flops for row in known], dtype=float))
    ridge = features.T @ features + 1e-3 * np.eye(features.shape[1])
    weights = np.linalg.solve(ridge, features.T @ target)
    low, high = float(target.min()), float(target.max())
    return Costs(weights, low, high)


@dataclass(frozen=True)
class Costs:
    """Never beyond what the table has."""

    weights: Array
    low: float
    high: float

    def __call__(self, points: Array) -> Array:
        return np.asarray(np.exp(np.clip(_quadratic(points) @ self.weights, self.low, self.high)))


def _quadratic(points: Array) -> Array:
    return np.hstack([np.ones((len(points), 1)), points, points**2])


def spearman(a: Array, b: Array) -> float:
    """The correlation of the ranks; ties share theirs."""
    first, second = _ranks(a), _ranks(b)
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[inverse])
