"""Logs that earlier versions wrote stay readable: each asset is a real night, and its facts are known.

``tests/assets/make_trajectory.py`` recorded them. An asset is never made again: where one of these tests fails, the
new code is wrong, not the old log.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from autoresearch.core.measurement import Cause
from autoresearch.core.records import EvalFailed, Evaluated, Started, TrialStarted, decode, encode, file_schema
from autoresearch.core.trajectory import Trajectory
from autoresearch.report import load, summarise
from autoresearch.storage.journal import Journal, read
from rails import Rail

V1 = Path(__file__).parents[2] / "assets" / "trajectory_v1.jsonl"


@pytest.fixture(scope="module")
def records() -> list[Any]:
    contents = read(V1)
    assert contents.torn == b""
    return [decode(payload) for payload in contents.payloads]


@pytest.fixture(scope="module")
def trajectory(records: list[Any]) -> Trajectory:
    return Trajectory.fold(records)


def test_it_has_one_of_every_kind_of_record(records: list[Any]) -> None:
    kinds = {
        *("meta", "started", "trial_started", "trial", "baseline", "proposed", "paused", "resumed", "stopped"),
        *("evaluated", "eval_failed", "blocked", "proposer_failed", "loop_complete"),
    }
    assert {r.stage for r in records} == kinds
    assert len(records) == 45


def test_every_iteration_is_what_it_was(trajectory: Trajectory) -> None:
    closed = [(r.iter, r.stage, r.rail, getattr(r, "decision", None)) for r in trajectory.iterations]
    assert closed == [
        (1, "evaluated", Rail.PASSED, "keep"),
        (2, "blocked", Rail.R3_RANGE, None),
        (3, "evaluated", Rail.PASSED, "revert"),
        (4, "eval_failed", Rail.PASSED, None),
        (5, "eval_failed", Rail.PASSED, None),
        (6, "proposer_failed", None, None),
        (7, "evaluated", Rail.PASSED, "revert"),
        (8, "evaluated", Rail.PASSED, "keep"),
        (9, "evaluated", Rail.PASSED, "revert"),
    ]
    assert (trajectory.next_iter, trajectory.proposed, trajectory.starts) == (10, None, 4)


def test_the_numbers_are_what_they_were(trajectory: Trajectory) -> None:
    assert trajectory.baseline is not None
    assert trajectory.baseline.baseline_val_bpb == 2.0503400070406497
    assert trajectory.best is not None
    assert (trajectory.best.iter, trajectory.best.val_bpb) == (1, 2.000273676526733)
    assert trajectory.best.candidate_cfg == {**trajectory.baseline.baseline_cfg, "lr": 3e-3}
    assert trajectory.lowest == 2.000273676526733


def test_failures_refusals_and_restarts_are_remembered(trajectory: Trajectory, records: list[Any]) -> None:
    failed = [r for r in records if isinstance(r, EvalFailed)]
    assert [(r.cause, r.eval_metrics.step) for r in failed] == [(Cause.NON_FINITE_LOSS, 7), (Cause.OUT_OF_MEMORY, None)]
    assert [a.rail for a in trajectory.iterations[1].attempts] == [Rail.R1_SCHEMA, Rail.R1_SCHEMA, Rail.R3_RANGE]
    assert [r.torn_bytes for r in records if isinstance(r, Started)] == [0, 22, 0, 0]
    assert [r.trial for r in records if isinstance(r, TrialStarted)] == list(range(1, 10)), "iteration 7 took two"


def test_what_was_tried_is_still_known(trajectory: Trajectory) -> None:
    baseline = trajectory.known().baseline
    for closed in trajectory.iterations:
        if isinstance(closed, Evaluated | EvalFailed):
            assert trajectory.known().find(closed.candidate_cfg)
    assert not trajectory.known().find({**baseline, "beta2": 0.99})


def test_it_can_be_reported(records: list[Any]) -> None:
    summary = summarise(load(V1))
    assert (summary.iterations, summary.keeps, summary.reverts, summary.best_iter) == (9, 2, 3, 1)


def test_each_line_fits_todays_schema() -> None:
    validator = jsonschema.Draft202012Validator(file_schema())
    for line in V1.read_text("ascii").splitlines():
        validator.validate(json.loads(line))


def test_a_daemon_of_today_can_go_on_with_it(tmp_path: Path, records: list[Any]) -> None:
    shutil.copy(V1, tmp_path / "trajectory.jsonl")
    journal = Journal(tmp_path / "trajectory.jsonl")
    assert journal.append(encode(records[-1])) == len(records)
    journal.close()
    assert [decode(p) for p in read(tmp_path / "trajectory.jsonl").payloads] == [*records, records[-1]]
