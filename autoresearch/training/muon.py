"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum whose matrices are orthogonalised.

The step of each matrix has singular values near 1, scaled so that its root mean square is that of AdamW (Liu et al.
2025, "Muon is Scalable for LLM Training", arXiv 2502.16982): learning rate and weight decay of AdamW then fit both.
Momentum is the running mean of ``torch.optim.Muon``, with Nesterov's look ahead. That class is not used: it multiplies
in bf16 on every device, which many CPUs emulate, takes q, k and v for one matrix, and exists from torch 2.9 on only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from autoresearch.trials.muon_cost import NEWTON_SCHULZ_STEPS

MOMENTUM = 0.95
RMS = 0.2  # of AdamW's steps, as Liu et al. measured it
# The quintic polynomial a x + b x^3 + c x^5 of the publication: its slope at 0 is as steep as can be.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPS = 1e-7  # the smallest norm that a matrix is divided by


class Muon:
    """Updates matrices in place. Rows of ``parts[i]`` equal parts of matrix i are matrices of their own (q, k, v)."""

    def __init__(
        self, weights: Sequence[Tensor], parts: Sequence[int], weight_decay: float, dtype: torch.dtype
    ) -> None:
        """``dtype``: what the orthogonalisation computes in; momentum and weights are fp32."""
        self.weights = list(weights)
        self.parts = list(parts)
        self.weight_decay = weight_decay
        self.dtype = dtype
        self.momenta = [torch.zeros_like(weight, requires_grad=False) for weight in weights]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update the weights by their gradients."""
        for weight, momentum, parts in zip(self.weights, self.momenta, self.parts, strict=True):
            assert weight.grad is not None
            momentum.lerp_(weight.grad, 1 - MOMENTUM)
            ahead = weight.grad.lerp(momentum, MOMENTUM)
            weight.mul_(1 - lr * self.weight_decay)
            for own, update in zip(weight.chunk(parts), ahead.chunk(parts), strict=True):
                direction = orthogonalised(update, self.dtype)
                own.add_(direction, alpha=-lr * RMS * math.sqrt(max(own.shape)))


def orthogonalised(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix with its singular values moved near 1 (0.7 to 1.2, very small ones less).

    By Newton-Schulz steps in ``dtype``, which is also that of the result.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=EPS)  # so that no singular value is above 1
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)  # b G + c G^2
        x = torch.addmm(x, polynomial, x, beta=a)  # a X + (b G + c G^2) X
    return x.T if is_tall else x
