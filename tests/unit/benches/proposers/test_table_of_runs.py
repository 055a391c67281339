"""A table of past nights: one yardstick, every trial a row or counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoresearch.benches.proposers.problem import Night, problem_of
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.proposers.table_of_runs import table_of_runs
from autoresearch.benches.proposers.virtual_run import run_night
from autoresearch.core.records import TrialEnded
from autoresearch.errors import AutoresearchError, YardstickMismatch
from autoresearch.report.load import load_records


@pytest.fixture
def night(table, tmp_path):
    """Runs a night and returns its directory."""
    problem = problem_of(table)[0]

    def run(name, seed=4000, **changes):
        (tmp_path / name).mkdir()
        run_night(replace(problem, **changes), Night(proposer="random", seed=seed, trials=10), tmp_path / name)
        return tmp_path / name

    return run


def test_every_trial_of_the_nights_is_a_row_or_is_counted(night):
    paths = [night("a"), night("b"), night("c", seed=7000)]
    table = table_of_runs(paths)
    trials = [r for path in paths for r in load_records(path) if isinstance(r, TrialEnded)]
    same = "trials of a configuration and seed that an earlier trial measured"
    assert len(table.rows) + table.skipped[same] == len(trials)
    assert table.skipped[same] == len(trials) // 3
    assert len(table.source) == 3
    assert MeasuredTable.of(table.parsed_menu, table.baseline_cfg, table.rows).noise.sd_frac > 0


def test_nights_of_another_yardstick_are_refused_with_the_difference(night, table):
    other = table.yardstick.model_copy(update={"threads": 7})
    paths = [night("a"), night("b", yardstick=other)]
    with pytest.raises(YardstickMismatch, match=r"different yardsticks: threads: 1 in .*, 7 in "):
        table_of_runs(paths)


def test_what_is_not_a_run_is_refused(tmp_path):
    (tmp_path / "trajectory.jsonl").write_text("nonsense\n")
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(AutoresearchError):
            table_of_runs([path])
