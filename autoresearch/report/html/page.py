"""The page put together: one file that needs no network, the same bytes for the same trajectory each time."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autoresearch.core.text import plural
from autoresearch.report.format import format_bpb, format_duration, format_gib, format_share
from autoresearch.report.history import History, Row
from autoresearch.report.html import figures
from autoresearch.report.html.best_file import best_file
from autoresearch.report.html.colours import DARK, LIGHT, css_variables
from autoresearch.report.html.course import Course, course
from autoresearch.report.html.coverage import coverage
from autoresearch.report.html.effects import Effect, effects
from autoresearch.report.html.embed import policy, script_code, script_json
from autoresearch.report.html.habits import habits
from autoresearch.report.html.headline import identity, key_figures, status, verdict
from autoresearch.report.html.limits import limits
from autoresearch.report.html.panels import panel, panel_scale
from autoresearch.report.html.price import Price
from autoresearch.report.html.rows import KINDS, Columns, columns, kind_of
from autoresearch.report.html.spending import spending
from autoresearch.report.html.text import clean, format_gain, format_short_value, format_value, join_words
from autoresearch.report.llm import llm_facts
from autoresearch.report.summary import Summary, best_keep
from autoresearch.report.table import verdict as ending

PAGE_ROWS = 50  # of the table, and how many of them are there before any script has run


def render_html(summary: Summary, history: History, price: Price | None = None) -> str:
    """The morning report as one HTML document. Depends on its arguments and the installed Bokeh alone."""
    held, line, found = columns(history.rows), course(history), effects(history)
    covered = coverage(history)
    data, plots = _for_scripts(history, held, line, found)
    scripts = {name: script_code(text) for name, text in _scripts().items()}
    page: str = _template().render(
        policy=policy(scripts.values()),
        styles=Markup(_styles()),
        scripts=scripts,
        data=script_json(data),
        plots=script_json(plots),
        s=summary,
        best_row=best_keep(history.rows),
        verdict=verdict(summary, history),
        status=status(summary),
        identity=list(identity(summary, history)),
        key_figures=list(key_figures(summary)),
        course=line,
        best=best_file(summary, history),
        effects=found,
        covered=covered,
        habits=habits(summary, history, covered),
        spending=spending(summary, history, price),
        limits=list(limits(summary, history)),
        yardstick=_yardstick(summary),
        llm=list(llm_facts(summary.llm)) if summary.llm else [],
        rows=history.rows[:PAGE_ROWS],
        held=held,
        several_sources=len(summary.sources) > 1,
        heights=figures.HEIGHTS,
    )
    return page


def _for_scripts(
    history: History, held: Columns, line: Course, found: tuple[Effect, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page's scripts read: the values, and the figures that they go into."""
    low, high = panel_scale(history, found)
    panels = {f"effect-{n}": panel(effect, low, high) for n, effect in enumerate(found)}
    most = max((effect.measured for effect in found), default=0)
    plots = {kind: figures.panel_figure(kind, low, high, most) for kind in sorted({p["kind"] for p in panels.values()})}
    if history.rows:
        plots["course"] = figures.course_figure(line, len(history.rows))
    data = {
        "columns": held.data,
        "kinds": KINDS,
        "course": {"low": line.low, "high": line.high, "lanes": dict(line.lanes)},
        "panels": panels,
        "colours": {"light": LIGHT, "dark": DARK},
        "pageRows": PAGE_ROWS,
    }
    return data, plots


def _yardstick(s: Summary) -> list[tuple[str, str]]:
    """What makes the numbers comparable, as label and text."""
    if s.yardstick is None:
        return []
    fields = s.yardstick.model_dump()
    fields["versions"] = ", ".join(f"{name} {v}" for name, v in sorted(s.yardstick.versions.items()))
    return [(name, clean(str(value), 80)) for name, value in fields.items() if value is not None]


@functools.cache
def _scripts() -> dict[str, str]:
    """The scripts by name, in the order in which they run; line ends as a browser will read them."""
    from bokeh.resources import Resources

    (library,) = Resources(mode="inline", components=["bokeh"], minified=True).js_raw[:1]
    own = {name: _own(f"{name}.js") for name in ("table", "plots", "page")}
    return {name: text.replace("\r\n", "\n") for name, text in {"bokeh": library, **own}.items()}


def _styles() -> str:
    dark = css_variables(DARK)
    return (
        f":root {{ color-scheme: light; {css_variables(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
    ) + _own("report.css")


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "bpb": format_bpb,
        "clean": clean,
        "duration": format_duration,
        "gain": format_gain,
        "gib": format_gib,
        "join_words": join_words,
        "plural": plural,
        "share": format_share,
        "short_value": format_short_value,
        "value": format_value,
    }
    environment.globals["kind_of"] = _kind_name
    environment.globals["ending_of"] = ending
    return environment.from_string(_own("report.html.j2"))


def _kind_name(row: Row) -> str:
    return KINDS[kind_of(row)].replace(" ", "-")
