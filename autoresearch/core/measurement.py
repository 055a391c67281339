"""What one trial ends with: a measurement, a failure with its cause, or a suspension."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import TypeAdapter

from autoresearch.core.power import Scope
from autoresearch.core.values import FrozenModel as FrozenModel
from autoresearch.core.values import NotNegative, Positive, PositiveInt


class Cause(StrEnum):
    """Why a trial has no measurement."""

    NON_FINITE_LOSS = "non_finite_loss"  # the loss became NaN or infinite; ``step`` says when
    OUT_OF_MEMORY = "out_of_memory"  # refused by the allocator, the memory guard or the kernel
    TIMEOUT = "timeout"  # past its deadline
    CRASHED = "crashed"  # ended by a signal that the trial caused, for example a segmentation fault
    KILLED = "killed"  # SIGKILL or SIGTERM from outside
    ERROR = "error"  # an exception in the trainer
    EXITED = "exited"  # the process ended without a result
    GARBAGE = "garbage"  # the result was not a measurement
    HOST_LOST = "host_lost"  # the machine went down during this trial, twice


# Chance rather than a property of the configuration: it may be tried once more.
RETRYABLE = frozenset({Cause.TIMEOUT, Cause.KILLED})


# Why a trial may not show what its configuration can do: heat or the power supply slowed the device, other processes
# used it, or it was far slower or faster than the baseline (``trial_marks``).
Mark = Literal["throttled", "contended", "slow", "fast"]


class Measurement(FrozenModel):
    """What one trial measured."""

    ok: Literal[True] = True
    val_bpb: Positive
    val_nats_per_token: Positive
    val_tokens: PositiveInt
    val_bytes: PositiveInt
    train_loss_first: float
    train_loss_last: float
    train_steps: PositiveInt
    train_tokens: PositiveInt
    train_flops: PositiveInt
    params: PositiveInt
    mean_step_ms: NotNegative
    tokens_per_s: NotNegative
    train_wall_s: NotNegative  # first forward to last step
    val_wall_s: NotNegative
    trial_wall_s: NotNegative  # as the daemon saw it, process start and end included
    peak_bytes: PositiveInt
    device: str
    energy_j: float | None = None  # of the whole trial; its scope, method and coverage stand in the trial's ``power``
    deadline_extended_s: float | None = None  # it was slowed but made progress, and got that much more time


class Failure(FrozenModel):
    """Why one trial measured nothing."""

    ok: Literal[False] = False
    cause: Cause
    detail: str
    step: int | None = None
    exit_code: int | None = None  # negative: the signal that ended it
    stderr_tail: str = ""
    trial_wall_s: float | None = None
    train_wall_s: float | None = None
    peak_bytes: int | None = None
    energy_j: float | None = None
    deadline_extended_s: float | None = None


Outcome = Measurement | Failure


class Suspended(FrozenModel):
    """Where one trial was suspended, to resume later. Seconds and joules are of all its parts so far."""

    step: int  # optimizer steps done
    resumes_at: int | None  # the step of its checkpoint; null: there is none, and the trial starts over
    problem: str = ""  # why there is no checkpoint of this step
    train_wall_s: NotNegative
    val_wall_s: NotNegative
    trial_wall_s: NotNegative = 0.0
    energy_j: float | None = None
    energy_scope: Scope | None = None  # what energy_j is of; joules of another scope are not added to it


OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
OUTCOME_OR_SUSPENDED: TypeAdapter[Outcome | Suspended] = TypeAdapter(Outcome | Suspended)
