"""Recompute the early stops of a run: the limits of each trial before it, and what its end says about them. Pure."""

from __future__ import annotations

from functools import partial
from typing import Any

from autoresearch.core.early_stopping import judge_end, plan_stop
from autoresearch.core.records import Event, StoppedEarly, TrialEnded, TrialStarted
from autoresearch.core.stopped_trial import EarlyStop, StopPlan
from autoresearch.core.trajectory import Trajectory, first_stop
from autoresearch.report.difference import Difference
from autoresearch.trials.trial_budget import warmup_frac
from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.stop_limits import first_above


def check_stop(record: Event, trajectory: Trajectory) -> Difference | None:
    """The first difference between ``record`` and what the records before it give; ``None`` for any other record."""
    match record:
        case TrialStarted():
            warmup = partial(warmup_frac, trajectory.meta)
            plan = plan_stop(trajectory, record.trial, record.iter, record.seed, record.cfg, warmup)
            return _difference(record.iter, f"trial {record.trial}: limits of its early stop", record.stop, plan)
        case TrialEnded(void=False):
            return _check_end(record, trajectory)
        case StoppedEarly():
            found = first_stop(trajectory.outcomes)
            return _difference(record.iter, "eval_metrics", record.eval_metrics, found)
    return None


def _check_end(record: TrialEnded, trajectory: Trajectory) -> Difference | None:
    plan = trajectory.running.stop if trajectory.running else None
    where = f"trial {record.trial}: "
    if isinstance(record.outcome, EarlyStop):
        stopped = record.outcome.stopped_early
        given = stopped.model_copy(update={"predicted_gain_frac": None})
        if difference := _difference(record.iter, f"{where}early stop", given, _stop_of(record.outcome, plan)):
            return difference
    judged = judge_end(record.model_copy(update={"would_stop": None}), trajectory)
    recorded, found = (t.outcome if isinstance(t.outcome, EarlyStop) else t.would_stop for t in (record, judged))
    return _difference(record.iter, f"{where}early stop", recorded, found)


def _stop_of(stop: EarlyStop, plan: StopPlan | None) -> Any:
    """The stop that the losses give; ``None`` where the trial should have run on."""
    losses = stop.train_loss_curve
    at = first_above(losses, plan.limits) if plan and not plan.audited else None
    if plan is None or at is None:
        return None
    point = {"fraction": (at + 1) / POINTS, "loss": losses[at], "limit": plan.limits[at]}
    return stop.stopped_early.model_copy(update={**point, "predicted_gain_frac": None})


def _difference(n: int, field: str, recorded: Any, found: Any) -> Difference | None:
    return None if recorded == found else Difference(n, field, recorded, found)
