"""Add to an iteration's row what its own record does not have: marks, and trials of the baseline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoresearch.core.measurement import Failure, Measurement
from autoresearch.core.records import TrialEnded
from autoresearch.report.history import Row, total


def with_marks(row: Row, marked: Sequence[TrialEnded]) -> Row:
    """``row`` with the marks of its trials; discarded trials add their time and joules but no measurement."""
    if not marked:
        return row
    voided = [t.outcome for t in marked if t.void]
    lost_s = total(*(o.train_wall_s + o.val_wall_s for o in voided if isinstance(o, Measurement)))
    overhead_s = row.overhead_s
    if row.stage == "baseline" and overhead_s is not None:  # its record does not separate the time of discarded trials
        overhead_s = max(0.0, overhead_s - (lost_s or 0.0))
    return replace(
        row,
        marks=tuple(sorted({mark for t in marked for mark in t.marks})),
        voided=len(voided),
        overhead_s=overhead_s,
        failed_s=total(row.failed_s, lost_s),
        energy_j=total(row.energy_j, *(o.energy_j for o in voided)),
    )


def with_baseline_trials(row: Row, extra: Sequence[TrialEnded]) -> Row:
    """``row`` with the seconds, joules and tokens of the baseline's trials that its candidate needed."""
    if not extra:
        return row
    measured = [t.outcome for t in extra if isinstance(t.outcome, Measurement)]
    failed = [t.outcome for t in extra if isinstance(t.outcome, Failure)]
    return replace(
        row,
        baseline_trials=len(extra),
        baseline_tokens=sum(m.train_tokens or 0 for m in measured),
        train_s=total(row.train_s, *(m.train_wall_s for m in measured)),
        eval_s=total(row.eval_s, *(m.val_wall_s for m in measured)),
        failed_s=total(row.failed_s, *(f.trial_wall_s for f in failed)),
        energy_j=total(row.energy_j, *(t.outcome.energy_j for t in extra)),
    )
