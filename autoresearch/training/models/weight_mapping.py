"""The mapping between the weights of ``gpt_torch.GPT`` and of Megatron-core's GPTModel, used in both directions.

Megatron keeps query, key and value rows together per head (``[head, 3, head_dim]``) where the plain GPT has all queries
first (``[3, head, head_dim]``), splits matrices over tensor-parallel ranks, and with Transformer Engine fuses each
LayerNorm into the linear layer behind it, under another name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoresearch.training.models.gpt_torch import GPT

Permute = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one weight of the plain GPT is in Megatron's; dimension ``split`` is divided among tensor ranks."""

    names: tuple[str, ...]  # with the local spec, and with Transformer Engine's if it differs
    split: int | None = None
    is_qkv: bool = False


OUTSIDE_LAYERS = {
    "tokens.weight": Place(("embedding.word_embeddings.weight",), split=0),
    "positions.weight": Place(("embedding.position_embeddings.weight",)),
    "norm.weight": Place(("decoder.final_layernorm.weight",)),
    "norm.bias": Place(("decoder.final_layernorm.bias",)),
}
IN_LAYER = {
    "norm_attn.weight": Place(("input_layernorm.weight", "self_attention.linear_qkv.layer_norm_weight")),
    "norm_attn.bias": Place(("input_layernorm.bias", "self_attention.linear_qkv.layer_norm_bias")),
    "attn.qkv.weight": Place(("self_attention.linear_qkv.weight",), split=0, is_qkv=True),
    "attn.proj.weight": Place(("self_attention.linear_proj.weight",), split=1),
    "norm_mlp.weight": Place(("pre_mlp_layernorm.weight", "mlp.linear_fc1.layer_norm_weight")),
    "norm_mlp.bias": Place(("pre_mlp_layernorm.bias", "mlp.linear_fc1.layer_norm_bias")),
    "up.weight": Place(("mlp.linear_fc1.weight",), split=0),
    "down.weight": Place(("mlp.linear_fc2.weight",), split=1),
}


def place_of(name: str) -> Place:
    """Where the plain GPT's weight ``name`` is in Megatron's."""
    if name in OUTSIDE_LAYERS:
        return OUTSIDE_LAYERS[name]
    _blocks, index, rest = name.split(".", 2)
    place = IN_LAYER[rest]
    return Place(tuple(f"decoder.layers.{index}.{n}" for n in place.names), place.split, place.is_qkv)


@torch.no_grad()
def to_megatron(gpt: GPT, megatron: nn.Module, rank: int = 0, ranks: int = 1) -> None:
    """Copy every weight of ``gpt`` into ``megatron``, or the shard of tensor-parallel rank ``rank`` of ``ranks``.

    Rows of Megatron's embedding beyond the vocabulary, which only pad it to a multiple of ``ranks``, become zero.
    Raises ``ValueError`` if a weight of either model has no counterpart.
    """
    theirs = dict(megatron.named_parameters())
    for name, ours in gpt.named_parameters():
        place = place_of(name)
        target = theirs.pop(_name_among(place, theirs))
        whole = _heads_first(ours, gpt.shape.n_head) if place.is_qkv else ours
        if place.split is None:
            target.copy_(whole)
            continue
        size = target.shape[place.split]
        begin = min(rank * size, whole.shape[place.split])
        share = whole.narrow(place.split, begin, min(size, whole.shape[place.split] - begin))
        target.zero_()
        target.narrow(place.split, 0, share.shape[place.split]).copy_(share)
    if theirs:
        raise ValueError(f"the plain GPT has no weight for Megatron's {sorted(theirs)[0]}")


@torch.no_grad()
def from_megatron(megatron: nn.Module, gpt: GPT) -> None:
    """Copy the weights of an unsplit ``megatron`` into ``gpt``."""
    theirs = dict(megatron.named_parameters())
    for name, ours in gpt.named_parameters():
        place = place_of(name)
        whole = theirs[_name_among(place, theirs)]
        ours.copy_(_heads_last(whole, gpt.shape.n_head) if place.is_qkv else whole)


def split_names(gpt_names: list[str], megatron: nn.Module) -> set[str]:
    """Megatron's names of the weights that are divided among tensor ranks."""
    theirs = dict(megatron.named_parameters())
    places = [place_of(name) for name in gpt_names]
    return {_name_among(place, theirs) for place in places if place.split is not None}


def _name_among(place: Place, weights: Mapping[str, Tensor]) -> str:
    found = [name for name in place.names if name in weights]
    if len(found) != 1:
        raise ValueError(f"Megatron's model has no weight {' or '.join(place.names)}")
    return found[0]


def _heads_first(qkv: Tensor, n_head: int) -> Tensor:
    return qkv.view(3, n_head, -1, qkv.shape[-1]).transpose(0, 1).reshape(qkv.shape)


def _heads_last(qkv: Tensor, n_head: int) -> Tensor:
    return qkv.view(n_head, 3, -1, qkv.shape[-1]).transpose(0, 1).reshape(qkv.shape)
