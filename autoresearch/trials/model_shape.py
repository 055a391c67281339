"""The size of a GPT: parameters, floating-point operations and bytes, by arithmetic alone (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rails.knob_facts import MODEL_SHAPE_KNOBS
from rails.structural import STRUCTURAL_KNOBS, value_of

# Logits of one chunk: what fits into a CPU's cache, or a quarter of a GiB in fp32 on a GPU. A chunk has at least
# MIN_CHUNK_TOKENS, because each chunk passes once over the gradient of the vocabulary's weights.
CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 26}
MIN_CHUNK_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Structure:
    """The structural knobs of the network (``rails/structural.py``); the defaults are the origin's."""

    position: str = STRUCTURAL_KNOBS["position"].origin
    qk_norm: str = STRUCTURAL_KNOBS["qk_norm"].origin
    activation: str = STRUCTURAL_KNOBS["activation"].origin
    head: str = STRUCTURAL_KNOBS["head"].origin

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> Structure:
        """The structure of one configuration."""
        return cls(**{field.name: str(value_of(cfg, field.name)) for field in fields(cls)})


ORIGIN = Structure()


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The values that determine the size of the model: the architecture knobs and the vocabulary."""

    n_layer: int
    n_head: int
    d_model: int
    d_ff: int
    seq_len: int
    vocab: int
    structure: Structure = ORIGIN

    @classmethod
    def of(cls, cfg: Mapping[str, Any], vocab: int) -> ModelShape:
        """The shape of one configuration with a tokenizer of ``vocab`` ids."""
        return cls(**{k: int(cfg[k]) for k in MODEL_SHAPE_KNOBS}, vocab=vocab, structure=Structure.of(cfg))

    @property
    def params(self) -> int:
        """Parameters, a tied embedding counted once (354.60 M for the origin's baseline)."""
        per_layer = 4 * self.d_model**2 + 2 * self.d_model * self.d_ff + 4 * self.d_model
        return self.n_layer * per_layer + (self.vocab + self.looked_up_rows + 2) * self.d_model

    @property
    def looked_up_rows(self) -> int:
        """Rows of the tables that are looked up, never multiplied: of the positions, of an embedding beside a head."""
        return self.position_rows + (self.vocab if self.structure.head == "untied" else 0)

    @property
    def position_rows(self) -> int:
        """Rows of the position table; none with a rotation."""
        return self.seq_len if self.structure.position == "learned" else 0

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs per token, forward and backward: 6 N + 12 L d T (PaLM, Chowdhery et al. 2022, appendix B).

        N excludes the position table, which is looked up, never multiplied, and so is an embedding beside a head.
        """
        matmul = self.params - self.looked_up_rows * self.d_model
        return 6 * matmul + 12 * self.n_layer * self.d_model * self.seq_len
