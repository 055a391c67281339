"""Side trials: what a run measures at its end, outside of its iterations and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autoresearch.core.climb import SideNeeded
from autoresearch.core.executor import TrialProgress
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure, Outcome, Suspended
from autoresearch.core.ports import SuspendControl
from autoresearch.core.recorded_run import input_changed
from autoresearch.core.records import SideTrial, SideTrialStarted, SideTrialSuspended
from autoresearch.core.trajectory import Trajectory

MAX_TRIES = 2  # of a side trial that takes the daemon or the machine down


def run_side_trials(loop: Loop, next_needed: Callable[[Trajectory], SideNeeded | None]) -> None:
    """Run every side trial that is needed, each between two records; a kill repeats the one that was running.

    Pause and stop requests are obeyed as in an iteration: between two trials, or between two parts of one that was
    suspended for it. Raises ``Interrupted`` and what ends a run.
    """
    while needed := next_needed(loop.trajectory):
        loop.pause_or_stop_if_requested()
        loop.end_if_input_changed()
        run_side_trial(loop, needed)


def run_side_trial(loop: Loop, needed: SideNeeded) -> None:
    """Run one side trial, or one more part of it, to its end or to its suspension."""
    run = loop.trajectory
    tries = run.side_tries
    common: dict[str, Any] = {
        "side_trial": len(run.side_trials) + 1,
        "purpose": needed.purpose,
        "iter": needed.iter,
        "seed": needed.seed,
    }
    started = SideTrialStarted(ts=loop.utc(), cfg=needed.cfg, boot_id=loop.boot_id, **common)
    suspended_at = run.side_suspended_at(started)
    continues = suspended_at is not None and suspended_at.resumes_at is not None
    loop.record(started.model_copy(update={"continues": continues}))
    outcome = _host_lost(tries) or loop.trial.measure(
        needed.cfg,
        needed.seed,
        partial(show_progress, loop, needed.iter or 0),
        SuspendControl(loop.control.suspend_requested, suspended_at),
    )
    if changed := loop.changed_input():
        raise input_changed(changed)  # it may have read the changed file: it is not recorded, and will be repeated
    if isinstance(outcome, Suspended):
        loop.record(SideTrialSuspended(ts=loop.utc(), suspended=outcome, **common))
    else:
        loop.record(SideTrial(ts=loop.utc(), outcome=outcome, **common))


def _host_lost(tries: int) -> Outcome | None:
    """The failure of a trial that never ended, twice in a row: it may take the machine down."""
    if tries < MAX_TRIES:
        return None
    detail = f"the machine went down {tries} times while this configuration was trained"
    return Failure(cause=Cause.HOST_LOST, detail=detail)


def show_progress(loop: Loop, n: int, phase: str, fraction: float, step: int, tokens_per_s: float | None) -> None:
    """Show the progress of a side trial as that of any other; it has no number in the journal."""
    loop.show_progress(n, TrialProgress(0, phase, fraction, step, tokens_per_s))
