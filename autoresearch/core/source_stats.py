"""Statistics per source of proposals: how many were tried, measured and kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from autoresearch.core.records import EvalFailed, Evaluated, IterationRecord, SourceCredit


def source_credits(iterations: Iterable[IterationRecord]) -> tuple[SourceCredit, ...]:
    """Return one entry per source whose candidates were tried, in the order of their first candidate."""
    tried: dict[str, list[Evaluated | EvalFailed]] = {}
    for record in iterations:
        if isinstance(record, Evaluated | EvalFailed):
            tried.setdefault(record.source, []).append(record)
    return tuple(_source_credit(source, records) for source, records in tried.items())


def _source_credit(source: str, records: list[Evaluated | EvalFailed]) -> SourceCredit:
    measured = [r for r in records if isinstance(r, Evaluated)]
    best = max(measured, key=lambda r: r.improvement_frac, default=None)
    return SourceCredit(
        source=source,
        iterations=len(records),
        measured=len(measured),
        failed=len(records) - len(measured),
        keeps=sum(r.decision == "keep" for r in measured),
        mean_improvement_frac=fmean(r.improvement_frac for r in measured) if measured else None,
        best_improvement_frac=best.improvement_frac if best else None,
        best_iter=best.iter if best else None,
    )
