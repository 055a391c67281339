"""What a bench run has so far, as plain JSON: counts, tokens, seconds, joules, and the suite's own figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from autoresearch.benches.fold import grader_name
from autoresearch.benches.ports import BenchRun, Suite
from autoresearch.benches.records import Ended


def result_of(suite: Suite, run: BenchRun, ended: Ended, unavailable: dict[str, int]) -> dict[str, Any]:
    """What ``--json`` prints; a count that no attempt reported is ``None``."""
    trials = [graded.trial for graded in run.trials.values()]
    scored = [g for graded in run.trials.values() if (g := graded.grades.get(grader_name(suite.grader)))]
    joules = ended.power.energy_j if ended.power else None
    return {
        "dir": str(run.path),
        "suite": run.meta.suite,
        "model": run.meta.model,
        "ended": ended.reason,
        "detail": ended.detail,
        "complete": not run.missing,
        "cases": len(run.cases.cases),
        "samples": run.meta.samples,
        "planned": run.planned,
        "recorded": len(trials),
        "missing": len(run.missing),
        "ungraded": len(trials) - sum(grade.score is not None for grade in scored),
        "statuses": dict(sorted(Counter(trial.status for trial in trials).items())),
        "unavailable": unavailable,
        "tokens_in": _sum([trial.tokens_in for trial in trials]),
        "tokens_out": _sum([trial.tokens_out for trial in trials]),
        "attempts_s": _sum([trial.wall_s for trial in trials]),
        "attempts_energy_j": _sum([trial.energy_j for trial in trials]),
        "this_start_s": ended.wall_s,
        "this_start_energy_j": joules,
        "energy_scope": ended.power.scope if ended.power else None,
        "analysis": suite.analyze(run),
    }


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
