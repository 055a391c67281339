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
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

CELLS_PER_SD = 3  # of the grid: a cell is a third of sigma
REACH_SD = 20.0  # a change beyond it is certain; it is moved to there
MARGIN_SD = 6.0
WIDTHS_SD = (0.75, 1.5, 3.0, 6.0, 12.0, 26.0)  # of the uniform pieces of the prior
NULL_COUNT, PIECE_COUNT = 20.0, 0.1  # Dirichlet counts of the prior's weights: most changes do nothing (calibrated)
TAIL = 1.0  # in nats: what a change beyond REACH_SD costs at least
ROUNDS = 40  # of expectation and maximisation
CONVERGED = 1e-3  # change of a weight


@dataclass(frozen=True, slots=True)
class Trial:
    """One measured change: its gain relative to the first measurement; the mean of ``n`` measurements of it."""

    gain: float
    moves: bool  # it becomes the incumbent
    n: float = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """The posterior of one change, as probabilities on ``steps`` (fractions of the first measurement)."""

    steps: Array
    probabilities: Array

    @property
    def mean(self) -> float:
        return float(self.steps @ self.probabilities)

    def above(self, bound: float) -> float:
        """The probability that the change is a gain of more than ``bound``; with 0, that it is a gain at all."""
        half = (self.steps[1] - self.steps[0]) / 2
        return float(self.probabilities[self.steps > bound + half * (bound > 0)].sum())


@dataclass(frozen=True, slots=True)
class Night:
    """The changes of a log under one ``sigma``, and the log evidence of that sigma."""

    sigma: float
    changes: tuple[Change, ...]
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
    for _ in range(ROUNDS):
        posteriors, evidence = _pass(trials, gains, grid, steps, weights @ pieces, sigma, baseline_sd)
        known = weights[:, None] * pieces
        shares = known / np.maximum(known.sum(axis=0), 1e-300)
        before, weights = weights, counts + sum(shares @ p for p in posteriors)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < CONVERGED:
            break
    changes = tuple(Change(steps + more, p) for p, more in zip(posteriors, excess, strict=True))
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
        totals = np.maximum(shares.sum(axis=1), 1e-300)
        before, weights = weights, counts + (shares / totals[:, None]).sum(axis=0)
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < CONVERGED:
            break
    joint = like * (weights @ pieces)
    totals = np.maximum(joint.sum(axis=1), 1e-300)
    evidence = float(np.log(totals).sum()) - len(trials) * math.log(sigma) + _log_prior(weights, counts)
    evidence -= _tail_cost(jumps - near, REACH_SD * sigma)
    changes = tuple(Change(steps + more, p) for p, more in zip(joint / totals[:, None], jumps - near, strict=True))
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
    return float(counts @ np.log(np.maximum(weights, 1e-300)))


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


def _pass(
    trials: Sequence[Trial],
    gains: Sequence[float],
    grid: Array,
    steps: Array,
    prior: Array,
    sigma: float,
    baseline_sd: float,
) -> tuple[list[Array], float]:
    """Filter forwards, smooth backwards: the posterior of each change under this prior, and the log evidence."""
    reach = len(steps) // 2
    seen = [_normal(grid, gain, sigma / math.sqrt(t.n)) for gain, t in zip(gains, trials, strict=True)]
    before = _normal(grid, 0.0, baseline_sd) if baseline_sd > 0 else (np.abs(grid) < sigma / 1e6).astype(float)
    before = before / before.sum()
    forward, evidence = [], 0.0
    for trial, like in zip(trials, seen, strict=True):
        forward.append(before)
        if trial.moves:
            after = like * np.convolve(before, prior)[reach : reach + len(grid)]
        else:
            after = before * (_windows(like, reach) @ prior)
        total = float(after.sum())
        evidence += math.log(max(total, 1e-300)) - math.log(sigma)
        before = after / max(total, 1e-300)
    posteriors: list[Array] = []
    later = np.ones(len(grid))
    for trial, like, earlier in zip(reversed(trials), reversed(seen), reversed(forward), strict=True):
        windows = _windows(like * later if trial.moves else like, reach)
        joint = prior * (windows.T @ (earlier if trial.moves else earlier * later))
        posteriors.append(joint / max(float(joint.sum()), 1e-300))
        known = windows @ prior
        later = known if trial.moves else later * known
        later = later / max(float(later.max()), 1e-300)
    return posteriors[::-1], evidence


def _windows(values: Array, reach: int) -> Array:
    """Row m: ``values`` at the positions m - reach to m + reach; zero outside the grid."""
    return sliding_window_view(np.pad(values, reach), 2 * reach + 1)


def _normal(grid: Array, mean: float, sd: float) -> Array:
    density: Array = np.exp(-0.5 * ((grid - mean) / sd) ** 2)
    return density
