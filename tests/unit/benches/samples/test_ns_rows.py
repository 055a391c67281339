"""Rows of ``ns eval``: fields, verdicts, statuses."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.benches.samples.ns_rows import BadRow, judge_grade, judged, parse_row, symbolic_grade, trial_of

ROW: dict[str, Any] = {
    "id": "q1",
    "problem": "2+2?",
    "expected_answer": "4",
    "generation": r"<think>\boxed{5}</think>so \boxed{4}",
    "predicted_answer": "4",
    "symbolic_correct": True,
    "num_generated_tokens": 120,
    "generation_start_time": 1752883422.5,
    "generation_end_time": 1752883460.0,
}


def test_a_row_as_a_trial() -> None:
    trial = trial_of(parse_row(ROW), "q1", 2, "math", "now")
    assert (trial.case, trial.sample, trial.status, trial.answer) == ("q1", 2, "finished", r"so \boxed{4}")
    assert (trial.tokens_out, trial.wall_s, trial.ts) == (120, 37.5, "2025-07-19T00:04:20.000Z")
    assert trial.evidence["generation_end_time"] == 1752883460.0


def test_the_symbolic_verdict_is_kept_as_it_was() -> None:
    grade = symbolic_grade(parse_row(ROW | {"predicted_answer": "4.0", "symbolic_correct": False}), "math", "now")
    assert (grade.grader, grade.score, grade.correct, grade.answer) == ("samples@ns-eval", 0.0, False, "4")
    assert grade.detail == {"extracted": "4.0"}
    without = symbolic_grade(parse_row({"generation": "x", "predicted_answer": None}), "math", "now")
    assert (without.score, without.correct, without.answer) == (None, None, None)


@pytest.mark.parametrize(
    ("judgement", "verdict"),
    [
        ("Judgement: Yes", True),
        ("Judgement: No\n\nReasoning: they differ", False),
        ("Reasoning: ...\nJudgement: No\nOn reflection.\nJudgement: Yes", True),
        ("Judgement: Yes ... Judgement: No", False),
        ("**Judgement:** Yes", True),
        ("**Judgement**: **No**", False),
        ("judgement: YES.", True),
        ("Judgment: no", False),
        ("Judgement: Nobody knows", None),
        ("Judgement: maybe", None),
        ("Judgement: Yes\nNo, wait.\nJudgement: unclear", None),
        ("Yes", None),
        ("true", None),
        ("", None),
        (None, None),
    ],
)
def test_the_last_judgement_decides_and_nonsense_is_ungraded(judgement: str | None, verdict: bool | None) -> None:
    assert judged(judgement) is verdict


def test_a_judges_grade() -> None:
    grade = judge_grade(parse_row(ROW | {"judgement": "Judgement: Yes"}), "now")
    assert grade is not None
    assert (grade.grader, grade.score, grade.correct) == ("judge@ns-eval", 1.0, True)
    nonsense = judge_grade(parse_row(ROW | {"judgement": "true"}), "now")
    assert nonsense is not None
    assert (nonsense.score, nonsense.correct) == (None, None)
    assert judge_grade(parse_row(ROW), "now") is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "finished"),
        ({"finish_reason": "stop"}, "finished"),
        ({"finish_reason": "length"}, "max_tokens_reached"),
        ({"error": "_ran_out_of_context_"}, "context_length_exceeded"),
        ({"error": "the server is gone"}, "error"),
        ({"error": ""}, "finished"),
    ],
)
def test_how_a_sample_ended(fields: dict[str, Any], status: str) -> None:
    assert trial_of(parse_row(ROW | fields), "q1", 0, "math", "now").status == status


def test_bfcl_and_ruler_rows_keep_their_own_verdict() -> None:
    bfcl = parse_row({"id": "simple_0", "generation": [{"f": "{}"}], "is_correct": True, "num_generated_tokens": 5})
    ruler = parse_row(
        {"generation": "a b", "expected_answer": ["a", "c"], "predicted_answer": "a b", "is_correct": 0.5}
    )
    assert symbolic_grade(bfcl, "external", "now").score == 1.0
    grade = symbolic_grade(ruler, "external", "now")
    assert (grade.score, grade.correct, grade.answer) == (0.5, False, None)
    assert ruler.expected == '["a", "c"]'
    kept = trial_of(ruler, "0", 0, "external", "now").evidence["imported"]
    assert kept == {"grader": "samples@ns-eval", "score": 0.5, "correct": False, "answer": None, "detail": {}}
    assert trial_of(bfcl, "0", 0, "external", "now").answer == '[{"f": "{}"}]'


def test_other_fields_are_ignored_and_few_are_needed() -> None:
    row = parse_row({"predicted_answer": "C", "symbolic_correct": True, "num_generated_tokens": 7, "extra": [1]})
    assert (row.id, row.question, row.predicted, row.generation) == (None, "", "C", "")
    assert parse_row({"id": 7}).id == "7"
    assert parse_row({"predicted_answer": 4}).predicted == "4"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": True}, "id: True"),
        ({"id": ""}, "id: ''"),
        ({"id": [1]}, "id"),
        ({"symbolic_correct": "yes"}, "symbolic_correct: 'yes'"),
        ({"symbolic_correct": 2}, "symbolic_correct: 2"),
        ({"is_correct": -1}, "is_correct: -1"),
        ({"judgement": 1}, "judgement: 1 is not text"),
        ({"num_generated_tokens": -1}, "num_generated_tokens: -1 is not a count"),
        ({"num_generated_tokens": 1.5}, "num_generated_tokens"),
        ({"generation_start_time": "now"}, "generation_start_time: 'now'"),
        ({"generation_end_time": 1e300}, "generation_end_time"),
        ({"subset_for_metrics": 3}, "subset_for_metrics"),
    ],
)
def test_a_bad_field_is_named_with_its_value(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRow, match=message):
        parse_row(ROW | fields)


def test_an_end_before_its_start_has_no_duration() -> None:
    row = parse_row(ROW | {"generation_end_time": 1.0})
    assert trial_of(row, "a", 0, "math", "now").wall_s is None
