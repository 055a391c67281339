"""How the meter's account comes into the records: the joules since the last one, and what was wrong with a trial."""

from __future__ import annotations

from collections.abc import Mapping

from autoresearch.marking import marks_of
from autoresearch.ports import Meter
from autoresearch.power import TRIAL_PHASES, Phase, Power
from autoresearch.records import Event, Measurement, Metered, Paused, Resumed, TrialEnded, TrialStarted
from autoresearch.trajectory import Trajectory

# What goes on once such a record is durable. What a trial is at it says itself, and the loop knows when it proposes.
PHASE_AFTER: Mapping[type[Event], Phase] = {
    TrialStarted: "start",
    Paused: "paused",
    Resumed: "idle",
}


def accounted(event: Event, meter: Meter, trajectory: Trajectory) -> Event:
    """``event`` with what was used since the record before it. A trial's own joules are in its outcome too."""
    match event:
        case TrialEnded():
            meter.phase("idle")
            return trial_accounted(event, meter.settle(TRIAL_PHASES), trajectory)
        case Metered():
            return event.model_copy(update={"power": meter.settle()})
    return event


def trial_accounted(event: TrialEnded, power: dict[Phase, Power], trajectory: Trajectory) -> TrialEnded:
    """The trial with its joules and marks. With a budget in seconds a marked measurement is void, once per seed."""
    outcome = event.outcome
    joules = [p.energy_j for p in power.values() if p.energy_j is not None]
    if joules:
        outcome = outcome.model_copy(update={"energy_j": sum(joules)})
    marks = marks_of(outcome, power, trajectory.baseline_outcomes)
    by_the_clock = trajectory.meta is not None and trajectory.meta.yardstick.budget_kind == "seconds"
    had_its_second_try = any(t.seed == event.seed for t in trajectory.voided)
    void = bool(marks) and by_the_clock and isinstance(outcome, Measurement) and not had_its_second_try
    return event.model_copy(update={"outcome": outcome, "power": power, "marks": marks, "void": void})
