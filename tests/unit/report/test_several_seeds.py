"""The table of the candidates that were measured with several seeds."""

from __future__ import annotations

from autoresearch.report.format import format_percent
from autoresearch.report.native import build_history
from autoresearch.report.several_seeds import COLUMNS, several_seeds_table
from autoresearch.report.summary import summarise
from autoresearch.report.text import render_report
from autoresearch.report.verdict_text import format_interval


def test_each_has_its_gain_interval_seeds_and_verdict(sequential_night):
    history = build_history(sequential_night)
    lines = several_seeds_table(history.rows, color=False)[1:]
    several = [row for row in history.rows if row.trials > 1]
    assert len(lines) == len(several) > 0
    for line, row in zip(lines, several, strict=True):
        assert len(line) <= sum(COLUMNS.values()) == 78
        assert f" {format_interval(row.evidence)} " in line
        assert line.startswith(f"{row.iter} ")
        assert line.split(format_interval(row.evidence))[1].split()[0] == str(row.trials)
        assert line.endswith(row.evidence.label)
        assert (format_percent(row.corrected_frac) in line) == (row.decision == "keep")
    assert "Measured with several seeds:\niter " in render_report(summarise(history), history)


def test_by_rule_threshold_there_is_no_such_table(night):
    history = build_history(night.records)
    assert several_seeds_table(history.rows, color=False) == []
    assert "several seeds:" not in render_report(summarise(history), history)
