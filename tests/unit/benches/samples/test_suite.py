"""The suite as the engine uses it: flags, cases, attempt, grade, analysis."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Bench
from autoresearch.benches.records import BenchTrial
from autoresearch.benches.samples.suite import MAX_SYSTEM_CHARS, SamplesSuite
from autoresearch.benches.suites import suite_named
from autoresearch.errors import ConfigError
from autoresearch.testing.fake_chat import FakeChat

ROOT = Path(__file__).parents[4]


class NeverEqual:
    def any_equal(self, pairs: list[tuple[str, str]]) -> bool:
        return False


def options(*args: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    SamplesSuite().add_flags(parser)
    return SamplesSuite().options(parser.parse_args(args))


def case_of(kind: str, expected: str = "4") -> Case:
    return Case(id="a", suite="samples", payload={"kind": kind, "question": "?", "expected_answer": expected})


def trial_of(answer: str | None, **evidence: Any) -> BenchTrial:
    return BenchTrial(ts="now", case="a", sample=0, status="finished", answer=answer, evidence=evidence)


def test_it_is_in_the_table_of_suites() -> None:
    assert isinstance(suite_named("samples"), SamplesSuite)


def test_the_options_are_plain_json_and_leave_out_what_was_not_given() -> None:
    assert options() == {}
    assert options("--system", "/think") == {"system": "/think"}
    with pytest.raises(ConfigError, match="100,001 characters"):
        options("--system", "x" * (MAX_SYSTEM_CHARS + 1))


def test_an_attempt_sends_the_system_message_of_the_run(tmp_path: Path) -> None:
    chat = FakeChat(r"\boxed{4}")
    bench = Bench(chat, tmp_path, {}, {"system": "/no_think"}, lambda: False)
    attempt = SamplesSuite().attempt(case_of("math"), 3, bench)
    assert chat.requests[0].messages[0]["content"] == "/no_think"
    assert attempt.status == "finished"


def test_a_grade_has_verdict_answer_and_what_was_extracted(tmp_path: Path) -> None:
    suite = SamplesSuite(NeverEqual())
    grade = suite.grade(case_of("math"), trial_of(r"so \boxed{4.0}"), tmp_path)
    assert (grade.grader, grade.score, grade.correct, grade.answer) == ("samples@1", 1.0, True, "4")
    assert grade.detail == {"extracted": "4.0"}
    assert suite.grade(case_of("math"), trial_of(r"\boxed{x}"), tmp_path).score == 0.0
    assert suite.grade(case_of("math"), trial_of(None), tmp_path).correct is False
    ungraded = suite.grade(case_of("judge"), trial_of(r"\boxed{4}"), tmp_path)
    assert (ungraded.score, ungraded.correct, ungraded.answer) == (None, None, "4")


def test_what_another_program_decided_is_kept(tmp_path: Path) -> None:
    """BFCL and RULER are never graded again, nor are the symbolic verdicts beside a judge's."""
    kept = {"score": 0.25, "correct": False, "answer": None, "detail": {}}
    for kind in ("external", "judge"):
        grade = SamplesSuite().grade(case_of(kind), trial_of("text", imported=kept), tmp_path)
        assert (grade.score, grade.correct, grade.grader) == (0.25, False, "samples@ns-eval")
    grade = SamplesSuite(NeverEqual()).grade(case_of("math"), trial_of(r"\boxed{4}", imported=kept), tmp_path)
    assert grade.score == 1.0


def test_the_shipped_example_is_a_case_file_of_every_kind(tmp_path: Path) -> None:
    suite = SamplesSuite()
    cases = suite.load(ROOT / "evidence" / "bench-samples" / "questions.jsonl")
    kinds = [case.payload["kind"] for case in cases.cases]
    assert len(kinds) >= 20
    assert set(kinds) == {"math", "mcq", "exact", "judge"}
    assert all(case.family for case in cases.cases)


def test_every_expected_answer_of_the_example_solves_its_case() -> None:
    suite = SamplesSuite(NeverEqual())
    for line in (ROOT / "evidence" / "bench-samples" / "questions.jsonl").read_text().splitlines():
        case = json.loads(line)
        if case["kind"] != "judge":
            payload = Case(id=case["id"], suite="samples", payload=case)
            grade = suite.grade(payload, trial_of(rf"\boxed{{{case['expected_answer']}}}"), Path())
            assert grade.score == 1.0, case["id"]
            assert suite.grade(payload, trial_of(r"\boxed{no such answer}"), Path()).score == 0.0
