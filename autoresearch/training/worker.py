"""Inside the trial's own process: do what one request asks for, report progress, and name whatever failed.

The messages to the daemon are those of ``trials.messages``. Importing this module imports torch: the trial server does
it once, before it forks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import assert_never

from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.text import describe_error
from autoresearch.core.values import FrozenModel
from autoresearch.data.corpus import Corpus
from autoresearch.hints import NO_SPACE
from autoresearch.training.build import build_model
from autoresearch.training.checkpointing.checkpoint import Checkpoint
from autoresearch.training.checkpointing.suspend_on_request import SuspendOnRequest
from autoresearch.training.checkpointing.suspension import NeverSuspend, Suspender, Suspension
from autoresearch.training.parallel.launch import run_forked
from autoresearch.training.parallel.processes import RunRank, Send
from autoresearch.training.profiling import compile_timing
from autoresearch.training.profiling.device_probe import probe
from autoresearch.training.profiling.gpu_energy_counter import open_energy_counter
from autoresearch.training.profiling.matmul_peak import matmul_flops_per_s
from autoresearch.training.profiling.step_timing import measure_speed
from autoresearch.training.stop_early import LimitExceeded
from autoresearch.training.train import Model, NonFiniteLossError, train_and_measure
from autoresearch.training.trainer import set_up_device
from autoresearch.trials.messages import (
    COMPILE_TIMES,
    DEVICE,
    FAILED,
    MEASURED,
    NO_DEVICE,
    PROGRESS,
    SEALED,
    STOPPED_EARLY,
    SUSPENDED,
    Message,
)
from autoresearch.trials.requests import (
    CompileTimesRequest,
    MatmulPeakRequest,
    ProbeRequest,
    Request,
    SpeedRequest,
    TrialRequest,
)
from autoresearch.trials.spec import TrialSpec

MAX_DETAIL_CHARS = 2000


def handle(request: Request, send: Send, suspend_fd: int) -> None:
    """Answer one request of the daemon. A trial is suspended once the pipe ``suspend_fd`` becomes readable."""
    match request:
        case ProbeRequest(device=device, trainer=trainer):
            send(_probe(device, trainer))
        case CompileTimesRequest(spec=spec):
            send({COMPILE_TIMES: compile_timing.measure(spec).model_dump(mode="json")})
        case MatmulPeakRequest(spec=spec, precision=precision):
            send(final_message(lambda: _matmul_peak(spec, precision)))
        case SpeedRequest(spec=spec, timing=timing):
            send(_on_every_rank(spec, partial(time_rank, timing), send))
        case TrialRequest(spec=spec):
            send(_on_every_rank(spec, partial(run_rank, suspender=_build_suspender(request, suspend_fd)), send))
        case _:
            assert_never(request)


def _probe(device: str, trainer: str) -> Message:
    try:
        return {DEVICE: probe(device, trainer).model_dump(mode="json")}
    except ValueError as e:
        return {NO_DEVICE: str(e)}


def _on_every_rank(spec: TrialSpec, work: RunRank, send: Send) -> Message:
    """Do the work in this process, or in one fork of it per rank."""
    return run_forked(spec, work, send) if spec.data_parallel * spec.tensor_parallel > 1 else work(spec, send)


def _build_suspender(request: TrialRequest, suspend_fd: int) -> Suspender:
    if request.checkpoint is None:
        return NeverSuspend()
    return SuspendOnRequest(Checkpoint(Path(request.checkpoint), request.spec), suspend_fd, resumes=request.resume)


def run_rank(spec: TrialSpec, send: Send, suspender: Suspender | None = None) -> Message:
    """Run one trial, or one rank's part of it; the final message, with the sealed value beside the measurement."""
    sealed: Message = {}

    def trial() -> Measurement:
        corpus, model = _open_corpus_and_build_model(spec)
        report, seal = _report_to(send), partial(sealed.__setitem__, SEALED)
        return train_and_measure(spec, corpus, model, report, suspender or NeverSuspend(), seal)

    return final_message(trial) | sealed


def time_rank(timing: Timing, spec: TrialSpec, send: Send) -> Message:
    """Time a trial's steps, or one rank's part in them; the final message."""
    one_rank = spec.data_parallel * spec.tensor_parallel == 1  # of several, each reads its own GPU's counter only
    read_energy = open_energy_counter(spec.device) if one_rank else lambda: None

    def speed() -> Speed:
        corpus, model = _open_corpus_and_build_model(spec)
        return measure_speed(spec, corpus, model, timing, _report_to(send), read_energy)

    return final_message(speed)


def _report_to(send: Send) -> Callable[[str, float, int, float | None], None]:
    return lambda *progress: send({PROGRESS: progress})


def _matmul_peak(spec: TrialSpec, precision: str) -> MatmulPeak:
    return MatmulPeak(flops_per_s=matmul_flops_per_s(set_up_device(spec), precision))


def _open_corpus_and_build_model(spec: TrialSpec) -> tuple[Corpus, Model]:
    corpus = Corpus.open(Path(spec.corpus))
    return corpus, build_model(spec, corpus.vocab)


def final_message(measure: Callable[[], FrozenModel]) -> Message:
    """The message that ends a request: what ``measure`` returned, where it was suspended or stopped, why it failed."""
    try:
        measured = measure()
    except Suspension as e:
        return {SUSPENDED: e.suspended.model_dump(mode="json")}
    except LimitExceeded as e:
        return {STOPPED_EARLY: e.stop.model_dump(mode="json")}
    except NonFiniteLossError as e:
        return _failed(Cause.NON_FINITE_LOSS, e, step=e.step)
    except MemoryError as e:
        return _failed(Cause.OUT_OF_MEMORY, e)
    except Exception as e:
        full = Cause.DISK_FULL if _is_full_disk(e) else Cause.ERROR
        return _failed(Cause.OUT_OF_MEMORY if _is_out_of_memory(e) else full, e)
    return {MEASURED: measured.model_dump(mode="json")}


def _is_out_of_memory(error: Exception) -> bool:
    """torch has a type for CUDA; the CPU allocator raises a RuntimeError whose text names the cause."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    phrases = ("can't allocate memory", "Cannot allocate memory", "failed to map segment", "bad_alloc")
    return type(error).__name__ == "OutOfMemoryError" or any(phrase in str(error) for phrase in phrases)


def _is_full_disk(error: BaseException) -> bool:
    """Whether a full disk or quota caused it, also where torch or a compiler has wrapped the error as text."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return True
    cause = error.__cause__ or error.__context__
    return any(os.strerror(number) in str(error) for number in NO_SPACE) or (cause is not None and _is_full_disk(cause))


def _failed(cause: Cause, error: BaseException, step: int | None = None) -> Message:
    detail = describe_error(error, MAX_DETAIL_CHARS)
    return {FAILED: Failure(cause=cause, detail=detail, step=step).model_dump(mode="json")}
