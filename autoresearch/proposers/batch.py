"""A model of the joint space while candidates are measured: what is known of them is where they are. Pure.

A value that is made up for a pending candidate moves the model: the worst one (a constant liar) turns it away from the
good points, beside which most candidates lie. Here a pending candidate has the value that the model expects (kriging
believer, Ginsbourger et al., "Kriging Is Well-Suited to Parallelize Optimization", 2010): the means stay as they are,
the standard deviations near it shrink (Desautels et al., "Parallelizing Exploration-Exploitation Tradeoffs in Gaussian
Process Bandit Optimization", 2014), and the value to improve on is the best one that is expected.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from autoresearch.proposers.cube import Array
from autoresearch.proposers.gaussian_process import MIN_NOISE, Process, matern

NEAR = 0.02  # of the range of every knob: places this close are taken for the same
FEW, CROWDED = 4, 0.5
MOST_PENDING = 256  # the newest of them: the cost grows with the cube of their number


def believe(process: Process, pending: Array) -> Process:
    """The process after one trial at each row of ``pending`` whose value is what it expects there."""
    if not len(pending):
        return process
    known = len(process.points)
    half = np.linalg.solve(process.factor, matern(process.points, pending, process.hyper))
    noise = math.exp(process.hyper.noise) + MIN_NOISE
    own = matern(pending, pending, process.hyper) - half.T @ half + noise * np.eye(len(pending))
    factor = np.zeros((known + len(pending), known + len(pending)))
    factor[:known, :known], factor[known:, :known] = process.factor, half.T
    factor[known:, known:] = np.linalg.cholesky(own)
    return replace(
        process,
        points=np.vstack([process.points, pending]),
        factor=factor,
        weights=np.concatenate([process.weights, np.zeros(len(pending))]),
        noise=np.concatenate([process.noise, np.full(len(pending), noise)]),
    )


def is_beside(place: Array, pending: Array, own: Array) -> bool:
    """Whether a trial at ``place`` would tell little more than those that are being measured.

    It is close to one of them, or at least half of them change the same knobs of ``own``, the baseline's place.
    """
    if not len(pending):
        return False
    if (np.abs(pending - place).max(axis=1) < NEAR).any():
        return True
    changed = np.abs(np.vstack([place, pending]) - own) > 1e-9
    same = (changed[1:] == changed[0]).all(axis=1)
    return len(pending) >= FEW and bool(same.mean() >= CROWDED)
