"""A comparison of two bench runs as text: for the terminal, and the parts that the page shares. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.benches.comparison import Paired, describe_p, points
from autoresearch.benches.headline import POINTS, describe_headline, percent
from autoresearch.benches.run_comparison import CaseRow, RunComparison
from autoresearch.core.text import escape_control, plural
from autoresearch.report.format import escape_line

SHOWN_CHARS = 80
MAX_ROWS = 20  # of cases, in the terminal


def describe_comparison(c: RunComparison) -> str:
    """The comparison as text for a terminal: the verdict first."""
    lines = [c.comparison.sentence, ""]
    lines += [f"{side}  {text}" for side, text in zip("AB", describe_sides(c), strict=True)]
    lines += ["", *(f"{label:<30}{value}" for label, value in figures(c))]
    if c.left_out:
        lines.append(
            f"left out: {plural(c.left_out, 'case')} that {'is' if c.left_out == 1 else 'are'} not in both runs"
        )
    if c.differs:
        lines += ["", "The runs differ in"]
        lines += [f"  {name}: {_short(a)} in A, {_short(b)} in B" for name, a, b in c.differs]
    if c.costs:
        lines += ["", "an attempt takes (described, not tested)"]
        lines += [f"  {name}: {a} in A, {b} in B, {more}" for name, a, b, more in cost_cells(c)]
    if 0 < len(c.rows) <= MAX_ROWS:
        lines += ["", "by case: score, seconds"]
        lines += [f"  {escape_line(r.case, 60)}: {_case_text(r)}" for r in c.rows]
    if c.families:
        lines += ["", "by family (described, not tested)"]
        lines += [
            f"  {escape_line(f.family, 40)}: {percent(f.a)} in A, {percent(f.b)} in B, {plural(f.cases, 'case')}"
            for f in c.families
        ]
    return "\n".join(lines)


def describe_sides(c: RunComparison) -> Iterator[str]:
    """Directory, model and headline of A and of B."""
    for name, model, headline in zip(c.names, c.models, c.headlines, strict=True):
        of = f" ({_short(model)})" if model else ""
        yield f"{escape_control(name)}{of}: {describe_headline(headline)}"


def figures(c: RunComparison) -> Iterator[tuple[str, str]]:
    """The figures of the comparison, as label and text; both bounds where samples are missing."""
    sides = {"": c.comparison.paired} if c.comparison.paired else {}
    if c.comparison.bounds:
        sides = dict(zip((", at least", ", at most"), c.comparison.bounds, strict=True))
    for which, paired in sides.items():
        if paired:
            yield from _figures(paired, which)


def _figures(p: Paired, which: str) -> Iterator[tuple[str, str]]:
    yield f"B minus A{which}", f"{points(p.difference)} points"
    if p.interval:
        yield "  95% interval", f"{points(p.interval[0])} to {points(p.interval[1])} (10,000 bootstraps over cases)"
    yield f"  {p.test}", describe_p(p.p)
    yield (
        "  cases",
        f"{p.b_higher:,} higher in B, {p.a_higher:,} higher in A, {p.cases - p.a_higher - p.b_higher:,} equal",
    )
    if p.detectable:
        yield "  minimum detectable effect", f"{POINTS * p.detectable:.1f} points"
    else:
        yield "  interval, detectable effect", "not known: no two cases differ by another amount"


COST_NAMES = {"wall_s": "seconds", "energy_j": "joules"}


def cost_cells(c: RunComparison) -> Iterator[tuple[str, str, str, str]]:
    """What an attempt takes: name, A, B, and the difference with its interval."""
    for row in c.costs:
        interval = f", 95% interval {row.interval[0]:+,.1f} to {row.interval[1]:+,.1f}" if row.interval else ""
        difference = f"B minus A {row.b - row.a:+,.1f}{interval}, {plural(row.cases, 'case')}"
        yield COST_NAMES.get(row.name, row.name.replace("_", " ")), f"{row.a:,.1f}", f"{row.b:,.1f}", difference


def _case_text(row: CaseRow) -> str:
    scores = [("-" if score is None else f"{score:.3g}") for score in (row.a, row.b)]
    seconds = [("-" if wall is None else f"{wall:,.1f} s") for wall in (row.a_wall_s, row.b_wall_s)]
    known = row.a_wall_s is not None and row.b_wall_s is not None
    more = f" (B minus A {(row.b_wall_s or 0) - (row.a_wall_s or 0):+,.1f} s)" if known else ""
    return f"{scores[0]} and {scores[1]}, {seconds[0]} and {seconds[1]}{more}"


def _short(text: str) -> str:
    return escape_line(text, SHOWN_CHARS)[:SHOWN_CHARS]
