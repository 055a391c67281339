"""A line per iteration. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.report.history import Row
from autoresearch.report.words import bpb, change, pad, percent, safe, span

COLUMNS = {"iter": 6, "change": 24, "val_bpb": 9, "gain": 9, "verdict": 17, "time": 13}
MIN_WHY_CELLS = 20  # the proposer's words, or a failure's, where at least this much of the width is left
COLORS = {"keep": "32", "bad": "31", "dim": "2", "bold": "1"}


def paint(text: str, kind: str, color: bool) -> str:
    """``text`` in an ANSI colour, if there is to be colour; the only place that writes an escape sequence."""
    return f"\x1b[{COLORS[kind]}m{text}\x1b[0m" if color and kind in COLORS else text


def table(rows: Sequence[Row], width: int, color: bool) -> list[str]:
    """A heading and a line per row: iteration, change, val_bpb, gain over the baseline, verdict, wall time, reason."""
    heading = "".join(pad(name, cells) for name, cells in COLUMNS.items())
    return [paint(heading.rstrip(), "dim", color), *(paint(line(row, width), _kind(row), color) for row in rows)]


def line(row: Row, width: int) -> str:
    """One row without colour; the reason only where ``width`` leaves room for it."""
    cells = (str(row.iter), change(row.knob, row.new_value, 23), bpb(row.val_bpb), percent(row.improvement_frac))
    fixed = "".join(
        pad(text, room) for text, room in zip((*cells, verdict(row), span(row.wall_s)), COLUMNS.values(), strict=True)
    )
    left = width - sum(COLUMNS.values())
    why = row.why if row.stage == "evaluated" else row.reason
    return (fixed + safe(why or "", left) if left >= MIN_WHY_CELLS else fixed).rstrip()


def verdict(row: Row) -> str:
    """``keep``, ``revert``, the rail that refused, or the cause of the failure."""
    match row.stage:
        case "blocked":
            return safe(row.rail or "blocked", 16)
        case "eval_failed":
            return safe(row.cause or "failed", 16)
        case "proposer_failed":
            return "no proposal"
        case _:
            return row.decision or "-"


def _kind(row: Row) -> str:
    if row.stage in ("eval_failed", "proposer_failed"):
        return "bad"
    return row.decision or "dim"
