"""Inside the trial's own process: run one spec, say how it goes, and name whatever went wrong.

Messages to the daemon are JSON lines: ``{"progress": [...]}`` while it trains, then one of ``{"measured": {...}}``,
``{"failed": {...}}``, ``{"suspended": {...}}`` or ``{"device": {...}}``. Imports torch only when called.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.text import describe_error
from autoresearch.core.values import FrozenModel
from autoresearch.training.build import make_model
from autoresearch.training.checkpointing.suspension import NeverSuspend, Suspender, Suspension
from autoresearch.training.parallel.launch import run_forked
from autoresearch.training.parallel.processes import RunRank
from autoresearch.training.profiling.step_timing import measure_speed
from autoresearch.trials.spec import TrialSpec

if TYPE_CHECKING:
    from autoresearch.data.corpus import Corpus
    from autoresearch.training.train import Model


Send = Callable[[dict[str, Any]], None]

# What the warm server imports before it forks, by trainer.
COMMON = (
    "autoresearch.data.corpus",
    "autoresearch.training.profiling.device_probe",
    "autoresearch.training.checkpointing.suspend_on_request",
    "autoresearch.training.train",
    "autoresearch.training.trainer",
)
PRELOAD = {
    "torch": ("autoresearch.training.models.gpt_torch", *COMMON),
    "megatron": ("autoresearch.training.models.gpt_megatron", *COMMON),
}


def preload(trainer: str) -> tuple[str, ...]:
    """What the warm server may import, so that its forks can still use CUDA.

    Beside flash-attn, Transformer Engine asks the driver what chip there is while it is imported (Megatron imports it).
    There each trial imports Megatron itself, which takes it some seconds.
    """
    asks_the_driver = all(find_spec(package) for package in ("transformer_engine", "flash_attn"))
    return PRELOAD["torch"] if trainer == "megatron" and asks_the_driver else PRELOAD[trainer]


def handle(request: dict[str, Any], send: Send, suspend_fd: int) -> None:
    """Answer one request of the daemon: probe the device, run a trial, or time its steps or a matrix product.

    A trial is put aside when ``suspend_fd``, the end of a pipe, becomes readable.
    """
    if "probe" in request:
        from autoresearch.training.profiling.device_probe import probe

        try:
            send({"device": probe(request["probe"], request["trainer"]).model_dump(mode="json")})
        except ValueError as e:
            send({"no_device": str(e)})
        return
    if "compile_times" in request:
        from autoresearch.training.profiling.compile_timing import measure

        send(
            {"compile_times": measure(TrialSpec.model_validate_json(json.dumps(request["compile_times"]))).model_dump()}
        )
        return
    spec = TrialSpec.model_validate_json(json.dumps(request["trial"]))
    if "peak_of" in request:
        send(answer(lambda: _matmul_peak(spec, request["peak_of"])))
        return
    work: RunRank = partial(run_rank, suspender=_build_suspender(request, spec, suspend_fd))
    if "timing" in request:
        work = partial(time_rank, Timing.model_validate_json(json.dumps(request["timing"])))
    several = spec.data_parallel * spec.tensor_parallel > 1
    send(run_forked(spec, work, send) if several else work(spec, send))


def _build_suspender(request: dict[str, Any], spec: TrialSpec, suspend_fd: int) -> Suspender:
    if "checkpoint" not in request:
        return NeverSuspend()
    from autoresearch.training.checkpointing.checkpoint import Checkpoint
    from autoresearch.training.checkpointing.suspend_on_request import SuspendOnRequest

    return SuspendOnRequest(Checkpoint(Path(request["checkpoint"]), spec), suspend_fd, goes_on=request["goes_on"])


def run_rank(spec: TrialSpec, send: Send, suspender: Suspender | None = None) -> dict[str, Any]:
    """One trial, start to end, or one rank's part in it: the message that ends it."""
    from autoresearch.training.train import train_and_measure

    def trial() -> Measurement:
        corpus, model = _open(spec)
        return train_and_measure(spec, corpus, model, lambda *how: send({"progress": how}), suspender or NeverSuspend())

    return answer(trial)


def time_rank(timing: Timing, spec: TrialSpec, send: Send) -> dict[str, Any]:
    """How fast a trial's steps are, or one rank's part in that: the message that ends it."""
    from autoresearch.training.profiling.gpu_energy_counter import open_energy_counter

    one = spec.data_parallel * spec.tensor_parallel == 1  # of several ranks each sees its own GPU only
    read_energy = open_energy_counter(spec.device if one else "several")

    def speed() -> Speed:
        corpus, model = _open(spec)
        return measure_speed(spec, corpus, model, timing, lambda *how: send({"progress": how}), read_energy)

    return answer(speed)


def _matmul_peak(spec: TrialSpec, precision: str) -> MatmulPeak:
    from autoresearch.training.profiling.matmul_peak import matmul_flops_per_s
    from autoresearch.training.trainer import set_up_device

    return MatmulPeak(flops_per_s=matmul_flops_per_s(set_up_device(spec), precision))


def _open(spec: TrialSpec) -> tuple[Corpus, Model]:
    from autoresearch.data.corpus import Corpus

    corpus = Corpus.open(Path(spec.corpus))
    return corpus, make_model(spec, corpus.vocab)


def answer(work: Callable[[], FrozenModel]) -> dict[str, Any]:
    """The message that ends it: what ``work`` measured, where it was put aside, or what went wrong with it, named."""
    from autoresearch.training.train import NonFiniteLossError

    try:
        measured = work()
    except Suspension as e:
        return {"suspended": e.suspended.model_dump(mode="json")}
    except NonFiniteLossError as e:
        return _failed(Cause.NON_FINITE_LOSS, e, step=e.step)
    except MemoryError as e:
        return _failed(Cause.OUT_OF_MEMORY, e)
    except Exception as e:
        return _failed(Cause.OUT_OF_MEMORY if _is_out_of_memory(e) else Cause.ERROR, e)
    return {"measured": measured.model_dump(mode="json")}


def _is_out_of_memory(error: Exception) -> bool:
    """torch has a type for CUDA; the CPU allocator raises a RuntimeError that says so."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    words = ("can't allocate memory", "Cannot allocate memory", "failed to map segment", "bad_alloc")
    return type(error).__name__ == "OutOfMemoryError" or any(w in str(error) for w in words)


def _failed(cause: Cause, error: BaseException, step: int | None = None) -> dict[str, Any]:
    detail = describe_error(error, 2000)
    return {"failed": Failure(cause=cause, detail=detail, step=step).model_dump(mode="json")}
