"""The vault in reports: both gains of each keep, and a doubt only where the numbers have one."""

from __future__ import annotations

import json

import pytest

from autoresearch.report import render_report, summarise, summary_json
from autoresearch.report.native import build_history
from autoresearch.report.vault import DOUBT, vault_lines


@pytest.fixture
def run(new_run):
    """Three keeps: one holds, one does not, and of one nothing is known."""
    run = new_run().begin()
    run.evaluated("lr", 0.001, 3.36).unsealed(0.0118, 0.0110, 0.0091, 0.0129)
    run.evaluated("d_model", 768, 3.30).unsealed(0.0294, 0.0102, 0.0051, 0.0153)
    run.evaluated("beta2", 0.99, 3.30).unsealed(0.0294, None, lost=8)
    return run.evaluated("beta1", 0.5, 3.50)


def lines(run) -> list[str]:
    return list(vault_lines(summarise(build_history(run.records)).vault))


def test_each_keep_has_a_line_with_both_gains(run):
    holds, fitted, unknown = lines(run)
    assert holds == (
        "iteration 1, lr = 0.001: +1.18% on validation, +1.10% on test (95% interval +0.91 to +1.29%, 4 seeds)"
    )
    assert fitted.startswith("iteration 2, d_model = 768: +2.94% on validation, +1.02% on test")
    assert unknown.endswith("no seed is measured on the test split for both the keep and the baseline")


def test_a_doubt_is_raised_only_where_the_interval_lies_below_the_gain_on_validation(run):
    assert [DOUBT in line for line in lines(run)] == [False, True, False]
    assert [v.below_validation for v in summarise(build_history(run.records)).vault] == [False, True, None]


def test_one_seed_has_no_interval_and_raises_no_doubt(new_run):
    (line,) = lines(new_run().begin().evaluated("lr", 0.001, 3.36).unsealed(0.0118, -0.01))
    assert line.endswith("-1.00% on test (4 seeds: no interval)")


def test_the_json_has_every_number(run):
    found = json.loads(summary_json(summarise(build_history(run.records))))["vault"]
    assert [(v["iter"], v["seeds"], v["missing_trials"]) for v in found] == [(1, 4, 0), (2, 4, 0), (3, 0, 8)]
    assert found[0]["test_low_frac"] == 0.0091


def test_the_report_shows_it_and_a_run_without_a_vault_shows_nothing(run, night):
    def text(of) -> str:
        history = build_history(of.records)
        return render_report(summarise(history), history, width=400)

    assert "vault       iteration 1, lr = 0.001: +1.18% on validation" in text(run)
    assert "vault" not in text(night)


def test_a_record_that_lost_its_keep_is_left_out(run):
    history = build_history([r for r in run.records if getattr(r, "stage", "") != "evaluated"], damaged=True)
    assert summarise(history).vault == []
