"""The figures of a run, against numbers computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import BenchMeta, BenchTrial, Grade
from autoresearch.benches.workflow.analysis import analyze, case_scores, describe

TS = "2026-01-01T00:00:00.000Z"
CASES = CaseSet(
    "workflow",
    tuple(Case(id=i, suite="workflow", family=f, payload={}) for i, f in (("a", "HR"), ("b", "HR"), ("c", "CRM"))),
)


def check(name: str, passed: bool, kind: str = "row", weight: float = 1.0) -> dict[str, Any]:
    return {"name": name, "type": kind, "passed": passed, "weight": weight, "reason": ""}


def graded(
    case: str, sample: int, correct: bool | None, *checks: dict[str, Any], status: str = "finished", **more: Any
) -> Graded:
    judge = more.pop("judge", None)
    trial = BenchTrial(ts=TS, case=case, sample=sample, status=status, answer="x", **more)
    share = None if correct is None else sum(c["passed"] for c in checks) / len(checks) if checks else float(correct)
    grades = {
        "workflow": Grade(
            ts=TS, trial=1, grader="workflow@1", score=share, correct=correct, detail={"checks": list(checks)}
        )
    }
    if judge is not None:
        grades["judge"] = Grade(ts=TS, trial=1, grader="judge@1", score=judge, correct=None)
    return Graded(1, trial, grades)


def run_of(*trials: Graded, samples: int = 3) -> BenchRun:
    meta = BenchMeta(
        ts=TS, suite="workflow", cases_sha256="0", cases=3, samples=samples, model="m", base_url=None, sampling={},
        prompt_sha256="0", limits={}, options={}, versions={},
    )  # fmt: skip
    return BenchRun(Path("run"), meta, CASES, {(t.trial.case, t.trial.sample): t for t in trials})


WRONG_RECORD = (check("state", False, weight=3), check("words", False, "says"))
RUN = run_of(
    graded("a", 0, True),
    graded("a", 1, True),
    graded("a", 2, False, *WRONG_RECORD),
    graded("b", 0, False, check("guard", False, "not_called")),
    graded("b", 1, False, check("x", True), status="max_turns_reached"),
    # b, sample 2: missing
    graded("c", 0, True),
    graded("c", 1, True),
    graded("c", 2, None, status="refused", evidence={"refused": "no Landlock"}),
)


def test_scores_have_a_place_for_every_planned_sample() -> None:
    assert case_scores(RUN) == {"a": (1.0, 1.0, 0.0), "b": (0.0, 0.0, None), "c": (1.0, 1.0, None)}


def test_every_planned_sample_is_in_the_denominator_and_missing_ones_are_bounded() -> None:
    figures = analyze(RUN)
    everything = figures["all"]
    assert (everything["planned"], everything["passed"], everything["missing"]) == (9, 4, 2)
    assert everything["pass_rate"] == everything["low"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert everything["high"] == pytest.approx((2 / 3 + 1 / 3 + 1) / 3)
    hr = figures["families"]["HR"]
    assert (hr["tasks"], hr["planned"], hr["passed"], hr["missing"]) == (2, 6, 2, 1)
    assert figures["families"]["CRM"]["high"] == 1.0
    assert figures["tasks"]["c"] == {"planned": 3, "passed": 2, "missing": 1}


def test_pass_at_k_and_pass_hat_k() -> None:
    everything = analyze(RUN)["all"]
    assert everything["pass_at"] == {
        "1": pytest.approx(4 / 9),
        "2": pytest.approx((1 + 0 + 1) / 3),  # 1 - C(1,2)/C(3,2) = 1
        "3": pytest.approx(2 / 3),
    }
    assert everything["pass_hat"] == {
        "1": pytest.approx(4 / 9),
        "2": pytest.approx((1 / 3 + 0 + 1 / 3) / 3),  # C(2,2)/C(3,2)
        "3": 0.0,
    }


def test_failures_have_reasons() -> None:
    figures = analyze(RUN)
    assert figures["failures"] == {"wrong records": 1, "forbidden call": 1, "max_turns_reached": 1}
    assert figures["failed_checks"] == {"a/state": 1, "a/words": 1, "b/guard": 1}
    assert figures["ungraded"] == {"refused: no Landlock": 1}
    assert figures["mean_score"] == pytest.approx((1 + 1 + 0 + 0 + 1 + 0 + 1 + 1 + 0) / 9)


def test_calls_are_counted() -> None:
    turns = (
        {"calls": ["x", "y"], "call_problems": ["no"], "call_formats": ["native"], "format_errors": []},
        {"calls": [], "call_formats": ["bare json"], "format_errors": ["cut off"]},
    )
    calls = analyze(run_of(graded("a", 0, True, turns=turns)))["calls"]
    assert calls == {
        "sent_as": "native",
        "turns": 2,
        "calls": 2,
        "failed_calls": 1,
        "format_errors": 1,
        "formats": {"native": 1, "bare json": 1},
    }


def test_a_judge_stands_beside_the_checks() -> None:
    stated = {"judge": {"rubric": "r", "weight": 0.25}}
    run = run_of(
        graded("a", 0, True, judge=0.5, evidence=stated),
        graded("b", 0, False, check("x", False), judge=1.0, evidence=stated),
        graded("c", 0, True, judge=0.0),  # the task states no rubric
        samples=1,
    )
    figures = analyze(run)
    assert figures["judge"] == {"trials": 2, "mean": 0.75, "checks_mean": 0.5, "combined_mean": 0.5625}
    assert figures["all"]["pass_rate"] == pytest.approx(2 / 3)
    assert "not the headline" in describe(figures)
    assert analyze(RUN)["judge"] is None


def test_the_text_shows_families_bounds_and_reasons() -> None:
    text = describe(analyze(RUN))
    assert "pass@3" in text
    assert "pass^3" in text
    assert "44.4% to 66.7%" in text
    assert "not graded: 1 attempt (refused: no Landlock)" in text
    assert "wrong records 1" in text
    assert "a/state" in text
    assert "pass@" not in describe(analyze(run_of(samples=1)))


def test_a_run_without_any_call_says_what_may_be_the_cause() -> None:
    without = run_of(graded("a", 0, False, turns=({"calls": []},)))
    assert "--tools text" in describe(analyze(without))
    assert "--tools text" not in describe(analyze(run_of(graded("a", 0, True, turns=({"calls": ["x"]},)))))


def test_text_of_others_cannot_control_the_terminal() -> None:
    run = run_of(graded("a", 0, None, status="refused", evidence={"refused": "\x1b[2J"}))
    assert "\x1b" not in describe(analyze(run))
