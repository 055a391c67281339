"""Candidates that are being measured, as an optimiser takes them into account: the constant liar."""

from __future__ import annotations

from dataclasses import replace

from autoresearch.core.results import Result, one_change, several
from autoresearch.core.trajectory import Trajectory


def with_pending(trajectory: Trajectory) -> Trajectory:
    """The trajectory with a result for each candidate that is being measured; itself where there is none.

    Each is given the worst gain so far (constant liar with the maximum of the loss, Ginsbourger et al. 2010), so that
    a model does not propose beside it while nothing is known of it. The results are for a model alone: they are not
    measurements, and no prompt shows them.
    """
    proposed = trajectory.open_proposals if trajectory.parallel else []
    if not proposed:
        return trajectory
    gains = [r.improvement_frac for r in trajectory.results if r.improvement_frac is not None]
    worst, loss = min(gains, default=0.0), trajectory.baseline.loss if trajectory.baseline else 1.0
    lies = [
        Result(
            p.iter,
            "evaluated",
            p.source,
            *one_change(p.proposal),
            loss * (1.0 - worst),
            min(worst, 0.0),
            trials=1,
            several=several(p.proposal),
        )
        for p in proposed
    ]
    return replace(trajectory, results=[*trajectory.results, *lies])
