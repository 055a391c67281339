"""How the meter's account comes into the records: the joules since the last one, and what was wrong with a trial."""

from __future__ import annotations

from collections.abc import Mapping

from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.core.ports import Meter
from autoresearch.core.power import TRIAL_PHASES, Phase, Power, merge_phases, scope_of
from autoresearch.core.records import Event, Metered, Paused, Resumed, TrialEnded, TrialStarted, TrialSuspended
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.trial_marks import compute_marks

# What goes on once such a record is durable. What a trial is at it says itself, and the loop knows when it proposes.
PHASE_AFTER: Mapping[type[Event], Phase] = {
    TrialStarted: "start",
    Paused: "paused",
    Resumed: "idle",
}

LASTED_S = 1.0  # a phase that was shorter may end before the sensor has said anything


def add_energy(event: Event, meter: Meter, trajectory: Trajectory) -> Event:
    """``event`` with what was used since the record before it. A trial's own joules are in its outcome too."""
    match event:
        case TrialEnded():
            meter.phase("idle")
            return add_trial_energy(event, meter.settle(TRIAL_PHASES), trajectory)
        case TrialSuspended():
            meter.phase("idle")
            power = meter.settle(TRIAL_PHASES)
            joules = {"energy_j": trial_energy_j(power, trajectory.suspended), "energy_scope": scope_of(power)}
            return event.model_copy(update={"suspended": event.suspended.model_copy(update=joules), "power": power})
        case Metered():
            return event.model_copy(update={"power": meter.settle()})
    return event


def add_trial_energy(event: TrialEnded, power: dict[Phase, Power], trajectory: Trajectory) -> TrialEnded:
    """The trial with its joules and marks. With a budget in seconds a marked measurement is void, once per seed."""
    outcome = event.outcome
    joules = trial_energy_j(power, trajectory.suspended)
    if power:
        outcome = outcome.model_copy(update={"energy_j": joules})
    marks = compute_marks(outcome, merge_phases(trajectory.earlier_parts, power), trajectory.baseline_outcomes)
    by_the_clock = trajectory.meta is not None and trajectory.meta.yardstick.budget_kind == "seconds"
    had_its_second_try = any(t.seed == event.seed for t in trajectory.voided)
    void = bool(marks) and by_the_clock and isinstance(outcome, Measurement) and not had_its_second_try
    return event.model_copy(update={"outcome": outcome, "power": power, "marks": marks, "void": void})


def trial_energy_j(power: Mapping[Phase, Power], before: Suspended | None) -> float | None:
    """Of a trial with its earlier parts: known of every phase that lasted and of every part, in one scope, or not."""
    known = [p.energy_j for p in power.values() if p.energy_j is not None]
    silent = any(p.energy_j is None and p.span_s >= LASTED_S for p in power.values())
    scope = scope_of(power)
    if not known or silent or scope is None:
        return None
    if before is None:
        return sum(known)
    return None if before.energy_j is None or before.energy_scope != scope else sum(known) + before.energy_j
