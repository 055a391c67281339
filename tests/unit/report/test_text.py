"""The text of status and report: its statements, a line per iteration, and escaping."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import Paused, Resumed
from autoresearch.report import load, render_report, render_status, summarise
from autoresearch.report.format import width_of
from autoresearch.report.native import build_history
from autoresearch.report.sparkline import FAILED
from rails import Rail


def status(run, **options):
    history = build_history(run.records)
    return render_status(summarise(history), history, **options)


def flat(text):
    """Without the line breaks that depend on the width."""
    return " ".join(text.split())


def test_a_status_describes_the_night(night):
    text = flat(status(night))
    for part in (
        "Running (according to the log): 7 of 10 iterations closed",
        "run night-1, profile tiny, proposer tpe, trainer torch on cpu, 200 steps a trial",
        "Best keep: iteration 6, d_model = 768 instead of 1024: val_bpb 3.3000, 2.94% below the baseline's 3.4000.",
        "It is the best of 4 candidates, each measured with a single seed",
        "2 keeps, 2 reverts, 1 blocked (R3_range 1), 2 failed (out_of_memory 1, no proposal 1)",
        "refused 4 attempts: R3_range 2, R2_menu 1, R6_novelty 1",
        "4 of 13 proposed: lr 3, n_layer 1, d_model 1, beta2 1; never proposed: n_head,",
        "1 of 6 proposals (17%), 5 distinct; most often lr = 0.001, 2 times",
        "training 1 min 40 s, validation 10 s, failed trials 7.00 s, proposer 3.50 s, overhead 2.00 s",
        "the baseline, 3.4000, is",
    ):
        assert part in text
    curve = re.search(r"^val_bpb +(\S+)$", status(night), re.MULTILINE)
    assert curve is not None
    assert re.fullmatch(f"▅▇·{FAILED * 2}▁█", curve[1])


def test_a_status_ends_with_the_last_iterations_and_a_report_has_them_all(night):
    history = build_history(night.records)
    summary = summarise(history)
    short, long = render_status(summary, history), render_report(summary, history)
    assert [line.split()[0] for line in short.splitlines()[-5:]] == ["3", "4", "5", "6", "7"]
    assert [line.split()[0] for line in long.splitlines()[-7:]] == [str(n) for n in range(1, 8)]
    assert re.search(r"^6 +d_model = 768 +3\.3000 +\+2\.94% +keep +23 s$", long, re.MULTILINE)
    assert re.search(r"^4 +n_layer = 48 +- +- +out_of_memory +7\.75 s$", long, re.MULTILINE)
    assert re.search(r"^5 +- +- +- +no proposal +0\.75 s$", long, re.MULTILINE)
    assert re.search(r"^3 +lr = 0\.5 +- +- +R3_range +0\.75 s$", long, re.MULTILINE)


def test_a_wide_terminal_shows_the_reasons(night):
    history = build_history(night.records)
    wide = render_report(summarise(history), history, width=140)
    assert "a higher rate" in wide
    assert "it went wrong" in wide


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_prose_and_facts_stay_within_the_width(night, width):
    overview = status(night, width=width).split("\n\nThe last iterations")[0]
    assert max(width_of(line) for line in overview.splitlines()) <= width


@pytest.mark.parametrize(
    ("end", "alive", "words"),
    [
        ("", True, "Running: 7 of 10"),
        ("", None, "Running (according to the log): 7 of 10"),
        ("", False, "Interrupted: 7 of 10"),
        ("paused", True, "Paused (pause.flag): 7 of 10"),
        ("paused", False, "Interrupted: 7 of 10"),
        ("stopped", False, "Stopped (SIGTERM): 7 of 10"),
        ("complete", False, "Complete: 7 of 10"),
    ],
)
def test_the_headline_is_the_state_of_the_run(night, end, alive, words):
    if end:
        getattr(night, end)()
    assert status(night, writer_alive=alive).startswith(words)


def test_a_running_trial_is_named(night, new_run):
    text = flat(status(night.begin_trial(8), writer_alive=True))
    assert "iteration 8 running since 2026-11-20T22:00:00Z" in text
    fresh = flat(status(new_run().meta().start().begin_trial(0)))
    assert "the baseline running since" in fresh
    assert "The baseline is not measured yet" in fresh


def test_before_the_first_candidate_and_without_a_keep_nothing_is_claimed(new_run):
    run = new_run().begin()
    assert "No candidate is measured yet" in status(run)
    assert "val_bpb " not in status(run).split("No candidate is measured yet.")[1]
    text = flat(status(run.evaluated("lr", 0.001, 3.39)))
    assert "No keep: none of 1 candidate beat the baseline's 3.4000 by the 0.5% that a keep needs." in text
    assert "The lowest single measurement is 3.3900, in iteration 1." in text
    worse = flat(status(new_run().begin().evaluated("lr", 0.001, 3.5)))
    assert "The lowest single measurement is 3.4000, the baseline's own." in worse
    assert "Best keep" not in text


def test_several_trials_are_called_means(new_run):
    history = build_history(new_run().begin().evaluated("lr", 0.001, 3.3, 3.31).records)
    assert history.baseline is not None
    history = replace(history, baseline=replace(history.baseline, trials=2))
    text = flat(render_status(summarise(history), history))
    assert "Means of 2 trials against 2 of the baseline." in text
    assert "single seed" not in text


def test_what_is_unknown_is_left_out(new_run):
    bare = new_run().begin().evaluated("lr", 0.001, 3.3)
    assert "kWh" not in status(bare)
    assert "kWh" in status(bare.evaluated("lr", 0.002, 3.3, energy_j=9.0))
    assert "refused" not in status(bare)


def test_a_long_run_explains_its_glyphs(new_run):
    run = new_run().begin()
    for n in range(200):
        run.evaluated("lr_warmup", n, 3.4)
    assert "each glyph is the lowest of about 2.9 iterations" in flat(status(run))


def test_a_run_in_which_nothing_was_measured_has_marks_only(new_run):
    history = build_history(new_run().meta().start().blocked(Rail.R1_SCHEMA).proposer_failed().records)
    text = render_status(summarise(history), history)
    assert re.search(f"^val_bpb +·{FAILED}$", text, re.MULTILINE)


def test_the_origins_log_is_called_what_it_is(origin_log):
    history = load(origin_log)
    text = flat(render_status(summarise(history), history, writer_alive=False))
    assert text.startswith("Complete: 9 of 10 iterations closed, 7 min 40 s of work.")
    side_by_side = flat(render_status(summarise(history), replace(history, parallel=True), writer_alive=False))
    assert "7 min 40 s of work in trials side by side." in side_by_side
    assert "its val_bpb is bits per token" in text
    paused = replace(history, state="paused", stop_reason="pause flag")
    assert render_status(summarise(paused), paused, writer_alive=False).startswith("Paused (pause flag)")
    going = replace(history, state="open", accept_delta_frac=None)
    assert render_status(summarise(going), going).startswith("No end in the log: 9 of 10")


def test_many_names_are_bounded(origin_log):
    history = load(origin_log)
    rows = tuple(replace(history.rows[0], iter=n, knob=f"knob{n}") for n in range(1, 31))
    many = replace(history, rows=rows)
    assert "and 10 more" in flat(render_status(summarise(many), many))


def test_colour_is_escape_sequences_around_the_same_text(night):
    history = build_history(night.records)
    summary = summarise(history)
    colored = render_report(summary, history, color=True)
    assert "\x1b[32m" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == render_report(summary, history)


@given(st.text(st.characters(), max_size=300), st.sampled_from([10, 80, 160]))
def test_text_of_a_proposer_cannot_control_the_terminal(new_run, words, width):
    run = new_run().begin().evaluated("lr", 0.001, 3.3)
    history = build_history(run.records)
    hostile = replace(history.rows[0], why=words, knob=words, new_value=words, cause=words, rail=words, reason=words)
    rows = (hostile, replace(hostile, iter=2, stage="eval_failed"), replace(hostile, iter=3, stage="blocked"))
    hostile_history = replace(history, rows=rows, stop_reason=words, run_id=words, state="stopped")
    safe_words = words.encode("utf-8", "replace").decode()  # a Summary holds no lone surrogates, a row may
    summary = summarise(replace(hostile_history, rows=tuple(clean(row, safe_words) for row in rows), run_id=safe_words))
    for text in (
        render_status(summary, hostile_history, width=width),
        render_report(summary, hostile_history, width=width),
    ):
        assert all(char == "\n" or char.isprintable() for char in text)


def clean(row, words):
    return replace(row, knob=words, new_value=words, cause=words, rail=words)


def test_the_report_has_the_importance_of_each_knob_and_the_status_does_not(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.36)
    history = build_history(run.records)
    assert "Knob importance:\nn too small for any knob" in render_report(summarise(history), history)
    assert "n too small" in render_report(summarise(history), history)
    assert "Knob importance" not in render_status(summarise(history), history)
    assert "Knob importance" not in render_report(
        *(lambda h: (summarise(h), h))(build_history(new_run().begin().records))
    )


def test_a_failed_baseline_is_called_that_until_it_is_measured_again(new_run) -> None:
    run = new_run().meta().start()
    run._trial(0, Failure(cause=Cause.OUT_OF_MEMORY, detail="it went wrong", trial_wall_s=7.0))
    failed = build_history(run.stopped().records)
    text = render_status(summarise(failed), failed)
    assert "The baseline failed: out_of_memory: it went wrong. No candidate can be compared." in text
    assert summarise(failed).baseline_failure == "out_of_memory: it went wrong"
    again = build_history(run.start().records)
    assert "The baseline is not measured yet" in render_status(summarise(again), again)
    measured = build_history(run.baseline().records)
    assert summarise(measured).baseline_failure is None


def test_waits_for_disk_space_are_counted_with_their_time(new_run) -> None:
    run = new_run().begin()
    assert "disk space" not in status(run)
    reason = "waits for disk space: 3.0 MiB free on /var/lib/autoresearch, needs 64 MiB"
    waits = Paused(ts="t", reason=reason, waits_for="disk_space", completed_iters=0, requested_iters=10)
    run.records += [waits, Resumed(ts="t", paused_s=3600.0), waits]
    text = flat(status(run))
    assert f"Paused ({reason})" in text, "the whole reason"
    assert "It waited for disk space 2 times, 1 h 00 min in all; no trial ran meanwhile." in text
    history = build_history(run.records)
    assert (history.waits_for, history.disk_waits, history.disk_wait_s) == ("disk_space", 2, 3600.0)
    run.paused()
    assert build_history(run.records).waits_for == "user"
