"""Cross-entropy of tied-embedding logits, in chunks: the fp32 logits of a large vocabulary are never held whole.

With GPT-2's 50,257 ids the logits of 16 x 1,024 tokens alone take 3.3 GB in fp32, and plain autograd keeps them several
times. Here the forward pass turns each chunk's logits into their gradient in place, so that none are kept (as Liger
Kernel does, arXiv 2410.10989; torch has it from 2.13 on, as ``linear_cross_entropy``).

On CUDA the vocabulary is padded to a multiple of 64 within this module: with rows of an odd length, such as GPT-2's,
cuBLAS falls back to kernels of two GPU generations ago, and the output layer takes a third of a step (measured on an
H100: docs/decisions.md). The padding has logits of -inf, so that neither the loss nor a gradient changes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autoresearch.trials.model_shape import CHUNK_ELEMENTS, MIN_CHUNK_TOKENS

CUDA_ROW_MULTIPLE = 64  # 128 bytes in bf16: more than the 16 that tensor cores need


def mean_nats(hidden: Tensor, weight: Tensor, targets: Tensor, chunk_tokens: int | None = None) -> Tensor:
    """Mean cross-entropy in nats, a differentiable fp32 scalar.

    ``hidden`` is ``(n, d_model)``, ``weight`` ``(vocab, d_model)`` of the same type, ``targets`` ``(n,)`` ids.
    ``chunk_tokens`` is by default as many as fit the device (``CHUNK_ELEMENTS``).
    """
    return _MeanNats.apply(hidden, weight, targets, chunk_tokens or default_chunk_tokens(weight))  # type: ignore[no-any-return, no-untyped-call]


@torch.no_grad()
def token_nats(hidden: Tensor, weight: Tensor, targets: Tensor, chunk_tokens: int | None = None) -> Tensor:
    """Cross-entropy ``(n,)`` of each target in fp32; the result for a target of -1 is undefined."""
    size = chunk_tokens or default_chunk_tokens(weight)
    chunks = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
    padded = _padded(weight)
    return torch.cat([_nats(_log_probabilities(h, padded, len(weight)), t.clamp_min(0)) for h, t in chunks])


class _MeanNats(torch.autograd.Function):
    """Computes both gradients together with the loss; the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk_tokens: int) -> Tensor:
        vocab, weight = len(weight), _padded(weight)
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), device=hidden.device)
        chunks = (torch.split(x, chunk_tokens) for x in (hidden, targets, d_hidden))
        for h, t, d in zip(*chunks, strict=True):
            nats, gradient = _nats_and_probabilities(h, weight, vocab, t)
            total += nats.sum()
            gradient[torch.arange(len(t), device=t.device), t] -= 1.0
            torch.mm(gradient, weight, out=d)
            if weight.dtype == torch.float32:
                d_weight.addmm_(gradient.T, h)
            else:
                d_weight += gradient.T @ h
        ctx.save_for_backward(d_hidden, d_weight[:vocab].to(weight.dtype))
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        scale = upstream[0] / ctx.count
        d_hidden, d_weight = ctx.saved_tensors
        return d_hidden * scale, d_weight * scale, None, None


def default_chunk_tokens(weight: Tensor) -> int:
    """Tokens whose logits are computed at a time."""
    return max(MIN_CHUNK_TOKENS, CHUNK_ELEMENTS[weight.device.type] // len(weight))


def row_multiple(device: torch.device) -> int:
    """What the number of rows of the output layer's weight is padded to a multiple of."""
    return CUDA_ROW_MULTIPLE if device.type == "cuda" else 1


def _padded(weight: Tensor) -> Tensor:
    """``weight`` with rows of zeros up to the device's multiple."""
    missing = -len(weight) % row_multiple(weight.device)
    return F.pad(weight, (0, 0, 0, missing)) if missing else weight


def _nats_and_probabilities(hidden: Tensor, weight: Tensor, vocab: int, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy ``(n,)`` in fp32, and the probabilities ``(n, len(weight))`` in the type of ``hidden``."""
    if hidden.device.type == "cpu" and hidden.dtype == torch.float32:
        # One exponential instead of two saves 3% to 4% of a step of profile tiny.
        probabilities = torch.softmax(_logits(hidden, weight, vocab), dim=-1)
        likelihood = probabilities.gather(1, targets[:, None])[:, 0]
        if not (likelihood < torch.finfo(torch.float32).tiny).any():  # otherwise it has underflowed: over 87 nats
            return -likelihood.log(), probabilities
    logp = _log_probabilities(hidden, weight, vocab)
    nats = _nats(logp, targets)
    same_type = hidden.dtype == logp.dtype
    return nats, torch.exp(logp, out=logp if same_type else torch.empty_like(logp, dtype=hidden.dtype))


def _logits(hidden: Tensor, weight: Tensor, vocab: int) -> Tensor:
    """``(n, len(weight))``: of the first ``vocab`` ids, and -inf for the rows that only pad the weight."""
    logits = hidden @ weight.T
    if vocab < len(weight):
        logits[:, vocab:] = -torch.inf
    return logits


def _log_probabilities(hidden: Tensor, weight: Tensor, vocab: int) -> Tensor:
    return torch.log_softmax(_logits(hidden, weight, vocab), dim=-1, dtype=torch.float32)


def _nats(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    return -log_probabilities.gather(1, targets[:, None])[:, 0]
