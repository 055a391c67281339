"""Rotary position embedding (Su et al. 2021, "RoFormer", arXiv 2104.09864): queries and keys turn with their position.

Pair ``i`` of a head of width ``w`` is (``x[i]``, ``x[i + w/2]``), as in GPT-NeoX, Llama and Megatron-core, and turns by
``position * BASE ** (-2 i / w)`` radians. So the score of a query and a key depends on their distance alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0  # of the paper

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (seq, head_dim / 2)


def rotary_tables(seq: int, head_dim: int, like: Tensor) -> Rotation:
    """Cosines and sines of the angles at positions 0 to ``seq - 1``: computed in fp32, in the type of ``like``."""
    frequencies = BASE ** (-torch.arange(0, head_dim, 2, device=like.device, dtype=torch.float32) / head_dim)
    angles = torch.arange(seq, device=like.device, dtype=torch.float32)[:, None] * frequencies
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair of ``(batch, head, seq, head_dim)`` by its angle."""
    (cos, sin), (first, second) = rotation, x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)
