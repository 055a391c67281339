"""What the marks of its trials mean for a row. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import TrialEnded
from autoresearch.report.history import Row, total


def with_marks(row: Row, marked: Sequence[TrialEnded]) -> Row:
    """``row`` with the marks of its trials; those that were run again cost time and joules and count for nothing."""
    if not marked:
        return row
    voided = [t.outcome for t in marked if t.void]
    lost_s = total(*(o.train_wall_s + o.val_wall_s for o in voided if isinstance(o, Measurement)))
    overhead_s = row.overhead_s
    if row.stage == "baseline" and overhead_s is not None:  # whose record does not say it apart
        overhead_s = max(0.0, overhead_s - (lost_s or 0.0))
    return replace(
        row,
        marks=tuple(sorted({mark for t in marked for mark in t.marks})),
        voided=len(voided),
        overhead_s=overhead_s,
        failed_s=total(row.failed_s, lost_s),
        energy_j=total(row.energy_j, *(o.energy_j for o in voided)),
    )
