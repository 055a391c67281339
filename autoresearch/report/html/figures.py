"""The plots, built by Bokeh without data: the page's script fills them from the columns that its table reads.

The script fills each named object: a data source with its points, an axis with its ticks, a range with its ends. So
three figures serve the panels of all knobs, and no point is in the file twice. Needs bokeh, imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bokeh import __version__
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    FactorRange,
    FixedTicker,
    HoverTool,
    Line,
    Range1d,
    Scatter,
    Segment,
    Step,
)
from bokeh.models.annotations import Span
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from autoresearch.report.html.colours import LIGHT as C
from autoresearch.report.html.course import Course, plot_range
from autoresearch.report.html.embed import renumber_ids
from autoresearch.report.html.rows import KINDS

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', sans-serif"
HEIGHTS = {"course": 400, "panel": 200}
CROWDED = 1000  # above this number of marks each is small and without an outline
POINT = ("x", "y", "head", "figures", "why")
# report.css hides Bokeh's own white box; this one has the page's colours. On a phone it must fit into the half of the
# plot that the pointer is not in.
TOOLTIP = """<div style="padding:9px 13px;border-radius:8px;border:1px solid var(--line);
background:var(--raised);color:var(--ink);max-width:min(320px,calc(50vw - 40px));
font:13px/1.45 var(--sans);white-space:normal;overflow-wrap:anywhere">
<div style="font-weight:600">@head</div>
<div style="font-variant-numeric:tabular-nums">@figures</div>
<div style="color:var(--muted)">@why</div></div>"""
OFF_SCALE = "off scale"
MARKS: Mapping[str, dict[str, Any]] = {
    "revert": {"marker": "circle", "fill_color": C["quiet"], "line_color": None, "fill_alpha": 0.55},
    "failed": {"marker": "x", "line_color": C["ink"], "fill_color": None, "line_width": 1.4},
    "blocked": {"marker": "square", "line_color": C["muted"], "fill_color": None},
    "no proposal": {"marker": "asterisk", "line_color": C["muted"], "fill_color": None},
    "stopped early": {"marker": "cross", "line_color": C["muted"], "fill_color": None, "line_width": 1.4},
    OFF_SCALE: {"marker": "triangle", "fill_color": C["quiet"], "line_color": None},
    "keep": {"marker": "circle", "fill_color": C["accent"], "line_color": C["ground"], "line_width": 0.6},
}


def course_figure(c: Course, marks: int, *, intervals: bool = False) -> dict[str, Any]:
    """val_bpb over the iterations: baseline, threshold of a keep, best so far, and empty sources for the points.

    With ``intervals`` there is one for a bar at each keep too.
    """
    low, high = plot_range(c)
    last = max(c.iterations, 1)
    margin = max(0.6, last * 0.012)
    plot = _plot(HEIGHTS["course"], x_range=_range(-margin, last + margin), y_range=_range(low, high))
    names: dict[float | str, Any] = {place: name for name, place in c.lanes}
    plot.yaxis.ticker = FixedTicker(ticks=sorted([*c.ticks, *(place for _, place in c.lanes)]))
    labels: dict[float | str, Any] = {t: f"{t:.{_digits(c.ticks)}f}" for t in c.ticks}
    labels |= dict(names)
    plot.yaxis.major_label_overrides = labels
    plot.ygrid.ticker = FixedTicker(ticks=list(c.ticks))
    plot.xaxis.axis_label = "iteration"
    size = 9 if marks <= 120 else 6 if marks <= CROWDED else 4
    renderers = [_add_marks(plot, name, size, marks) for name in (OFF_SCALE, *KINDS[1:])]
    if c.needed is not None:
        _add_level_line(plot, c.needed, line_color=C["quiet"], line_dash=[1, 4], line_width=1.2)
    if c.baseline is not None:
        _add_level_line(plot, c.baseline, line_color=C["muted"], line_dash=[6, 4], line_width=1.4)
    if c.steps:
        x, y = zip(*[*c.steps, (last + margin, c.steps[-1][1])], strict=True)
        plot.add_glyph(_source(None, x=x, y=y), Step(mode="after", line_color=C["accent"], line_width=2.2))
    if intervals:
        bar = Segment(x0="x", y0="low", x1="x", y1="high", line_color=C["accent"], line_width=1.6)
        plot.add_glyph(_source("interval", x=(), low=(), high=()), bar)
    renderers.append(_add_marks(plot, "keep", size, marks))
    zoom = BoxZoomTool(dimensions="width")
    plot.add_tools(zoom, _hover_tool(renderers))
    plot.toolbar.active_drag = zoom
    return _item(plot)


def panel_figure(kind: str, low: float, high: float, marks: int, *, seeds: bool = False) -> dict[str, Any]:
    """Gain in percent over the values of a knob; ``kind`` is ``factors``, ``log`` or ``linear``.

    With ``seeds`` a mark has the size that its point asks for, and one over several seeds a bar for its interval.
    """
    x_range = FactorRange(name="x-range") if kind == "factors" else _range(0.1, 1.0, "x-range")
    plot = _plot(HEIGHTS["panel"], x_range=x_range, y_range=_range(low, high), log=kind == "log")
    plot.xaxis[0].name, plot.yaxis[0].name = "x-axis", "y-axis"
    plot.yaxis.ticker = plot.ygrid.ticker = FixedTicker(name="y-ticks")
    if kind != "factors":
        plot.xaxis.ticker = FixedTicker(name="x-ticks")
    _add_level_line(plot, 0.0, line_color=C["muted"], line_dash=[6, 4], line_width=1.2)
    size = panel_mark_size(marks)
    if kind != "factors":
        plot.add_glyph(_source("trend", x=(), y=()), Line(line_color=C["quiet"], line_width=1))
    for name, colour in (("interval-revert", C["quiet"]), ("interval-keep", C["accent"])) if seeds else ():
        bar = Segment(x0="x", y0="low", x1="x", y1="high", line_color=colour, line_width=1.6)
        plot.add_glyph(_source(name, x=(), low=(), high=()), bar)
    renderers = [_add_marks(plot, name, size, marks, sized=seeds) for name in (OFF_SCALE, "revert", "keep")]
    renderers[0].glyph.marker = "inverted_triangle"
    bar = Segment(x0="x", y0="first", x1="x", y1="third", line_color=C["ink"], line_width=1.4)
    plot.add_glyph(_source("spread", x=(), first=(), third=()), bar)
    dash = Scatter(marker="dash", size=14, line_color=C["ink"], line_width=2.2)
    plot.add_glyph(_source("median", x=(), y=()), dash)
    own = Scatter(marker="diamond", size=11, fill_color=C["ground"], line_color=C["ink"], line_width=1.3)
    plot.add_glyph(_source("baseline", x=(), y=()), own)
    plot.add_tools(_hover_tool(renderers))
    return _item(plot)


def panel_mark_size(marks: int) -> int:
    """The size of the mark of one seed."""
    return 6 if marks <= CROWDED else 4


def _plot(height: int, *, x_range: Any, y_range: Any, log: bool = False) -> figure:
    plot = figure(
        height=height,
        x_range=x_range,
        y_range=y_range,
        x_axis_type="log" if log else "auto",
        sizing_mode="stretch_width",
        tools="",
        toolbar_location=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_left=0,
        min_border_right=12,
    )
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = C["muted"]
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = C["line"]
    return plot


def _range(start: float, end: float, name: str | None = None) -> Range1d:
    return Range1d(start=start, end=end, name=name)


def _source(name: str | None, **data: Any) -> ColumnDataSource:
    return ColumnDataSource(data={key: list(values) for key, values in data.items()}, name=name)


def _add_marks(plot: figure, name: str, size: int, marks: int, *, sized: bool = False) -> GlyphRenderer[Any]:
    style = dict(MARKS[name])
    if marks > CROWDED and style["fill_color"]:
        style |= {"line_color": None, "fill_alpha": 0.45 if name == "revert" else 0.9}
    points = _source(name, **dict.fromkeys((*POINT, "size") if sized else POINT, ()))
    return plot.add_glyph(points, Scatter(size="size" if sized else size, **style))


def _add_level_line(plot: figure, y: float, **style: Any) -> None:
    """A line over the full width, behind the staircase and the keeps, in front of the reverts."""
    plot.add_layout(Span(location=y, dimension="width", level="glyph", **style))


def _hover_tool(renderers: list[Any]) -> HoverTool:
    return HoverTool(renderers=renderers, tooltips=TOOLTIP, attachment="horizontal", show_arrow=False, limit=1)


def _digits(places: tuple[float, ...]) -> int:
    """The number of decimals that these need, at least two."""
    return max((len(f"{t:.6f}".rstrip("0").partition(".")[2]) for t in places), default=2) if places else 2


def _item(plot: figure) -> dict[str, Any]:
    """The argument of ``Bokeh.embed.embed_item``, the same for the same plot in every process."""
    document = Document()
    document.add_root(plot)
    doc = renumber_ids(json.loads(serialize_json(document.to_json(deferred=False))))
    return {"doc": doc, "root_id": doc["roots"][0]["id"], "version": __version__}
