"""The grade of an attempt: whether the final nomination is the paper (Deep), how the set agrees (Wide)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.research.cases import gold_papers
from autoresearch.benches.research.evidence import Outcome, read_outcome
from autoresearch.benches.research.metrics import set_scores
from autoresearch.benches.research.papers import Paper, same_paper

GRADER = "research@1"


def grade_trial(case: Case, trial: BenchTrial, ts: str) -> Grade:
    """Grade without a model. A trial whose candidates are not recorded is ungraded: its score is ``None``."""
    gold, outcome = gold_papers(case), read_outcome(trial)
    is_deep = case.payload["type"] == "deep"
    score, detail = _deep(gold, outcome, trial.status) if is_deep else _wide(gold, outcome, trial.status)
    correct = None if score is None else score == 1
    return Grade(
        ts=ts, trial=0, grader=GRADER, score=score, correct=correct, answer=_answer(outcome, is_deep), detail=detail
    )


def _deep(gold: Sequence[Paper], outcome: Outcome, status: str) -> tuple[float | None, dict[str, Any]]:
    """The final nomination decides; beside it stands the first accumulated candidate, as upstream scores it."""
    if outcome.candidates is None:
        return None, {"why": "the candidates are not recorded"}
    first = _is_right(gold, outcome.first, status)
    if not outcome.is_nominee_known:
        return None, {"first_correct": first, "why": "the final nomination is not recorded"}
    right = _is_right(gold, outcome.nominee, status)
    return float(right), {"first_correct": first, "candidates": len(outcome.candidates)}


def _is_right(gold: Sequence[Paper], paper: Paper | None, status: str) -> bool:
    """Where no paper is right, only an attempt that ended by itself can say so: one that failed did not answer."""
    if not gold:
        return paper is None and status == "finished"
    return paper is not None and any(same_paper(g, paper) for g in gold)


def _wide(gold: Sequence[Paper], outcome: Outcome, status: str) -> tuple[float | None, dict[str, Any]]:
    if outcome.candidates is None:
        return None, {"why": "the candidates are not recorded"}
    scores = set_scores(gold, outcome.candidates)
    counts = {"hits": scores.hits, "gold": scores.gold, "predicted": scores.predicted}
    if not gold and not outcome.candidates and status != "finished":
        return 0.0, {"iou": 0.0, "precision": 0.0, "recall": 0.0, **counts, "why": f"no answer: {status}"}
    return scores.iou, {"iou": scores.iou, "precision": scores.precision, "recall": scores.recall, **counts}


def _answer(outcome: Outcome, is_deep: bool) -> str | None:
    papers = [outcome.nominee] if is_deep else list(outcome.candidates or ())
    return ", ".join(sorted(paper.key for paper in papers if paper)) or None
