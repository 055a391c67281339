"""Apply the marks of an iteration's trials to its row. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoresearch.core.measurement import Measurement
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
