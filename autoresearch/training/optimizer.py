"""AdamW, with Muon beside it or not, on fp32 weights for a model of any precision; clips by the global norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it at first use, for over a second: here the trial server does
from torch import Tensor

from autoresearch.training.models.network import Network
from autoresearch.training.muon import Muon
from autoresearch.training.parallel.ranks import Ranks
from rails import Config
from rails.structural import value_of


class MasterAdamW:
    """Keeps master weights in fp32 and, if the model computes in bf16, copies them to it, rounded, after each step.

    Without master weights small updates vanish in the rounding: val_bpb was 0.79% worse (docs/decisions.md). Weight
    decay applies to matrices, not to LayerNorm's vectors (as in GPT-2 and Megatron). No call waits for the device.
    With ``optimizer = muon`` the matrices of the layers are Muon's, and AdamW has the embeddings, head and vectors.
    """

    def __init__(self, network: Network, cfg: Config, dtype: torch.dtype, ranks: Ranks) -> None:
        """Convert the fp32 ``network`` to ``dtype``; its current weights become the master weights."""
        self.ranks = ranks
        self.split = network.split_weights()
        self.grad_clip = float(cfg["grad_clip"])
        self.weights: list[Tensor] = list(network.parameters())
        self.masters = self.weights
        if dtype != torch.float32:
            self.masters = [w.detach().clone().requires_grad_() for w in self.weights]
            network.to(dtype)
            for master in self.masters:
                master.grad = torch.empty_like(master)
        decay = float(cfg["weight_decay"])
        parts = network.matrix_parts() if value_of(cfg, "optimizer") == "muon" else [0] * len(self.masters)
        matrices = [(m, number) for m, number in zip(self.masters, parts, strict=True) if number]
        self.muon = Muon([m for m, _ in matrices], [n for _, n in matrices], decay, dtype) if matrices else None
        self.optimizer = torch.optim.AdamW(
            _groups([m for m, number in zip(self.masters, parts, strict=True) if not number], decay),
            lr=float(cfg["lr"]),
            betas=(float(cfg["beta1"]), float(cfg["beta2"])),
            fused=True,
        )

    def step(self, lr: float) -> None:
        """Clip the gradients of the model's weights, update the weights, and clear the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        mixed = self.masters is not self.weights
        gradients = [_gradient_of(w) for w in self.masters]
        with torch.no_grad():
            if mixed:
                torch._foreach_copy_(gradients, [_gradient_of(w) for w in self.weights])
            self.ranks.average(gradients)
            # As torch.nn.utils.clip_grad_norm_ does, with a norm over all ranks.
            scale = torch.clamp(self.grad_clip / (self.ranks.norm(gradients, self.split) + 1e-6), max=1.0)
            torch._foreach_mul_(gradients, scale)
            self.optimizer.step()
            if self.muon:
                self.muon.step(lr)
            if mixed:
                torch._foreach_copy_(self.weights, self.masters)
        for weight in self.weights:
            weight.grad = None

    def state(self) -> dict[str, Any]:
        """The fp32 weights and the moments, not copied: all that later steps depend on but the configuration."""
        state = {"masters": [m.detach() for m in self.masters], "moments": self.optimizer.state_dict()["state"]}
        return {**state, "momenta": self.muon.momenta} if self.muon else state

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""
        for master, saved in zip(self.masters, state["masters"], strict=True):
            master.copy_(saved)
        if self.muon:
            for momentum, saved in zip(self.muon.momenta, state["momenta"], strict=True):
                momentum.copy_(saved)
        groups = self.optimizer.state_dict()["param_groups"]  # the hyperparameters come from the configuration
        self.optimizer.load_state_dict({"state": state["moments"], "param_groups": groups})
        if self.masters is not self.weights:
            torch._foreach_copy_(self.weights, self.masters)


def _groups(weights: Sequence[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]


def _gradient_of(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad
