"""What the end of a command means: a measurement, or a failure with its cause. Pure."""

from __future__ import annotations

import math
import re
import signal
from dataclasses import dataclass

from autoresearch.config.command import BITS_PER_BYTE, CommandSettings
from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.metric import Metric
from autoresearch.trials.command.child import Ended
from autoresearch.trials.command.number import parse_number
from autoresearch.trials.ending import RECORDED_STDERR_CHARS, describe_signal

OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|MemoryError|Cannot allocate memory|RESOURCE_EXHAUSTED|std::bad_alloc",
    re.IGNORECASE,
)
DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
SIGNALLED = 128  # a shell or a launcher ends with this and the signal that ended its child


@dataclass(frozen=True, slots=True)
class Returned:
    """What a command returned beside its exit code. ``metric`` is the text of the last value."""

    metric: str | None = None
    count: int = 0
    problem: str = ""  # why there is no metric, or why it cannot be read
    tokens: float | None = None
    peak_bytes: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a measurement says of where it ran, and of its checks."""

    device: str
    checks_s: float = 0.0
    trial_wall_s: float = 0.0


def judge(settings: CommandSettings, ended: Ended, returned: Returned, where: Conditions) -> Measurement | Failure:
    """Name how the command ended. A metric counts only if the command then ended with 0."""
    if failure := failure_of_end(ended):
        return _with_facts(failure, ended, where, returned)
    value, failure = _value(settings, ended, returned)
    if failure is not None or value is None:
        return _with_facts(failure or Failure(cause=Cause.GARBAGE, detail="no value"), ended, where, returned)
    is_bpb = settings.metric == BITS_PER_BYTE
    tokens = round(returned.tokens) if returned.tokens and returned.tokens >= 1 else None
    return Measurement(
        val_bpb=value if is_bpb else None,
        val_nats_per_token=None,
        val_tokens=None,
        val_bytes=None,
        train_loss_first=None,
        train_loss_last=None,
        train_steps=returned.step or None,
        train_tokens=tokens,
        train_flops=None,
        params=None,
        mean_step_ms=None,
        tokens_per_s=tokens / ended.wall_s if tokens and ended.wall_s > 0 else None,
        train_wall_s=ended.wall_s,
        val_wall_s=where.checks_s,
        trial_wall_s=max(where.trial_wall_s, ended.wall_s + where.checks_s),
        peak_bytes=returned.peak_bytes or ended.peak_bytes,
        device=where.device,
        deadline_extended_s=ended.extended_s or None,
        metric=None if is_bpb else Metric(name=settings.metric, value=value, direction=settings.direction),
        metric_count=returned.count or None,
    )


def failure_of_end(ended: Ended) -> Failure | None:
    """The failure of a command that was killed, or that did not end with 0."""
    code = ended.exit_code
    if ended.kill_reason is not None and code in (None, -signal.SIGKILL):
        cause, detail = ended.kill_reason
        return Failure(cause=cause, detail=detail)
    if code is None:
        return Failure(cause=Cause.KILLED, detail="it could not be killed, and is left to the kernel")
    if code == 0:
        return None
    if code < 0:
        return describe_signal(-code)
    said = ended.stderr.end
    if SIGNALLED < code <= SIGNALLED + 64:
        failure = describe_signal(code - SIGNALLED)
        return failure.model_copy(update={"detail": f"exit code {code}: a process of it {failure.detail}"})
    cause = Cause.OUT_OF_MEMORY if OUT_OF_MEMORY.search(said) else Cause.ERROR
    cause = Cause.DISK_FULL if DISK_FULL.search(said) else cause
    return Failure(cause=cause, detail=f"it ended with exit code {code}{_last_line(said or ended.stdout.end)}")


def check_failure(ended: Ended) -> Failure | None:
    """The failure of a measurement whose check did not pass."""
    if (failure := failure_of_end(ended)) is None:
        return None
    return failure.model_copy(
        update={"cause": Cause.CHECK_FAILED, "detail": f"command.checks did not pass: {failure.detail}"}
    )


MAX_METRIC = 1e100  # beyond it means and gains of metrics overflow: such a value is a divergence


def _value(settings: CommandSettings, ended: Ended, returned: Returned) -> tuple[float | None, Failure | None]:
    """The metric as a number, or why it is none."""
    name = settings.metric
    if returned.metric is None:
        nothing = f"{returned.problem}{_last_line(ended.stdout.end)}"
        return None, Failure(cause=Cause.EXITED, detail=f"it ended with exit code 0 without a metric: {nothing}")
    try:
        value = parse_number(returned.metric)
    except ValueError as e:
        why = f": {e}" if "," in returned.metric else ""
        detail = f"{name} is {returned.metric[:80]!a}, which is not a number{why}"
        return None, Failure(cause=Cause.GARBAGE, detail=detail)
    if not math.isfinite(value) or abs(value) > MAX_METRIC:
        return None, Failure(cause=Cause.NON_FINITE_LOSS, detail=f"it diverged: {name} is {returned.metric[:20]}")
    if name == BITS_PER_BYTE and value <= 0:
        return None, Failure(cause=Cause.GARBAGE, detail=f"{name} is {value:g}, and bits per byte are above 0")
    return value, None


def _with_facts(failure: Failure, ended: Ended, where: Conditions, returned: Returned) -> Failure:
    return failure.model_copy(
        update={
            "exit_code": ended.exit_code,
            "stderr_tail": ended.stderr.end[-RECORDED_STDERR_CHARS:],
            "trial_wall_s": max(where.trial_wall_s, ended.wall_s),
            "train_wall_s": ended.wall_s,
            "peak_bytes": returned.peak_bytes or ended.peak_bytes,
            "step": returned.step,
            "deadline_extended_s": ended.extended_s or None,
        }
    )


def _last_line(text: str) -> str:
    *_, last = ("", *text.strip().splitlines())
    return f"; it printed last {last.strip()[:200]!a}" if last else ""
