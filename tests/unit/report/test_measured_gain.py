"""Gains with their seeds, and differences with their uncertainty."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from autoresearch.report.comparison import compare
from autoresearch.report.comparison_text import render_comparison
from autoresearch.report.history import History
from autoresearch.report.measured_gain import (
    MeasuredGain,
    baseline_difference,
    gain_difference,
    interval_of,
    measured_gain,
)
from autoresearch.report.native import build_history


def gain(frac: float, se: float | None, df: float | None) -> MeasuredGain:
    return MeasuredGain(label="keep", gain_frac=frac, seeds=4, low_frac=None, high_frac=None, se_frac=se, df=df)


@pytest.fixture
def a(sequential_night) -> History:
    return build_history(sequential_night)


@pytest.fixture
def b(a) -> History:
    """The same run, but its best keep was screened out, far below."""
    rows = []
    best = max((r for r in a.rows if r.decision == "keep"), key=lambda r: r.improvement_frac or 0.0)
    for row in a.rows:
        if row is best and row.evidence:
            evidence = row.evidence.model_copy(update={"label": "screened out", "seeds": (0,)})
            row = replace(row, decision="revert", improvement_frac=-0.2, trials=1, evidence=evidence)
        rows.append(row)
    return replace(a, rows=tuple(rows), run_id="night-2")


def test_a_gain_of_several_seeds_has_its_interval_and_one_of_one_seed_has_none(a):
    found = [measured_gain(row, a) for row in a.rows]
    assert {m.seeds > 1 for m in found if m} == {True, False}
    for m, row in zip(found, a.rows, strict=True):
        assert m is not None
        assert (m.low_frac is None) == (m.seeds == 1)
        assert m.label == row.evidence.label
        assert m.se_frac == pytest.approx(row.evidence.sd_frac / m.seeds**0.5)


def test_by_rule_threshold_the_error_comes_from_the_seeds_of_the_baseline(night):
    one = build_history(night.records)
    row = next(r for r in one.rows if r.decision == "keep")
    assert measured_gain(row, one).se_frac is None
    several = replace(one, baseline_bpbs=(3.4, 3.41, 3.39))
    found = measured_gain(row, several)
    assert (found.se_frac, found.df) == (pytest.approx(0.01 / 3.4 * (1 + 1 / 3) ** 0.5), 2)


def test_without_a_known_noise_a_difference_has_no_interval():
    found = gain_difference(gain(0.01, None, None), gain(0.02, 0.001, 5))
    assert (found.difference_frac, found.low_frac, found.beyond_noise) == (pytest.approx(0.01), None, None)


def test_the_interval_holds_the_true_difference_in_19_of_20_cases():
    rng = random.Random(1)
    held = 0
    for _ in range(2000):
        a, b = [rng.gauss(0.01, 0.004) for _ in range(4)], [rng.gauss(0.03, 0.002) for _ in range(8)]
        errors = [(stdev(v) / len(v) ** 0.5, len(v) - 1.0) for v in (a, b)]
        found = interval_of(fmean(b) - fmean(a), *errors)
        held += found.low_frac <= 0.02 <= found.high_frac
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_baselines_differ_with_their_uncertainty():
    assert baseline_difference((), (2.0,)) is None
    assert baseline_difference((2.0,), (1.9, 1.9)).low_frac is None
    found = baseline_difference((2.0, 2.01, 1.99), (1.8, 1.81, 1.79))
    assert found.difference_frac == pytest.approx(0.1)
    assert found.beyond_noise
    assert not baseline_difference((2.0, 2.01, 1.99), (2.002, 2.01, 1.99)).beyond_noise


def test_a_change_that_one_run_confirmed_and_the_other_screened_out_is_listed(a, b):
    c = compare(a, b, ("runs/a", "runs/b"))
    (found,) = c.opposite
    assert (found.a, found.b) == ("keep", "revert")
    assert (found.a_measured.label, found.b_measured.label) == ("confirmed", "screened out")
    assert found.difference.beyond_noise
    assert (c.gain_differences_judged, c.gain_differences_beyond_noise) == (7, 1)
    text = " ".join(render_comparison(c).split())
    assert "Kept in one and reverted in the other: 1 " in text
    assert f"A confirmed {100 * found.a_gain:+.2f}% ({found.a_measured.seeds} seeds, interval +" in text
    assert "B screened out -20.00% (1 seed); B - A: -" in text
    assert "1 of 7 differ by more than their noise" in text
    assert f"{c.a.baseline_seeds} seeds, 95% interval" in text


def test_what_both_measured_alike_is_within_the_noise(a):
    c = compare(a, replace(a, run_id="night-2"), ("runs/a", "runs/b"))
    assert all(change.difference.beyond_noise is False for change in c.kept_in_both)
    assert "B - A: +0.00 points (95% interval -" in " ".join(render_comparison(c).split())
    assert ", within the noise)" in " ".join(render_comparison(c).split())


def test_with_unequal_yardsticks_there_is_no_difference(a, b):
    assert b.yardstick is not None
    other = replace(b, yardstick=b.yardstick.model_copy(update={"budget_size": 400.0}))
    c = compare(a, other, ("runs/a", "runs/b"))
    assert [change.difference for change in c.opposite] == [None]
    assert (c.gain_differences_judged, c.baseline_change) == (0, None)
    text = render_comparison(c)
    assert text.startswith("NOT comparable")
    assert "B - A" not in text
