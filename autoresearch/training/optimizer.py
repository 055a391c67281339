"""AdamW on fp32 weights, whatever precision the model computes in, with gradient clipping by the global norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it when first used, for over a second: here that falls to the warm server
from torch import Tensor

from autoresearch.training.models.network import Network
from autoresearch.training.parallel.ranks import Ranks
from rails import Config


class MasterAdamW:
    """Keeps the weights in fp32 and, where the model computes in bf16, gives it a rounded copy after each step.

    Without such a master copy small updates vanish in the rounding: val_bpb came out 0.79% worse (docs/decisions.md).
    Matrices decay, LayerNorm's vectors do not (GPT-2's and Megatron's practice). No call waits for the device.
    """

    def __init__(self, network: Network, cfg: Config, dtype: torch.dtype, ranks: Ranks) -> None:
        """``network`` in fp32 becomes one of ``dtype``; its weights as they are now are the master's."""
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
        self.optimizer = torch.optim.AdamW(
            _groups(self.masters, float(cfg["weight_decay"])),
            lr=float(cfg["lr"]),
            betas=(float(cfg["beta1"]), float(cfg["beta2"])),
            fused=True,
        )

    def step(self, lr: float) -> None:
        """Clip the gradients that the model's weights hold, update, and leave the model without gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        mixed = self.masters is not self.weights
        gradients = [_gradient_of(w) for w in self.masters]
        with torch.no_grad():
            if mixed:
                torch._foreach_copy_(gradients, [_gradient_of(w) for w in self.weights])
            self.ranks.average(gradients)
            # As torch.nn.utils.clip_grad_norm_, with a norm that may span several ranks.
            scale = torch.clamp(self.grad_clip / (self.ranks.norm(gradients, self.split) + 1e-6), max=1.0)
            torch._foreach_mul_(gradients, scale)
            self.optimizer.step()
            if mixed:
                torch._foreach_copy_(self.weights, self.masters)
        for weight in self.weights:
            weight.grad = None

    def state(self) -> dict[str, Any]:
        """The fp32 weights and Adam's moments, not copied: with the configuration all that the next step depends on."""
        return {"masters": [m.detach() for m in self.masters], "moments": self.optimizer.state_dict()["state"]}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        for master, saved in zip(self.masters, state["masters"], strict=True):
            master.copy_(saved)
        groups = self.optimizer.state_dict()["param_groups"]  # the hyperparameters are the configuration's
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
