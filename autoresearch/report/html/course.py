"""The plot of val_bpb over the iterations: its scale, and the staircase of the best keep so far. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoresearch.report.history import History
from autoresearch.report.sparkline import Scale

LANE = 0.06  # of the height of the plot: one lane of marks beside the measurements
TICKS = 5
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Course:
    """Everything about the plot of the trajectory except its points.

    Marks without a val_bpb are in lanes of their own: below the scale those that were stopped early, failed, were
    blocked or have no proposal; above it far outliers, which would compress the rest of the scale.
    """

    iterations: int
    baseline: float | None
    needed: float | None  # the val_bpb that a keep must reach
    steps: tuple[tuple[int, float], ...]  # iteration and val_bpb of each best keep so far, the baseline first
    low: float
    high: float
    ticks: tuple[float, ...]
    lanes: tuple[tuple[str, float], ...]  # name and y position, only those that are used


def build_course(history: History) -> Course:
    """The course of this run; the scale is 0 to 1 if nothing is measured."""
    baseline = history.baseline_val_bpb
    measured = [bpb for r in history.rows if (bpb := history.comparable_bpb(r)) is not None]
    every = [*measured, *([] if baseline is None else [baseline])]
    scale = Scale.of(every) or Scale(0.0, 1.0, False)
    room = (scale.high - scale.low or abs(scale.high) * 0.01 or 1.0) * 0.06
    bounds = [history.with_gain(baseline or 0.0, bound) for bound in keep_bounds(history)]
    low, high = min([scale.low, *bounds]) - room, max([scale.high, *bounds]) + room
    step = (high - low) * LANE
    stages = {r.stage for r in history.rows}
    below = [("stopped early", "stopped_early"), ("failed", "eval_failed"), ("blocked", "blocked")]
    below.append(("no proposal", "proposer_failed"))
    used = [name for name, stage in below if stage in stages]
    lanes = [(name, low - step * (n + 0.8)) for n, name in enumerate(used)]
    if scale.clipped:
        lanes.append(("off scale", high + 0.6 * step))
    delta = history.accept_delta_frac
    return Course(
        iterations=max((r.iter for r in history.rows), default=0),
        baseline=baseline,
        needed=history.with_gain(baseline, delta) if baseline is not None and delta else None,
        steps=_best_steps(history),
        low=low,
        high=high,
        ticks=tuple(round_ticks(low, high)),
        lanes=tuple(lanes),
    )


def keep_bounds(history: History) -> list[float]:
    """The upper ends of the intervals of the keeps: less than twice their gains, because the lower ends are above 0."""
    kept = [row.evidence for row in history.rows if row.decision == "keep" and row.evidence]
    return [evidence.high_frac for evidence in kept if evidence.high_frac is not None]


def plot_range(c: Course) -> tuple[float, float]:
    """The lowest and the highest y of the plot, lanes included."""
    half = (c.high - c.low) * LANE * 0.6
    places = [place for _, place in c.lanes]
    return min([c.low, *(p - half for p in places)]), max([c.high, *(p + half for p in places)])


def _best_steps(history: History) -> tuple[tuple[int, float], ...]:
    if history.baseline_val_bpb is None:
        return ()
    steps = [(0, history.baseline_val_bpb)]
    for row in sorted(history.rows, key=lambda r: r.iter):  # a parallel run closes them in another order
        bpb = history.comparable_bpb(row)
        if row.decision == "keep" and bpb is not None and history.loss(bpb) < history.loss(steps[-1][1]):
            steps.append((row.iter, bpb))
    return tuple(steps)


def round_ticks(low: float, high: float, wanted: int = TICKS) -> list[float]:
    """About ``wanted`` round numbers between ``low`` and ``high``."""
    rough = (high - low) / wanted
    if rough <= 0 or not math.isfinite(rough):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in STEPS if s * power >= rough * 0.999)
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round((first + n) * step, digits) for n in range(count)]
