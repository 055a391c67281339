"""A gain at equal FLOPs, read from a loss curve, where a candidate computed more or less than the baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

WINDOW = 6  # points of the curve that a straight line is fitted to
EARLIEST = 0.25  # fraction of a run before which nothing is read: warmup, and a curve too steep for a line


def gain_at_equal_flops(
    gain_frac: float, flops_ratio: float, curve: Sequence[float], warmup_frac: float
) -> tuple[float, float] | None:
    """Return about what the gain would be at equal training FLOPs, as (low, high); ``None`` if the curve is too short.

    ``gain_frac`` is (b - c) / b at the ends of both runs, ``flops_ratio`` the candidate's FLOPs by the baseline's.
    ``curve`` is the training loss of the costlier side: its means over equal parts of its budget, at constant FLOPs
    per step, with warmup over ``warmup_frac`` of it and a cosine to zero after that. A run that ends at the fraction
    f = min(ratio, 1 / ratio) of its FLOPs was not made. Its val_bpb is taken to be larger than at the end by the
    factor of the training losses, L(at) / L(1), with two readings of L(at):

    - at f itself. There the learning rate had not decayed: it was higher all the way, so that more was learned than
      in a run that ends there.
    - where the learning rates add up to those of a run that ends at f (the forward area that drives the loss in
      Tissue, Wang and Wang 2024, arXiv 2408.11029). That leaves out what the decay itself gains.

    A shorter run ends between both, as far as the curve is like that of validation. docs/verdicts.md compares them with
    measurements. Losses are read from a line through the ``WINDOW`` nearest points.
    """
    fraction = min(flops_ratio, 1 / flops_ratio) if flops_ratio > 0 else 0.0
    if fraction < EARLIEST or len(curve) < WINDOW or (end := loss_at(curve, 1.0)) <= 0:
        return None
    grown = [loss_at(curve, at) / end for at in (fraction, fraction_of_equal_lr_sum(fraction, warmup_frac))]
    gains = [1 - (1 - gain_frac) * (growth if flops_ratio > 1 else 1 / growth) for growth in grown]
    return min(gains), max(gains)


def fraction_of_equal_lr_sum(fraction: float, warmup_frac: float) -> float:
    """Return where in a run the learning rates so far add up to those of a run that ends at ``fraction`` of it.

    A linear warmup over w and a cosine to zero over the rest add up to half of the peak times the steps, whatever w.
    """
    w, wanted = min(max(warmup_frac, 0.0), 1.0), fraction / 2

    def lr_sum(at: float) -> float:
        if at < w:
            return at * at / (2 * w)
        x = (at - w) / (1 - w) if w < 1 else 0.0
        return w / 2 + (1 - w) * (x / 2 + math.sin(math.pi * x) / (2 * math.pi))

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if lr_sum(middle) < wanted else (low, middle)
    return high


def loss_at(curve: Sequence[float], fraction: float) -> float:
    """Return the loss at ``fraction`` of the budget, by least squares through the ``WINDOW`` points next to it."""
    points = [((n + 0.5) / len(curve), loss) for n, loss in enumerate(curve)]
    near = sorted(points, key=lambda point: abs(point[0] - fraction))[:WINDOW]
    x_mean, y_mean = fmean(x for x, _ in near), fmean(y for _, y in near)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in near) / sum((x - x_mean) ** 2 for x, _ in near)
    return y_mean + slope * (fraction - x_mean)
