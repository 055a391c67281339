"""The page of one bench run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import fsum

from autoresearch.benches.analysis import NOT_SAMPLED, Analysis, describe_incomplete
from autoresearch.benches.headline import POINTS, check_scores, name_headline, percent
from autoresearch.benches.pages.tables import MAX_ROWS, Table, cell, tables_of
from autoresearch.benches.pages.template import render_template
from autoresearch.benches.ports import BenchRun, Suite
from autoresearch.core.text import escape_control, plural
from autoresearch.report.format import format_duration
from autoresearch.report.html.text import clean

MARKS = 32  # samples of a case that are shown one by one


def render(run: BenchRun, suite: Suite, analysis: Analysis) -> str:
    """The page as one HTML document."""
    heading = name_headline(analysis.headline_value)
    if analysis.suite in NOT_SAMPLED:
        heading = f"{plural(analysis.cases, analysis.suite)}, {plural(analysis.samples, 'seed')} each"
    if analysis.published_only:
        heading = "Published figures"
    return render_template(
        "run",
        title=f"{analysis.suite}: {heading}",
        analysis=analysis,
        headline=heading,
        state=f"{analysis.done:,} of {plural(analysis.planned, 'planned attempt')} done",
        about=_about(analysis),
        incomplete=describe_incomplete(analysis).removeprefix("INCOMPLETE: "),
        conclusion=_conclusion(analysis),
        key_figures=list(_key_figures(analysis)),
        described="\n".join(escape_control(line) for line in suite.describe(analysis.figures).strip("\n").split("\n")),
        tables=tables_of(analysis.figures),
        statuses=Table("", ("status", "attempts"), tuple((clean(s, 60), cell(n)) for s, n in _endings(analysis))),
        cases=_cases(run, suite),
        cases_about="The score of each sample, in order; a dash is a sample without one.",
        conditions=Table("", ("", ""), tuple(_conditions(run, analysis))),
    )


def _about(a: Analysis) -> str:
    unknown = "The model is not known" if a.imported else "No model was asked"
    model = f"Model {clean(a.model, 100)}" if a.model else unknown
    source = f"; imported from {clean(a.imported, 60)}" if a.imported else ""
    return f"{model}{source}. Suite {a.suite}: {plural(a.cases, 'case')} x {plural(a.samples, 'sample')}."


def _conclusion(a: Analysis) -> str:
    """The sentence of `bench diagnose`, where the suite has a diagnosis."""
    diagnosis = a.figures.get("diagnosis")
    sentence = str(diagnosis["sentence"]) if isinstance(diagnosis, Mapping) else ""
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _key_figures(a: Analysis) -> Iterator[tuple[str, str, str]]:
    h = a.headline_value
    if a.suite in NOT_SAMPLED or a.published_only:
        pass  # a mean over proposers is a figure of none of them
    elif h.value is None:
        yield h.name, f"{percent(h.low)} to {percent(h.high)}", "every missing sample as 0, and as 1"
    else:
        note = f"standard error {POINTS * h.se:.1f} points over {plural(h.cases, 'case')}" if h.se is not None else ""
        yield h.name, percent(h.value), note
        if h.interval:
            yield "95% interval", f"{POINTS * h.interval[0]:.1f} to {percent(h.interval[1])}", "Wilson"
    totals = a.totals
    if a.done and (wall := totals["wall_s"]) is not None:
        yield "time of attempts", format_duration(wall), f"{format_duration(wall / a.done)} each, on average"
    if a.done and (out := totals["tokens_out"]) is not None:
        yield "tokens out", f"{out:,.0f}", f"{out / a.done:,.0f} an attempt"
    if a.done and (joules := totals["energy_j"]) is not None:
        yield "energy", f"{joules / 3600:,.1f} Wh", f"{joules / a.done:,.0f} J an attempt"


def _endings(a: Analysis) -> Iterator[tuple[str, int]]:
    yield from a.statuses.items()
    yield from ((f"missing: {cause}", n) for cause, n in a.missing.items())


def _cases(run: BenchRun, suite: Suite) -> Table:
    scores = check_scores(run, suite.case_scores(run))
    has_families = any(case.family for case in run.cases.cases)
    rows = []
    for case in run.cases.cases[:MAX_ROWS]:
        samples = scores[case.id]
        mean = "-" if None in samples else f"{fsum(s for s in samples if s is not None) / len(samples):.3g}"
        marks = " ".join("-" if s is None else f"{s:.3g}" for s in samples[:MARKS])
        more = f" ... ({len(samples)})" if len(samples) > MARKS else ""
        family = [clean(case.family, 40)] if has_families else []
        rows.append((clean(case.id, 60), *family, mean, *([marks + more] if run.meta.samples > 1 else [])))
    family_head = ["family"] if has_families else []
    head = ("case", *family_head, "score", *(["samples"] if run.meta.samples > 1 else []))
    return Table("", head, tuple(rows), max(0, len(run.cases.cases) - MAX_ROWS))


def _conditions(run: BenchRun, a: Analysis) -> Iterator[tuple[str, str]]:
    meta = run.meta
    fields = {
        "run": a.run,
        "begun": meta.ts,
        "model": meta.model,
        "server": meta.base_url,
        "imported from": meta.imported,
        "cases": f"{meta.cases:,}, sha256 {meta.cases_sha256[:16]}",
        "samples of each case": meta.samples,
        "prompt sha256": meta.prompt_sha256[:16],
        "graders": ", ".join(f"{name} ({n:,})" for name, n in a.graders.items()) or None,
    }
    for group in ("sampling", "limits", "options", "versions"):
        fields |= {f"{group}: {key}": value for key, value in getattr(meta, group).items()}
    yield from ((clean(name, 60), clean(str(value), 200)) for name, value in fields.items() if value is not None)
