"""Two runs on disk compared: what is refused, what is left out, and what else differs between them."""

from __future__ import annotations

import json

import pytest

from autoresearch.benches.comparison_text import describe_comparison
from autoresearch.benches.run_comparison import compare_runs
from autoresearch.errors import YardstickMismatch
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import case_set, write_bench

SUITE = FakeSuite()
LOW, HIGH = {i: [0.0] for i in "abcdefgh"}, {i: [1.0] for i in "abcdefgh"}


def test_a_comparison(tmp_path):
    families = {"a": "hr", "b": "hr", "c": "crm"}
    cases = case_set(list(LOW), families)
    a = write_bench(tmp_path / "a", LOW, cases=cases)
    b = write_bench(tmp_path / "b", HIGH, cases=cases, model="other", sampling={"temperature": 0.0, "seed": 1})
    found = compare_runs(a, b, SUITE)
    assert found.comparison.verdict == "B"
    assert found.differs == (
        ("model", "acme/agent-8b", "other"),
        ("sampling.seed", "-", "1"),
        ("sampling.temperature", "0.7", "0.0"),
    )
    assert [(f.family, f.cases, f.a, f.b) for f in found.families] == [
        ("(none)", 5, 0.0, 1.0),
        ("crm", 1, 0.0, 1.0),
        ("hr", 2, 0.0, 1.0),
    ]
    text = describe_comparison(found)
    assert text.startswith("B scores higher: B minus A is +100.0 points")
    assert "sampling.seed: - in A, 1 in B" in text
    assert "hr: 0.0% in A, 100.0% in B, 2 cases" in text
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["comparison"]["verdict"] == "B"


def test_the_order_of_the_cases_in_the_files_has_no_influence(tmp_path):
    a = write_bench(tmp_path / "a", {"a": [1.0], "b": [0.0], "c": [0.0]})
    b = write_bench(tmp_path / "b", {"c": [1.0], "b": [0.0], "a": [0.0]})
    found = compare_runs(a, b, SUITE)
    assert [(r.case, r.a, r.b) for r in found.rows] == [("a", 1.0, 0.0), ("b", 0.0, 0.0), ("c", 0.0, 1.0)]


def test_costs_are_joined_by_the_case_too(tmp_path):
    scores: dict[str, list[float | None]] = {"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [0.0, None]}
    a = write_bench(tmp_path / "a", scores, walls={"a": 10.0, "b": 20.0, "c": 30.0})
    b = write_bench(tmp_path / "b", dict(reversed(scores.items())), walls={"a": 11.0, "b": 25.0, "c": 90.0})
    found = compare_runs(a, b, SUITE, bounds=True)
    assert [(r.case, r.a_wall_s, r.b_wall_s) for r in found.rows] == [
        ("a", 10.0, 11.0),
        ("b", 20.0, 25.0),
        ("c", 30.0, 90.0),
    ]
    seconds, tokens = found.costs
    assert (seconds.name, seconds.cases, seconds.a, seconds.b) == ("wall_s", 3, 20.0, 42.0)
    assert seconds.interval is not None
    assert (tokens.name, tokens.a, tokens.b) == ("tokens_out", 10.0, 10.0)
    text = describe_comparison(found)
    assert "c: - and -, 30.0 s and 90.0 s (B minus A +60.0 s)" in text
    assert "seconds: 20.0 in A, 42.0 in B, B minus A +22.0" in text


def test_other_cases_are_refused_and_named(tmp_path):
    a = write_bench(tmp_path / "a", {i: [1.0] for i in "abcd"})
    changed = case_set(list("bcde"))
    b = write_bench(tmp_path / "b", {i: [1.0] for i in "bcde"}, cases=changed)
    with pytest.raises(YardstickMismatch) as error:
        compare_runs(a, b, SUITE)
    assert "1 only in A: 'a'; 1 only in B: 'e'; 3 cases are the same" in error.value.what
    assert "--common" in error.value.hint
    found = compare_runs(a, b, SUITE, common=True)
    assert (found.left_out, [r.case for r in found.rows]) == (2, ["b", "c", "d"])
    assert "left out" in describe_comparison(found)


def test_a_case_with_the_same_id_and_other_content_is_another_case(tmp_path):
    a = write_bench(tmp_path / "a", {"a": [1.0]})
    b = write_bench(tmp_path / "b", {"a": [1.0]}, cases=case_set(["a"], more="text"))
    for common in (False, True):
        with pytest.raises(YardstickMismatch, match="1 changed: 'a'; no case is the same"):
            compare_runs(a, b, SUITE, common=common)


def test_another_suite_is_refused(tmp_path):
    a = write_bench(tmp_path / "a", LOW)
    b = write_bench(tmp_path / "b", LOW)
    other = type(b)(b.path, b.meta.model_copy(update={"suite": "other"}), b.cases, b.trials)
    with pytest.raises(YardstickMismatch, match="suite fake, B of other"):
        compare_runs(a, other, SUITE)


def test_another_version_of_the_grader_is_refused(tmp_path):
    a = write_bench(tmp_path / "a", LOW)
    b = write_bench(tmp_path / "b", LOW, grader="fake@2")
    with pytest.raises(YardstickMismatch, match="fake@1 in A, fake@2 in B") as error:
        compare_runs(a, b, SUITE)
    assert "regrade" in error.value.hint


def test_incomplete_runs_are_refused_unless_their_bounds_are_asked_for(tmp_path):
    a = write_bench(tmp_path / "a", {"a": [1.0, None], "b": [0.0, float("nan")]})
    b = write_bench(tmp_path / "b", {"a": [1.0, 1.0], "b": [1.0, 0.0]})
    with pytest.raises(YardstickMismatch, match="2 samples of A and 0 of B have no score") as error:
        compare_runs(a, b, SUITE)
    assert "--bounds" in error.value.hint
    found = compare_runs(a, b, SUITE, bounds=True)
    assert found.comparison.bounds is not None
    assert [p.difference for p in found.comparison.bounds] == [0.0, 0.5]
    assert "B minus A, at least" in describe_comparison(found)
    assert "between 25.0% and 75.0%" in describe_comparison(found)
    complete = compare_runs(b, b, SUITE, bounds=True)
    assert complete.comparison.bounds is None


def test_only_the_common_cases_have_to_be_complete(tmp_path):
    a = write_bench(tmp_path / "a", {"a": [1.0], "b": [0.0], "x": [None]})
    b = write_bench(tmp_path / "b", {"a": [1.0], "b": [1.0]})
    assert compare_runs(a, b, SUITE, common=True).comparison.paired is not None
