"""Researching or flailing? The section of the page: its facts, and the geometry of its two small plots. Pure.

The plots are drawn in a square of 100 by 100 that the page stretches; labels stand outside it, as text of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from autoresearch.core.text import plural
from autoresearch.report.format import format_share
from autoresearch.report.history import History
from autoresearch.report.html.course import round_ticks
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_value
from autoresearch.report.random_orders import OrderPoint
from autoresearch.report.research import (
    ResearchNumbers,
    Window,
    count_by_window,
    describe_gain_per_kwh,
    describe_keep_time,
    judge_proposals,
)
from autoresearch.report.summary import Summary

SIDE = 100.0  # of the square
MAX_WINDOWS, PER_WINDOW = 20, 5  # bars at most, and iterations for each of them
MIN_WINDOWS = 4
ROOM = 0.08  # of the height, above the highest gain


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the run: its place from the left, and the heights of its two shares, in units of the square."""

    left: float
    width: float
    repeats: float
    no_ops: float  # those that are not repeats too; stands on the repeats
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled height, in percent from the top."""

    top: float
    label: str


@dataclass(frozen=True, slots=True)
class OrderPlot:
    """Best gain so far over the measured candidates: this run, and the band and median of random orders."""

    own: str  # SVG paths
    band: str
    median: str
    ticks: tuple[Tick, ...]
    measured: int


@dataclass(frozen=True, slots=True)
class Search:
    """The section: sentence, facts as label and text, and the plots.

    No bars where every proposal was new or the run is short; no orders for few measurements, or none better than the
    baseline.
    """

    verdict: str
    facts: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    orders: OrderPlot | None
    iterations: int


def build_search(s: Summary, history: History) -> Search:
    """The section of this run."""
    windows = max(MIN_WINDOWS, min(MAX_WINDOWS, len(history.rows) // PER_WINDOW))
    counted = count_by_window(history.rows, judge_proposals(history), windows)
    last = max((row.iter for row in history.rows), default=0)
    bars = _bars(counted) if s.research.stale else ()
    return Search(s.research.verdict, tuple(_facts(s)), bars, _orders(s.research.best_so_far), last)


def _facts(s: Summary) -> Iterator[tuple[str, str]]:
    r = s.research
    if r.coverage_frac is not None:
        yield "coverage", f"{len(s.knobs_touched)} of {plural(s.knobs_total, 'knob')} ({format_share(r.coverage_frac)})"
    if r.stale_rate is not None:
        proposals = plural(s.unique_pairs + s.repeat_count, "proposal")
        yield "repeats and no-ops", f"{r.stale:,} of {proposals} ({format_share(r.stale_rate)})"
    if r.mode_knob is not None and r.mode_share is not None and s.repeat_count:
        most = f"{clean(r.mode_knob, NAME_CHARS)} = {format_value(r.mode_value)}"
        yield "proposed most often", f"{most}, {format_share(r.mode_share)} of the proposals"
    if r.could_keep_frac is not None:
        could = f"{r.could_keep:,} of {r.measured:,} ({format_share(r.could_keep_frac)})"
        yield "measured candidates that could have become a new keep", could
    yield from _keep_facts(r)
    if r.gain_frac_per_kwh:
        yield "best gain per kWh of the run", describe_gain_per_kwh(r.gain_frac_per_kwh)


def _keep_facts(r: ResearchNumbers) -> Iterator[tuple[str, str]]:
    for name, iteration, seconds in (
        ("first keep", r.first_keep_iter, r.first_keep_s),
        ("best keep", r.best_keep_iter, r.best_keep_s),
    ):
        if iteration is not None:
            yield name, describe_keep_time(iteration, seconds)


def _bars(windows: Sequence[Window]) -> tuple[Bar, ...]:
    step = SIDE / max(1, len(windows))
    return tuple(
        Bar(
            left=round(n * step, 3),
            width=round(0.86 * step, 3),
            repeats=round(SIDE * (w.repeat_rate or 0.0), 3),
            no_ops=round(SIDE * (w.stale - w.repeats) / max(1, w.proposals), 3),
            title=f"{plural(w.proposals, 'proposal')}: {plural(w.repeats, 'repeat')}, {plural(w.no_ops, 'no-op')}",
        )
        for n, w in enumerate(windows)
    )


def _orders(points: Sequence[OrderPoint]) -> OrderPlot | None:
    if not points:
        return None
    last = points[-1].measured
    high = (1 + ROOM) * points[-1].best_frac  # the largest gain is the end of every order

    def stairs(gains: Iterable[float]) -> list[str]:
        places = [
            (SIDE * (p.measured - 1) / max(1, last - 1), SIDE * (1 - g / high))
            for p, g in zip(points, gains, strict=True)
        ]
        corners = [(x, y) for (_, y), (x, _) in pairwise(places)]
        every = [p for two in zip(places, corners, strict=False) for p in two] + [places[-1]]
        return [f"{x:.2f} {y:.2f}" for x, y in every]

    def path(corners: Iterable[str]) -> str:
        return "M" + "L".join(corners)

    upper, lower = stairs(p.random_high_frac for p in points), stairs(p.random_low_frac for p in points)
    ticks = tuple(
        Tick(round(100 * (1 - t / (100 * high)), 2), f"{t:+g}%".replace("-", MINUS) if t else "0")
        for t in round_ticks(0.0, 100 * high, 4)
    )
    return OrderPlot(
        own=path(stairs(p.best_frac for p in points)),
        band=f"{path([*upper, *reversed(lower)])}Z",
        median=path(stairs(p.random_median_frac for p in points)),
        ticks=ticks,
        measured=last,
    )
