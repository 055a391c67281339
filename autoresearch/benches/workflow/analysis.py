"""The figures of a run of suite W: pass rates by family, pass@k and pass^k, and why attempts failed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any

from autoresearch.benches.headline import percent
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import Grade
from autoresearch.benches.statistics.missing import bounds, filled
from autoresearch.benches.statistics.pass_at_k import pass_at_1, pass_at_k, pass_hat_k
from autoresearch.core.text import escape_control, plural

WORKFLOW, JUDGE = "workflow", "judge"
SHOWN_CHECKS = 12
Scores = Mapping[str, Sequence[float | None]]


def case_scores(run: BenchRun) -> dict[str, tuple[float | None, ...]]:
    """Of every task, 1 for a sample that passed and 0 for one that did not; ``None``: missing or ungraded."""
    return {
        case.id: tuple(_passed(run.trials.get((case.id, n))) for n in range(run.meta.samples))
        for case in run.cases.cases
    }


def analyze(run: BenchRun) -> dict[str, Any]:
    """The figures as plain JSON. Every planned sample is in every denominator."""
    scores = case_scores(run)
    families: dict[str, list[str]] = {}
    for case in run.cases.cases:
        families.setdefault(case.family, []).append(case.id)
    trials = [run.trials[pair] for pair in sorted(run.trials) if pair[0] in scores and pair[1] < run.meta.samples]
    return {
        "samples": run.meta.samples,
        "all": _rates(scores, run.meta.samples),
        "families": {
            family: _rates({case: scores[case] for case in ids}, run.meta.samples)
            for family, ids in sorted(families.items())
        },
        "tasks": {case: _task(samples) for case, samples in scores.items()},
        "mean_score": _mean([_score(run, case, n) for case in scores for n in range(run.meta.samples)]),
        "ungraded": dict(Counter(_ungraded_reason(t) for t in trials if _passed(t) is None).most_common()),
        "failures": dict(Counter(_failure(t) for t in trials if _passed(t) == 0).most_common()),
        "failed_checks": dict(Counter(_failed_checks(trials)).most_common()),
        "calls": {"sent_as": run.meta.options.get("tools", "native"), **_calls(trials)},
        "judge": _judge(run, trials),
    }


def _passed(graded: Graded | None) -> float | None:
    grade = _grade(graded)
    return None if grade is None or grade.correct is None else float(grade.correct)


def _grade(graded: Graded | None, grader: str = WORKFLOW) -> Grade | None:
    return graded.grades.get(grader) if graded else None


def _score(run: BenchRun, case: str, sample: int) -> float:
    """The share of the checks; a sample that is missing or ungraded counts as 0."""
    grade = _grade(run.trials.get((case, sample)))
    return grade.score if grade and grade.score is not None else 0.0


def _rates(scores: Scores, samples: int) -> dict[str, Any]:
    """pass@1, pass@k and pass^k of some tasks; bounds with the missing samples as 0 and as 1."""
    plain = {case: tuple(values) for case, values in scores.items()}
    missing = sum(value is None for values in plain.values() for value in values)
    counts = _counts(filled(plain, 0.0))
    low, high = bounds(lambda complete: pass_at_1(_counts(complete)).value or 0.0, plain)
    ks = sorted({k for k in (1, 2, 4, 8, 16, 32, samples) if k <= samples})
    return {
        "tasks": len(plain),
        "planned": len(plain) * samples,
        "passed": sum(c for _, c in counts),
        "missing": missing,
        "pass_rate": low,
        "low": low,
        "high": high,
        "pass_at": {str(k): pass_at_k(counts, k).value for k in ks},
        "pass_hat": {str(k): pass_hat_k(counts, k).value for k in ks},
    }


def _counts(complete: Mapping[str, Sequence[float]]) -> list[tuple[int, int]]:
    return [(len(values), round(sum(values))) for values in complete.values()]


def _task(samples: Sequence[float | None]) -> dict[str, int]:
    return {"planned": len(samples), "passed": round(sum(s or 0.0 for s in samples)), "missing": samples.count(None)}


def _ungraded_reason(graded: Graded) -> str:
    """Why a trial has no score: the machine could not run it, or what it left is gone."""
    trial, grade = graded.trial, _grade(graded)
    if trial.status in trial.evidence:
        return f"{trial.status}: {trial.evidence[trial.status]}"
    detail = grade.detail if grade else {}
    return str(detail.get("reason") or detail.get("error") or "not graded")


def _failure(graded: Graded) -> str:
    """Why an attempt did not pass: its status, or for a finished one the kind of its heaviest failed check."""
    if graded.trial.status != "finished":
        return graded.trial.status
    failed = [check for check in _checks(graded) if not check.get("passed")]
    heaviest = max(failed, key=lambda check: float(check.get("weight", 0)), default={})
    return FAILURES.get(str(heaviest.get("type")), "below the threshold")


FAILURES = {
    "row": "wrong records",
    "called": "wrong records",
    "not_called": "forbidden call",
    "file_exists": "wrong file",
    "file_not_exists": "wrong file",
    "file_contents_contain": "wrong file",
    "file_contents_match_regex": "wrong file",
    "file_unchanged": "changed a file that must stay",
    "says": "wrong answer",
}


def _checks(graded: Graded) -> list[Mapping[str, Any]]:
    grade = _grade(graded)
    return [check for check in (grade.detail.get("checks") or [] if grade else []) if isinstance(check, Mapping)]


def _failed_checks(trials: Iterable[Graded]) -> Iterable[str]:
    for graded in trials:
        for check in _checks(graded):
            if not check.get("passed"):
                yield f"{graded.trial.case}/{check.get('name')}"


def _calls(trials: Sequence[Graded]) -> dict[str, Any]:
    """How the model called tools."""
    turns = [turn for graded in trials for turn in graded.trial.turns]
    formats: Counter[str] = Counter(form for turn in turns for form in turn.get("call_formats", ()))
    return {
        "turns": len(turns),
        "calls": sum(len(turn.get("calls", ())) for turn in turns),
        "failed_calls": sum(len(turn.get("call_problems", ())) for turn in turns),
        "format_errors": sum(len(turn.get("format_errors", ())) for turn in turns),
        "formats": dict(formats.most_common()),
    }


def _judge(run: BenchRun, trials: Sequence[Graded]) -> dict[str, Any] | None:
    """The judge's mean score beside that of the checks, over the trials that have both; ``None`` without any."""
    pairs = []
    for graded in trials:
        judged, checked = _grade(graded, JUDGE), _grade(graded)
        stated = graded.trial.evidence.get("judge")
        if (
            judged
            and judged.score is not None
            and checked
            and checked.score is not None
            and isinstance(stated, Mapping)
        ):
            pairs.append((judged.score, checked.score, float(stated.get("weight", 0.0))))
    if not pairs:
        return None
    return {
        "trials": len(pairs),
        "mean": _mean([judged for judged, _, _ in pairs]),
        "checks_mean": _mean([checked for _, checked, _ in pairs]),
        "combined_mean": _mean([w * judged + (1 - w) * checked for judged, checked, w in pairs]),
    }


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else 0.0


def describe(figures: Mapping[str, Any]) -> str:
    """The figures as text for a terminal."""
    k = figures["samples"]
    head = ("family", "tasks", "passed", "rate", *((f"pass@{k}", f"pass^{k}") if k > 1 else ()))
    rows = [head, *(_row(name, rates, k) for name, rates in figures["families"].items())]
    rows.append(_row("all", figures["all"], k))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(
            f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.append(f"mean share of the checks: {percent(figures['mean_score'])}")
    for reason, n in figures["ungraded"].items():
        lines.append(f"not graded: {plural(n, 'attempt')} ({escape_control(reason)})")
    if figures["failures"]:
        lines.append("failed: " + ", ".join(f"{escape_control(why)} {n:,}" for why, n in figures["failures"].items()))
    checks = list(figures["failed_checks"].items())
    lines += [f"  {n:>4,}  {escape_control(name)}" for name, n in checks[:SHOWN_CHECKS]]
    if len(checks) > SHOWN_CHECKS:
        lines.append(f"  and {plural(len(checks) - SHOWN_CHECKS, 'further check')}")
    calls = figures["calls"]
    lines.append(
        f"calls: {calls['calls']:,} in {calls['turns']:,} turns, {calls['failed_calls']:,} with an error, "
        f"{calls['format_errors']:,} unreadable"
    )
    if calls["turns"] and not calls["calls"] and calls["sent_as"] == "native":
        lines.append("no call was made: a server may ignore tools in their own field; try --tools text")
    if judge := figures["judge"]:
        lines.append(
            f"judge: {percent(judge['mean'])} beside {percent(judge['checks_mean'])} by the checks "
            f"({plural(judge['trials'], 'trial')}; combined {percent(judge['combined_mean'])}, not the headline)"
        )
    return "\n".join(lines)


def _row(name: str, rates: Mapping[str, Any], k: int) -> tuple[str, ...]:
    rate = percent(rates["low"]) if not rates["missing"] else f"{percent(rates['low'])} to {percent(rates['high'])}"
    cells = (escape_control(name) or "-", f"{rates['tasks']:,}", f"{rates['passed']:,}/{rates['planned']:,}", rate)
    if k == 1:
        return cells
    return (*cells, *(percent(rates[kind][str(k)] or 0.0) for kind in ("pass_at", "pass_hat")))
