"""The interface of a GPT for any trainer: hidden states, and the cross-entropy computed from them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.training.models import cross_entropy
from autoresearch.trials.model_shape import ModelShape


class Network(nn.Module, ABC):
    """A GPT: ``gpt_torch.GPT`` or ``gpt_megatron.MegatronGPT``."""

    shape: ModelShape

    @abstractmethod
    def hidden(self, ids: Tensor, last: int | None = None) -> Tensor:
        """Token ids ``(batch, seq)`` to normalised states ``(batch, seq or last, d_model)``."""

    @property
    @abstractmethod
    def embedding(self) -> Tensor:
        """The embedding ``(vocab, d_model)``."""

    @property
    def output_weight(self) -> Tensor:
        """The weight of the output layer ``(vocab, d_model)``: the embedding, unless the network has a head."""
        return self.embedding

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The transformer layers, which are the modules worth compiling."""

    def split_weights(self) -> list[bool]:
        """For each of ``parameters()``, whether a tensor-parallel rank holds a shard of it instead of all."""
        return [False for _ in self.parameters()]

    def matrix_parts(self) -> list[int]:
        """For each of ``parameters()``, how many matrices of a layer it holds one above the other; 0 for all others.

        Muon updates these matrices.
        """
        return [0 for _ in self.parameters()]

    def forward(self, ids: Tensor, last: int | None = None) -> Tensor:
        """Logits ``(batch, seq or last, vocab)`` of the next token."""
        return F.linear(self.hidden(ids, last), self.output_weight)

    def mean_nats(self, ids: Tensor) -> Tensor:
        """The training loss of sequences ``(batch, seq + 1)``: a differentiable fp32 scalar."""
        hidden = self.hidden(ids[:, :-1])
        return cross_entropy.mean_nats(hidden.flatten(0, 1), self.output_weight, ids[:, 1:].flatten())

    @torch.no_grad()
    def token_nats(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy ``(batch, k)`` of the last k positions; the result for a target of -1 is undefined."""
        hidden = self.hidden(inputs, last=targets.shape[1])
        return cross_entropy.token_nats(hidden.flatten(0, 1), self.output_weight, targets.flatten()).view(targets.shape)
