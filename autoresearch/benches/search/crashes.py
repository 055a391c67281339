"""Which configurations of a table crash: two classifiers, and the choice between them on unseen rows. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoresearch.proposers.cube import Array
from autoresearch.proposers.gaussian_process import fit, maximise

CrashModel = Callable[[Array], Array]  # from coordinates to a number above 0.5 where a trial crashes
MAX_ROWS = 2000
HYPER_ROWS = 320
FOLDS = 5
RIDGE = 1e-2
NEWTON_STEPS = 15


def choose_crash_model(points: Array, crashed: Array) -> tuple[CrashModel, float]:
    """The better of both, fitted to all rows, and its accuracy on rows that it had not seen."""
    order = np.random.default_rng(0).permutation(len(points))
    apart = order[::FOLDS]
    kept = np.setdiff1d(order, apart)
    scores = [
        float(((build(points[kept], crashed[kept])(points[apart]) > 0.5) == (crashed[apart] > 0.5)).mean())
        for build in (process_of_crashes, logistic_of_products)
    ]
    build = (process_of_crashes, logistic_of_products)[int(np.argmax(scores))]
    return build(points, crashed), max(scores)


def process_of_crashes(points: Array, crashed: Array) -> CrashModel:
    """A Gaussian process over the outcomes 0 and 1; far from all rows it answers with their share."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(points))[:MAX_ROWS]
    few = rows[:HYPER_ROWS]
    sd = float(crashed[few].std()) or 1.0
    hyper = maximise(points[few], (crashed[few] - crashed[few].mean()) / sd, np.ones(len(few)), np.ones(len(few)))
    process = fit(points[rows], crashed[rows], np.ones(len(rows)), hyper)
    return process.mean_at


def logistic_of_products(points: Array, crashed: Array) -> CrashModel:
    """A ridge logistic regression over the coordinates, their squares and their products."""
    features = _products(points)
    width = features.shape[1]
    penalty = np.full(width, RIDGE * len(points) / 100.0)
    penalty[0] = 1e-6
    weights = np.zeros(width)
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -30, 30)))
        curvature = np.diag(penalty) + (features.T * np.maximum(chance * (1 - chance), 1e-6)) @ features
        weights = weights + np.linalg.solve(curvature, features.T @ (crashed - chance) - penalty * weights)
    return Logistic(weights)


@dataclass(frozen=True)
class Logistic:
    """The probability of a crash."""

    weights: Array

    def __call__(self, at: Array) -> Array:
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(_products(at) @ self.weights, -30, 30))))


def _products(points: Array) -> Array:
    upper = np.triu_indices(points.shape[1])
    return np.hstack([np.ones((len(points), 1)), points, (points[:, upper[0]] * points[:, upper[1]])])
