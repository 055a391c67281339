"""The whole page: one file that needs no network, with the same bytes for the same trajectory."""

from __future__ import annotations

import functools
import shlex
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autoresearch.core.text import plural
from autoresearch.report.climb import climb_lines
from autoresearch.report.format import format_bpb, format_duration, format_gib, format_share
from autoresearch.report.history import History, Row
from autoresearch.report.html import figures
from autoresearch.report.html.best_file import build_best_file
from autoresearch.report.html.colours import DARK, LIGHT, css_variables
from autoresearch.report.html.course import Course, build_course
from autoresearch.report.html.coverage import build_coverage
from autoresearch.report.html.curves import Curves, build_curves
from autoresearch.report.html.effects import Effect, build_effects
from autoresearch.report.html.embed import content_security_policy, script_code, script_json
from autoresearch.report.html.headline import build_key_figures, build_verdict, describe_run, describe_state
from autoresearch.report.html.limits import describe_limits
from autoresearch.report.html.panels import build_panel, compute_panel_scale
from autoresearch.report.html.price import Price
from autoresearch.report.html.proposal_patterns import build_proposal_patterns
from autoresearch.report.html.rows import (
    KIND_NAMES,
    KINDS,
    Columns,
    build_columns,
    format_end,
    format_row_interval,
    kind_index,
)
from autoresearch.report.html.search import build_search
from autoresearch.report.html.spending import build_spending
from autoresearch.report.html.stack import build_stack
from autoresearch.report.html.text import clean, format_gain, format_short_value, format_value, join_words
from autoresearch.report.importance import describe_importance, few_values
from autoresearch.report.llm import llm_facts
from autoresearch.report.promotion import promotion_lines
from autoresearch.report.race import race_lines
from autoresearch.report.summary import Summary, best_keep
from autoresearch.report.text import describe_disk_waits
from autoresearch.report.vault import vault_lines

PAGE_ROWS = 50  # rows of one page of the table; the first page is in the HTML, before any script has run


def render_html(summary: Summary, history: History, price: Price | None = None) -> str:
    """The morning report as one HTML document. Depends only on its arguments and the installed Bokeh."""
    table_columns, course, effects = build_columns(history), build_course(history), build_effects(history)
    coverage, curves = build_coverage(history), build_curves(history)
    data, plots = _script_data(history, table_columns, course, effects, curves)
    best = best_keep(history.rows)
    scripts = {name: script_code(text) for name, text in _scripts().items()}
    page: str = template("report").render(
        policy=content_security_policy(scripts.values()),
        styles=styles(),
        scripts=scripts,
        data=script_json(data),
        plots=script_json(plots),
        s=summary,
        best_row=best,
        best_curve=history.rows.index(best) if best and best.curves else None,
        curves=curves,
        verdict=build_verdict(summary, history),
        state=describe_state(summary),
        identity=[*describe_run(summary, history), *filter(None, [describe_disk_waits(history)])],
        key_figures=list(build_key_figures(summary, history, best)),
        course=course,
        best=build_best_file(summary, history),
        effects=effects,
        coverage=coverage,
        importance_about=describe_importance(history),
        importance_few=few_values(summary.importance),
        vault=list(vault_lines(summary.vault)),
        longer=[*race_lines(summary.race), *promotion_lines(summary.promotion)],
        climb=list(climb_lines(summary.climb)),
        search=build_search(summary, history),
        stack=build_stack(summary),
        proposals=summary.unique_pairs + summary.repeat_count,
        patterns=build_proposal_patterns(summary, history, coverage),
        spending=build_spending(summary, history, price),
        limits=list(describe_limits(summary, history)),
        yardstick=_yardstick(summary),
        llm=list(llm_facts(summary.llm)) if summary.llm else [],
        rows=history.rows[:PAGE_ROWS],
        reason_chars=table_columns.cut,
        reasons_were_cut=table_columns.was_cut,
        several_sources=len(summary.sources) > 1,
        heights=figures.HEIGHTS,
        kind_names=KIND_NAMES if history.is_sequential else {},
        metric_name=clean(summary.words.name, 30),
    )
    return page


def _script_data(
    history: History, table_columns: Columns, course: Course, effects: tuple[Effect, ...], curves: Curves
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two JSON objects that the page's scripts read: the values, and the figures without data."""
    low, high = compute_panel_scale(history, effects)
    panels = {f"effect-{n}": build_panel(effect, low, high) for n, effect in enumerate(effects)}
    most = max((effect.measured for effect in effects), default=0)
    plots = {
        kind: figures.panel_figure(kind, low, high, most, seeds=history.is_sequential)
        for kind in sorted({p["kind"] for p in panels.values()})
    }
    if history.rows:
        plots["course"] = figures.course_figure(course, len(history.rows), intervals=history.is_sequential)
    sequential = {"baseline": course.baseline} if history.is_sequential else {}
    data = {
        "columns": table_columns.data,
        "kinds": KINDS,
        "course": {"low": course.low, "high": course.high, "lanes": dict(course.lanes)} | sequential,
        "panels": panels,
        "curves": curves.data,
        "colours": {"light": LIGHT, "dark": DARK},
        "pageRows": PAGE_ROWS,
    }
    if history.is_sequential:
        data["kindNames"] = KIND_NAMES
        data["markSize"] = figures.panel_mark_size(most)
    return data, plots


def _yardstick(s: Summary) -> list[tuple[str, str]]:
    """The fields of the yardstick, as label and text."""
    if s.yardstick is None:
        return []
    fields = s.yardstick.model_dump()
    if command := fields.pop("command", None):
        kind, argv = command.pop("metric"), shlex.join(command.pop("argv"))
        fields |= {"argv": argv, **{f"metric_{name}": value for name, value in kind.items() if value}, **command}
    fields["versions"] = ", ".join(f"{name} {v}" for name, v in sorted(s.yardstick.versions.items()))
    return [(name, clean(str(value), 80)) for name, value in fields.items() if value is not None]


@functools.cache
def _scripts() -> dict[str, str]:
    """The scripts by name, in the order in which they run; line ends as a browser reads them, for the hashes."""
    from bokeh.resources import Resources

    (library,) = Resources(mode="inline", components=["bokeh"], minified=True).js_raw[:1]
    own = {name: _read_asset(f"{name}.js") for name in ("curves", "table", "plots", "page")}
    return {name: text.replace("\r\n", "\n") for name, text in {"bokeh": library, **own}.items()}


def styles() -> Markup:
    """The style sheet of a page, light and dark."""
    dark = css_variables(DARK)
    return Markup(
        f":root {{ color-scheme: light; {css_variables(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
    ) + Markup(_read_asset("report.css"))


def _read_asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def template(name: str) -> Any:
    """The template ``name``.html.j2, which escapes what is put into it."""
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
    environment.globals["verdict_of"] = format_end
    environment.globals["interval_of"] = format_row_interval
    return environment.from_string(_read_asset(f"{name}.html.j2"))


def _kind_name(row: Row) -> str:
    return KINDS[kind_index(row)].replace(" ", "-")
