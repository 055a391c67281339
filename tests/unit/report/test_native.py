"""Our own records as a History: rows, times, energy, and where the run stands."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import CURVE_POINTS, Cause, Measurement
from autoresearch.core.records import Proposed, TrialEnded, TrialStarted
from autoresearch.core.stopped_trial import StopPoint
from autoresearch.report.history import plain_value
from autoresearch.report.native import build_history
from rails import Rail, default_menu

SHARED = ("iter", "source", "proposal", "diff", "candidate_cfg", "estimate", "attempts")  # of proposed and evaluated


def test_every_way_to_close_an_iteration_becomes_a_row(night):
    history = build_history(night.records)
    stages = [(row.iter, row.stage) for row in history.rows]
    assert stages == [
        (1, "evaluated"),
        (2, "evaluated"),
        (3, "blocked"),
        (4, "eval_failed"),
        (5, "proposer_failed"),
        (6, "evaluated"),
        (7, "evaluated"),
    ]
    first, _, blocked, failed, silent, *_ = history.rows
    assert (first.knob, first.new_value, first.why, first.decision) == ("lr", 0.001, "a higher rate", "keep")
    assert first.refused == {"R3_range": 1, "R6_novelty": 1}
    assert (blocked.rail, blocked.knob, blocked.refused) == ("R3_range", "lr", {"R2_menu": 1, "R3_range": 1})
    assert (failed.cause, failed.failed_s, failed.train_s, failed.val_bpb) == ("out_of_memory", 7.0, None, None)
    assert (silent.rail, silent.knob, silent.wall_s) == (None, None, 0.75)


def test_what_is_fixed_for_the_run_is_taken_over(night):
    history = build_history(night.records)
    assert history.knobs == tuple(default_menu().knobs)
    assert history.baseline_cfg == default_menu().defaults
    assert (history.baseline_val_bpb, history.accept_delta_frac) == (3.4, 0.005)
    assert (history.run_id, history.profile, history.proposer) == ("night-1", "tiny", "tpe")
    assert history.yardstick is not None
    assert history.iters_requested == 10


def test_the_parts_of_the_wall_time_add_up_in_every_row(night):
    history = build_history(night.records)
    assert history.baseline is not None
    for row in (history.baseline, *history.rows):
        parts = (row.train_s, row.eval_s, row.failed_s, row.propose_s, row.overhead_s)
        assert sum(part or 0.0 for part in parts) == pytest.approx(row.wall_s)


def test_several_trials_of_one_candidate_are_summed_and_the_lowest_is_kept(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3, 3.4, energy_j=5.0)
    row = build_history(run.records).rows[0]
    assert (row.trials, row.val_bpb, row.lowest_val_bpb) == (2, pytest.approx(3.35), 3.3)
    assert (row.train_s, row.eval_s, row.tokens, row.energy_j) == (40.0, 4.0, 8192, 10.0)
    assert row.peak_bytes == 2**30


def test_a_closing_record_speaks_for_itself_where_the_log_has_no_trials(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3)
    records = [r for r in run.records if r.stage not in ("trial", "trial_started")]
    assert build_history(records).rows == build_history(run.records).rows


def test_energy_is_unknown_until_a_trial_was_metered(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3)
    assert build_history(run.records).energy_j is None
    run.evaluated("lr", 0.002, 3.3, energy_j=7.0)
    assert build_history(run.records).energy_j == 7.0


def test_the_state_is_what_the_last_beginning_or_ending_says(new_run):
    run = new_run().meta()
    assert build_history(run.records).state == "open"
    assert build_history(run.start().records).state == "running"
    assert build_history(run.baseline().evaluated("lr", 0.001, 3.3).records).state == "running"
    paused = build_history(run.paused().records)
    assert (paused.state, paused.stop_reason) == ("paused", "pause.flag")
    assert build_history(run.resumed().records).state == "running"
    stopped = build_history(run.stopped().records)
    assert (stopped.state, stopped.stop_reason) == ("stopped", "SIGTERM")
    assert build_history(run.start(2).records).state == "running"
    assert build_history(run.complete().records).state == "complete"
    assert build_history(run.records).iters_requested == 2


def test_a_trial_is_open_only_while_the_run_is(new_run):
    run = new_run().begin().begin_trial(1)
    running = build_history(run.records).open_trial
    assert running is not None
    assert running.iter == 1
    assert build_history(run.stopped("interrupted").records).open_trial is None  # that trial is over, without an end


def test_a_run_without_a_baseline_has_none(new_run):
    history = build_history(new_run().meta().start().begin_trial(0).records)
    assert history.baseline is None
    assert history.baseline_val_bpb is None
    assert history.open_trial is not None
    assert history.open_trial.iter == 0


def test_a_baseline_measured_at_the_second_start_counts_its_own_trial_only(new_run):
    run = new_run().meta().start()
    run.iter -= 1  # the failed first attempt at the baseline is not an iteration
    run.failed("lr", 0.0003, Cause.KILLED)
    run.records.pop()
    history = build_history(run.start().baseline().records)
    assert history.baseline is not None
    assert history.baseline.trials == 1
    assert history.baseline.failed_s is None


def test_records_must_begin_with_meta(new_run):
    with pytest.raises(ValueError, match="not meta"):
        build_history([])
    with pytest.raises(ValueError, match="not meta"):
        build_history(new_run().start().records)


def test_a_huge_refused_value_is_kept_as_text(new_run):
    run = new_run().begin().blocked(Rail.R3_RANGE, knob="lr_warmup", value=10**400)
    value = build_history(run.records).rows[0].new_value
    assert isinstance(value, str)
    assert len(value) <= 80


def test_a_value_that_cannot_even_be_printed_is_named_as_such():
    bottomless: list[object] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    assert plain_value(10**5000) == plain_value(bottomless) == "a value too large to show"


def with_outcomes(run, **changes):
    """The run's records, each measured trial with these fields."""
    trials = [r for r in run.records if isinstance(r, TrialEnded) and isinstance(r.outcome, Measurement)]
    changed = {id(t): t.model_copy(update={"outcome": t.outcome.model_copy(update=changes)}) for t in trials}
    return [changed.get(id(r), r) for r in run.records]


def test_each_measured_trial_brings_its_loss_curve(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.36, 3.37).failed("n_layer", 48)
    curve = tuple(9.0 - 0.25 * n for n in range(CURVE_POINTS))
    history = build_history(with_outcomes(run, train_loss_curve=curve))
    assert history.baseline is not None
    assert [tuple(c) for c in history.baseline.curves] == [curve]
    assert [[tuple(c) for c in row.curves] for row in history.rows] == [[curve, curve], []]
    assert build_history(run.records).rows[0].curves == ()


def test_extended_deadlines_and_rewritten_proposals_are_counted(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.36, 3.37)
    rewritten = {"normalised": ("took new_value from text",), "original": "{}"}
    attempts = tuple(a.model_copy(update=rewritten) for a in run.records[-1].attempts)
    run.records[-1] = run.records[-1].model_copy(update={"attempts": attempts})
    row = build_history(with_outcomes(run, deadline_extended_s=30.0)).rows[0]
    assert (row.deadline_extended_s, row.normalised) == (60.0, 1)
    plain = build_history(new_run().begin().evaluated("lr", 0.001, 3.36).records).rows[0]
    assert (plain.deadline_extended_s, plain.normalised) == (None, 0)


def test_the_vault_of_a_keep_that_is_not_the_last_row_is_shown(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3)
    vault = run.unsealed(0.03, 0.02, 0.01, 0.03).records.pop()
    run.evaluated("beta2", 0.99, 3.395).failed("n_layer", 48)
    rows = build_history([*run.records, vault]).rows
    assert [row.vault for row in rows] == [vault, None, None]
    missing = vault.model_copy(update={"iter": 9})
    assert [row.vault for row in build_history([*run.records, missing]).rows] == [None, None, None]


def test_what_belongs_to_an_open_iteration_waits_for_its_row(new_run):
    """In a parallel run: more seeds of the baseline, and where an audited trial would have been stopped."""
    point, cfg = StopPoint(fraction=0.5, loss=3.0, limit=2.5), default_menu().defaults
    run = new_run().begin()
    meta, started, *baseline = run.records
    run.records.clear()
    run.evaluated("lr", 0.001, 3.36)
    first = run.records.copy()
    run.records.clear()
    run.evaluated("lr", 0.002, 3.37)
    second = run.records.copy()
    proposed = [
        Proposed(ts="now", propose_wall_s=0.5, **{k: getattr(of[-1], k) for k in SHARED}) for of in (first, second)
    ]
    audited = first[1].model_copy(update={"would_stop": point})
    measured = baseline[1].outcome
    extra = [
        TrialStarted(ts="now", trial=9, iter=0, seed=1, cfg=cfg, boot_id="b", for_iter=1),
        TrialEnded(ts="now", trial=9, iter=0, seed=1, outcome=measured, for_iter=1),
    ]
    parallel = started.model_copy(update={"workers": 2})
    records = [meta, parallel, *baseline, *proposed, first[0], audited, *extra, *second, first[-1]]
    rows = build_history(records).rows
    assert [row.iter for row in rows] == [2, 1]
    assert [row.would_stop for row in rows] == [None, point]
    assert [row.baseline_trials for row in rows] == [0, 1]
