"""What Slurm's words mean."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause
from autoresearch.trials.slurm.resources import SERVER_BYTES, resources_for, trial_memory_bytes
from autoresearch.trials.slurm.states import JobState, parse_sacct, parse_squeue


@pytest.mark.parametrize(
    ("state", "cause", "attempts"),
    [
        ("OUT_OF_MEMORY", Cause.OUT_OF_MEMORY, 1),
        ("TIMEOUT", Cause.TIMEOUT, 1),
        ("CANCELLED", Cause.KILLED, 1),
        ("NODE_FAIL", Cause.HOST_LOST, 1),
        ("PREEMPTED", Cause.HOST_LOST, 10),
        ("REQUEUED", Cause.HOST_LOST, 1),
    ],
)
def test_a_state_names_the_cause(state: str, cause: Cause, attempts: int) -> None:
    end = JobState(state).end
    assert end is not None
    assert (end.cause, end.attempts) == (cause, attempts)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "A_NEW_ONE"])
def test_a_job_that_waits_or_runs_has_not_ended(state: str) -> None:
    assert JobState(state).end is None


def test_lines_of_squeue_and_sacct_are_parsed_and_others_ignored() -> None:
    assert parse_squeue("12|RUNNING|None|n0\nnonsense\n13|PENDING|Res\x1b[1m|\n|||\n") == {
        "12": JobState("RUNNING", "None", "n0"),
        "13": JobState("PENDING", "Res1m", ""),
    }
    assert parse_sacct("12|CANCELLED by 1000|n1\n13||\n") == {"12": JobState("CANCELLED", "", "n1")}


def test_slurms_limits_lie_above_the_trials_own() -> None:
    asked = resources_for(5 << 30, 600.0, 4, 1)
    assert asked.memory_mib << 20 == (5 << 30) + SERVER_BYTES
    assert asked.minutes * 60 > 600.0
    assert trial_memory_bytes(3 << 30, 4 << 30, gpus=0) == 4 << 30
    assert trial_memory_bytes(1 << 30, 64 << 30, gpus=2) == 16 << 30
