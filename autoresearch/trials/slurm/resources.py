"""What a job asks Slurm for: time from the trial's deadline, memory from what its child may take. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoresearch.trials.pace import MAX_DEADLINE_FACTOR
from autoresearch.trials.runner import KILL_DEADLINE_S
from autoresearch.trials.server import FORK_DEADLINE_S, START_DEADLINE_S
from autoresearch.trials.suspend import SUSPEND_DEADLINE_S

# The job's own Python and the trial server, which has imported torch: 0.5 GiB measured on the CPU.
SERVER_BYTES = 1 << 30
OTHER_REQUEST_BYTES = 3 << 30  # of a child that has no limit of its own: a probe, or the timing of compiled layers
# R7's estimate is of a peak that measured ones stay below; Slurm ends a job that is above what it asked for.
MEMORY_FACTOR = 2.0
MIN_TRIAL_BYTES = 1 << 30
MIN_CUDA_TRIAL_BYTES = 8 << 30  # of the host: CUDA's libraries and pinned buffers are not part of R7's estimate
CORPUS_CHECK_S = 600.0  # to read a large corpus once on a node that is new


@dataclass(frozen=True, slots=True)
class Resources:
    """Of one job."""

    minutes: int
    memory_mib: int
    cpus: int
    gpus: int


def resources_for(limit: int | None, deadline_s: float, cpus: int, gpus: int) -> Resources:
    """``limit`` is what the child may take in bytes.

    Slurm's limits lie above the trial's own, so that the trial's guard acts first and names the cause.
    """
    held = OTHER_REQUEST_BYTES if limit is None else limit
    seconds = CORPUS_CHECK_S + 2 * (START_DEADLINE_S + FORK_DEADLINE_S + KILL_DEADLINE_S) + SUSPEND_DEADLINE_S
    seconds += deadline_s * MAX_DEADLINE_FACTOR
    return Resources(math.ceil(seconds / 60), math.ceil((held + SERVER_BYTES) / 2**20), cpus, gpus)


def trial_memory_bytes(estimated: int, most: int, gpus: int) -> int:
    """What a trial may take on its node: twice R7's estimate, within ``most``. ``gpus``: on how many it trains."""
    least = MIN_CUDA_TRIAL_BYTES * gpus if gpus else MIN_TRIAL_BYTES
    return min(most, max(least, int(estimated * MEMORY_FACTOR)))
