"""The analysis of a run: its headline, what is missing and why, and the totals of its trials."""

from __future__ import annotations

import json
from math import sqrt

import pytest

from autoresearch.benches.analysis import analyse, describe_analysis
from autoresearch.benches.headline import build_headline, check_scores
from autoresearch.benches.statistics.wilson import wilson_interval
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import write_bench

SUITE = FakeSuite()


def test_a_complete_run(tmp_path):
    found = analyse(SUITE, write_bench(tmp_path, {"a": [1.0, 0.0], "b": [1.0, 1.0], "c": [0.0, 0.0]}))
    assert found.complete
    assert found.headline["value"] == found.headline["low"] == found.headline["high"] == pytest.approx(0.5)
    assert found.headline["se"] == pytest.approx(0.5 / sqrt(3))
    assert found.headline["interval"] is None
    assert (found.planned, found.done, found.missing, found.ungraded) == (6, 6, {}, 0)
    assert (found.statuses, found.graders) == ({"finished": 6}, {"fake@1": 6})
    assert found.totals == {"tokens_in": None, "tokens_out": 60, "wall_s": 12.0, "energy_j": None}
    text = describe_analysis(SUITE, found)
    assert "accuracy 50.0% (standard error 28.9 points, 3 cases x 2 samples)" in text
    assert "3 of 6 right" in text
    assert "used: 60 tokens out, 12 s of attempts" in text
    assert "INCOMPLETE" not in text
    json.dumps(found.model_dump(), allow_nan=False)


def test_one_binary_sample_a_case_has_wilsons_interval(tmp_path):
    found = analyse(SUITE, write_bench(tmp_path, {"a": [1.0], "b": [0.0], "c": [0.0]})).headline_value
    assert found.interval == wilson_interval(1, 3)


def test_an_incomplete_run_is_bounded_and_says_why(tmp_path):
    run = write_bench(
        tmp_path,
        {"a": [1.0, None], "b": [None, None], "c": [float("nan"), 0.0]},
        lost={("a", 1): "timeout", ("b", 0): "unreachable"},
    )
    found = analyse(SUITE, run)
    assert not found.complete
    assert (found.headline["value"], found.headline["se"]) == (None, None)
    assert (found.headline["low"], found.headline["high"]) == (pytest.approx(1 / 6), pytest.approx(5 / 6))
    assert found.missing == {"timeout": 1, "unreachable": 1, "not attempted": 1}
    assert found.ungraded == 1
    text = describe_analysis(SUITE, found)
    assert "INCOMPLETE: 3 of 6 planned samples have no trial (timeout 1, unreachable 1, not attempted 1); " in text
    assert "1 trial has no grade" in text
    assert "accuracy between 16.7% and 83.3% (3 cases x 2 samples, 4 without a score)" in text


def test_a_missing_sample_has_no_score_whatever_the_suite_says(tmp_path):
    run = write_bench(tmp_path, {"a": [1.0, None]})
    assert check_scores(run, {"a": (1.0, 0.0)}) == {"a": (1.0, None)}
    for wrong in ({"b": (1.0, 0.0)}, {"a": (1.0,)}, {}):
        with pytest.raises(ValueError, match="suite fake scored"):
            check_scores(run, wrong)


def test_a_headline_of_one_case():
    assert build_headline("x", {"a": (1.0, 0.0)}).se is None
    by_chance = {"a": (1.0,), "b": (0.0,)}
    assert build_headline("accuracy", by_chance).interval is not None
    assert build_headline("IoU", by_chance, is_rate=False).interval is None
    with pytest.raises(ValueError, match="no case"):
        build_headline("x", {})
