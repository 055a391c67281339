"""The trials of the open iteration before a restart: their seconds, and whether one may be repeated. Pure."""

from __future__ import annotations

from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.records import Proposed
from autoresearch.core.trajectory import Trajectory

MAX_HOST_LOSSES = 2  # a trial during which the machine goes down is repeated once
REPEATED_ONCE = frozenset({Cause.DISK_FULL, Cause.HOST_LOST})


def is_first_of_its_cause(outcome: Outcome, n: int, seed: int, trajectory: Trajectory) -> bool:
    """Whether a trial failed for the first time because a disk was full or its machine was lost: it is repeated."""
    if not isinstance(outcome, Failure) or outcome.cause not in REPEATED_ONCE:
        return False
    if outcome.cause is Cause.HOST_LOST and trajectory.host_losses >= MAX_HOST_LOSSES:
        return False
    earlier = [t.outcome for t in trajectory.voided if (t.iter, t.seed) == (n, seed)]
    return not any(isinstance(o, Failure) and o.cause is outcome.cause for o in earlier)


def earlier_iteration_s(proposed: Proposed, trajectory: Trajectory) -> float:
    """Return the recorded seconds that an iteration took before a restart interrupted it."""
    return proposed.propose_wall_s + earlier_trials_s(trajectory)


def earlier_trials_s(trajectory: Trajectory) -> float:
    """Return the seconds of the open iteration's trials in earlier processes, a suspended one included."""
    earlier = [*trajectory.outcomes, *trajectory.voided, *(t for t in trajectory.extra_baseline if not t.void)]
    suspended_s = trajectory.suspended.trial_wall_s if trajectory.suspended else 0.0
    return suspended_s + sum(t.outcome.trial_wall_s or 0.0 for t in earlier)
