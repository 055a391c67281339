"""The page of two bench runs compared. Pure."""

from __future__ import annotations

from autoresearch.benches.comparison_text import cost_cells, describe_sides, figures
from autoresearch.benches.pages.tables import MAX_ROWS, Table
from autoresearch.benches.pages.template import render_template
from autoresearch.benches.run_comparison import CaseRow, RunComparison
from autoresearch.core.text import plural
from autoresearch.report.html.text import clean, with_minus

FEW_CASES = 50


def render(c: RunComparison) -> str:
    """The page as one HTML document."""
    verdict = c.comparison.verdict
    heading = "Cannot tell which scores higher" if verdict == "cannot tell" else f"{verdict} scores higher"
    sides = [f"{side}: {text}." for side, text in zip("AB", describe_sides(c), strict=True)]
    if c.left_out:
        sides.append(f"{plural(c.left_out, 'case')} left out, because not the same in both runs.")
    return render_template(
        "comparison",
        title=f"{c.suite}: {heading}",
        verdict=heading,
        sentence=c.comparison.sentence,
        sides=sides,
        names=c.names,
        figures=Table("", ("", ""), tuple((label.strip(), with_minus(value)) for label, value in figures(c))),
        differs=Table(
            "", ("field", "A", "B"), tuple((clean(n, 60), clean(a, 120), clean(b, 120)) for n, a, b in c.differs)
        ),
        costs=Table("", ("", "A", "B", "difference"), tuple((n, a, b, with_minus(d)) for n, a, b, d in cost_cells(c))),
        families=Table(
            "",
            ("family", "cases", "A", "B", "B - A"),
            tuple(
                (clean(f.family, 60), f"{f.cases:,}", _score(f.a), _score(f.b), _difference(f.a, f.b))
                for f in c.families
            ),
        ),
        cases=_cases(c.rows),
    )


def _cases(rows: tuple[CaseRow, ...]) -> Table:
    """The largest difference first; of many cases only those with different scores."""
    shown = rows if len(rows) <= FEW_CASES else [r for r in rows if r.a != r.b]
    differing = sorted(shown, key=_size, reverse=True)
    cells = tuple(
        (
            clean(r.case, 60),
            clean(r.family, 40),
            _score(r.a),
            _score(r.b),
            _difference(r.a, r.b),
            _seconds(r.a_wall_s),
            _seconds(r.b_wall_s),
        )
        for r in differing[:MAX_ROWS]
    )
    head = ("case", "family", "A", "B", "B - A", "seconds in A", "in B")
    return Table("", head, cells, max(0, len(differing) - MAX_ROWS))


def _size(row: CaseRow) -> float:
    return -1.0 if row.a is None or row.b is None else abs(row.b - row.a)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _difference(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else with_minus(f"{b - a:+.3g}")
