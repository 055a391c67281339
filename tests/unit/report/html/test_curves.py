"""Which training-loss curves the page holds, and that many of them still make a small file."""

from __future__ import annotations

from dataclasses import replace

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.report.history import History, Row
from autoresearch.report.html.curves import MAX_CURVES, build_curves
from autoresearch.report.native import build_history

CURVE = tuple(9.0 - 0.12345 * n for n in range(CURVE_POINTS))


def test_each_measured_trial_of_an_iteration_and_of_the_baseline(night):
    history = build_history(night.records)
    assert build_curves(history).data == {"points": CURVE_POINTS, "baseline": [], "rows": {}}
    rows = (replace(history.rows[0], curves=(CURVE, CURVE)), *history.rows[1:])
    assert history.baseline is not None
    data = build_curves(replace(history, rows=rows, baseline=replace(history.baseline, curves=(CURVE,)))).data
    rounded = [round(point, 3) for point in CURVE]
    assert data["baseline"] == [rounded]
    assert data["rows"] == {"0": [rounded, rounded]}


def test_of_too_many_the_keeps_and_the_last_ones_are_shown():
    def row(n: int) -> Row:
        return Row(n, "evaluated", curves=(CURVE,), decision="keep" if n == 3 else "revert")

    curves = build_curves(History("autoresearch", ("lr",), rows=tuple(row(n) for n in range(1, MAX_CURVES + 11))))
    shown = [int(place) for place in curves.data["rows"]]
    assert len(shown) == MAX_CURVES
    assert curves.left_out == 10
    assert shown[:2] == [2, 11]
