"""Inside the trial's own process: run one spec, say how it goes, and name whatever went wrong.

Messages to the daemon are JSON lines: ``{"progress": [...]}`` while it trains, then one of ``{"measured": {...}}``,
``{"failed": {...}}`` or ``{"device": {...}}``. Imports torch only when called.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.records import Cause, Failure
from autoresearch.training.estimate import unsupported
from autoresearch.training.launch import run_forked
from autoresearch.training.shape import Shape
from autoresearch.training.spec import TrialSpec

if TYPE_CHECKING:
    from autoresearch.training.train import Model

Send = Callable[[dict[str, Any]], None]

# What the warm server imports before it forks, by trainer.
COMMON = tuple(f"autoresearch.training.{name}" for name in ("corpus", "device", "train", "trainer"))
PRELOAD = {
    "torch": ("autoresearch.training.gpt_torch", *COMMON),
    "megatron": ("autoresearch.training.gpt_megatron", *COMMON),
}


def handle(request: dict[str, Any], send: Send) -> None:
    """Answer one request of the daemon: probe the device, or run a trial."""
    if "probe" in request:
        from autoresearch.training.device import probe

        try:
            send({"device": probe(request["probe"], request["trainer"]).model_dump(mode="json")})
        except ValueError as e:
            send({"no_device": str(e)})
        return
    if "compile_times" in request:
        from autoresearch.training.compiling import measure

        send(
            {"compile_times": measure(TrialSpec.model_validate_json(json.dumps(request["compile_times"]))).model_dump()}
        )
        return
    spec = TrialSpec.model_validate_json(json.dumps(request["trial"]))
    several = spec.data_parallel * spec.tensor_parallel > 1
    send(run_forked(spec, run_rank, send) if several else run_rank(spec, send))


def run_rank(spec: TrialSpec, send: Send) -> dict[str, Any]:
    """One trial, start to end, or one rank's part in it: the message that ends it."""
    from autoresearch.training.corpus import Corpus
    from autoresearch.training.train import NonFiniteLossError, train_and_measure

    try:
        corpus = Corpus.open(Path(spec.corpus))
        model = make_model(spec, corpus.vocab)
        measured = train_and_measure(spec, corpus, model, lambda *how: send({"progress": how}))
    except NonFiniteLossError as e:
        return _failed(Cause.NON_FINITE_LOSS, e, step=e.step)
    except MemoryError as e:
        return _failed(Cause.OUT_OF_MEMORY, e)
    except Exception as e:
        return _failed(Cause.OUT_OF_MEMORY if _is_out_of_memory(e) else Cause.ERROR, e)
    return {"measured": measured.model_dump(mode="json")}


def make_model(spec: TrialSpec, vocab: int) -> Model:
    """The model of the trainer that the spec names. Raises ``ValueError`` for what that trainer cannot do."""
    from autoresearch.training.trainer import Trainer, set_up_device

    if why := unsupported(spec.trainer, spec.cfg, spec.data_parallel, spec.tensor_parallel):
        raise ValueError(why)
    device, shape = set_up_device(spec), Shape.of(spec.cfg, vocab)
    if spec.trainer == "torch":
        from autoresearch.training.gpt_torch import GPT

        return Trainer(spec, GPT.drawn(shape, spec.seed, device), device)
    from autoresearch.training.gpt_megatron import MegatronGPT
    from autoresearch.training.ranks import join_megatron

    ranks = join_megatron(spec.data_parallel, spec.tensor_parallel, spec.seed, device)
    network = MegatronGPT(shape, str(spec.cfg["precision"]), device, ranks, spec.fp8_recipe).initialise(spec.seed)
    return Trainer(spec, network, device, ranks)


def _is_out_of_memory(error: Exception) -> bool:
    """torch has a type for CUDA; the CPU allocator raises a RuntimeError that says so."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    words = ("can't allocate memory", "Cannot allocate memory", "failed to map segment", "bad_alloc")
    return type(error).__name__ == "OutOfMemoryError" or any(w in str(error) for w in words)


def _failed(cause: Cause, error: BaseException, step: int | None = None) -> dict[str, Any]:
    detail = ascii(f"{type(error).__name__}: {error}")[1:-1][:2000]
    return {"failed": Failure(cause=cause, detail=detail, step=step).model_dump(mode="json")}
