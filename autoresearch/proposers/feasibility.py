"""Where configurations fail: a Bayesian logistic regression over the steps from the baseline. Pure.

It is separate from the model of the values: a failure has no value, and none is made up for it. Far from everything
that ran, the weights are uncertain and so is the answer: the probability of a failure grows towards one half without a
single failure being known. Failures of memory and of stability grow with a knob or with a few, which a sum of
monotone and quadratic terms can express.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autoresearch.proposers.cube import Array

BIAS, BIAS_SD = -3.0, 1.0  # log odds of a failure right at the baseline
WEIGHT_SD = 3.0  # of a step over a knob's whole range
NEWTON_STEPS = 12
PROBIT = math.pi / 8.0  # D. MacKay's approximation of a logistic function's mean under a Gaussian


@dataclass(frozen=True)
class Feasibility:
    """The posterior of the weights, as a Gaussian around its maximum."""

    centre: Array
    scale: Array
    weights: Array
    covariance: Array

    def failure(self, at: Array) -> Array:
        """The probability that each row of ``at`` fails."""
        features = _features(at, self.centre, self.scale)
        logit = features @ self.weights
        variance = np.einsum("ij,jk,ik->i", features, self.covariance, features)
        return np.asarray(1.0 / (1.0 + np.exp(-logit / np.sqrt(1.0 + PROBIT * variance))))


def _features(at: Array, centre: Array, scale: Array) -> Array:
    step = (at - centre) * scale
    return np.hstack([np.ones((len(at), 1)), step, step**2])


def learn_feasibility(centre: Array, points: Array, failed: Array, scale: Array | None = None) -> Feasibility:
    """From points of which ``failed`` is 1 for a failure and 0 for what ran to its end.

    ``scale`` is below 1 for coordinates whose smallest step is large: else the first step of a choice of two would
    look as dangerous as the way through a whole range.
    """
    scale = np.ones(points.shape[1]) if scale is None else scale
    features = _features(points, centre, scale)
    width = features.shape[1]
    prior = np.zeros(width)
    prior[0] = BIAS
    precision = np.full(width, 1.0 / WEIGHT_SD**2)
    precision[0] = 1.0 / BIAS_SD**2
    weights = prior.copy()
    curvature = np.diag(precision)
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -30, 30)))
        curvature = np.diag(precision) + (features.T * (chance * (1.0 - chance))) @ features
        slope = features.T @ (failed - chance) - precision * (weights - prior)
        move = np.linalg.solve(curvature, slope)
        weights = weights + move * min(1.0, 5.0 / (np.abs(move).max() + 1e-12))
    return Feasibility(centre, scale, weights, np.linalg.inv(curvature))
