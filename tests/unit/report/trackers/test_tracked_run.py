"""What every tracker gets of a candidate."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.records import Evaluated, TrialEnded
from autoresearch.errors import JournalDamaged
from autoresearch.report.trackers.mlflow_store import key
from autoresearch.report.trackers.tracked_run import RESERVED, identifier, metric_key, tracked_runs


def test_the_baseline_and_each_closed_candidate(everything):
    runs = list(tracked_runs(iter(everything)))
    assert [run.iter for run in runs] == [0, 1, 2, 3, 5]  # 4 was refused by a rail, 6 is open
    assert [run.state for run in runs] == ["measured", "measured", "measured", "failed", "stopped early"]
    assert [run.id for run in runs] == [f"night-1-0000{n}" for n in (0, 1, 2, 3, 5)]
    assert [run.name for run in runs][:2] == ["000 baseline", "001 lr = 0.001"]
    assert [run.metrics.get("val_bpb") for run in runs] == [3.4, pytest.approx(3.37), pytest.approx(3.3955), None, None]
    assert runs[1].params["lr"] == 0.001
    assert runs[1].tags["decision"] == "keep"
    assert runs[3].tags["cause"] == "out_of_memory"
    assert runs[4].curve == (5.5, 5.41)
    assert runs[0].started.tzinfo is UTC


def test_the_costs_are_those_of_the_candidates_own_trials(everything):
    """Iteration 1 has trials 2 and 3; iteration 2 has trial 5 alone, since trial 4 was void."""
    runs = {run.iter: run for run in tracked_runs(iter(everything))}
    ended = {record.trial: record.outcome for record in everything if isinstance(record, TrialEnded)}
    assert runs[1].metrics["trials"] == 2
    assert runs[1].metrics["trial_wall_s"] == pytest.approx(ended[2].trial_wall_s + ended[3].trial_wall_s)
    assert runs[1].metrics["peak_bytes"] == max(ended[2].peak_bytes, ended[3].peak_bytes)
    assert runs[2].metrics["trial_wall_s"] == pytest.approx(ended[5].trial_wall_s)


def test_a_metric_that_is_better_higher(accuracy_night):
    runs = list(tracked_runs(iter(accuracy_night)))
    assert [(run.metrics["accuracy"], run.higher_is_better, run.metric_name) for run in runs] == [
        (0.5, True, "accuracy"),
        (0.75, True, "accuracy"),
    ]
    assert "val_bpb" not in runs[0].metrics
    assert "train_tokens" not in runs[0].metrics  # not known, so not 0


def test_a_proposers_text_is_one_bounded_printable_line(everything):
    hostile = "\x1b[31m" + "x" * 10_000 + "\n\x00" + "\ud800"
    records = []
    for record in everything:
        if isinstance(record, Evaluated):
            record = record.model_copy(update={"proposal": record.proposal.model_copy(update={"reason": hostile})})
        records.append(record)
    reason = list(tracked_runs(iter(records)))[1].tags["reason"]
    assert reason.isprintable()
    assert len(reason.encode()) < 500


def test_records_without_meta_are_refused(everything):
    with pytest.raises(JournalDamaged, match="not meta"):
        list(tracked_runs(iter(everything[1:])))


@given(st.text(max_size=100))
def test_an_identifier_is_a_file_name_everywhere(text):
    assert 1 <= len(identifier(text)) <= 64
    assert set(identifier(text)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@given(st.text(max_size=40) | st.sampled_from(sorted(RESERVED)))
def test_a_metric_never_takes_the_name_of_another_number(name):
    assert metric_key(name) not in RESERVED
    assert not metric_key(name).startswith("_")


@given(st.text(max_size=40))
def test_mlflow_takes_every_name(name):
    """Its rule: letters, digits, underscores, dashes, periods, spaces; no path but one in its normal form."""
    found = key(name)
    assert found
    assert all(c.isalnum() or c in "_-. " for c in found)
    assert not found.startswith((".", "/"))


def test_times_are_those_of_the_records(everything):
    first = next(tracked_runs(iter(everything)))
    started = next(r for r in everything if r.stage == "trial_started")
    assert first.started == datetime.fromisoformat(started.ts)
