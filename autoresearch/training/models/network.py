"""What the trainer needs of a GPT, whoever computes it: hidden states, and from them the cross-entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.training.models import cross_entropy
from autoresearch.trials.model_shape import ModelShape


class Network(nn.Module, ABC):
    """A GPT with tied embeddings. Its kinds are ``gpt_torch.GPT`` and ``gpt_megatron.MegatronGPT``."""

    shape: ModelShape

    @abstractmethod
    def hidden(self, ids: Tensor, last: int | None = None) -> Tensor:
        """Token ids ``(batch, seq)`` to normalised states ``(batch, seq or last, d_model)``."""

    @property
    @abstractmethod
    def embedding(self) -> Tensor:
        """The embedding ``(vocab, d_model)``, which is the output layer as well."""

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The transformer layers: what is worth compiling."""

    def split_weights(self) -> list[bool]:
        """For each of ``parameters()``, whether tensor-parallel ranks hold a share of it rather than all."""
        return [False for _ in self.parameters()]

    def forward(self, ids: Tensor, last: int | None = None) -> Tensor:
        """Logits ``(batch, seq or last, vocab)`` of the next token."""
        return F.linear(self.hidden(ids, last), self.embedding)

    def mean_nats(self, ids: Tensor) -> Tensor:
        """The training loss of sequences ``(batch, seq + 1)``: a differentiable fp32 scalar."""
        hidden = self.hidden(ids[:, :-1])
        return cross_entropy.mean_nats(hidden.flatten(0, 1), self.embedding, ids[:, 1:].flatten())

    @torch.no_grad()
    def token_nats(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy ``(batch, k)`` of the last k positions; a target of -1 yields a number without meaning."""
        hidden = self.hidden(inputs, last=targets.shape[1])
        return cross_entropy.token_nats(hidden.flatten(0, 1), self.embedding, targets.flatten()).view(targets.shape)
