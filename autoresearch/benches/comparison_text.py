"""A comparison of two bench runs as text: for the terminal, and the parts that the page shares. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.benches.comparison import Paired, describe_p, points
from autoresearch.benches.headline import POINTS, describe_headline, percent
from autoresearch.benches.run_comparison import RunComparison
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
    if p.detectable is not None:
        yield "  minimum detectable effect", f"{POINTS * p.detectable:.1f} points"


def _short(text: str) -> str:
    return escape_line(text, SHOWN_CHARS)[:SHOWN_CHARS]
