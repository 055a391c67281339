"""Name how a trial process ended: a result, or a failure with its cause."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from autoresearch.core.measurement import Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.speeds import MatmulPeak, Speed
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.machine import explain_kill
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.messages import FAILED, MEASURED, SEALED, STOPPED_EARLY, SUSPENDED, Message

RECORDED_STDERR_CHARS = 2000
ENDS = (MEASURED, STOPPED_EARLY, SUSPENDED, FAILED)

T = TypeVar("T", Outcome | Suspended, Speed | Failure, MatmulPeak | Failure)


def judge_end(
    output: ChildOutput, exit_code: int | None, peak: int | None, wall_s: float, answers: TypeAdapter[T]
) -> T:
    """Name how a child ended. ``answers`` validates its result, which counts only if it then exited with 0."""
    end = _named_end(output, exit_code, answers)
    if output.extended_s and isinstance(end, Measurement | EarlyStop | Failure):
        end = end.model_copy(update={"deadline_extended_s": output.extended_s})
    if not isinstance(end, Failure):
        return end.model_copy(update={"trial_wall_s": wall_s})
    tail = output.stderr.decode(errors="replace")[-RECORDED_STDERR_CHARS:]
    known = {"trial_wall_s": wall_s, "peak_bytes": peak, "exit_code": exit_code, "stderr_tail": tail}
    return end.model_copy(update=known)


def sealed_value(output: ChildOutput) -> float | None:
    """The bits per byte on the test split that the child returned beside its measurement, if that is a number."""
    value = (output.answer or {}).get(SEALED)
    return value if isinstance(value, float) and 0 < value < math.inf else None


def _named_end(output: ChildOutput, exit_code: int | None, answers: TypeAdapter[T]) -> T:
    if output.kill_reason is not None and exit_code in (None, -signal.SIGKILL):
        cause, detail = output.kill_reason
        return Failure(cause=cause, detail=detail)
    if exit_code is None:
        return Failure(cause=Cause.KILLED, detail="the trial server was killed, and the trial with it")
    if exit_code < 0:
        return describe_signal(-exit_code)
    if output.garbage:
        return Failure(cause=Cause.GARBAGE, detail=f"it answered {output.garbage}")
    if output.answer is None:
        detail = f"it ended with exit code {exit_code} and without an answer{_last_words(output)}"
        return Failure(cause=Cause.EXITED, detail=detail)
    return _parsed(output.answer, exit_code, answers)


def _last_words(output: ChildOutput) -> str:
    """The last line that it printed, and what to look at where that line names a limit of the system."""
    *_, last = ("", *output.stderr.decode(errors="replace").strip().splitlines())
    limits = " (see ulimit -u, TasksMax=)" if os.strerror(errno.EAGAIN) in last else ""
    return f"; it printed {last[:200]!a}{limits}" if last else ""


def describe_signal(number: int) -> Failure:
    """The failure of a process that a signal ended."""
    name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
    if number in (signal.SIGKILL, signal.SIGTERM):
        return Failure(cause=Cause.KILLED, detail=f"ended from outside by {name} ({explain_kill()})")
    limit = (
        " (its CPU time is limited: RLIMIT_CPU, ulimit -t, LimitCPU= of the unit)" if number == signal.SIGXCPU else ""
    )
    return Failure(cause=Cause.CRASHED, detail=f"ended by {name}{limit}")


def _parsed(answer: Message, exit_code: int, answers: TypeAdapter[T]) -> T:
    try:
        end = answers.validate_json(json.dumps(next((answer[name] for name in ENDS if name in answer), None)))
    except (ValidationError, ValueError) as e:
        return Failure(cause=Cause.GARBAGE, detail=f"its answer is not a measurement: {str(e).splitlines()[0]}")
    if not isinstance(end, Failure) and exit_code != 0:
        return Failure(cause=Cause.EXITED, detail=f"it measured, then ended with exit code {exit_code}")
    return end
