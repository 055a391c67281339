"""The training-loss curves on a run's page: baseline, best keep, last candidate, and the open one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autoresearch.report.format import format_change
from autoresearch.report.history import History, Row
from autoresearch.report.html.curves import DIGITS
from autoresearch.report.summary import best_keep

MAX_LINES = 12  # of the open candidate, and as many of each other
CHANGE_CHARS = 60


def build_lines(history: History, open_curves: Iterable[tuple[int, Sequence[float]]]) -> list[dict[str, Any]]:
    """Lines with a name, a kind (baseline, best, last, open) and their points; those of one seed for a closed row."""
    last = next((row for row in reversed(history.rows) if row.curves), None)
    best = best_keep(history.rows)
    closed = [("baseline", "baseline", history.baseline)]
    if best and best.curves:
        closed.append((f"best keep, {_change(best)}", "best", best))
    if last and last is not best:
        closed.append((f"last, {_change(last)}", "last", last))
    lines = [_line(name, kind, row.curves[0]) for name, kind, row in closed if row and row.curves]
    opened = [_line(f"open candidate, seed {seed}", "open", curve) for seed, curve in open_curves]
    return lines + opened[-MAX_LINES:]


def _change(row: Row) -> str:
    return format_change(row.knob, row.new_value, CHANGE_CHARS)


def _line(name: str, kind: str, curve: Sequence[float]) -> dict[str, Any]:
    return {"name": name, "kind": kind, "points": [round(point, DIGITS) for point in curve]}
