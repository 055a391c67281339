"""Early stopping within a run: the limits of a trial before it starts, and what its end says about them. Pure.

Only the first seed of a candidate has limits. There the rule reverts a candidate whose gain is below
``futility_frac * accept_delta_frac``, so that a trial that cannot reach it cannot become a keep. Later seeds run in
full: the noise of a verdict is pooled from candidates with several seeds, and without the bad ones it would look too
small. Everything here follows from the records, so that a restart and ``autoresearch verify`` find the same limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoresearch.core.full_curves import curve_of_seed, gaps_of, kind_of
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import DecisionRule, TrialEnded
from autoresearch.core.stopped_trial import EarlyStop, StopPlan, StopPoint
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.trial_marks import is_timed
from autoresearch.core.values import Cfg
from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import Learned, is_audited, learn, predict
from autoresearch.verdicts.stop_limits import first_above, stop_limits

WarmupFrac = Callable[[Cfg], float]  # the share of its budget that a configuration warms up


def needed_gain(rule: DecisionRule) -> float | None:
    """The gain on its first seed below which a candidate is reverted at once; ``None`` where nothing is stopped."""
    if rule.kind == "threshold" or rule.futility_frac is None:
        return None
    return rule.futility_frac * rule.accept_delta_frac


def plan_stop(trajectory: Trajectory, trial: int, n: int, seed: int, cfg: Cfg, warmup: WarmupFrac) -> StopPlan | None:
    """The limits of the trial that starts next, or ``None`` where it may not be stopped.

    Under a budget in seconds none is: a trial that other processes slow down would be stopped for it.
    """
    meta, proposed = trajectory.meta, trajectory.proposed
    if meta is None or proposed is None or not n or trajectory.outcomes or is_timed(meta):
        return None
    if proposed.proposal.also:
        return None  # kinds are of one knob: how slowly several changes start together is not known
    needed, learned = needed_gain(meta.decision_rule), learned_of(trajectory)
    baseline = curve_of_seed(trajectory.baseline_outcomes, seed)
    if needed is None or learned is None or baseline is None:
        return None
    limits = stop_limits(learned, baseline, kind_of(proposed.proposal, meta.baseline_cfg), warmup(cfg))
    if not limits:
        return None
    audited = is_audited(meta.run_id, trial, learned.rule)
    return StopPlan(limits=limits, needed_frac=needed, curves=len(learned.curves), audited=audited)


def learned_of(trajectory: Trajectory) -> Learned | None:
    """What the full curves of this run say; ``None`` while they are too few, and where early stopping is off."""
    if trajectory.meta is None or trajectory.early_stop is None:
        return None
    needed = needed_gain(trajectory.meta.decision_rule)
    return None if needed is None else learn(trajectory.curves, needed, trajectory.early_stop.constants())


def judge_end(trial: TrialEnded, trajectory: Trajectory) -> TrialEnded:
    """The record of a trial that ended, with what the limits say: of an early stop the gain to expect.

    Of one that ran to its end beyond a limit, which only the audit allows, where it would have been stopped.
    """
    plan = trajectory.running.stop if trajectory.running else None
    if plan is None:
        return trial
    match trial.outcome:
        case EarlyStop(stopped_early=point, train_loss_curve=losses):
            expected = predicted_gain(trajectory, losses, trial.seed)
            point = point.model_copy(update={"predicted_gain_frac": expected})
            return trial.model_copy(update={"outcome": trial.outcome.model_copy(update={"stopped_early": point})})
        case Measurement(train_loss_curve=losses) if losses and (at := first_above(losses, plan.limits)) is not None:
            expected = predicted_gain(trajectory, losses[: at + 1], trial.seed)
            return trial.model_copy(update={"would_stop": stop_point(losses, plan, at, expected)})
    return trial


def stop_point(losses: Sequence[float], plan: StopPlan, at: int, expected: float | None) -> StopPoint:
    """The stop after part ``at`` of the budget."""
    limit = plan.limits[at]
    if limit is None:
        raise ValueError(f"part {at} has no limit")
    return StopPoint(fraction=(at + 1) / POINTS, loss=losses[at], limit=limit, predicted_gain_frac=expected)


def predicted_gain(trajectory: Trajectory, losses: Sequence[float], seed: int) -> float | None:
    """The final gain to expect of a trial with these losses so far; ``None`` where it is not known."""
    learned, baseline = learned_of(trajectory), curve_of_seed(trajectory.baseline_outcomes, seed)
    return None if learned is None or baseline is None else predict(learned, gaps_of(losses, baseline))
