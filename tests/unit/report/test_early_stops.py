"""Early stops as a user sees them: in numbers, text, page, watch and terminal, and never as a value."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autoresearch.core.records import StoppedEarly
from autoresearch.daemon.observers.terminal import iteration_line
from autoresearch.daemon.verdict_lines import audited_line
from autoresearch.report.comparison import compare
from autoresearch.report.early_stops import EarlyStopNumbers, describe_early_stops
from autoresearch.report.history import History, Row
from autoresearch.report.html.limits import describe_limits
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise, summary_json
from autoresearch.report.text import render_report, render_status
from tests.unit.core.loop_world import only, records
from tests.unit.core.test_loop_early_stop import BAD, PAST, new_loop, script


def run_of(make_settings: Any, audit_frac: float) -> Any:
    rule = {"decision.rule": "sequential", "early_stop.min_curves": 12, "early_stop.audit_frac": audit_frac}
    loop = new_loop(make_settings({**rule, "baseline.lr": 3e-4, "baseline.lr_warmup": 0}, iters=PAST + 1), script(BAD))
    loop.run()
    return loop


@pytest.fixture
def stopped(make_settings: Any) -> Any:
    return run_of(make_settings, 0)


@pytest.fixture
def audited(make_settings: Any) -> Any:
    return run_of(make_settings, 1)


def last_row(history: History) -> Row:
    return history.rows[-1]


def test_a_stopped_candidate_is_a_revert_without_any_value(stopped: Any) -> None:
    row = last_row(build_history(records(stopped)))
    assert (row.stage, row.decision, row.val_bpb, row.improvement_frac) == ("stopped_early", "revert", None, None)
    assert (row.trials, row.lowest_val_bpb, row.tokens) == (0, None, 400)
    assert row.remark.startswith("stopped early at ")
    summary = summarise(build_history(records(stopped)))
    assert (summary.iterations, summary.evaluated, summary.reverts, summary.failed) == (PAST + 1, PAST + 1, PAST + 1, 0)
    (source,) = summary.sources
    assert (source.iterations, source.measured, source.stopped_early, source.failed) == (PAST + 1, PAST, 1, 0)
    assert summary.research.measured == PAST


def test_the_summary_counts_stops_and_audits(stopped: Any, audited: Any) -> None:
    one, other = (summarise(build_history(records(loop))).early_stops for loop in (stopped, audited))
    assert one is not None
    assert other is not None
    assert (one.stopped, one.audited) == (1, 0)
    assert (other.stopped, other.audited, other.audited_past_screen, other.audited_keeps) == (0, 1, 0, 0)
    assert other.saved_train_s is None
    assert json.loads(summary_json(summarise(build_history(records(stopped)))))["early_stops"]["stopped"] == 1


def test_a_run_without_stops_says_nothing_of_them(make_settings: Any) -> None:
    loop = new_loop(make_settings({"decision.rule": "sequential"}, iters=2), script()[:2])
    loop.run()
    summary = summarise(build_history(records(loop)))
    assert summary.early_stops is None
    assert "early stop" not in render_report(summary, build_history(records(loop)))


def test_the_saved_training_is_that_which_the_trial_would_have_done(stopped: Any) -> None:
    events = records(stopped)
    at = next(n for n, r in enumerate(events) if isinstance(r, StoppedEarly))
    trial = events[at - 1]
    half = trial.outcome.stopped_early.model_copy(update={"fraction": 0.25})
    outcome = trial.outcome.model_copy(update={"train_wall_s": 10.0, "stopped_early": half})
    events[at - 1 : at + 1] = [
        trial.model_copy(update={"outcome": outcome}),
        events[at].model_copy(update={"eval_metrics": outcome}),
    ]
    numbers = summarise(build_history(events)).early_stops
    assert numbers is not None
    assert numbers.mean_fraction == 0.25
    assert numbers.saved_train_s == pytest.approx(30.0)


def test_the_sentence_of_the_summary() -> None:
    numbers = EarlyStopNumbers(
        stopped=7,
        mean_fraction=0.41,
        saved_train_s=180.0,
        saved_frac=0.28,
        audited=2,
        audited_past_screen=1,
        audited_keeps=1,
    )
    assert describe_early_stops(numbers) == (
        "7 trials stopped early, at 41% of their budget on average: 3 min 00 s of training saved (28% of that of the "
        "reverts); 2 more ran on for the audit, 1 keep"
    )


def test_status_and_report_show_where_it_was_stopped(stopped: Any) -> None:
    history = build_history(records(stopped))
    summary = summarise(history)
    where = only(StoppedEarly, stopped)[0].eval_metrics.stopped_early.describe()
    for render in (render_status, render_report):
        text = render(summary, history, width=200)
        assert where in text
        assert "1 stopped early" in text
        assert "stopped early, at " in text
    assert "- stopped early" in render_report(summary, history, width=200), "the glyph of the curve"


def test_an_audited_one_is_marked_in_the_table(audited: Any) -> None:
    history = build_history(records(audited))
    assert "ran on for the audit from " in render_report(summarise(history), history, width=200)
    assert last_row(history).would_stop is not None
    assert last_row(history).val_bpb is not None


def test_the_terminal_says_it_on_one_line(stopped: Any, audited: Any) -> None:
    record = only(StoppedEarly, stopped)[0]
    point = record.eval_metrics.stopped_early
    line = iteration_line(record, " 13/13  ")
    assert f"lr = {BAD}" in line
    assert f"stopped early at {100 * point.fraction:.0f}% of the budget (loss " in line
    would = last_row(build_history(records(audited))).would_stop
    assert would is not None
    assert "it would have been stopped at " in audited_line(would)


def test_compared_with_a_run_that_kept_it_it_is_a_revert_without_a_gain(stopped: Any, audited: Any) -> None:
    one, other = (build_history(records(loop)) for loop in (stopped, audited))
    kept = replace(last_row(other), decision="keep")
    compared = compare(one, replace(other, rows=(*other.rows[:-1], kept)), ("one", "other"))
    (change,) = compared.kept_only_in_b
    assert (change.a, change.a_gain, change.b) == ("revert", None, "keep")


def test_the_page_shows_it_in_a_lane_of_its_own(stopped: Any) -> None:
    pytest.importorskip("bokeh")
    from autoresearch.report.html import render_html
    from autoresearch.report.html.course import build_course
    from autoresearch.report.html.rows import KINDS, kind_index

    history = build_history(records(stopped))
    assert KINDS[kind_index(last_row(history))] == "stopped early"
    assert "stopped early" in dict(build_course(history).lanes)
    page = render_html(summarise(history), history)
    assert "stopped early at " in page
    assert "1 trial stopped early" in page


def test_the_limits_of_the_page_say_that_it_is_a_forecast(stopped: Any, audited: Any) -> None:
    def limit(loop: Any) -> str:
        history = build_history(records(loop))
        return dict(describe_limits(summarise(history), history)).get("Stopped early", "")

    assert limit(stopped).endswith("is a forecast from earlier curves; no trial ran on for the audit.")
    assert limit(audited) == "", "what ran on was measured"
