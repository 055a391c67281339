"""Loss curves on one grid: the relative gap of a candidate to the baseline at each 32nd of the budget. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

POINTS = 32
Gaps = tuple[float | None, ...]  # at 1/32, 2/32, ... so far; None before the first point of either curve
Points = Sequence[tuple[float, float]]  # (fraction of the budget, loss), fractions ascending


def gaps(candidate: Points, baseline: Points, until: float = 1.0) -> Gaps:
    """The relative gaps ``(b - c) / b`` on the grid, up to the candidate's last point that is not after ``until``.

    Both curves are interpolated linearly between their points, never beyond them.
    """
    seen = [point for point in candidate if point[0] <= until + 1e-9]
    last = int(POINTS * seen[-1][0] + 1e-6) if seen else 0
    found: list[float | None] = []
    for k in range(1, last + 1):
        c, b = interpolate(seen, k / POINTS), interpolate(baseline, k / POINTS)
        found.append(None if c is None or b is None or b <= 0 else (b - c) / b)
    return tuple(found)


def interpolate(points: Points, fraction: float) -> float | None:
    """The loss at ``fraction``; ``None`` outside the points."""
    at = bisect_left(points, fraction - 1e-9, key=lambda point: point[0])
    if at == len(points):
        return None
    f1, v1 = points[at]
    if f1 <= fraction + 1e-9:
        return v1
    if at == 0:
        return None
    f0, v0 = points[at - 1]
    return v0 + (v1 - v0) * (fraction - f0) / (f1 - f0)


def mean_curve(curves: Sequence[Points]) -> list[tuple[float, float]]:
    """The mean of several curves at the fractions of the first that all of them reach."""
    mean = []
    for fraction, _ in curves[0]:
        values = [v for curve in curves if (v := interpolate(curve, fraction)) is not None]
        if len(values) == len(curves):
            mean.append((fraction, sum(values) / len(values)))
    return mean
