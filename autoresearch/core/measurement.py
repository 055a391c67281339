"""What one trial ends with: a measurement, a failure with its cause, an early stop, or a suspension."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from autoresearch.core.metric import Metric, loss_of
from autoresearch.core.power import Scope
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.values import FrozenModel as FrozenModel
from autoresearch.core.values import NotNegative, Positive, PositiveInt

CURVE_POINTS = 32  # of a training-loss curve; point n covers the budget from n / 32 to (n + 1) / 32


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
    DISK_FULL = "disk_full"  # it could not write a file, twice
    CHECK_FAILED = "check_failed"  # a command measured, and the user's check of it did not pass
    HOST_LOST = "host_lost"  # the machine went down during this trial, twice


# Chance rather than a property of the configuration: it may be tried once more.
RETRYABLE = frozenset({Cause.TIMEOUT, Cause.KILLED, Cause.DISK_FULL})


# Why a trial may not show what its configuration can do: heat or the power supply slowed the device, other processes
# used it, or it was far slower or faster than the baseline (``trial_marks``).
Mark = Literal["throttled", "contended", "slow", "fast"]


class Measurement(FrozenModel):
    """What one trial measured. A trial of trainer ``command`` knows its metric and its seconds; the rest is null."""

    ok: Literal[True] = True
    val_bpb: Positive | None  # null where the metric is another one
    val_nats_per_token: Positive | None
    val_tokens: PositiveInt | None
    val_bytes: PositiveInt | None
    train_loss_first: float | None
    train_loss_last: float | None
    train_steps: PositiveInt | None
    train_tokens: PositiveInt | None
    train_flops: PositiveInt | None
    params: PositiveInt | None
    mean_step_ms: NotNegative | None
    tokens_per_s: NotNegative | None
    train_wall_s: NotNegative  # first forward to last step; of a command, from its start to its end
    val_wall_s: NotNegative  # of a command, its checks
    trial_wall_s: NotNegative  # as the daemon saw it, process start and end included
    peak_bytes: PositiveInt | None
    device: str
    energy_j: float | None = None  # of the whole trial; its scope, method and coverage stand in the trial's ``power``
    deadline_extended_s: float | None = None  # it was slowed but made progress, and got that much more time
    # Mean loss in nats per token, before the updates, over each of CURVE_POINTS equal parts of the budget; of the first
    # rank. Null in older records, and in ``eval_metrics``: the trial's own record has it.
    train_loss_curve: Annotated[tuple[float, ...], Field(max_length=CURVE_POINTS)] | None = None
    metric: Metric | None = None  # null where the metric is bits per byte, which ``val_bpb`` has
    metric_count: PositiveInt | None = None  # how often a command printed it; the last value counts

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.val_bpb is None) == (self.metric is None):
            raise ValueError("either val_bpb or metric is needed, and not both")
        return self

    @property
    def loss(self) -> float:
        """What verdicts compare, less is better: ``val_bpb``, or the value of the metric, negated if higher is better.

        It is not shown; ``value`` is.
        """
        return loss_of(self.value, self.metric.direction if self.metric else "lower")

    @property
    def value(self) -> float:
        """The value of the metric: ``val_bpb``, or that of ``metric``."""
        value = self.val_bpb if self.metric is None else self.metric.value
        assert value is not None, "validated"
        return value

    def without_curve(self) -> Measurement:
        """The same without its curve, for a record that repeats the measurement of its trial."""
        return self.model_copy(update={"train_loss_curve": None})


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


# From left to right: only one kind fits, and pydantic's own way would try all of them, which takes four times as long.
Outcome = Annotated[Measurement | Failure | EarlyStop, Field(union_mode="left_to_right")]


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
