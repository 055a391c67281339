"""The figures of a run of suite R, as plain JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import Grade
from autoresearch.benches.research.cases import gold_papers
from autoresearch.benches.research.diagnose import DEFAULT_TOP_K, describe_diagnosis, diagnose
from autoresearch.benches.research.evidence import PROBE_K
from autoresearch.benches.research.metrics import (
    capped_recall_at_k,
    hit_at_k,
    mean_of_cases,
    recall_at_k,
    reciprocal_rank,
)
from autoresearch.benches.research.trace import STATUSES
from autoresearch.benches.statistics.pass_at_k import pass_at_k

GRADER_NAME = "research"
WIDE_SCORES = ("iou", "precision", "recall")


def grade_of(run: BenchRun, case: str, sample: int) -> Grade | None:
    """The grade of a planned sample by this suite's grader; ``None`` where it is missing."""
    graded: Graded | None = run.trials.get((case, sample))
    return graded.grades.get(GRADER_NAME) if graded else None


def case_scores(run: BenchRun) -> dict[str, tuple[float | None, ...]]:
    """Of each case the score of each planned sample: Accuracy@1 (Deep), IoU (Wide); ``None``: missing or ungraded."""
    return {case.id: _scores(run, case) for case in run.cases.cases}


def _scores(run: BenchRun, case: Case) -> tuple[float | None, ...]:
    grades = [grade_of(run, case.id, sample) for sample in range(run.meta.samples)]
    return tuple(grade.score if grade else None for grade in grades)


def _details(run: BenchRun, case: Case, key: str) -> tuple[float | None, ...]:
    grades = [grade_of(run, case.id, sample) for sample in range(run.meta.samples)]
    values = [grade.detail.get(key) if grade else None for grade in grades]
    return tuple(None if value is None else float(value) for value in values)


def analyze_run(run: BenchRun) -> dict[str, Any]:
    """All figures. Every planned sample is in every denominator; ``low`` and ``high`` bound what has no score."""
    kinds = {kind: [case for case in run.cases.cases if case.payload["type"] == kind] for kind in ("deep", "wide")}
    trials = [graded.trial for graded in run.trials.values()]
    return {
        "planned": run.planned,
        "recorded": len(trials),
        "missing": len(run.missing),
        "is_complete": not run.missing,
        "statuses": dict.fromkeys(STATUSES, 0) | dict(sorted(Counter(trial.status for trial in trials).items())),
        "retriever_alone": _retriever(run),
        "deep": _deep(run, kinds["deep"]),
        "wide": _wide(run, kinds["wide"]),
        "diagnosis": diagnose(run),
        "per_case": [_case(run, case) for case in run.cases.cases],
    }


def _deep(run: BenchRun, cases: Sequence[Case]) -> dict[str, Any] | None:
    """Accuracy@1 of the final nomination, and of the first accumulated candidate, which upstream's grader scores.

    ``first_pass_only`` is upstream's own Accuracy@1, of sample 0 alone.
    """
    if not cases:
        return None
    scores = [_scores(run, case) for case in cases]
    first = [_details(run, case, "first_correct") for case in cases]
    return {
        "cases": len(cases),
        "accuracy_at_1": _plain(scores),
        "accuracy_at_1_of_first_candidate": _plain(first),
        "accuracy_at_1_of_first_candidate_first_pass_only": _plain([case[:1] for case in first]),
        "pass_at_k": {str(k): _pass(scores, k) for k in _ks(run.meta.samples)},
    }


def _wide(run: BenchRun, cases: Sequence[Case]) -> dict[str, Any] | None:
    """Means over the samples of a case first, then over cases."""
    if not cases:
        return None
    means = {key: _plain([_details(run, case, key) for case in cases]) for key in WIDE_SCORES}
    return {"cases": len(cases), **means}


def _plain(cases: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    mean = mean_of_cases(cases)
    return mean.plain() if mean else None


def _ks(samples: int) -> list[int]:
    """1, 2, 4, ... and the number of samples."""
    powers = [1 << i for i in range(samples.bit_length()) if 1 << i <= samples]
    return sorted({*powers, samples})


def _pass(cases: Sequence[Sequence[float | None]], k: int) -> dict[str, float | None]:
    """pass@k with its bounds: samples without a score as wrong, and as right."""
    counts = [(len(case), case.count(1.0), case.count(None)) for case in cases]
    low = pass_at_k(((n, right) for n, right, _ in counts), k).value
    high = pass_at_k(((n, right + unknown) for n, right, unknown in counts), k).value
    is_known = not any(unknown for _, _, unknown in counts)
    return {"value": low if is_known else None, "low": low, "high": high}


def _retriever(run: BenchRun) -> dict[str, Any] | None:
    """The retriever by itself, the question as its query; ``None`` where the run does not record it."""
    ranks: list[Sequence[int | None]] = []
    indexed: list[bool | None] = []
    name = None
    for case in run.cases.cases:
        probes = [
            run.trials[case.id, sample].trial.evidence
            for sample in range(run.meta.samples)
            if (case.id, sample) in run.trials and "probe" in run.trials[case.id, sample].trial.evidence
        ]
        if probes and gold_papers(case):
            name = probes[0].get("retriever")
            ranks.append(probes[0]["probe"]["ranks"])
            indexed += probes[0]["probe"]["indexed"]
    if not ranks:
        return None
    ks = sorted({1, 5, 10, PROBE_K, min(PROBE_K, int(run.meta.options.get("top_k", DEFAULT_TOP_K)))})

    def over_cases(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return {
        "retriever": name,
        "cases": len(ranks),
        "indexed": None if None in indexed else sum(map(bool, indexed)) / len(indexed),
        "recall_at_k": {str(k): over_cases([recall_at_k(r, k) for r in ranks]) for k in ks},
        "capped_recall_at_k": {str(k): over_cases([capped_recall_at_k(r, k) for r in ranks]) for k in ks},
        "hit_at_k": {str(k): over_cases([hit_at_k(r, k) for r in ranks]) for k in ks},
        f"mrr_at_{PROBE_K}": over_cases([reciprocal_rank(r) for r in ranks]),
    }


def _case(run: BenchRun, case: Case) -> dict[str, Any]:
    """One row of the table of cases."""
    graded = [run.trials.get((case.id, sample)) for sample in range(run.meta.samples)]
    trials = [item.trial if item else None for item in graded]
    return {
        "case": case.id,
        "type": case.payload["type"],
        "question": case.payload["question"],
        "gold": [paper.key for paper in gold_papers(case)],
        "scores": list(_scores(run, case)),
        "statuses": [trial.status if trial else None for trial in trials],
        "answers": [trial.answer if trial else None for trial in trials],
        "turns": [len(trial.turns) if trial else None for trial in trials],
        "candidates": [trial.evidence.get("candidate_count") if trial else None for trial in trials],
        "wall_s": [trial.wall_s if trial else None for trial in trials],
    }


def describe_analysis(analysis: Mapping[str, Any]) -> str:
    """The figures as text for a terminal."""
    lines = [f"{analysis['recorded']} of {analysis['planned']} attempts recorded"]
    if not analysis["is_complete"]:
        lines[0] += ": incomplete, the figures below are bounds"
    lines.append(", ".join(f"{status} {count}" for status, count in analysis["statuses"].items() if count))
    if (alone := analysis["retriever_alone"]) is not None:
        recall = ", ".join(f"recall@{k} {value:.3f}" for k, value in alone["recall_at_k"].items())
        indexed = "not known" if alone["indexed"] is None else f"{alone['indexed']:.3f}"
        mrr = alone[f"mrr_at_{PROBE_K}"]
        lines.append(f"retriever alone ({alone['retriever']}): indexed {indexed}, {recall}, MRR@{PROBE_K} {mrr:.3f}")
    if (deep := analysis["deep"]) is not None:
        first = deep["accuracy_at_1_of_first_candidate"]
        passes = ", ".join(f"pass@{k} {_bounded(value, 'value')}" for k, value in deep["pass_at_k"].items())
        lines.append(f"Deep, {deep['cases']} cases: Accuracy@1 {_bounded(deep['accuracy_at_1'])}, {passes}")
        lines.append(f"  first accumulated candidate, as upstream scores it: {_bounded(first)}")
    if (wide := analysis["wide"]) is not None:
        means = ", ".join(f"{key} {_bounded(wide[key])}" for key in WIDE_SCORES)
        lines.append(f"Wide, {wide['cases']} cases: {means}")
    return "\n".join([*(line for line in lines if line), describe_diagnosis(analysis["diagnosis"])])


def _bounded(value: Mapping[str, float | None], key: str = "mean") -> str:
    exact, low, high = value[key], value["low"], value["high"]
    return f"{exact:.4f}" if exact is not None else f"between {low:.4f} and {high:.4f}"
