"""The analysis of a run of suite N: the table of evaluation modes, the headline, families, spread, and what is missing.

Rates are fractions from 0 to 1. Every planned sample is in every denominator. docs/benches.md has the definitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from math import fsum
from typing import Any

from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.samples.figures import (
    Figure,
    Scores,
    majority_figure,
    majority_nemo_figure,
    mean_figure,
    no_answer_figure,
    pass_figure,
)
from autoresearch.benches.samples.ns_rows import EXTERNAL
from autoresearch.benches.samples.scores import (
    SYMBOLIC_GRADER,
    ScoredCase,
    cases_with,
    headline_method,
    methods_of,
    score_run,
)
from autoresearch.benches.statistics.missing import case_means, count_missing, filled
from autoresearch.benches.statistics.spread import spread_across_runs, standard_error
from autoresearch.benches.statistics.wilson import wilson_interval

Z95 = 1.959964


def analyze_run(run: BenchRun) -> dict[str, Any]:
    """The figures of a run as plain JSON."""
    cases = score_run(run)
    analysis: dict[str, Any] = {
        "suite": run.meta.suite,
        "model": run.meta.model,
        "imported": run.meta.imported,
        "majority": run.meta.options.get("majority", "own"),  # which one the text shows; the figures have both
        "cases": len(cases),
        "samples": run.meta.samples,
        "planned": len(cases) * run.meta.samples,
        "recorded": len(run.trials),
        "missing": sum(not sample.recorded for case in cases for sample in case.samples),
        "statuses": dict(sorted(Counter(graded.trial.status for graded in run.trials.values()).items())),
        "undecided": _undecided(run),
        "published": run.meta.options.get("published", []),
        "notes": run.meta.options.get("import_notes", []),
    }
    if not cases:  # only a table of figures was imported
        return analysis | {
            "ungraded": 0,
            "complete": True,
            "methods": [],
            "headline": None,
            "modes": [],
            "families": [],
        }
    method, methods = headline_method(cases), methods_of(cases)
    ungraded = sum(
        sample.recorded and sample.score(method, case.kind) is None for case in cases for sample in case.samples
    )
    return analysis | {
        "ungraded": ungraded,
        "complete": not analysis["missing"] and not ungraded,
        "methods": methods,
        "headline": _headline(cases, method),
        "modes": _modes(cases, methods, _costs(run)),
        "by_k": [_at_k(cases, _scores(cases, method), method, k) for k in _steps(run.meta.samples)],
        "run_statistics": {name: _run_statistics(cases_with(name, cases), name) for name in methods},
        "families": _families(cases, method),
        "tokens": _token_totals(run),
    }


def score_name(run: BenchRun) -> str:
    """The name of the headline's score, for example ``symbolic_correct pass@1[avg-of-8]``."""
    cases = score_run(run)
    return f"{headline_method(cases)} {_first_mode(run.meta.samples)}" if cases else "no score"


def headline_scores(run: BenchRun) -> dict[str, tuple[float | None, ...]]:
    """The headline's score of each planned sample, by case."""
    cases = score_run(run)
    method = headline_method(cases)
    scored = {case.id: case.scores(method) for case in cases}
    nothing = (None,) * run.meta.samples  # of a row of metrics.json
    return {case.id: scored.get(case.id, nothing) for case in run.cases.cases}


def _scores(cases: Sequence[ScoredCase], method: str) -> Scores:
    return {case.id: case.scores(method) for case in cases}


def _first_mode(samples: int) -> str:
    return "pass@1" if samples == 1 else f"pass@1[avg-of-{samples}]"


def _steps(samples: int) -> list[int]:
    """The k of the table by k: powers of two, and all samples."""
    return sorted({1 << i for i in range(samples.bit_length()) if 1 << i <= samples} | {samples})


def _headline(cases: Sequence[ScoredCase], method: str) -> dict[str, Any]:
    scores = _scores(cases, method)
    figure = mean_figure(scores)
    se = _standard_error(scores)
    single = [samples[0] for samples in scores.values()] if len(cases[0].samples) == 1 else []
    is_verdict = all(case.kind != EXTERNAL for case in cases)
    is_binary = bool(single) and is_verdict and all(score in (0.0, 1.0) for score in single)
    wilson = wilson_interval(sum(score == 1.0 for score in single), len(single)) if is_binary else None
    return {
        "method": method,
        "mode": _first_mode(len(cases[0].samples)),
        **figure,
        "se": se,
        "interval_95": None if se is None else [figure["value"] - Z95 * se, figure["value"] + Z95 * se],
        "wilson_95": None if wilson is None else list(wilson),
    }


def _standard_error(scores: Scores) -> float | None:
    """``None`` also where a sample has no score: what it will be is not a matter of chance."""
    if count_missing(scores):
        return None
    return standard_error(list(case_means(filled(scores, 0.0)).values()))


def _modes(cases: Sequence[ScoredCase], methods: Sequence[str], costs: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per evaluation mode, as NeMo-Skills prints them; ``rates`` by method."""
    n = len(cases[0].samples)
    rows: list[dict[str, Any]] = []

    def add(mode: str, rates: dict[str, Figure], no_answer: Figure) -> None:
        rows.append({"mode": mode, "num_entries": len(cases), **costs, "rates": rates, "no_answer": no_answer})

    table = {name: _scores(cases_with(name, cases), name) for name in methods}
    add(
        _first_mode(n),
        {name: mean_figure(scores) for name, scores in table.items()},
        no_answer_figure(cases, of_all=False),
    )
    if n > 1:
        nothing = no_answer_figure(cases, of_all=True)
        by_method = [(name, cases_with(name, cases)) for name in methods]
        add(f"majority@{n}", {name: majority_figure(these, name, n) for name, these in by_method}, nothing)
        add(f"majority@{n}[nemo]", {name: majority_nemo_figure(these, name, n) for name, these in by_method}, nothing)
        add(f"pass@{n}", {name: pass_figure(scores, n) for name, scores in table.items()}, nothing)
        add(f"pass^{n}", {name: pass_figure(scores, n, every=True) for name, scores in table.items()}, nothing)
    return rows


def _at_k(cases: Sequence[ScoredCase], scores: Scores, method: str, k: int) -> dict[str, Any]:
    return {
        "k": k,
        "pass@k": pass_figure(scores, k),
        "pass^k": pass_figure(scores, k, every=True),
        "majority@k": mean_figure(scores) if k == 1 else majority_figure(cases, method, k),
        "majority@k[nemo]": mean_figure(scores) if k == 1 else majority_nemo_figure(cases, method, k),
    }


def _run_statistics(cases: Sequence[ScoredCase], method: str) -> dict[str, Any] | None:
    """NeMo-Skills' spread across runs; ``None`` where a sample has no score, because a run is then not whole."""
    scores = [case.scores(method) for case in cases]
    if any(score is None for samples in scores for score in samples):
        return None
    spread = spread_across_runs([[score or 0.0 for score in samples] for samples in scores])
    return None if spread is None else asdict(spread)


def _families(cases: Sequence[ScoredCase], method: str) -> list[dict[str, Any]]:
    groups: dict[str, list[ScoredCase]] = {}
    for case in cases:
        groups.setdefault(case.family, []).append(case)
    n = len(cases[0].samples)
    return [
        {
            "family": family,
            "cases": len(members),
            "mean": mean_figure(_scores(members, method)),
            "se": _standard_error(_scores(members, method)),
            "majority": majority_figure(members, method, n),
            "majority[nemo]": majority_nemo_figure(members, method, n),
            "pass": pass_figure(_scores(members, method), n),
            "no_answer": no_answer_figure(members, of_all=False),
        }
        for family, members in sorted(groups.items())
    ]


def _undecided(run: BenchRun) -> dict[str, int]:
    """The samples whose comparison did not end, by reason: they count as wrong."""
    own = [graded.grades[SYMBOLIC_GRADER] for graded in run.trials.values() if SYMBOLIC_GRADER in graded.grades]
    return dict(sorted(Counter(str(grade.detail["undecided"]) for grade in own if "undecided" in grade.detail).items()))


def _costs(run: BenchRun) -> dict[str, Any]:
    """avg_tokens over the samples whose tokens are known; gen_seconds from the first start to the last end."""
    tokens = [graded.trial.tokens_out for graded in run.trials.values() if graded.trial.tokens_out is not None]
    spans = [span for graded in run.trials.values() if (span := _span(graded))]
    return {
        "avg_tokens": fsum(tokens) / len(tokens) if tokens else None,
        "gen_seconds": max(end for _, end in spans) - min(start for start, _ in spans) if spans else None,
    }


def _span(graded: Graded) -> tuple[float, float] | None:
    evidence = graded.trial.evidence
    start, end = evidence.get("generation_start_time"), evidence.get("generation_end_time")
    return (float(start), float(end)) if isinstance(start, int | float) and isinstance(end, int | float) else None


def _token_totals(run: BenchRun) -> dict[str, int]:
    trials = [graded.trial for graded in run.trials.values()]
    return {
        "tokens_in": sum(trial.tokens_in or 0 for trial in trials),
        "tokens_out": sum(trial.tokens_out or 0 for trial in trials),
        "without_count": sum(trial.tokens_out is None for trial in trials),
    }
