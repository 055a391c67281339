"""A network with its optimizer on a device, for every trainer; implements ``train.Model``."""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch._inductor.config as inductor
from numpy.typing import NDArray
from torch import Tensor

from autoresearch.training.models.network import Network
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.spec import TrialSpec

ONE_RANK = Ranks()
STEPS_AHEAD = 2  # how far the host may run ahead of the device: enough to keep it busy, and little work to lose


def set_up_device(spec: TrialSpec) -> torch.device:
    """Select the device and make its results reproducible: a fixed number of threads, deterministic kernels only."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by older torch; read when cuBLAS first runs
    torch.set_num_threads(spec.threads)
    torch.use_deterministic_algorithms(True)
    # Otherwise deterministic mode fills every new tensor with NaN first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device(spec.device)
    if device.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0"))
        if index >= torch.cuda.device_count():
            raise ValueError(f"rank {index} has no CUDA device: torch sees {torch.cuda.device_count()}")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    if device.type == "cuda" and spec.memory_limit_bytes is not None:
        properties = torch.cuda.get_device_properties(device)
        if properties.is_integrated:  # unified memory (GB10): running out of it can take the host down
            torch.cuda.set_per_process_memory_fraction(min(1.0, spec.memory_limit_bytes / properties.total_memory))
    return device


class Trainer:
    """Trains one configuration. The weights are fp32; in bf16 and fp8 the network computes with a bf16 copy."""

    def __init__(self, spec: TrialSpec, network: Network, device: torch.device, ranks: Ranks = ONE_RANK) -> None:
        """``network`` is in fp32 on ``device`` with its initial weights."""
        self.device = device
        self.network = network
        self.compiled = spec.compiled
        if spec.compiled:  # each layer by itself: they share their code, so it is compiled once for any n_layer
            if hasattr(inductor, "deterministic"):  # do not choose kernels by timing them (torch 2.9)
                inductor.deterministic = True
            for layer in network.layers:
                layer.compile(dynamic=False)
        dtype = torch.float32 if spec.cfg["precision"] == "fp32" else torch.bfloat16
        self.ranks = ranks
        self.optimizer = MasterAdamW(network, spec.cfg, dtype, ranks)
        self._losses = LossQueue(device)

    @property
    def device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def warm_up(self, batch: NDArray[np.int64]) -> None:
        """One forward and backward pass without an update: compiles layers, loads libraries, chooses kernels.

        Left out on the CPU without compiling, where none of these is needed.
        """
        if self.device.type == "cuda" or self.compiled:
            self.network.mean_nats(self._to_device(self.ranks.share(batch))).backward()  # type: ignore[no-untyped-call]
            self.network.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

    def step(self, batch: NDArray[np.int64], lr: float) -> None:
        loss = self.network.mean_nats(self._to_device(self.ranks.share(batch)))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(lr)
        loss = loss.detach()
        self.ranks.average([loss])
        self._losses.put(loss)

    def losses(self, wait_for_all: bool = False) -> list[float]:
        return self._losses.take(0 if wait_for_all else STEPS_AHEAD)

    def nats(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
        # The shapes of validation differ from those of training, and its last batch differs again: not worth compiling.
        with torch.compiler.set_stance("force_eager") if self.compiled else nullcontext():
            return self.network.token_nats(self._to_device(inputs), self._to_device(targets)).cpu().numpy()

    @property
    def validation_shard(self) -> tuple[int, int]:
        return self.ranks.data_rank, self.ranks.data

    def sum_over_ranks(self, values: Sequence[float]) -> list[float]:
        return self.ranks.sum_over_ranks(values)

    def state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state(), "beside": self._extra_state()}

    def load(self, state: dict[str, Any]) -> None:
        self.optimizer.load(state["optimizer"])
        if state["beside"]:
            self.network.load_state_dict(state["beside"], strict=False)

    def any_rank(self, flag: bool) -> bool:
        return self.ranks.any_rank(flag)

    @property
    def rank(self) -> int:
        return self.ranks.index

    def _extra_state(self) -> dict[str, Any]:
        """The network's state beside its weights: Transformer Engine's fp8 scales, otherwise nothing."""
        weights = {name for name, _ in self.network.named_parameters(remove_duplicate=False)}
        state = self.network.state_dict()
        return {name: value for name, value in state.items() if name not in weights and value is not None}

    def peak_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB

    def _to_device(self, array: NDArray[np.int64]) -> Tensor:
        host = torch.from_numpy(array)
        if self.device.type == "cpu":
            return host
        return host.pin_memory().to(self.device, non_blocking=True)


class LossQueue:
    """Losses on their way from the device to the host, oldest first; ``put`` does not wait."""

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._waiting: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def put(self, loss: Tensor) -> None:
        """Start copying a scalar to the host."""
        if not self._on_cuda:
            self._waiting.append((loss, None))
            return
        host = torch.empty((), dtype=loss.dtype, pin_memory=True)
        host.copy_(loss, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        self._waiting.append((host, copied))

    def take(self, max_pending: int) -> list[float]:
        """The losses that have arrived, in order, after waiting until at most ``max_pending`` are on their way."""
        arrived = []
        while self._waiting:
            loss, copied = self._waiting[0]
            if copied is not None and not copied.query():  # type: ignore[no-untyped-call]
                if len(self._waiting) <= max_pending:
                    break
                copied.synchronize()
            arrived.append(loss.item())
            self._waiting.popleft()
        return arrived
