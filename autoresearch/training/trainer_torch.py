"""Trainer ``torch``: the GPT in plain torch with AdamW, on the CPU or one CUDA device."""

from __future__ import annotations

import resource
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch._dynamo  # torch.optim imports it when first used, for over a second: here that falls to the warm server
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from autoresearch.training.gpt_torch import GPT
from autoresearch.training.shape import Shape
from autoresearch.training.spec import TrialSpec

PRECISIONS = ("fp32", "bf16")  # fp8 needs Transformer Engine: trainer megatron


def set_up_device(spec: TrialSpec) -> torch.device:
    """Make every sum come out the same each time: a fixed number of threads and deterministic kernels only."""
    torch.set_num_threads(spec.threads)
    torch.use_deterministic_algorithms(True)
    # Or deterministic mode writes every new tensor twice, first with NaN.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device(spec.device)
    if device.type == "cuda" and spec.memory_limit_bytes is not None:
        properties = torch.cuda.get_device_properties(device)
        if properties.is_integrated:  # unified memory (GB10): running out there can take the host down
            torch.cuda.set_per_process_memory_fraction(min(1.0, spec.memory_limit_bytes / properties.total_memory))
    return device


class TorchModel:
    """The GPT of one configuration with its optimizer; see ``train.Model``."""

    def __init__(self, spec: TrialSpec, vocab: int) -> None:
        cfg = spec.cfg
        if cfg["precision"] not in PRECISIONS:
            raise ValueError(f"trainer torch cannot train in {cfg['precision']}, only in {' or '.join(PRECISIONS)}")
        self.device = set_up_device(spec)
        self.bf16 = cfg["precision"] == "bf16"
        self.grad_clip = float(cfg["grad_clip"])
        self.gpt = GPT(Shape.of(cfg, vocab)).initialise(spec.seed).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(float(cfg["weight_decay"])),
            lr=float(cfg["lr"]),
            betas=(float(cfg["beta1"]), float(cfg["beta2"])),
            fused=True,
        )

    def _parameter_groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Matrices decay, LayerNorm's vectors do not (GPT-2's and Megatron's practice)."""
        parameters = list(self.gpt.parameters())
        return [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]

    @property
    def device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def step(self, batch: NDArray[np.int64], lr: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        ids = torch.from_numpy(batch).to(self.device)
        with self._precision():
            logits = self.gpt(ids[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.gpt.parameters(), self.grad_clip)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def nats(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
        with self._precision():
            logits: Tensor = self.gpt(torch.from_numpy(inputs).to(self.device), last=targets.shape[1])
        wanted = torch.from_numpy(targets).to(self.device).flatten()
        nats = F.cross_entropy(logits.float().flatten(0, 1), wanted, ignore_index=-1, reduction="none")
        return nats.view(targets.shape).cpu().numpy()

    def synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)
