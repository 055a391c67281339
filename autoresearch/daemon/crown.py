"""The end of a run: what is measured once every iteration is closed, before the run is complete."""

from __future__ import annotations

from autoresearch.core.climb import next_climb_trial
from autoresearch.core.loop import Loop
from autoresearch.daemon.side_trials import run_side_trials


def measure_at_end(loop: Loop) -> None:
    """Measure the winner against the first baseline of the climb, where the run is part of one."""
    run_side_trials(loop, next_climb_trial)
