"""The contents of a knob's panel: the objects of its figure by name, each with its attributes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoresearch.report.history import History
from autoresearch.report.html.course import keep_bounds, round_ticks
from autoresearch.report.html.domain import KnobDomain
from autoresearch.report.html.effects import Effect
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_value
from autoresearch.report.sparkline import Scale

PAD = 0.04  # of the range, added beyond both ends
ROOM = 0.1  # of the height, added above the best and below the worst
FEW_FACTORS = 7  # with more values the labels are rotated, so that they do not overlap
MIN_GAIN_SCALE = 0.002  # a smaller scale would magnify noise only
DIGITS = 4


def compute_panel_scale(history: History, found: Sequence[Effect]) -> tuple[float, float]:
    """The gains, in percent, that every panel shows: the same for all, so that knobs can be compared.

    The lower end is the lowest gain that is not a far outlier, by the rule of the trajectory's scale.
    """
    scale = Scale.of([-row.improvement_frac for row in history.rows if row.improvement_frac is not None])
    worst = -scale.high if scale else 0.0
    best = max([*(e.best_gain for e in found), *keep_bounds(history)], default=0.0)
    low, high = 100 * min(worst, 0.0), 100 * max(best, MIN_GAIN_SCALE)
    return low - ROOM * (high - low), high + ROOM * (high - low)


def figure_kind(domain: KnobDomain) -> str:
    """Which of the three figures shows this knob: ``factors``, ``log`` or ``linear``."""
    if domain.factors:
        return "factors"
    return "log" if domain.log and domain.high > domain.low else "linear"


def build_panel(effect: Effect, low: float, high: float) -> dict[str, Any]:
    """The knob, its kind, and under ``fill`` the attributes of the figure's named objects except the points."""
    d = effect.domain
    floor = low + 0.03 * (high - low)  # y of a mark that lies below the scale
    places = round_ticks(low, high, 4)
    fill = {
        "y-ticks": {"ticks": places},
        "y-axis": {"major_label_overrides": _map({t: f"{t:+g}%".replace("-", MINUS) if t else "0" for t in places})},
        **_x(d),
        **_groups(effect, floor),
    }
    return {
        "knob": clean(d.knob, NAME_CHARS),
        "kind": figure_kind(d),
        "low": low,
        "high": high,
        "floor": floor,
        "fill": fill,
    }


def _x(d: KnobDomain) -> dict[str, Any]:
    if d.factors:
        turn = 0.9 if len(d.factors) > FEW_FACTORS else "horizontal"
        return {"x-range": {"factors": list(d.factors)}, "x-axis": {"major_label_orientation": turn}}
    start, end = (d.value_at(-PAD), d.value_at(1 + PAD)) if d.high > d.low else (d.low - 1, d.high + 1)
    places = _x_ticks(d)
    return {
        "x-range": {"start": start, "end": end},
        "x-ticks": {"ticks": places},
        "x-axis": {"major_label_overrides": _map({t: f"{t:.{DIGITS}g}" for t in places})},
    }


def _x_ticks(d: KnobDomain) -> list[float]:
    """The ends of the range, and round numbers between that are not too close to them."""
    if d.high <= d.low:
        return [d.low]
    inner = [float(f"{d.value_at(0.5):.1g}")] if d.log else round_ticks(d.low, d.high, 3)
    return [d.low, *(t for t in inner if 0.16 < (t - d.low) / (d.high - d.low) < 0.84 or d.log), d.high]


def _groups(effect: Effect, floor: float) -> dict[str, Any]:
    d = effect.domain
    several = [g for g in effect.groups if g.count > 1]
    quartiles = [(g.at, g.first, g.third) for g in several if g.first is not None and g.third is not None]
    fill = {
        "median": _data(x=[g.at for g in several], y=[_clip_percent(g.median, floor) for g in several]),
        "spread": _data(
            x=[at for at, _, _ in quartiles],
            first=[_clip_percent(first, floor) for _, first, _ in quartiles],
            third=[_clip_percent(third, floor) for _, _, third in quartiles],
        ),
    }
    if not d.factors:
        line = effect.groups if len(effect.groups) > 1 else ()
        fill["trend"] = _data(x=[g.at for g in line], y=[_clip_percent(g.median, floor) for g in line])
    own = format_value(d.baseline) if d.factors else d.baseline
    if d.baseline is not None and (own in d.factors or (not d.factors and d.position(d.baseline) is not None)):
        fill["baseline"] = _data(x=[own], y=[0.0])
    return fill


def _clip_percent(fraction: float, floor: float) -> float:
    return round(max(floor, 100 * fraction), 5)


def _data(**columns: list[Any]) -> dict[str, Any]:
    """The columns of a data source in Bokeh's JSON."""
    return {"data": _map(columns)}


def _map(values: dict[Any, Any]) -> dict[str, Any]:
    """A mapping in Bokeh's JSON."""
    return {"type": "map", "entries": [[key, value] for key, value in values.items()]}
