"""Side trials: what a run measures at its end, outside of its iterations and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from autoresearch.core.climb import SideNeeded
from autoresearch.core.loop import Loop, input_changed
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.ports import Interrupted
from autoresearch.core.records import SideTrial, SideTrialStarted
from autoresearch.core.trajectory import Trajectory

MAX_TRIES = 2  # of a side trial that takes the daemon or the machine down


def run_side_trials(loop: Loop, next_needed: Callable[[Trajectory], SideNeeded | None]) -> None:
    """Run every side trial that is needed, each between two records; a kill repeats the one that was running.

    Pause and stop requests are obeyed between two trials; a trial is never suspended, because it is the last work of a
    run. Raises ``Interrupted`` and what ends a run.
    """
    while needed := next_needed(loop.trajectory):
        loop.pause_or_stop_if_requested()
        loop.end_if_input_changed()
        run_side_trial(loop, needed)


def run_side_trial(loop: Loop, needed: SideNeeded) -> None:
    """Run one side trial. One that never ended, twice in a row, is a failure: it may take the machine down."""
    number = len(loop.trajectory.side_trials) + 1
    tries = loop.trajectory.side_tries
    started = SideTrialStarted(
        ts=loop.utc(),
        side_trial=number,
        purpose=needed.purpose,
        iter=needed.iter,
        seed=needed.seed,
        cfg=needed.cfg,
        boot_id=loop.boot_id,
    )
    loop.record(started)
    outcome: Outcome
    if tries >= MAX_TRIES:
        detail = f"the machine went down {tries} times while this configuration was trained"
        outcome = Failure(cause=Cause.HOST_LOST, detail=detail)
    else:
        measured = loop.trial.measure(needed.cfg, needed.seed, partial(loop.show_progress, needed.iter or 0))
        if not isinstance(measured, Outcome):
            raise Interrupted("a side trial was suspended")
        outcome = measured
    if changed := loop.changed_input():
        raise input_changed(changed)  # it may have read the changed file: it is not recorded, and will be repeated
    loop.record(
        SideTrial(
            ts=loop.utc(),
            side_trial=number,
            purpose=needed.purpose,
            iter=needed.iter,
            seed=needed.seed,
            outcome=outcome,
        )
    )
