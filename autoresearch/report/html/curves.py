"""The training-loss curves that the page can show: those of the baseline, and of each measured iteration. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.report.history import History, Row

MAX_CURVES = 2000  # in one page, so that 10,000 iterations still make a small file
DIGITS = 3  # of a loss in nats: finer than a plot can show


@dataclass(frozen=True, slots=True)
class Curves:
    """``data`` is what the page's script reads: ``rows`` has the curves by the position of their row."""

    data: dict[str, Any]
    left_out: int  # iterations whose curves were left out because they were too many


def build_curves(history: History) -> Curves:
    """The curves; of too many those of the keeps and of the last iterations."""
    measured = [n for n, row in enumerate(history.rows) if row.curves]
    shown = _choose(measured, history.rows)
    data = {
        "points": CURVE_POINTS,
        "baseline": _rounded(history.baseline.curves if history.baseline else ()),
        "rows": {str(n): _rounded(history.rows[n].curves) for n in sorted(shown)},
    }
    return Curves(data, len(measured) - len(shown))


def _choose(measured: Sequence[int], rows: Sequence[Row]) -> set[int]:
    by_worth = sorted(measured, key=lambda n: (rows[n].decision != "keep", -n))
    chosen: set[int] = set()
    curves = 0
    for n in by_worth:
        curves += len(rows[n].curves)
        if curves > MAX_CURVES:
            break
        chosen.add(n)
    return chosen


def _rounded(curves: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(point, DIGITS) for point in curve] for curve in curves]
