"""The end of a run: what is measured once every iteration is closed, before the run is complete."""

from __future__ import annotations

from autoresearch.core.climb import next_climb_trial
from autoresearch.core.loop import Loop
from autoresearch.core.race import build_race, next_race_trial, race_is_due
from autoresearch.daemon.side_trials import run_side_trials


def measure_at_end(loop: Loop, race: bool) -> None:
    """Race the best keeps, if ``race``; then, in a climb, measure the winner against the first baseline."""
    if race and race_is_due(loop.trajectory):
        run_side_trials(loop, next_race_trial)
        loop.record(build_race(loop.trajectory, loop.utc()))
    run_side_trials(loop, next_climb_trial)
