"""Import the summary of a published run: the outcome of each question, without its text, papers and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.imported import ImportedRun, ImportedTrial
from autoresearch.benches.records import BenchTrial
from autoresearch.benches.research.cases import build_cases
from autoresearch.benches.research.grading import grade_trial
from autoresearch.benches.research.upstream_form import HINT, QuestionForm, SummaryForm
from autoresearch.errors import CorpusError

FORMAT = "autoresearchbench-summary"
NOTES = (
    "the texts of the questions are not recorded",
    "which papers were shown and nominated is not recorded: an attempt with candidates has no grade",
    "an error turn with 0 output tokens is a failure of the server: the summary's own tool_format_errors counts it too",
)


def import_summary(file: Path, summary: SummaryForm, ts: str) -> ImportedRun:
    """One pass of each question, joined by its id. Raises ``CorpusError`` with the item and the field."""
    if not summary.per_question:
        raise CorpusError(f"{file}: per_question is empty", hint=HINT)
    items = [(f"per_question item {n}", question) for n, question in enumerate(summary.per_question, 1)]
    seen: dict[str, str] = {}
    for place, question in items:
        _check(file, place, question)
        key = str(question.arxiv_id)
        if key in seen and question.question is None:
            raise CorpusError(f"{file}: {place} has the arxiv_id of {seen[key]}", hint="they cannot be told apart")
        seen[key] = place
    cases = build_cases(file, [(place, _line(question)) for place, question in items])
    trials = [_trial(case, question, ts) for case, (_, question) in zip(cases.cases, items, strict=True)]
    return ImportedRun(FORMAT, cases, 1, tuple(trials), model=summary.label, options={"top_k": 10}, notes=NOTES)


def _check(file: Path, place: str, question: QuestionForm) -> None:
    if isinstance(question.arxiv_id, list) and question.question is None:
        raise CorpusError(f"{file}: {place}: a Wide question is joined by its text, which is not there", hint=HINT)
    if question.turns is not None and question.turn_detail is not None and question.turns != len(question.turn_detail):
        counts = f"turns is {question.turns}, but turn_detail has {len(question.turn_detail)}"
        raise CorpusError(f"{file}: {place}: {counts}", hint=HINT)


def _line(question: QuestionForm) -> dict[str, Any]:
    text = question.question or f"(The question about {question.arxiv_id} is not recorded.)"
    answer = [question.truth_title] if question.truth_title else []
    return {"question": text, "answer": answer, "arxiv_id": question.arxiv_id}


def _trial(case: Case, question: QuestionForm, ts: str) -> ImportedTrial:
    turns = [turn.plain for turn in question.turn_detail or ()]
    evidence: dict[str, Any] = {"candidates": None, "candidate_count": question.candidates}
    if question.candidates == 0:
        evidence |= {"candidates": [], "nominee": None}
    record = BenchTrial(
        ts=ts,
        case=case.id,
        sample=0,
        status=question.status,
        answer=None,
        turns=tuple(turns),
        wall_s=question.wall_seconds,
        evidence=evidence,
    )
    return ImportedTrial(record, (grade_trial(case, record, ts),))
