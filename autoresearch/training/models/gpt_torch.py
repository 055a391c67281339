"""The origin's GPT in plain torch: pre-LayerNorm, learned positions, tied embeddings, GELU, no linear bias.

``ModelShape.structure`` replaces parts of it: ``rails/structural.py``.
"""

from __future__ import annotations

import hashlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.training.models.network import Network
from autoresearch.training.models.rotary import Rotation, rotary_tables, rotate
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import TrialSpec

TILE = 64  # columns; a multiple of 16, in which torch draws on the CPU
QK_EPS = 1e-6  # added to the mean square of a query or key, which is about 1e-2 and more at the start
INIT_STD = 0.02  # GPT-2 (Radford et al. 2019), and Megatron-core's default


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.n_head = shape.n_head
        self.qk_norm = shape.structure.qk_norm == "on"
        self.qkv = nn.Linear(shape.d_model, 3 * shape.d_model, bias=False)
        self.proj = nn.Linear(shape.d_model, shape.d_model, bias=False)

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        batch, seq, width = x.shape
        qkv = self.qkv(x).view(batch, seq, 3, self.n_head, width // self.n_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, head, seq, head_dim)
        if self.qk_norm:
            q, k = (F.rms_norm(x, (x.shape[-1],), eps=QK_EPS) for x in (q, k))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(batch, seq, width))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One pre-LayerNorm transformer layer."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.norm_attn = nn.LayerNorm(shape.d_model)
        self.attn = Attention(shape)
        self.norm_mlp = nn.LayerNorm(shape.d_model)
        self.up = nn.Linear(shape.d_model, shape.d_ff, bias=False)
        self.down = nn.Linear(shape.d_ff, shape.d_model, bias=False)
        self.activation = squared_relu if shape.structure.activation == "relu2" else F.gelu

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        x = x + self.attn(self.norm_attn(x), rotation)
        return x + self.down(self.activation(self.up(self.norm_mlp(x))))  # type: ignore[no-any-return]


def squared_relu(x: Tensor) -> Tensor:
    """The square of ReLU (So et al. 2021, "Primer", arXiv 2109.08668)."""
    return F.relu(x).square()


class GPT(Network):
    """The GPT of trainer ``torch``, whose initial weights every trainer starts from."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocab, shape.d_model)
        self.positions = nn.Embedding(shape.seq_len, shape.d_model) if shape.structure.position == "learned" else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layer))
        self.norm = nn.LayerNorm(shape.d_model)
        untied = shape.structure.head == "untied"
        self.head = nn.Linear(shape.d_model, shape.vocab, bias=False) if untied else None

    @classmethod
    def drawn(cls, shape: ModelShape, seed: int, device: torch.device) -> GPT:
        """A GPT with the initial weights of ``seed``, built on ``device`` without torch's own initialisation."""
        with torch.device("meta"):
            empty = cls(shape)
        return empty.to_empty(device=device).initialise(seed)

    def initialise(self, seed: int) -> GPT:
        """Draw the weights: normal(0, 0.02), those that write to the residual stream scaled by 1/sqrt(2 n_layer).

        A head of its own is drawn as the embedding is, which it would else be (Megatron-core does the same). Each
        matrix has a stream of its own, so that two models of one seed share what both have (``draw_matrix``).
        """
        residual_std = INIT_STD / math.sqrt(2 * self.shape.n_layer)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                std = residual_std if name.endswith(("attn.proj.weight", "down.weight")) else INIT_STD
                parts = weight.data.chunk(3) if name.endswith("qkv.weight") else (weight.data,)
                for number, part in enumerate(parts):  # q, k and v apart: otherwise a wider q would shift k
                    draw_matrix(part, std, f"{seed}/{name}/{number}")
            else:
                nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)
        return self

    def hidden(self, ids: Tensor, last: int | None = None) -> Tensor:
        x = self.tokens(ids)  # (batch, seq, d_model)
        rotation = None
        if self.positions is not None:
            x = x + self.positions.weight[: ids.shape[1]]
        else:
            rotation = rotary_tables(ids.shape[1], self.shape.d_model // self.shape.n_head, x)
        for block in self.blocks:
            x = block(x, rotation)
        if last is not None:
            x = x[:, -last:]
        return self.norm(x)  # type: ignore[no-any-return]

    @property
    def embedding(self) -> Tensor:
        return self.tokens.weight

    @property
    def output_weight(self) -> Tensor:
        return self.tokens.weight if self.head is None else self.head.weight

    def matrix_parts(self) -> list[int]:
        return [
            (3 if name.endswith("qkv.weight") else 1) if name.startswith("blocks.") and weight.ndim == 2 else 0
            for name, weight in self.named_parameters()
        ]

    @property
    def layers(self) -> nn.ModuleList:
        return self.blocks


def draw_matrix(weight: Tensor, std: float, stream: str) -> None:
    """Fill a matrix with normal(0, ``std``) numbers that depend on ``stream`` and on their place alone.

    Each ``TILE`` columns have a generator of their own, which fills them row by row. So a matrix with more columns
    begins with the columns of a smaller one; on the CPU one with more rows also begins with its rows (on CUDA the order
    of the draws depends on the size of the tile).
    """
    rows, columns = weight.shape
    for first in range(0, columns, TILE):
        digest = hashlib.sha256(f"{stream}/{first}".encode()).digest()
        generator = torch.Generator(device=weight.device).manual_seed(int.from_bytes(digest[:8], "big"))
        tile = torch.empty(rows, TILE, device=weight.device, dtype=weight.dtype)
        weight[:, first : first + TILE] = tile.normal_(0.0, std, generator=generator)[:, : columns - first]


def build_network(spec: TrialSpec, shape: ModelShape, device: torch.device) -> tuple[Network, Ranks]:
    """See ``trainers.TrainerSpec``."""
    return GPT.drawn(shape, spec.seed, device), Ranks()


def package_versions() -> dict[str, str]:
    """See ``trainers.TrainerSpec``: this trainer needs only torch."""
    return {}
