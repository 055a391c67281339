"""The numbers of a run by rule sequential: labels, seeds, intervals, alpha, and where its trials are counted."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from autoresearch.core.records import Baseline, Evaluated, Event, TrialEnded
from autoresearch.report.history import History
from autoresearch.report.native import build_history
from autoresearch.report.summary import best_keep, summarise, summary_json
from autoresearch.report.verdicts import verdict_numbers


@pytest.fixture
def history(sequential_night: list[Event]) -> History:
    return build_history(sequential_night)


def judged(night: list[Event]) -> list[Evaluated]:
    return [r for r in night if isinstance(r, Evaluated)]


def test_the_labels_are_those_of_the_records(sequential_night: list[Event], history: History) -> None:
    numbers = verdict_numbers(history)
    labels = Counter(r.evidence.label for r in judged(sequential_night) if r.evidence)
    assert numbers is not None
    assert labels["confirmed"]
    assert labels["screened out"]
    assert {label: n for label, n in numbers.labels.items() if n} == labels
    assert list(numbers.labels) == ["confirmed", "screened out", "no gain", "below the best", "inconclusive"]
    assert (numbers.tests, numbers.alpha) == (7, 0.05)
    last = judged(sequential_night)[-1].evidence
    assert last is not None
    assert numbers.alpha_spent == last.alpha_spent


def test_each_keep_has_its_seeds_interval_and_corrected_gain(history: History) -> None:
    numbers = verdict_numbers(history)
    assert numbers is not None
    assert [keep.iter for keep in numbers.keeps] == [row.iter for row in history.rows if row.decision == "keep"]
    for keep in numbers.keeps:
        assert keep.label == "confirmed"
        assert keep.seeds >= 4
        assert keep.gain_frac is not None
        assert keep.low_frac is not None
        assert keep.high_frac is not None
        assert keep.corrected_gain_frac is not None
        assert 0 < keep.low_frac < keep.gain_frac < keep.high_frac
        assert keep.gain_frac / 2 <= keep.corrected_gain_frac <= keep.gain_frac


def test_the_baselines_noise_is_of_all_its_seeds(sequential_night: list[Event], history: History) -> None:
    numbers = verdict_numbers(history)
    seeds = {r.seed for r in sequential_night if isinstance(r, TrialEnded) and r.iter == 0}
    assert numbers is not None
    assert numbers.baseline_seeds == len(seeds) > 3
    assert numbers.baseline_sd_frac == pytest.approx(0.002, abs=0.001)


def test_the_json_has_them(history: History) -> None:
    found = json.loads(summary_json(summarise(history)))["verdicts"]
    assert set(found) == {
        "labels", "tests", "alpha", "alpha_spent", "baseline_seeds", "baseline_sd_frac", "baseline_sd_interval",
        "earlier_runs", "earlier_df", "earlier_used", "correlations", "keeps",
    }  # fmt: skip
    assert {"label", "seeds", "low_frac", "high_frac", "corrected_gain_frac", "alpha"} < set(found["keeps"][0])


def test_by_rule_threshold_there_is_nothing_new(night) -> None:  # type: ignore[no-untyped-def]
    history = build_history(night.records)
    assert summarise(history).verdicts is None
    assert all(row.corrected_frac is None for row in history.rows)
    assert [history.comparable_bpb(row) for row in history.rows] == [row.val_bpb for row in history.rows]


def test_the_best_keep_has_the_largest_gain_not_the_lowest_mean(history: History) -> None:
    best = best_keep(history.rows)
    assert best is not None
    assert best.improvement_frac == max(row.improvement_frac or 0 for row in history.rows if row.decision == "keep")


def test_a_row_is_compared_by_its_paired_gain(history: History) -> None:
    row = history.rows[0]
    assert history.baseline_val_bpb is not None
    assert row.improvement_frac is not None
    assert history.comparable_bpb(row) == history.baseline_val_bpb * (1 - row.improvement_frac)


def test_the_baselines_later_trials_are_counted_once(sequential_night: list[Event], history: History) -> None:
    (first,) = (r for r in sequential_night if isinstance(r, Baseline))
    trials = [r for r in sequential_night if isinstance(r, TrialEnded)]
    later = sum(r.iter == 0 for r in trials) - len(first.trials)
    assert sum(row.baseline_trials for row in history.rows) == later > 0
    assert summarise(history).tokens == 1000 * len(trials)
