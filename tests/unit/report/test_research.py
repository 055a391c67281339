"""Researching or flailing: the numbers of the search, and a sentence that says no more than they do."""

from __future__ import annotations

import itertools
import json
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.report import History, Row, summarise, summary_json
from autoresearch.report.load import load
from autoresearch.report.research import ResearchNumbers, ahead_of_random, research_lines
from autoresearch.report.text import render_report, render_status

ROOT = Path(__file__).parents[3]
NIGHT = ROOT / "evidence/2026-11-20-tiny-wikitext2/trajectory.jsonl"
ORIGIN = ROOT / "tests/assets/origin_trajectory.jsonl"
TRAJECTORIES = [
    *sorted((ROOT / "evidence").glob("*/*trajectory.jsonl")),
    *sorted((ROOT / "tests/assets").glob("*.jsonl")),
]


def row(n: int, knob: str, value: float, gain: float | None = -0.01, **more: object) -> Row:
    """An iteration of ten seconds; measured unless its gain is ``None``."""
    if gain is None:
        return Row(iter=n, stage="blocked", knob=knob, new_value=value, wall_s=10.0, **more)
    decision = "keep" if gain >= 0.005 else "revert"
    fields = {"val_bpb": 2 * (1 - gain), "improvement_frac": gain, "decision": decision, "wall_s": 10.0, **more}
    return Row(iter=n, stage="evaluated", knob=knob, new_value=value, **fields)


def research(*rows: Row, **more: object) -> ResearchNumbers:
    history = History("autoresearch", ("lr", "beta1", "d_ff", "n_head"), baseline_cfg={"lr": 0.1}, rows=rows)
    return summarise(replace(history, **more)).research


def test_a_run_that_repeats_itself_is_called_that():
    s = research(*(row(n, "lr", 0.2) for n in range(1, 9)))
    assert (s.stale, s.stale_rate, s.coverage_frac) == (7, 7 / 8, 1 / 4)
    assert (s.mode_knob, s.mode_value, s.mode_share) == ("lr", 0.2, 1.0)
    assert [q.repeats for q in s.quarters] == [1, 2, 2, 2]
    assert (s.measured, s.could_keep) == (8, 1)
    assert s.verdict.startswith("Mostly repeating: 7 of 8 proposals (88%) repeated an earlier one or the baseline")
    assert s.verdict.endswith("no measured candidate became a keep.")


def test_the_baselines_own_value_is_a_no_op_and_could_not_become_a_keep():
    s = research(row(1, "lr", 0.1), row(2, "lr", 0.1 * (1 + 1e-12)), row(3, "d_ff", 4), row(4, "d_ff", 8))
    assert [q.no_ops for q in s.quarters] == [1, 1, 0, 0]
    assert [q.no_op_rate for q in s.quarters] == [1.0, 1.0, 0.0, 0.0]
    assert (s.stale, s.measured, s.could_keep, s.could_keep_frac) == (2, 4, 2, 0.5)


def test_a_repeat_of_what_was_never_measured_could_still_become_a_keep():
    s = research(row(1, "d_ff", 4, None), row(2, "d_ff", 4), row(3, "d_ff", 4))
    assert (s.stale, s.measured, s.could_keep) == (2, 2, 1)


def test_a_run_of_new_proposals_is_called_that():
    s = research(*(row(n, "beta1", n / 10, 0.001 * n) for n in range(1, 10)))
    assert s.stale == 0
    assert s.verdict.startswith("Mostly new: 9 of 9 proposals were new, on 1 of 4 knobs")


def test_few_proposals_are_not_judged():
    assert research(row(1, "lr", 0.2)).verdict == "Too early to tell: 1 proposal, 1 of them new."
    assert research().verdict == "Too early to tell: 0 proposals, 0 of them new."


def test_the_time_of_the_keeps_is_that_of_the_iterations_up_to_them():
    rows = [row(1, "lr", 0.2), row(2, "lr", 0.3, 0.01), row(3, "lr", 0.4, 0.03), row(4, "lr", 0.5, 0.02)]
    s = research(*rows, energy_j=3.6e6)
    assert (s.first_keep_iter, s.first_keep_s, s.best_keep_iter, s.best_keep_s) == (2, 20.0, 3, 30.0)
    assert s.gain_frac_per_kwh == pytest.approx(0.03)
    unknown = research(replace(rows[0], wall_s=None), *rows[1:])
    assert (unknown.first_keep_s, unknown.gain_frac_per_kwh) == (None, None)


def test_finding_the_best_first_is_ahead_of_every_order_and_last_of_none():
    gains = [0.05, 0.04, 0.03, 0.02, 0.01, 0.0, -0.01, -0.02]
    assert ahead_of_random(gains) > 0.9
    assert ahead_of_random(gains[::-1]) < 0.1
    assert ahead_of_random([0.01] * 8) == 0.5


def test_without_a_gain_or_with_few_of_them_an_order_means_nothing():
    assert ahead_of_random([-0.01] * 20) is None
    assert ahead_of_random([0.0] * 20) is None
    assert ahead_of_random([0.01, 0.02, -0.1, 0.0]) is None


def test_the_random_orders_are_distributed_as_shuffles_are():
    """The draws without shuffling against real shuffles of the same gains."""
    rng = random.Random(4)
    gains = [rng.gauss(0, 0.01) for _ in range(40)]
    for _ in range(5):
        rng.shuffle(gains)
        own = sum(itertools.accumulate((max(0.0, g) for g in gains), max))
        copy, below = list(gains), 0
        for _ in range(4000):
            rng.shuffle(copy)
            below += sum(itertools.accumulate((max(0.0, g) for g in copy), max)) < own
        assert ahead_of_random(gains) == pytest.approx(below / 4000, abs=0.06)


def test_ten_thousand_iterations_are_judged_in_less_than_two_seconds():
    rng = random.Random(4)
    began = time.process_time()
    assert ahead_of_random([rng.gauss(0, 0.01) for _ in range(10_000)]) is not None
    assert time.process_time() - began < 2


def test_the_origins_log_is_judged_as_well():
    s = summarise(load(ORIGIN)).research
    assert (s.stale, s.mode_knob, s.mode_value, s.mode_share) == (2, "d_model", 768, 3 / 8)
    assert [(q.proposals, q.repeats) for q in s.quarters] == [(3, 0), (1, 0), (2, 1), (2, 1)]
    assert (s.measured, s.could_keep, s.first_keep_iter, s.best_keep_iter) == (5, 3, 2, 8)
    assert s.verdict.startswith("Partly repeating: 2 of 8 proposals (25%)")


def test_a_real_night_of_new_proposals():
    s = summarise(load(NIGHT)).research
    assert (s.coverage_frac, s.stale, s.measured, s.could_keep) == (1.0, 0, 50, 50)
    assert s.verdict.startswith("Mostly new: 50 of 50 proposals were new, on 13 of 13 knobs")


@pytest.mark.parametrize("file", TRAJECTORIES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_trajectory_has_it_in_json_and_in_text(file):
    history = load(file)
    summary = summarise(history)
    found = json.loads(summary_json(summary))["research"]
    assert found["verdict"].endswith(".")
    assert summary == summarise(history)  # the shuffles are seeded
    lines = research_lines(summary.research)
    assert lines[0] == found["verdict"]
    for text in (render_status(summary, history, width=10_000), render_report(summary, history, width=10_000)):
        assert f"research    {lines[0]}" in text
