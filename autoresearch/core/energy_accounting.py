"""Add the meter's joules since the last record to a record, and mark trials that were disturbed."""

from __future__ import annotations

from collections.abc import Mapping

from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.core.ports import Meter
from autoresearch.core.power import TRIAL_PHASES, Phase, Power, merge_phases, scope_of
from autoresearch.core.records import (
    Event,
    Metered,
    Paused,
    Resumed,
    SideTrial,
    SideTrialStarted,
    SideTrialSuspended,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.trial_marks import compute_marks, fast_limit, is_timed

# The phase that begins once such a record is durable. A trial reports its phases itself; the loop sets "propose".
PHASE_AFTER: Mapping[type[Event], Phase] = {
    TrialStarted: "start",
    SideTrialStarted: "start",
    Paused: "paused",
    Resumed: "idle",
}

MAX_BASELINE_REPEATS = 5
MIN_PHASE_S = 1.0  # a shorter phase may end before the sensor's first reading


def add_energy(event: Event, meter: Meter, trajectory: Trajectory) -> Event:
    """Return ``event`` with the power since the previous record. A trial's own joules are in its outcome too."""
    match event:
        case TrialEnded():
            meter.phase("idle")
            return add_trial_energy(event, meter.settle(TRIAL_PHASES), trajectory)
        case TrialSuspended() | SideTrialSuspended():
            meter.phase("idle")
            power = meter.settle(TRIAL_PHASES)
            is_side = isinstance(event, SideTrialSuspended)
            earlier = trajectory.side_suspended_at() if is_side else trajectory.suspended
            joules = {"energy_j": trial_energy_j(power, earlier), "energy_scope": scope_of(power)}
            return event.model_copy(update={"suspended": event.suspended.model_copy(update=joules), "power": power})
        case SideTrial():
            meter.phase("idle")
            power = meter.settle(TRIAL_PHASES)
            joules = {"energy_j": trial_energy_j(power, trajectory.side_suspended_at())} if power else {}
            return event.model_copy(update={"outcome": event.outcome.model_copy(update=joules), "power": power})
        case Metered():
            return event.model_copy(update={"power": meter.settle()})
    return event


def add_trial_energy(event: TrialEnded, power: dict[Phase, Power], trajectory: Trajectory) -> TrialEnded:
    """Return the trial with joules and marks. Under a budget in seconds a marked measurement is void and repeated.

    A candidate's is repeated once per seed, the baseline's up to ``MAX_BASELINE_REPEATS`` times: everything is compared
    with it. Where a disturbed baseline is refused, none is accepted.
    """
    outcome = event.outcome
    joules = trial_energy_j(power, trajectory.suspended)
    if power:
        outcome = outcome.model_copy(update={"energy_j": joules})
    merged = merge_phases(trajectory.earlier_parts, power)
    marks = compute_marks(outcome, merged, trajectory.baseline_outcomes, _fast_limit(trajectory))
    void = bool(marks) and isinstance(outcome, Measurement) and _may_repeat(event, trajectory)
    return event.model_copy(update={"outcome": outcome, "power": power, "marks": marks, "void": event.void or void})


def _fast_limit(trajectory: Trajectory) -> float | None:
    """The limit of the running trial's configuration."""
    if trajectory.meta is None or trajectory.running is None:
        return None
    return fast_limit(trajectory.running.cfg, trajectory.meta.baseline_cfg)


def _may_repeat(trial: TrialEnded, trajectory: Trajectory) -> bool:
    """Whether a marked trial is measured again: its result depends on its speed, and tries are left."""
    meta = trajectory.meta
    if meta is None or not is_timed(meta):
        return False
    tries = sum((t.iter, t.seed) == (trial.iter, trial.seed) and bool(t.marks) for t in trajectory.voided)
    if meta.disturbed_baseline is None or trial.iter != 0:  # the baseline's later seeds are treated as its first ones
        return tries < 1
    return meta.disturbed_baseline == "refuse" or tries < MAX_BASELINE_REPEATS


def trial_energy_j(power: Mapping[Phase, Power], earlier: Suspended | None) -> float | None:
    """Return the joules of a trial with its earlier parts.

    ``None`` if a phase of at least ``MIN_PHASE_S`` or an earlier part has no joules, or if they are of several scopes.
    """
    known = [p.energy_j for p in power.values() if p.energy_j is not None]
    incomplete = any(p.energy_j is None and p.span_s >= MIN_PHASE_S for p in power.values())
    scope = scope_of(power)
    if not known or incomplete or scope is None:
        return None
    if earlier is None:
        return sum(known)
    return None if earlier.energy_j is None or earlier.energy_scope != scope else sum(known) + earlier.energy_j
