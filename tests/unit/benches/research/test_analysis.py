"""Grades and figures of a run, against numbers computed by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.research.analysis import analyze_run, case_scores, describe_analysis
from autoresearch.benches.research.grading import grade_trial
from tests.research_world import FINISH, TS, case_set, deep, plain, run_of, tool_turn, trial, wide


def grade(line: dict[str, Any], **given: Any) -> Any:
    (case,) = case_set(line).cases
    return grade_trial(case, trial(case, **given), TS)


def test_deep_scores_the_final_nomination_and_shows_the_first_candidate_beside_it() -> None:
    found = grade(deep(2), candidates=[1, 2], nominee=2)
    assert (found.score, found.correct, found.answer) == (1.0, True, "2204.00002")
    assert found.detail["first_correct"] is False
    found = grade(deep(2), candidates=[2, 1], nominee=1)
    assert (found.score, found.detail["first_correct"]) == (0.0, True)


def test_deep_without_a_nomination_is_wrong() -> None:
    assert grade(deep(2)).score == 0.0
    assert grade(deep(2), status="context_length_exceeded").score == 0.0


def test_where_no_paper_is_right_only_an_attempt_that_finished_can_be() -> None:
    none = deep(2) | {"answer": ["None"], "arxiv_id": ""}
    assert grade(none).score == 1.0
    assert grade(none, candidates=[2]).score == 0.0
    assert grade(none, status="api_error").score == 0.0
    assert grade(wide("All?")).score == 1.0
    assert grade(wide("All?"), status="error").score == 0.0


def test_wide_scores_the_accumulated_set() -> None:
    found = grade(wide("All?", 1, 2, 3, 4), candidates=[3, 4, 5])
    assert found.score == 2 / 5
    assert found.correct is False
    assert (found.detail["iou"], found.detail["precision"], found.detail["recall"]) == (2 / 5, 2 / 3, 1 / 2)
    assert found.answer == "2204.00003, 2204.00004, 2204.00005"


@pytest.mark.parametrize("line", [deep(1), wide("All?", 1)])
def test_candidates_that_are_not_recorded_are_ungraded_and_none_is_wrong(line: dict[str, Any]) -> None:
    found = grade(line, candidates=None)
    assert (found.score, found.correct) == (None, None)
    assert grade(line, candidates=None, candidate_count=0).score in (0.0, None)


def test_a_count_of_no_candidates_is_graded() -> None:
    (case,) = case_set(deep(1)).cases
    bare = trial(case, candidates=None).model_copy(update={"evidence": {"candidate_count": 0, "nominee": None}})
    assert grade_trial(case, bare, TS).score == 0.0


def mixed() -> BenchRun:
    """Three Deep questions and two Wide ones, three samples each; two attempts are missing."""
    cases = case_set(deep(1), deep(2), deep(3), wide("All?", 11, 12), wide("Some?", 21, 22, 23, 24))
    a, b, c, d, e = cases.cases
    return run_of(
        cases,
        [
            *(trial(a, s, turns=[tool_turn(1), FINISH], candidates=[1]) for s in (0, 1)),
            trial(a, 2),
            trial(b, 0, candidates=[9, 2], nominee=2),
            trial(b, 1, candidates=[9]),
            trial(c, 0),
            trial(c, 1, status="max_turns_reached"),
            trial(c, 2, candidates=[3]),
            trial(d, 0, candidates=[11, 12]),
            trial(d, 1, candidates=[11]),
            trial(d, 2),
            trial(e, 0, candidates=[21, 22, 23, 24, 25, 26]),
            trial(e, 2, candidates=[21, 29]),
        ],
        samples=3,
    )


def test_the_scores_of_each_planned_sample() -> None:
    assert list(case_scores(mixed()).values()) == [
        (1.0, 1.0, 0.0),
        (1.0, 0.0, None),
        (0.0, 0.0, 1.0),
        (1.0, 0.5, 0.0),
        (4 / 6, None, 1 / 5),
    ]


def test_deep_figures_by_hand() -> None:
    found = analyze_run(mixed())["deep"]
    low, high = (2 / 3 + 1 / 3 + 1 / 3) / 3, (2 / 3 + 2 / 3 + 1 / 3) / 3
    assert found["accuracy_at_1"] == {
        "mean": None,
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "cases": 3,
        "samples_without_score": 1,
    }
    first = found["accuracy_at_1_of_first_candidate"]
    assert (first["low"], first["high"]) == (pytest.approx((2 / 3 + 0 + 1 / 3) / 3), pytest.approx(4 / 9))
    upstream = found["accuracy_at_1_of_first_candidate_first_pass_only"]
    assert (upstream["mean"], upstream["samples_without_score"]) == (pytest.approx(1 / 3), 0)
    # n = 3. Correct, unknown as wrong: 2, 1, 1. As right: 2, 2, 1. pass@2 = 1 - C(3-c, 2) / 3; pass@3 = c > 0.
    passes = found["pass_at_k"]
    assert list(passes) == ["1", "2", "3"]
    assert passes["1"] == {"value": None, "low": pytest.approx(low), "high": pytest.approx(high)}
    assert passes["2"]["low"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert passes["2"]["high"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert passes["3"] == {"value": None, "low": 1.0, "high": 1.0}


def test_wide_figures_by_hand() -> None:
    """Averaged per case first: (1 + 1/2 + 0) / 3 and (4/6 + unknown + 1/5) / 3."""
    found = analyze_run(mixed())["wide"]
    assert found["iou"]["low"] == pytest.approx((0.5 + (4 / 6 + 1 / 5) / 3) / 2)
    assert found["iou"]["high"] == pytest.approx((0.5 + (4 / 6 + 1 + 1 / 5) / 3) / 2)
    assert found["precision"]["low"] == pytest.approx(((1 + 1 + 0) / 3 + (4 / 6 + 1 / 2) / 3) / 2)
    assert found["recall"]["low"] == pytest.approx(((1 + 1 / 2 + 0) / 3 + (1 + 1 / 4) / 3) / 2)


def test_a_complete_run_has_exact_figures() -> None:
    cases = case_set(deep(1), deep(2))
    found = analyze_run(run_of(cases, [trial(cases.cases[0], candidates=[1]), trial(cases.cases[1])]))
    assert found["is_complete"]
    assert found["deep"]["accuracy_at_1"]["mean"] == 0.5
    assert found["deep"]["pass_at_k"] == {"1": {"value": 0.5, "low": 0.5, "high": 0.5}}
    assert found["wide"] is None


def test_the_retriever_by_itself_by_hand() -> None:
    """Ranks 1 and 11 of one question, none of the other: recall@10 = (1/2 + 0) / 2, MRR = (1 + 0) / 2."""
    cases = case_set(wide("All?", 1, 2), deep(3))
    probes = (
        {"k": 50, "returned": 50, "ranks": [1, 11], "indexed": [True, True]},
        {"k": 50, "returned": 50, "ranks": [None], "indexed": [False]},
    )
    trials = [trial(c, probe=p, retriever="bm25:x") for c, p in zip(cases.cases, probes, strict=True)]
    found = analyze_run(run_of(cases, trials))["retriever_alone"]
    assert found["recall_at_k"] == {"1": 0.25, "5": 0.25, "10": 0.25, "50": 0.5}
    assert found["capped_recall_at_k"] == {"1": 0.5, "5": 0.25, "10": 0.25, "50": 0.5}
    assert found["hit_at_k"] == {"1": 0.5, "5": 0.5, "10": 0.5, "50": 0.5}
    assert (found["mrr_at_50"], found["indexed"], found["retriever"]) == (0.5, pytest.approx(2 / 3), "bm25:x")


def test_the_figures_are_json_and_text() -> None:
    for run in (mixed(), run_of(case_set(deep(1)), []), run_of(case_set(wide("All?", 1)), [])):
        found = analyze_run(run)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert describe_analysis(found)
    assert "incomplete, the figures below are bounds" in describe_analysis(analyze_run(mixed()))
    assert "Accuracy@1 between 0.4444 and 0.5556" in describe_analysis(analyze_run(mixed()))


def test_the_table_of_cases() -> None:
    row = analyze_run(mixed())["per_case"][1]
    assert row["gold"] == [plain(2)[0]["id"]]
    assert row["scores"] == [1.0, 0.0, None]
    assert row["statuses"] == ["finished", "finished", None]
    assert row["candidates"] == [2, 1, None]
