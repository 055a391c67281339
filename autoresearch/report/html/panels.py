"""What the page puts into a knob's panel: the objects of its figure by name, each with its attributes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoresearch.report.history import History
from autoresearch.report.html.course import ticks
from autoresearch.report.html.domain import Domain
from autoresearch.report.html.effects import Effect
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_value
from autoresearch.report.sparkline import Scale

PAD = 0.04  # of a range, beyond both of its ends
ROOM = 0.1  # of the height, above the best and below the worst that is shown
FEW_FACTORS = 7  # labels of more values than that are turned, not to run into each other
LEAST_GAIN = 0.002  # a scale that ends lower would magnify nothing but noise
DIGITS = 4


def panel_scale(history: History, found: Sequence[Effect]) -> tuple[float, float]:
    """The gains, in percent, that every panel shows: the same for all, so that knobs can be compared.

    Down to the lowest that is no far outlier, by the rule that the trajectory's scale follows.
    """
    scale = Scale.of([-row.improvement_frac for row in history.rows if row.improvement_frac is not None])
    worst = -scale.high if scale else 0.0
    best = max((e.best_gain for e in found), default=0.0)
    low, high = 100 * min(worst, 0.0), 100 * max(best, LEAST_GAIN)
    return low - ROOM * (high - low), high + ROOM * (high - low)


def kind_of(domain: Domain) -> str:
    """Which of the three figures shows this knob."""
    if domain.factors:
        return "factors"
    return "log" if domain.log and domain.high > domain.low else "linear"


def panel(effect: Effect, low: float, high: float) -> dict[str, Any]:
    """The knob and its kind, and under ``fill`` the attributes of the figure's named objects but for the points."""
    d = effect.domain
    floor = low + 0.03 * (high - low)  # where a mark stands that is lower than shown
    places = ticks(low, high, 4)
    fill = {
        "y-ticks": {"ticks": places},
        "y-axis": {"major_label_overrides": _map({t: f"{t:+g}%".replace("-", MINUS) if t else "0" for t in places})},
        **_x(d),
        **_groups(effect, floor),
    }
    return {"knob": clean(d.knob, NAME_CHARS), "kind": kind_of(d), "low": low, "floor": floor, "fill": fill}


def _x(d: Domain) -> dict[str, Any]:
    if d.factors:
        turn = 0.9 if len(d.factors) > FEW_FACTORS else "horizontal"
        return {"x-range": {"factors": list(d.factors)}, "x-axis": {"major_label_orientation": turn}}
    start, end = (d.at(-PAD), d.at(1 + PAD)) if d.high > d.low else (d.low - 1, d.high + 1)
    places = _x_ticks(d)
    return {
        "x-range": {"start": start, "end": end},
        "x-ticks": {"ticks": places},
        "x-axis": {"major_label_overrides": _map({t: f"{t:.{DIGITS}g}" for t in places})},
    }


def _x_ticks(d: Domain) -> list[float]:
    """The ends of the range, and some round numbers between that do not come too close to them."""
    if d.high <= d.low:
        return [d.low]
    inner = [float(f"{d.at(0.5):.1g}")] if d.log else ticks(d.low, d.high, 3)
    return [d.low, *(t for t in inner if 0.16 < (t - d.low) / (d.high - d.low) < 0.84 or d.log), d.high]


def _groups(effect: Effect, floor: float) -> dict[str, Any]:
    d = effect.domain
    several = [g for g in effect.groups if g.count > 1]
    quartiles = [(g.at, g.first, g.third) for g in several if g.first is not None and g.third is not None]
    fill = {
        "median": _data(x=[g.at for g in several], y=[_percent(g.median, floor) for g in several]),
        "spread": _data(
            x=[at for at, _, _ in quartiles],
            first=[_percent(first, floor) for _, first, _ in quartiles],
            third=[_percent(third, floor) for _, _, third in quartiles],
        ),
    }
    if not d.factors:
        line = effect.groups if len(effect.groups) > 1 else ()
        fill["trend"] = _data(x=[g.at for g in line], y=[_percent(g.median, floor) for g in line])
    own = format_value(d.baseline) if d.factors else d.baseline
    if d.baseline is not None and (own in d.factors or (not d.factors and d.place(d.baseline) is not None)):
        fill["baseline"] = _data(x=[own], y=[0.0])
    return fill


def _percent(fraction: float, floor: float) -> float:
    return round(max(floor, 100 * fraction), 5)


def _data(**columns: list[Any]) -> dict[str, Any]:
    """As Bokeh's JSON writes a source's columns."""
    return {"data": _map(columns)}


def _map(values: dict[Any, Any]) -> dict[str, Any]:
    """As Bokeh's JSON writes a mapping."""
    return {"type": "map", "entries": [[key, value] for key, value in values.items()]}
