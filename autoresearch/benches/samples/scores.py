"""The samples of a run as scores: one verdict per method and planned sample. Pure.

A method is a way to decide whether a sample is right: ``symbolic_correct`` (the grader ``samples``), ``judge_correct``
(the grader ``judge``), where a case has both ``both_correct`` and ``any_correct``, and ``correct``: the one that
decides a case of its kind, the judge for kind ``judge``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.samples.ns_rows import SYMBOLIC_GRADER as NS_GRADER

SYMBOLIC, JUDGE, BOTH, ANY, DECISIVE = "symbolic_correct", "judge_correct", "both_correct", "any_correct", "correct"
METHODS = (DECISIVE, JUDGE, SYMBOLIC, BOTH, ANY)
SYMBOLIC_GRADER, JUDGE_GRADER = "samples", "judge"
PUBLISHED = "published"  # the kind of a row of metrics.json: it has figures and no samples


@dataclass(frozen=True, slots=True)
class Sample:
    """One planned sample. ``recorded`` is false where it has no trial; a score is ``None`` where it is not known."""

    recorded: bool
    answer: str | None = None  # normalised: samples vote by it
    extracted: str | None = None  # as the model wrote it: NeMo-Skills votes by this
    symbolic: float | None = None
    judge: float | None = None

    def score(self, method: str, kind: str) -> float | None:
        """The score by this method, 0 to 1."""
        if method == DECISIVE:
            method = JUDGE if kind == "judge" else SYMBOLIC
        if method == SYMBOLIC:
            return self.symbolic
        if method == JUDGE:
            return self.judge
        known = [score for score in (self.symbolic, self.judge) if score is not None]
        if method == BOTH:
            return 0.0 if 0.0 in known else min(known) if len(known) == 2 else None
        return 1.0 if 1.0 in known else max(known) if len(known) == 2 else None


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """A case with its planned samples, in order."""

    id: str
    kind: str
    family: str
    samples: tuple[Sample, ...]

    def scores(self, method: str) -> tuple[float | None, ...]:
        """By sample; ``None``: missing or ungraded."""
        return tuple(sample.score(method, self.kind) for sample in self.samples)


def score_run(run: BenchRun) -> list[ScoredCase]:
    """Every case of the run with all its planned samples."""
    return [
        ScoredCase(
            id=case.id,
            kind=_kind(case),
            family=case.family,
            samples=tuple(
                _sample(run.trials.get((case.id, number)), _kind(case)) for number in range(run.meta.samples)
            ),
        )
        for case in run.cases.cases
        if _kind(case) != PUBLISHED
    ]


def cases_with(method: str, cases: Sequence[ScoredCase]) -> list[ScoredCase]:
    """The cases that this method can decide."""
    return [case for case in cases if method in _methods(case)]


def methods_of(cases: Sequence[ScoredCase]) -> list[str]:
    """The methods of a run in the order of its tables; ``correct`` only where its cases are decided differently."""
    each = [_methods(case) for case in cases]
    found = {method for methods in each for method in methods}
    deciding = {JUDGE if case.kind == "judge" else SYMBOLIC for case in cases}
    if len(deciding) == 1:
        found.discard(DECISIVE)
    return [method for method in METHODS if method in found]


def headline_method(cases: Sequence[ScoredCase]) -> str:
    """The method that the headline reports."""
    deciding = {JUDGE if case.kind == "judge" else SYMBOLIC for case in cases}
    return deciding.pop() if len(deciding) == 1 else DECISIVE  # also of no case


def _methods(case: ScoredCase) -> set[str]:
    found = {DECISIVE, JUDGE if case.kind == "judge" else SYMBOLIC}
    if any(sample.symbolic is not None for sample in case.samples):
        found.add(SYMBOLIC)
    if any(sample.judge is not None for sample in case.samples):
        found.add(JUDGE)
    return found | {BOTH, ANY} if {SYMBOLIC, JUDGE} <= found else found


def _kind(case: Case) -> str:
    return str(case.payload.get("kind", ""))


def _sample(graded: Graded | None, kind: str) -> Sample:
    if graded is None:
        return Sample(recorded=False)
    own, judge = graded.grades.get(SYMBOLIC_GRADER), graded.grades.get(JUDGE_GRADER)
    detail: Mapping[str, object] = own.detail if own else {}
    answer = own.answer if own else None
    extracted = detail.get("extracted")
    if own and kind == "mcq" and own.grader != NS_GRADER:
        extracted = answer or extracted  # upstream extracts the letter
    return Sample(
        recorded=True,
        answer=answer,
        extracted=extracted if isinstance(extracted, str) else None,
        symbolic=own.score if own else None,
        judge=judge.score if judge else None,
    )
