"""The parts of one trial that was put aside: what they add up to. Pure."""

from __future__ import annotations

from autoresearch.brake import NotWaitedFor
from autoresearch.records import Outcome, Suspended


def ended_before_its_checkpoint(end: NotWaitedFor, before: Suspended | None, wall_s: float) -> Suspended:
    """What is left of a trial that could not be waited for: the checkpoint that it had gone on from, if any."""
    return Suspended(
        step=(before.step if before else 0) if end.step is None else end.step,
        resumes_at=before.resumes_at if before else None,
        problem=str(end),
        train_wall_s=before.train_wall_s if before else 0.0,
        val_wall_s=before.val_wall_s if before else 0.0,
        trial_wall_s=wall_s,
    )


def with_earlier_parts(outcome: Outcome | Suspended, before: Suspended | None) -> Outcome | Suspended:
    """The outcome of a whole trial; ``before`` is what its earlier parts took. Joules are known of all or not."""
    if before is None:
        return outcome
    wall_s = (outcome.trial_wall_s or 0.0) + before.trial_wall_s
    known = outcome.energy_j is not None and before.energy_j is not None
    joules = (outcome.energy_j or 0.0) + (before.energy_j or 0.0) if known else None
    return outcome.model_copy(update={"trial_wall_s": wall_s, "energy_j": joules})
