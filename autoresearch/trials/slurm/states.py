"""What Slurm's state of a job means for its trial. Pure.

The states are those of ``man squeue`` (JOB STATE CODES). Whatever the state, a result that the job wrote comes first:
the state only names the end of a job that wrote none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoresearch.core.measurement import Cause

MAX_REASON_CHARS = 60


@dataclass(frozen=True, slots=True)
class JobState:
    """One line of squeue or sacct."""

    state: str
    reason: str = ""  # why it waits, or why it ended
    node: str = ""

    @property
    def waits(self) -> bool:
        """Whether it has not begun."""
        return self.state in WAITING

    @property
    def end(self) -> JobEnd | None:
        """How it ended; ``None`` while it waits or runs, also in a state that this version does not know."""
        return ENDS.get(self.state)


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What to do about a job that ended without a result."""

    cause: Cause
    what: str  # for "job 12 ...", in the past tense
    attempts: int = 1  # trials lost in this way before it counts as a failure; 1: it counts at once


WAITING = frozenset({"PENDING", "CONFIGURING"})
REQUEUED = frozenset({"REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})

# A job is preempted for reasons outside of it. A node that goes down may have been brought down by the trial: the loop
# repeats that trial once, as after a reboot of the machine.
PREEMPTED_ATTEMPTS = 10

# What the job's own log has where Slurm measures memory without control groups: its state is then FAILED.
_ABOVE_MEMORY = re.compile(r"^slurmstepd.*(exceeded .*memory limit|oom[-_ ]kill)", re.MULTILINE | re.IGNORECASE)

ABOVE_MEMORY = JobEnd(Cause.OUT_OF_MEMORY, "was ended by Slurm because it took more memory than it had asked for")
ENDS: Mapping[str, JobEnd] = {
    "COMPLETED": JobEnd(Cause.EXITED, "ended without a result"),
    "FAILED": JobEnd(Cause.KILLED, "failed without a result"),
    "OUT_OF_MEMORY": ABOVE_MEMORY,
    "TIMEOUT": JobEnd(Cause.TIMEOUT, "was ended by Slurm at its time limit"),
    "DEADLINE": JobEnd(Cause.TIMEOUT, "was ended by Slurm at its deadline"),
    "CANCELLED": JobEnd(Cause.KILLED, "was cancelled from outside (scancel, or an administrator)"),
    "NODE_FAIL": JobEnd(Cause.HOST_LOST, "was lost with its node"),
    "BOOT_FAIL": JobEnd(Cause.HOST_LOST, "could not start, because its node did not boot"),
    "PREEMPTED": JobEnd(Cause.HOST_LOST, "was preempted", PREEMPTED_ATTEMPTS),
    "REVOKED": JobEnd(Cause.HOST_LOST, "was revoked by another cluster"),
    **dict.fromkeys(REQUEUED, JobEnd(Cause.HOST_LOST, "was requeued although it asked not to be")),
}
UNKNOWN_JOB = JobEnd(Cause.HOST_LOST, "is not known to Slurm any more")
AT_LIMIT = JobEnd(Cause.TIMEOUT, "ended because Slurm was about to end it at its time limit")
LEASE_OVER = JobEnd(Cause.HOST_LOST, "ended because it saw no sign of the daemon")


def parse_squeue(text: str) -> dict[str, JobState]:
    """Jobs by number, from lines ``number|state|reason|node``; other lines are ignored."""
    found = {}
    for line in text.splitlines():
        job, *rest = line.strip().split("|")
        if re.fullmatch(r"\d+", job) and len(rest) == 3:
            found[job] = JobState(rest[0].upper(), shorten_reason(rest[1]), rest[2])
    return found


def parse_sacct(text: str) -> dict[str, JobState]:
    """Jobs by number, from lines ``number|state|node``; "CANCELLED by 1000" is CANCELLED."""
    found = {}
    for line in text.splitlines():
        job, *rest = line.strip().split("|")
        if re.fullmatch(r"\d+", job) and len(rest) == 2 and rest[0].strip():
            found[job] = JobState(rest[0].split()[0].upper(), "", rest[1])
    return found


def shorten_reason(reason: str) -> str:
    """Slurm's reason as it may be shown: one short line without control characters."""
    return re.sub(r"[^\w ,.:()-]", "", reason)[:MAX_REASON_CHARS]


def name_end(end: JobEnd, log: str) -> JobEnd:
    """The same end, or that its memory was not enough where the job's log says so and the state does not."""
    return ABOVE_MEMORY if end.cause in (Cause.KILLED, Cause.EXITED) and _ABOVE_MEMORY.search(log) else end
