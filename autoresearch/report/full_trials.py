"""The full loss curves of a run's candidates and of null trials, for a replay of early stopping. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from autoresearch.core.full_curves import kind_of, measurement_of_seed
from autoresearch.core.measurement import CURVE_POINTS, Measurement
from autoresearch.core.records import CandidateTried, Event, ProposalRecord, TrialEnded
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.trials.trial_budget import warmup_frac
from autoresearch.verdicts.curves import Points
from autoresearch.verdicts.early_stop_replay import FullTrial

NULL = "null"  # the group of null trials


def trials_of_run(records: Iterable[Event]) -> list[FullTrial]:
    """Every measured trial of a candidate with a curve, against the baseline's of the same seed, in their order.

    A candidate's group is KNOB=VALUE. Trials that were stopped early have no end, and are left out.
    """
    trajectory, found = Trajectory(), list[FullTrial]()
    for record in records:
        trajectory.aim(record)
        if isinstance(record, CandidateTried):
            found += _trials_of(record, trajectory.outcomes, trajectory)
        trajectory.add(record)
    return found


def _trials_of(record: CandidateTried, trials: Sequence[TrialEnded], trajectory: Trajectory) -> Iterable[FullTrial]:
    warmup = partial(warmup_frac, trajectory.meta)
    for trial in trials:
        baseline = measurement_of_seed(trajectory.baseline_outcomes, trial.seed)
        if not isinstance(trial.outcome, Measurement) or baseline is None:
            continue
        own, reference = (points_of(m.train_loss_curve, m.loss) for m in (trial.outcome, baseline))
        if own and reference:
            p, baseline_cfg = record.proposal, trajectory.meta.baseline_cfg if trajectory.meta else {}
            group, kind = p.text.replace(" = ", "="), kind_of(p, baseline_cfg)
            yield FullTrial(group, str(trial.seed), own, reference, kind, warmup(record.candidate_cfg))


def change_trial(
    knob: str,
    cfg: Cfg,
    seed: int,
    own: tuple[Sequence[float], float],
    baseline: tuple[Sequence[float], float],
    baseline_cfg: Cfg,
    warmup: float,
) -> FullTrial:
    """A trial of a changed knob and the baseline's with the same seed; each side: losses, and val_bpb."""
    change = ProposalRecord(knob=knob, new_value=cfg[knob], reason="")
    kind = kind_of(change, baseline_cfg)
    return FullTrial(f"{knob}={cfg[knob]}", str(seed), points_of(*own), points_of(*baseline), kind, warmup)


def null_trials(curves: Sequence[tuple[int, Sequence[float], float]], warmup: float) -> list[FullTrial]:
    """Null trials, each against the mean of all others: seed, losses, and val_bpb of each.

    No other trial has its seed, so that its gaps are noisier than those of a candidate in a run.
    """
    if len(curves) < 2:
        return []
    rows = [[value for _, value in points_of(losses, bpb)] for _, losses, bpb in curves]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    found = []
    for (seed, losses, bpb), row in zip(curves, rows, strict=True):
        own = points_of(losses, bpb)
        others = [(total - value) / (len(rows) - 1) for total, value in zip(sums, row, strict=True)]
        mean = [(at, value) for (at, _), value in zip(own, others, strict=True)]
        found.append(FullTrial(NULL, str(seed), own, mean, NULL, warmup))
    return found


def points_of(losses: Sequence[float] | None, val_bpb: float) -> Points:
    """The training losses at the end of their parts of the budget, and val_bpb at its end; empty without a curve."""
    if not losses:
        return []
    return [*(((n + 1) / CURVE_POINTS, loss) for n, loss in enumerate(losses[:-1])), (1.0, val_bpb)]
