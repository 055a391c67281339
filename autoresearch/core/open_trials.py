"""The trials of the open iteration before a restart: their seconds, and whether one may be repeated. Pure."""

from __future__ import annotations

from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.records import Proposed
from autoresearch.core.trajectory import Trajectory


def is_first_full_disk(outcome: Outcome, n: int, seed: int, trajectory: Trajectory) -> bool:
    """Whether a trial failed because a disk was full, for the first time: it is repeated, once there is space."""
    earlier = [t.outcome for t in trajectory.voided if (t.iter, t.seed) == (n, seed)]
    causes = [o.cause for o in (outcome, *earlier) if isinstance(o, Failure)]
    return isinstance(outcome, Failure) and outcome.cause is Cause.DISK_FULL and causes.count(Cause.DISK_FULL) == 1


def earlier_iteration_s(proposed: Proposed, trajectory: Trajectory) -> float:
    """Return the recorded seconds that an iteration took before a restart interrupted it."""
    return proposed.propose_wall_s + earlier_trials_s(trajectory)


def earlier_trials_s(trajectory: Trajectory) -> float:
    """Return the seconds of the open iteration's trials in earlier processes, a suspended one included."""
    earlier = [*trajectory.outcomes, *trajectory.voided, *(t for t in trajectory.extra_baseline if not t.void)]
    suspended_s = trajectory.suspended.trial_wall_s if trajectory.suspended else 0.0
    return suspended_s + sum(t.outcome.trial_wall_s or 0.0 for t in earlier)
