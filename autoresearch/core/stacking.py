"""Unions of keeps, as the records have them: what the plan of a stack reads, and which proposals it may make. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import KnobValue
from autoresearch.verdicts.stack import Tried, confirmed_values

STACK_SOURCE = "stack"  # in ``source`` of its proposals


def tried_candidates(results: Sequence[Result]) -> list[Tried]:
    """Every candidate that was tried."""
    return [
        Tried(r.iter, dict(r.changes), r.improvement_frac, r.is_keep, r.source == STACK_SOURCE)
        for r in results
        if r.changes
    ]


def changes_confirmed_values(changes: Sequence[tuple[str, KnobValue]], trajectory: Trajectory) -> bool:
    """Whether every change of a proposal is one of a confirmed keep, so that their union is all that is new."""
    confirmed = set(confirmed_values(tried_candidates(trajectory.results)))
    return all((knob, value) in confirmed for knob, value in changes)
