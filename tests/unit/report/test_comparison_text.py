"""The text of two runs side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoresearch.report.comparison import compare
from autoresearch.report.comparison_text import MAX_LINES, render_comparison
from autoresearch.report.format import width_of
from autoresearch.report.history import Row
from autoresearch.report.native import build_history

PATHS = ("runs/a", "runs/b")


def shown(a, b, **options) -> str:
    live = options.pop("live", (False, False))
    return render_comparison(compare(a, b, PATHS, live=live), **options)


@pytest.fixture
def a(night):
    return build_history(night.complete().records)


@pytest.fixture
def b(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.35).evaluated("d_model", 768, 3.395)
    return replace(build_history(run.records), run_id="night-2")


def test_comparable_runs(a, b):
    text = shown(a, b)
    assert text.startswith("A: runs/a, run night-1\nB: runs/b, run night-2\n\nSame yardstick, same baseline")
    for part in (
        "Kept in both: 0",
        "Kept in one and reverted in the other: 2\n"
        "  d_model = 768: A keep +2.94% (1 seed), B revert +0.15% (1 seed); B - A: -2.79\n"
        "      points, its noise is not known\n"
        "  lr = 0.001: A revert -0.29% (1 seed), B keep +1.47% (1 seed); B - A: +1.76\n"
        "      points, its noise is not known",
        "Kept in A, not measured in B: 0",
    ):
        assert part in text, part
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "state complete, 7 of 10 iterations running, 2 of 10 iterations" in lines
    assert "best gain keep +2.94% (1 seed) keep +1.47% (1 seed)" in lines
    assert "one trial's SD unknown, one seed unknown, one seed" in lines
    assert "energy not measured not measured" in lines
    assert " ".join(lines).endswith(
        "2 changes measured in both: their gains differ by 2.28 percentage points in the median, 2.79 at most; whether "
        "that is more than their noise is not known, because a run has no baseline of several seeds. The baseline of B "
        "has the same val_bpb."
    )
    assert "running now" not in text
    assert "Differs" not in text


def test_what_differs_is_listed_with_both_values(a, b):
    assert b.yardstick is not None
    other = replace(b, yardstick=b.yardstick.model_copy(update={"budget_size": 400.0}), baseline_cfg={"lr": 1.0})
    text = shown(a, other)
    assert text.startswith("NOT comparable: the yardsticks differ (budget_size).")
    lines = [line.split() for line in text.splitlines()]
    assert ["budget_size", "200", "400"] in lines
    assert ["lr", "0.0003", "1"] in lines
    assert ["d_model", "1024", "-"] in lines
    assert "their gains cannot be compared" in text


def test_a_live_run_a_damaged_one_and_a_copy_are_called_that(a):
    text = shown(a, replace(a, warnings=("line 3 is damaged",)), live=(True, False))
    assert "A is running now: its figures can still change." in text
    assert "WARNING: the trajectory of B is damaged; only its whole records count." in text
    assert "Both have the same run id" in text


def test_long_lists_are_cut_and_hostile_names_cannot_act(a, b):
    evil = "\x1b[2J\u202e" * 30
    rows = tuple(
        Row(n, "evaluated", knob=f"{n}{evil}", new_value=evil, decision="keep", val_bpb=3.3, improvement_frac=0.01)
        for n in range(1, MAX_LINES + 6)
    )
    text = shown(replace(a, rows=rows, run_id=evil, profile=evil, proposer=evil), b, width=80)
    assert f"Kept in A, not measured in B: {MAX_LINES + 5}" in text
    assert "and 5 more; --json has all" in text
    assert all(char == "\n" or char.isprintable() for char in text)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_columns_stay_within_the_width(a, b, width):
    assert max(map(width_of, shown(a, b, width=width).splitlines())) <= width
