"""A run graded again: only what changed is a new record, and the journal keeps the old ones."""

from __future__ import annotations

import pytest

from autoresearch.benches.regrading import Change, describe_regrading, regrade
from autoresearch.benches.run_directory import open_directory, read_run
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import write_bench


def graded_again(path, suite):
    run = read_run(path)
    with open_directory(path) as directory:
        return regrade(directory, run.cases, suite)


@pytest.fixture
def run(tmp_path):
    """Two right answers and a wrong one, all graded as right by version 1; what each attempt left is on disk."""
    found = write_bench(tmp_path, {"a": [1.0, 1.0], "b": [1.0]} | {"b": [1.0, None]})
    for (case, sample), graded in found.trials.items():
        folder = tmp_path / "attempts" / f"{case}-{sample}"
        folder.mkdir(parents=True)
        (folder / "reply.txt").write_text("nonsense" if (case, sample) == ("a", 1) else graded.trial.answer or "")
    return tmp_path


def test_another_grader_changes_scores(run):
    found = graded_again(run, FakeSuite(grader="fake@2"))
    assert (found.trials, found.written, found.ungraded) == (3, 3, 0)
    assert found.changed == (Change("a", 1, 1.0, 0.0),)
    latest = read_run(run).trials["a", 1].grades["fake"]
    assert (latest.grader, latest.score) == ("fake@2", 0.0)
    assert "a, sample 1: 1, now 0" in describe_regrading(found)


def test_the_same_grader_writes_nothing_twice(run):
    graded_again(run, FakeSuite(grader="fake@2"))
    size = (run / "trials.jsonl").stat().st_size
    found = graded_again(run, FakeSuite(grader="fake@2"))
    assert (found.written, found.changed) == (0, ())
    assert (run / "trials.jsonl").stat().st_size == size


def test_a_grader_that_fails_leaves_a_trial_ungraded(run):
    (run / "attempts/a-0/reply.txt").unlink()
    found = graded_again(run, FakeSuite(grader="fake@2"))
    assert found.ungraded == 1
    assert Change("a", 0, 1.0, None) in found.changed
    assert "1 trial without a score" in describe_regrading(found)
