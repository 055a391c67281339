"""Researching or flailing: the numbers of the search, and a sentence that says no more than they do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.report import History, Row, summarise, summary_json
from autoresearch.report.load import load
from autoresearch.report.research import ResearchNumbers, research_lines
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


def test_times_that_overlap_are_not_added_up():
    rows = (row(1, "lr", 0.2), row(2, "lr", 0.3, gain=0.01))
    alone, beside = research(*rows), research(*rows, parallel=True)
    assert (alone.first_keep_s, alone.best_keep_s) == (20.0, 20.0)
    assert (beside.first_keep_iter, beside.first_keep_s, beside.best_keep_s) == (2, None, None)


def test_a_repeat_of_what_was_never_measured_could_still_become_a_keep():
    s = research(row(1, "d_ff", 4, None), row(2, "d_ff", 4), row(3, "d_ff", 4))
    assert (s.stale, s.measured, s.could_keep) == (2, 2, 1)


def test_a_run_of_new_proposals_is_called_that():
    s = research(*(row(n, "beta1", n / 10, 0.001 * n) for n in range(1, 10)))
    assert s.stale == 0
    assert s.verdict.startswith("Mostly new: 9 of 9 proposals were new, on 1 of 4 knobs")


def test_candidates_of_several_changes_count_for_each_knob_and_are_not_compared_with_random_orders():
    """A candidate that combines what earlier ones had shown comes after them in every order that could have been."""
    several = [
        row(n, "beta1, lr", f"{n / 10}, 0.2", 0.001 * n, several=(("beta1", n / 10), ("lr", 0.2))) for n in range(1, 10)
    ]
    s = research(*several)
    assert s.verdict == "Mostly new: 9 of 9 proposals were new, on 2 of 4 knobs."
    assert (s.coverage_frac, s.ahead_of_random_frac, s.best_so_far) == (1 / 2, None, [])
    few = research(*several[:4], *(row(n, "beta1", n / 10, 0.001 * n) for n in range(10, 16)))
    assert few.ahead_of_random_frac is not None


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


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (list(range(40, 0, -1)), "; it found its gains sooner than 99% of 1,000 random orders of the same trials."),
        (list(range(1, 10)), "; it found its gains later than all of 1,000 random orders of the same trials."),
        ([3, 1, 2, 9, 4, 5, 6, 7, 8], "random orders of the same trials, which chance explains."),
    ],
)
def test_the_sentence_says_when_the_gains_were_found_and_whether_chance_explains_it(gains, said):
    s = research(*(row(n, "beta1", n / 100, gain / 1000) for n, gain in enumerate(gains, 1)))
    assert s.verdict.endswith(said)


def test_the_line_of_numbers_has_no_ops_times_and_energy():
    rows = [row(1, "lr", 0.1), row(2, "lr", 0.3, 0.01), row(3, "lr", 0.4, 0.03), row(4, "lr", 0.4, 0.02)]
    s = research(*rows, energy_j=3.6e6)
    assert research_lines(s)[1] == (
        "repeats by quarter of the run 0%, 0%, 0%, 100%; no-ops by quarter of the run 100%, 0%, 0%, 0%; "
        "2 of 4 measured candidates could have become a new keep; "
        "first keep in iteration 2, 20 s of work after the baseline; "
        "best in iteration 3, 30 s of work after the baseline; gain per kWh +3.00% (0.33 kWh for each 1%)"
    )


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
        assert (f"research    {lines[0]}" in text) == bool(history.rows)
