"""The candidates that were measured with several seeds, a line each: gain, interval, seeds, corrected gain. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.report.format import format_change, format_percent, pad
from autoresearch.report.history import Row
from autoresearch.report.table import format_marked_verdict, paint
from autoresearch.report.verdict_text import format_interval

COLUMNS = {"iter": 6, "change": 18, "gain": 8, "interval": 18, "seeds": 6, "corrected": 10, "verdict": 12}


def several_seeds_table(rows: Sequence[Row], color: bool) -> list[str]:
    """A heading and a line per candidate with at least two seeds, 78 cells wide; empty without any."""
    found = [row for row in rows if row.evidence and len(row.evidence.seeds) > 1]
    if not found:
        return []
    heading = "".join(pad(name, cells) for name, cells in COLUMNS.items()).rstrip()
    return [paint(heading, "dim", color), *(_line(row) for row in found)]


def _line(row: Row) -> str:
    cells = (
        str(row.iter),
        format_change(row.knob, row.new_value, COLUMNS["change"] - 1),
        format_percent(row.improvement_frac),
        format_interval(row.evidence) if row.evidence else "",
        str(len(row.evidence.seeds)) if row.evidence else "",
        format_percent(row.corrected_frac),
        format_marked_verdict(row),
    )
    return "".join(pad(text, room) for text, room in zip(cells, COLUMNS.values(), strict=True)).rstrip()
