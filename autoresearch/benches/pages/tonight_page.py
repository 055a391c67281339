"""The page of the morning: what should drive the loop tonight. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.benches.pages.tables import Table
from autoresearch.benches.pages.template import render_template
from autoresearch.benches.tonight.evidence import Evidence
from autoresearch.benches.tonight.text import CLOCK_HEAD, HEAD, candidate_cells, clock_cells, failure_cells
from autoresearch.report.html.text import clean, with_minus

CELL_CHARS = 80


def render(e: Evidence) -> str:
    """The page as one HTML document."""
    names = [row.candidate.name for row in e.tonight.rows]
    return render_template(
        "tonight",
        title=f"Tonight: {e.tonight.headline}",
        e=e,
        candidates=_table(HEAD, candidate_cells(e.tonight.rows)),
        clock=_table(CLOCK_HEAD, clock_cells(e.tonight.rows)),
        failures=_table(("class", *names), failure_cells(e)),
        others=_table(
            ("suite", "model", "headline", "diagnosis"),
            [(r.suite, r.model or "-", r.headline, r.diagnosis or "-") for r in e.others],
            chars=400,
        ),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], chars: int = CELL_CHARS) -> Table:
    cells = tuple(tuple(with_minus(clean(c, chars)) for c in row) for row in rows)
    return Table("", tuple(clean(h, CELL_CHARS) for h in head), cells)
