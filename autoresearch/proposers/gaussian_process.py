"""A Gaussian process of few points in numpy: Matern 5/2 with a length scale per coordinate, robust to outliers.

Hyperparameters are the maximum of the posterior (marginal likelihood times priors), found by gradient steps from one
fixed start, so that they depend on the data alone. Heavy tails: points far from what the others say get a larger noise
variance, as under Student's t (iterated reweighting; M. West, "Outlier models and prior distributions in Bayesian
linear regression", 1984). Length scales have the log-normal prior of Hvarfner et al., "Vanilla Bayesian Optimization
Performs Great in High Dimensions", 2024, whose median grows with the square root of the dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from autoresearch.proposers.cube import Array

SQRT5 = math.sqrt(5.0)
STEPS = 40
RATE = 0.12
TAIL_DF = 4.0  # of Student's t
REWEIGHTINGS = 2
MIN_NOISE = 1e-5  # variance, where the values have variance 1
LENGTH_SD = 1.0  # of the logarithm
NOISE_LOG_MEAN, NOISE_SD = math.log(0.05), 1.5
SCALE_SD = 1.0


@dataclass(frozen=True)
class Hyper:
    """Logarithms: of a length scale per coordinate, of the signal's variance and of the noise variance of one trial."""

    length: Array
    scale: float
    noise: float

    @classmethod
    def start(cls, dimensions: int) -> Hyper:
        """Where each fit begins: the prior's median."""
        return cls(np.full(dimensions, _length_median(dimensions)), 0.0, NOISE_LOG_MEAN)


@dataclass(frozen=True)
class Process:
    """A fitted process. ``points`` are n x d; values were standardised to ``mean`` and ``sd``."""

    hyper: Hyper
    points: Array
    factor: Array  # Cholesky factor of the covariance of the values
    weights: Array  # its inverse times the standardised values
    mean: float
    sd: float
    noise: Array = field(repr=False)  # variance of each value, standardised
    low: float = -math.inf

    def predict(self, at: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise, at each row of ``at``."""
        cross = matern(at, self.points, self.hyper)
        mean = cross @ self.weights
        half = np.linalg.solve(self.factor, cross.T)
        variance = np.maximum(math.exp(self.hyper.scale) - np.einsum("ij,ij->j", half, half), 1e-12)
        return self.mean + self.sd * mean, self.sd * np.sqrt(variance)

    def mean_at(self, at: Array) -> Array:
        """The mean alone."""
        return np.asarray(self.mean + self.sd * (matern(at, self.points, self.hyper) @ self.weights))

    @property
    def relevance(self) -> Array:
        """How much each coordinate matters: the inverse square of its length scale."""
        return np.exp(-2.0 * self.hyper.length)


def _length_median(dimensions: int) -> float:
    return math.log(0.5 * math.sqrt(dimensions))


def matern(a: Array, b: Array, hyper: Hyper) -> Array:
    """Covariance of the function between the rows of ``a`` and of ``b``."""
    distance = np.sqrt(_squared(a, b, np.exp(-hyper.length)))
    shape = (1.0 + SQRT5 * distance + 5.0 / 3.0 * distance**2) * np.exp(-SQRT5 * distance)
    return np.asarray(math.exp(hyper.scale) * shape)


def _squared(a: Array, b: Array, inverse: Array) -> Array:
    left, right = a * inverse, b * inverse
    product = left @ right.T
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2.0 * product
    return np.asarray(np.maximum(squares, 0.0))


def fit(points: Array, values: Array, repeats: Array, hyper: Hyper | None = None) -> Process:
    """Fit to values that are means of ``repeats`` trials each. With ``hyper`` only the weights are fitted."""
    mean, sd = _location(values)
    standard = (values - mean) / sd
    tails = np.ones(len(values))
    chosen = hyper or maximise(points, standard, repeats, tails)
    process = _solve(points, standard, repeats, tails, chosen, mean, sd)
    for _ in range(REWEIGHTINGS):
        tails = _tail_weights(process, standard)
        process = _solve(points, standard, repeats, tails, chosen, mean, sd)
    return process


def _location(values: Array) -> tuple[float, float]:
    sd = float(values.std())
    return float(values.mean()), sd if sd > 1e-12 else 1.0


def _solve(
    points: Array, standard: Array, repeats: Array, tails: Array, hyper: Hyper, mean: float, sd: float
) -> Process:
    noise = np.exp(hyper.noise) / (repeats * tails) + MIN_NOISE
    factor = np.linalg.cholesky(matern(points, points, hyper) + np.diag(noise))
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, standard))
    return Process(hyper, points, factor, weights, mean, sd, noise)


def _tail_weights(process: Process, standard: Array) -> Array:
    """Below 1 for a value that the others, without it, would not have expected."""
    inverse = np.linalg.inv(process.factor)
    diagonal = np.einsum("ij,ij->j", inverse, inverse)
    residual = process.weights / diagonal  # of leaving it out
    scaled = residual**2 * diagonal
    return np.asarray((TAIL_DF + 1.0) / (TAIL_DF + np.maximum(scaled, 1.0)))


def maximise(points: Array, standard: Array, repeats: Array, tails: Array) -> Hyper:
    """The posterior's maximum, by Adam from the prior's median."""
    dimensions = points.shape[1]
    start = Hyper.start(dimensions)
    theta = np.array([*start.length, start.scale, start.noise])
    squares = (points[:, None, :] - points[None, :, :]) ** 2  # n x n x d
    squares = squares.reshape(-1, dimensions)
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, STEPS + 1):
        slope = _slope(theta, squares, standard, repeats * tails)
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope**2
        move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        rate = RATE * (1.0 if step < STEPS // 2 else 0.4)
        theta = theta + rate * move
        theta[-1] = max(theta[-1], math.log(1e-4))
    return Hyper(theta[:-2], float(theta[-2]), float(theta[-1]))


def _slope(theta: Array, squares: Array, standard: Array, precision: Array) -> Array:
    """The gradient of the log posterior."""
    count = len(standard)
    length, scale, noise = theta[:-2], theta[-2], theta[-1]
    inverse = np.exp(-2.0 * length)
    distance = np.sqrt(squares @ inverse).reshape(count, count)
    decay = math.exp(scale) * np.exp(-SQRT5 * distance)
    signal = decay * (1.0 + SQRT5 * distance + 5.0 / 3.0 * distance**2)
    own = math.exp(noise) / precision
    covariance = signal + np.diag(own + MIN_NOISE)
    inverted = np.linalg.inv(covariance)
    weights = inverted @ standard
    outer = np.outer(weights, weights) - inverted  # twice the gradient by the covariance
    by_distance = outer * (5.0 / 3.0) * decay * (1.0 + SQRT5 * distance)
    slope = np.empty_like(theta)
    slope[:-2] = 0.5 * inverse * (by_distance.reshape(-1) @ squares)
    slope[-2] = 0.5 * float((outer * signal).sum())
    slope[-1] = 0.5 * float((np.diag(outer) * own).sum())
    slope[:-2] -= (length - _length_median(len(length))) / LENGTH_SD**2
    slope[-2] -= scale / SCALE_SD**2
    slope[-1] -= (noise - NOISE_LOG_MEAN) / NOISE_SD**2
    return slope
