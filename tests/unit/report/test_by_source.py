"""The statistics of each source of proposals, and where they are shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.records import IterationRecord, SourceCredit
from autoresearch.core.results import result_of
from autoresearch.core.source_stats import source_credits
from autoresearch.report import History, Row, load, render_report, render_status, summarise, summary_json
from autoresearch.report.format import width_of
from autoresearch.report.native import build_history
from rails import Rail


def shown(run, render=render_status, **options):
    history = build_history(run.records)
    return render(summarise(history), history, **options)


def test_each_source_has_its_numbers_in_the_order_of_their_first_proposals(hybrid_night):
    tpe, nim = summarise(build_history(hybrid_night.records)).sources
    assert (tpe.source, tpe.iterations, tpe.blocked, tpe.measured, tpe.failed, tpe.keeps) == ("tpe", 4, 0, 3, 1, 1)
    assert (nim.source, nim.iterations, nim.blocked, nim.measured, nim.failed, nim.keeps) == ("nim", 1, 1, 1, 0, 1)
    assert (tpe.share, nim.share) == (pytest.approx(4 / 6), pytest.approx(2 / 6))
    assert tpe.mean_improvement_frac == pytest.approx((0.04 + 0.005 - 0.01) / 3.4 / 3)
    assert (tpe.best_improvement_frac, tpe.best_iter) == (pytest.approx(0.04 / 3.4), 1)
    assert (nim.mean_improvement_frac, nim.best_iter) == (pytest.approx(0.1 / 3.4), 3)


def test_a_source_that_was_only_refused_is_there_and_gained_nothing(new_run):
    run = new_run().begin().by("nim").blocked(Rail.R1_SCHEMA).by("tpe").evaluated("lr", 0.001, 3.3)
    nim, tpe = summarise(build_history(run.records)).sources
    assert (nim.iterations, nim.blocked, nim.share, nim.keeps) == (0, 1, 0.5, 0)
    assert (nim.mean_improvement_frac, nim.best_improvement_frac, nim.best_iter) == (None, None, None)
    assert tpe.iterations == 1


def test_an_iteration_whose_proposer_raised_belongs_to_no_source(new_run):
    run = new_run().begin().proposer_failed()
    assert summarise(build_history(run.records)).sources == []


def test_of_equal_gains_the_first_is_the_best(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3).evaluated("lr", 0.002, 3.3)
    assert summarise(build_history(run.records)).sources[0].best_iter == 1


def test_a_source_that_the_log_does_not_record_is_null(origin_log):
    history = load(origin_log)
    summary = summarise(history)
    (unknown,) = json.loads(summary_json(summary))["sources"]
    assert (unknown["source"], unknown["share"]) == (None, 1.0)
    assert (unknown["iterations"], unknown["blocked"], unknown["measured"], unknown["failed"]) == (7, 1, 5, 2)
    assert "sources" not in render_status(summary, history)
    named = replace(history, rows=(replace(history.rows[0], source="tpe"), *history.rows[1:]))
    assert "unknown" in render_report(summarise(named), named)


def test_a_measured_row_without_a_gain_counts_and_gains_nothing():
    (numbers,) = summarise(History("origin", ("lr",), rows=(Row(1, "evaluated"),))).sources
    assert (numbers.measured, numbers.mean_improvement_frac, numbers.best_iter) == (1, None, None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["tpe", "nim", "random"]),
        st.sampled_from(["evaluated", "failed", "blocked", "silent"]),
        st.floats(1.0, 10.0),
    ),
    max_size=12,
)


def recorded(new_run, steps):
    run = new_run().begin()
    for source, kind, bpb in steps:
        run.by(source)
        match kind:
            case "evaluated":
                run.evaluated("lr", 0.001, bpb)
            case "failed":
                run.failed("lr", 0.001)
            case "blocked":
                run.blocked(Rail.R2_MENU, Rail.R6_NOVELTY, knob="lr")
            case "silent":
                run.proposer_failed()
    return run


@given(STEPS)
def test_the_sums_over_the_sources_are_the_runs(new_run, steps):
    s = summarise(build_history(recorded(new_run, steps).records))
    assert sum(n.measured for n in s.sources) == s.evaluated
    assert sum(n.failed for n in s.sources) == sum(s.failed_by_cause.values())
    assert sum(n.blocked for n in s.sources) == sum(s.blocked_by_rail.values())
    assert sum(n.keeps for n in s.sources) == s.keeps
    assert sum(n.iterations + n.blocked for n in s.sources) == s.iterations - s.proposer_failed
    assert all(n.iterations == n.measured + n.failed and n.keeps <= n.measured for n in s.sources)
    assert sum(n.share for n in s.sources) == pytest.approx(1.0 if s.sources else 0.0)
    assert len({n.source for n in s.sources}) == len(s.sources)


@given(STEPS)
def test_the_credit_in_the_records_is_the_same(new_run, steps):
    run = recorded(new_run, steps)
    tried = {n.source: n for n in summarise(build_history(run.records)).sources if n.iterations}
    credit = {c.source: c for c in source_credits(result_of(r) for r in run.records if isinstance(r, IterationRecord))}
    fields = set(SourceCredit.model_fields)
    assert {name: n.model_dump(include=fields) for name, n in tried.items()} == {
        name: pytest.approx(c.model_dump()) for name, c in credit.items()
    }


def test_a_status_has_a_line_per_source(hybrid_night):
    lines = shown(hybrid_night).splitlines()
    assert "sources     tpe 67%: 4 tried, 1 failed, 1 keep, mean gain +0.34%, best +1.18%" in lines
    assert "            nim 33%: 1 tried, 1 blocked, 1 keep, mean gain +2.94%, best +2.94%" in lines


def test_a_report_has_a_table_of_the_sources(hybrid_night):
    heading, tpe, nim = shown(hybrid_night, render_report).split("Proposals by source:\n")[1].splitlines()[:3]
    assert heading.split() == [
        "source",
        "share",
        "tried",
        "measured",
        "failed",
        "blocked",
        "keeps",
        "mean",
        "best",
        "in",
    ]
    assert tpe.split() == ["tpe", "67%", "4", "3", "1", "0", "1", "+0.34%", "+1.18%", "1"]
    assert nim.split() == ["nim", "33%", "1", "1", "0", "1", "1", "+2.94%", "+2.94%", "3"]
    assert len(heading) == len(tpe) == len(nim) == 78


def test_every_line_of_a_report_has_the_source(hybrid_night):
    lines = shown(hybrid_night, render_report).split("Every iteration:\n")[1].splitlines()
    assert lines[0].split() == ["iter", "change", "source", "val_bpb", "gain", "verdict", "time"]
    assert [line[25:32].strip() for line in lines[1:]] == ["tpe", "tpe", "nim", "tpe", "tpe", "nim"]
    assert "narrower" in shown(hybrid_night, render_report, width=120)
    assert "  nim  " in shown(hybrid_night).split("The last iterations:\n")[1]


def test_a_run_of_one_source_has_no_table_of_sources(night):
    text = shown(night, render_report)
    assert "source" not in text
    assert "Proposals by source" not in text


@pytest.mark.parametrize("render", [render_status, render_report])
def test_it_fits_80_cells(hybrid_night, render):
    long = hybrid_night.by("a-proposer-with-a-long-name").failed("weight_decay", 0.0123456789)
    assert max(map(width_of, shown(long, render).splitlines())) <= 80


def test_a_source_cannot_act_on_the_terminal(hybrid_night):
    text = shown(hybrid_night.by("\x1b[31m大\u202e").evaluated("lr", 0.003, 3.39), render_report)
    assert all(char == "\n" or char.isprintable() for char in text)
