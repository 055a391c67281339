"""What a log alone says of each of its keeps: the probability that the gain is real, and how large it is. Pure.

The model. All values are gains relative to the first measurement, higher is better, in units of one grid. The loop has
an incumbent with true position m: the fixed baseline, or the last keep (``Trial.moves``). Trial i changes the incumbent
by d_i and measures y_i = m + d_i + noise, with noise ~ N(0, sigma^2 / n_i). The changes come from one prior, which is
estimated from the whole log: a point mass at zero (changes that do nothing) and uniform pieces from 0 up, and from 0
down, of several widths (adaptive shrinkage: Stephens, False discovery rates: a new deal, Biostatistics 18, 2017).

That the loop kept a trial because of its y needs no correction beyond this: the decision depends on the observed values
alone, and the posterior is given all of them. A keep among many losers is shrunk towards them, which corrects for
having been selected (Dawid, Selection paradoxes of Bayesian inference, 1994). Positions are filtered forwards and
smoothed backwards on the grid, so that the trials after a keep also say where it lies.

What it cannot see: noise that is not independent between trials, tails heavier than Gaussian, a prior that changes
during the night.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

CELLS_PER_SD = 3  # of the grid: a cell is a third of sigma
REACH_SD = 20.0  # a change beyond it is certain; it is moved to there
MARGIN_SD = 6.0
WIDTHS_SD = (0.75, 1.5, 3.0, 6.0, 12.0, 26.0)  # of the uniform pieces of the prior
NULL_COUNT, PIECE_COUNT = 10.0, 0.1  # Dirichlet counts of the prior's weights: most changes do nothing (calibrated)
TAIL = 1.0  # in nats: what a change beyond REACH_SD costs at least
ROUNDS = 40  # of expectation and maximisation
CONVERGED = 1e-3  # change of a weight
SMALLEST = 1e-300  # what is divided by, and whose logarithm is taken
BLOCK = 128  # columns of the grid at a time


@dataclass(frozen=True, slots=True)
class Trial:
    """One measured change: its gain relative to the first measurement; the mean of ``n`` measurements of it."""

    gain: float
    moves: bool  # it becomes the incumbent
    n: float = 1.0


@dataclass(frozen=True, slots=True)
class Changes:
    """The posterior of every change: a row of probabilities each, on ``steps`` (fractions of the first measurement)."""

    steps: Array
    probabilities: Array  # trials x steps
    excess: Array  # what was cut off each change, beyond the steps

    @property
    def means(self) -> Array:
        means: Array = self.probabilities @ self.steps + self.excess
        return means

    def above(self, bound: float) -> Array:
        """The probability that each change is a gain of more than ``bound``; with 0, that it is a gain at all."""
        half = (self.steps[1] - self.steps[0]) / 2
        counts = self.steps > (bound + half * (bound > 0)) - self.excess[:, None]
        found: Array = np.einsum("ij,ij->i", self.probabilities, counts)
        return found


@dataclass(frozen=True, slots=True)
class Night:
    """The changes of a log under one ``sigma``, and the log evidence of that sigma."""

    sigma: float
    changes: Changes
    evidence: float
    null_share: float  # of the prior


def smooth(trials: Sequence[Trial], sigma: float, baseline_sd: float) -> Night:
    """The posterior of every change. ``sigma`` is the SD of one measurement, ``baseline_sd`` that of the reference."""
    h = sigma / CELLS_PER_SD
    reach = round((REACH_SD + MARGIN_SD) * CELLS_PER_SD)
    steps = np.arange(-reach, reach + 1) * h
    pieces = _pieces(steps, sigma)
    gains, excess = _clamped(trials, REACH_SD * sigma)
    low, high = min([0.0, *gains]) - MARGIN_SD * sigma, max([0.0, *gains]) + MARGIN_SD * sigma
    grid = np.arange(math.floor(low / h), math.ceil(high / h) + 1) * h
    counts = _counts(len(pieces))
    weights = counts / counts.sum()
    measured = _Measured.of(trials, gains, grid, sigma)
    for _ in range(ROUNDS):
        prior = weights @ pieces
        links, evidence = _pass(measured, prior, _normal(grid, 0.0, baseline_sd))
        known = weights[:, None] * pieces
        shares = known / np.maximum(known.sum(axis=0), SMALLEST)
        before, weights = weights, counts + shares @ links.expected_steps(prior)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < CONVERGED:
            break
    evidence -= len(trials) * math.log(sigma)
    changes = Changes(steps, links.posteriors(prior), np.array(excess))
    evidence += _log_prior(weights, counts) - _tail_cost(excess, REACH_SD * sigma)
    return Night(sigma, changes, evidence, float(weights[0]))


def still(trials: Sequence[Trial], sigma: float, position: float) -> Night:
    """The posterior of every change from a fixed baseline whose true position is ``position``.

    The weights of the prior are estimated for this position alone: one at which most changes do nothing explains a
    log better than one at which all of them are small gains.
    """
    h = sigma / CELLS_PER_SD
    reach = round((REACH_SD + MARGIN_SD) * CELLS_PER_SD)
    steps = np.arange(-reach, reach + 1) * h
    pieces = _pieces(steps, sigma)
    jumps = np.array([trial.gain - position for trial in trials])
    near = np.clip(jumps, -REACH_SD * sigma, REACH_SD * sigma)
    sd = np.array([sigma / math.sqrt(trial.n) for trial in trials])
    like = np.exp(-0.5 * ((near[:, None] - steps[None, :]) / sd[:, None]) ** 2)
    of_piece = like @ pieces.T  # trials x pieces
    counts = _counts(len(pieces))
    weights = counts / counts.sum()
    for _ in range(ROUNDS):
        shares = weights * of_piece
        totals = np.maximum(shares.sum(axis=1), SMALLEST)
        before, weights = weights, counts + (shares / totals[:, None]).sum(axis=0)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < CONVERGED:
            break
    joint = like * (weights @ pieces)
    totals = np.maximum(joint.sum(axis=1), SMALLEST)
    evidence = float(np.log(totals).sum()) - len(trials) * math.log(sigma) + _log_prior(weights, counts)
    evidence -= _tail_cost(jumps - near, REACH_SD * sigma)
    changes = Changes(steps, joint / totals[:, None], jumps - near)
    return Night(sigma, changes, evidence, float(weights[0]))


def _tail_cost(excess: Iterable[float], reach: float) -> float:
    """What the log evidence loses by changes beyond ``reach``, which were moved to there.

    Their density falls as 1 / size. Without this a sigma that is much too small would explain any log: everything would
    be beyond its reach.
    """
    return math.fsum(TAIL + math.log1p(abs(more) / reach) for more in excess if more)


def _counts(pieces: int) -> Array:
    return np.array([NULL_COUNT] + [PIECE_COUNT] * (pieces - 1))


def _log_prior(weights: Array, counts: Array) -> float:
    """The log density of the weights in the prior, up to a constant: flexibility costs evidence."""
    return float(counts @ np.log(np.maximum(weights, SMALLEST)))


def _pieces(steps: Array, sigma: float) -> Array:
    """The components of the prior, one a row: the point mass at zero, then uniform pieces down and up."""
    null = (steps == 0).astype(float)
    rows = [null]
    for width in WIDTHS_SD:
        sides = (steps < 0) & (steps >= -width * sigma), (steps > 0) & (steps <= width * sigma)
        rows.extend(inside / inside.sum() for inside in sides)
    return np.array(rows)


def _clamped(trials: Sequence[Trial], reach: float) -> tuple[list[float], list[float]]:
    """The gains with every jump cut to ``reach``, and what was cut off each change."""
    gains, excess = [], []
    at, shift = 0.0, 0.0  # the incumbent's measurement; what was cut of the jumps before it
    for trial in trials:
        jump = trial.gain - shift - at
        cut = math.copysign(max(0.0, abs(jump) - reach), jump)
        gains.append(at + jump - cut)
        excess.append(cut)
        if trial.moves:
            at, shift = gains[-1], shift + cut
    return gains, excess


@dataclass(frozen=True, slots=True)
class _Measured:
    """The likelihood of each trial at each position of the grid, and which of the trials move the incumbent."""

    likes: Array  # trials x positions
    moves: tuple[int, ...]

    @classmethod
    def of(cls, trials: Sequence[Trial], gains: Sequence[float], grid: Array, sigma: float) -> _Measured:
        sd = np.array([sigma / math.sqrt(trial.n) for trial in trials])
        likes = _normal(grid, np.array(gains)[:, None], sd[:, None])
        return cls(likes, tuple(n for n, trial in enumerate(trials) if trial.moves))

    def stretches(self) -> list[tuple[int, int]]:
        """First trial and end of each stretch that one incumbent lasts; at the end is the trial that moves."""
        starts = [0, *(n + 1 for n in self.moves)]
        return list(zip(starts, [*self.moves, len(self.likes)], strict=True))


@dataclass(frozen=True, slots=True)
class _Links:
    """What a pass says of each change: a step from position m to k has the weight origin[m] prior[k - m] target[k]."""

    origin: Array  # trials x positions
    target: Array
    totals: Array  # of all weights of a trial

    def expected_steps(self, prior: Array) -> Array:
        """How often each step is taken, over all trials."""
        return prior * _shifted_products(self.origin / self.totals[:, None], self.target, len(prior) // 2)

    def posteriors(self, prior: Array) -> Array:
        """The probabilities of the steps of each trial."""
        reach = len(prior) // 2
        padded = np.pad(self.target, ((0, 0), (reach, reach)))
        rows = [np.correlate(to, at, "valid") for to, at in zip(padded, self.origin, strict=True)]
        joint = prior * np.array(rows)
        posteriors: Array = joint / np.maximum(joint.sum(axis=1, keepdims=True), SMALLEST)
        return posteriors


def _pass(measured: _Measured, prior: Array, baseline: Array) -> tuple[_Links, float]:
    """Filter forwards, smooth backwards under this prior of a step; and the log evidence, up to that of the unit.

    Between two moves the incumbent stays where it is, so that its trials multiply, and are added in logarithms at once.
    """
    reach, likes, end = len(prior) // 2, measured.likes, len(measured.likes)
    reached = _convolved(likes, prior)  # trials x positions: the likelihood of each trial, by the incumbent's position
    logs = np.log(np.maximum(reached, SMALLEST))
    before, evidence = baseline / baseline.sum(), 0.0
    origin, target = np.empty_like(likes), likes.copy()
    for start, stop in measured.stretches():
        rows, scale = _products(before, logs[start:stop])
        evidence += scale
        origin[start : stop + 1] = rows[: end - start]
        if stop < end:
            after = likes[stop] * np.convolve(rows[-1], prior)[reach : reach + likes.shape[1]]
            total = max(float(after.sum()), SMALLEST)
            before, evidence = after / total, evidence + math.log(total)
    later = np.ones(likes.shape[1])
    for start, stop in reversed(measured.stretches()):
        if stop < end:
            target[stop] *= later
            reached[stop] = sliding_window_view(np.pad(target[stop], reach), len(prior)) @ prior
            later = reached[stop] / max(float(reached[stop].max()), SMALLEST)
        rows, _ = _products(later, logs[start:stop][::-1])
        origin[start:stop] *= rows[:-1][::-1]
        later = rows[-1]
    totals = np.maximum(np.einsum("ij,ij->i", origin, reached), SMALLEST)
    return _Links(origin, target, totals), evidence


def _products(first: Array, logs: Array) -> tuple[Array, float]:
    """``first``, and its products with one row after the other, each scaled to the sum 1; the log of the last scale."""
    with np.errstate(divide="ignore"):
        rows = np.cumsum(np.vstack([np.log(first), logs]), axis=0)
    peaks = rows.max(axis=1, keepdims=True)
    rows = np.exp(rows - peaks)
    sums = rows.sum(axis=1, keepdims=True)
    return rows / sums, float(peaks[-1, 0] + np.log(sums[-1, 0]))


def _convolved(rows: Array, prior: Array) -> Array:
    """Of each row, at position m: the sum of row[k] prior[k - m]; zero outside the grid. In blocks of columns."""
    reach, width = len(prior) // 2, rows.shape[1]
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    band = np.zeros((len(prior) - 1 + BLOCK, BLOCK))
    for column in range(BLOCK):
        band[column : column + len(prior), column] = prior
    found = np.empty_like(rows)
    for start in range(0, width, BLOCK):
        n = min(BLOCK, width - start)
        found[:, start : start + n] = padded[:, start : start + n + 2 * reach] @ band[: n + 2 * reach, :n]
    return found


def _shifted_products(left: Array, right: Array, reach: int) -> Array:
    """For each shift from -reach to reach: the sum of left[i, m] right[i, m + shift] over all i and m."""
    padded = np.pad(right, ((0, 0), (reach, reach)))
    found = np.zeros(2 * reach + 1)
    for start in range(0, left.shape[1], BLOCK):
        part = left[:, start : start + BLOCK]
        n = part.shape[1]
        products = part.T @ padded[:, start : start + n + 2 * reach]
        across, down = products.strides[1], products.strides[0]
        found += as_strided(products, (n, len(found)), (down + across, across)).sum(axis=0)
    return found


def _normal(x: Array, mean: Array | float, sd: Array | float) -> Array:
    density: Array = np.exp(-0.5 * ((x - mean) / sd) ** 2)
    return density
