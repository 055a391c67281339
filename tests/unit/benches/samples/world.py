"""Runs of suite N written as tables: one line a case, one mark a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import BenchMeta, BenchTrial, Grade

TS = "2026-11-26T00:00:00.000Z"
MISSING = None
# answer, symbolic score, judge's score
Mark = tuple[str | None, float | None, float | None] | None


def right(answer: str = "7") -> Mark:
    return answer, 1.0, None


def wrong(answer: str = "9") -> Mark:
    return answer, 0.0, None


SILENT: Mark = (None, 0.0, None)  # no answer


def run_of(
    rows: Mapping[str, Sequence[Mark]],
    *,
    kinds: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    tokens: int | None = 10,
    status: str = "finished",
    **options: Any,
) -> BenchRun:
    """A run whose cases are the keys of ``rows``; a ``MISSING`` sample has no trial."""
    samples = len(next(iter(rows.values())))
    cases = CaseSet("samples", tuple(_case(name, kinds or {}, families or {}) for name in rows))
    trials: dict[tuple[str, int], Graded] = {}
    for name, marks in rows.items():
        assert len(marks) == samples
        for number, mark in enumerate(marks):
            if mark is not MISSING:
                trial = BenchTrial(ts=TS, case=name, sample=number, status=status, answer="text", tokens_out=tokens)
                seq = 1 + 3 * len(trials)
                trials[name, number] = Graded(seq, trial, _grades(seq, mark))
    meta = BenchMeta(
        ts=TS,
        suite="samples",
        cases_sha256=cases.sha256,
        cases=len(cases.cases),
        samples=samples,
        model="model",
        base_url=None,
        sampling={},
        prompt_sha256="0",
        limits={},
        options=options,
        versions={},
    )
    return BenchRun(Path("run"), meta, cases, trials)


def _case(name: str, kinds: Mapping[str, str], families: Mapping[str, str]) -> Case:
    payload = {"kind": kinds.get(name, "math"), "question": "?", "expected_answer": "7"}
    return Case(id=name, suite="samples", family=families.get(name, ""), payload=payload)


def _grades(seq: int, mark: tuple[str | None, float | None, float | None]) -> dict[str, Grade]:
    answer, symbolic, judge = mark
    detail = {"extracted": answer} if answer is not None else {}
    grades = {
        "samples": Grade(
            ts=TS, trial=seq, grader="samples@1", score=symbolic, correct=None, answer=answer, detail=detail
        )
    }
    if judge is not None:
        grades["judge"] = Grade(ts=TS, trial=seq, grader="judge@1", score=judge, correct=judge == 1.0)
    return grades
