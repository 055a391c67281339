"""Cross-entropy of tied-embedding logits, in chunks: the fp32 logits of a large vocabulary are never held whole.

With GPT-2's 50,257 ids the logits of 16 x 1,024 tokens alone are 3.3 GB in fp32, several times over in plain autograd.
Here each chunk's logits become their own gradient at once, in the forward pass, so that nothing of them is kept (the
way of Liger Kernel, arXiv 2410.10989; torch 2.13 has it too, as ``linear_cross_entropy``, older ones do not).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoresearch.trials.model_shape import CHUNK_ELEMENTS, MIN_CHUNK_TOKENS


def mean_nats(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats, a differentiable fp32 scalar.

    ``hidden`` is ``(n, d_model)``, ``weight`` ``(vocab, d_model)`` of the same type, ``targets`` ``(n,)`` ids.
    """
    return _MeanNats.apply(hidden, weight, targets)  # type: ignore[no-any-return, no-untyped-call]


@torch.no_grad()
def token_nats(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy ``(n,)`` of each target in fp32; a target of -1 yields a number without meaning."""
    chunks = zip(_chunks(hidden, weight), _chunks(targets, weight), strict=True)
    return torch.cat([_nats(_log_probabilities(h, weight), t.clamp_min(0)) for h, t in chunks])


class _MeanNats(torch.autograd.Function):
    """Both gradients are computed with the loss; the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        d_hidden = torch.empty_like(hidden)
        d_weight = torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), device=hidden.device)
        chunks = (_chunks(x, weight) for x in (hidden, targets, d_hidden))
        for h, t, d in zip(*chunks, strict=True):
            logp = _log_probabilities(h, weight)
            total += _nats(logp, t).sum()
            gradient = torch.exp(logp, out=logp if h.dtype == logp.dtype else torch.empty_like(logp, dtype=h.dtype))
            gradient[torch.arange(len(t), device=t.device), t] -= 1.0
            torch.mm(gradient, weight, out=d)
            if weight.dtype == torch.float32:
                d_weight.addmm_(gradient.T, h)
            else:
                d_weight += gradient.T @ h
        ctx.save_for_backward(d_hidden, d_weight.to(weight.dtype))
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        scale = upstream[0] / ctx.count
        d_hidden, d_weight = ctx.saved_tensors
        return d_hidden * scale, d_weight * scale, None


def _chunks(rows: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    size = max(MIN_CHUNK_TOKENS, CHUNK_ELEMENTS[weight.device.type] // len(weight))
    return torch.split(rows, size)


def _log_probabilities(hidden: Tensor, weight: Tensor) -> Tensor:
    return torch.log_softmax(hidden @ weight.T, dim=-1, dtype=torch.float32)


def _nats(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    return -log_probabilities.gather(1, targets[:, None])[:, 0]
