"""Sizes by arithmetic agree with the model that torch builds, and with the origin's published one."""

from __future__ import annotations

from dataclasses import replace

import torch

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.trials.model_shape import ModelShape, Structure

ORIGIN = ModelShape(n_layer=24, n_head=16, d_model=1024, d_ff=4096, seq_len=1024, vocab=50257)


def built(shape: ModelShape) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(shape).parameters())


def test_the_origin_has_354_6_million_parameters() -> None:
    assert round(ORIGIN.params / 1e6, 2) == 354.60
    assert built(ORIGIN) == ORIGIN.params


def test_any_shape_counts_what_torch_builds() -> None:
    for shape in (ModelShape(1, 1, 8, 24, 5, 11), ModelShape(3, 2, 32, 16, 64, 257)):
        assert built(shape) == shape.params


def test_a_rotation_has_no_table_and_the_same_flops() -> None:
    rope = replace(ORIGIN, structure=Structure(position="rope"))
    assert ORIGIN.params - rope.params == 1024 * 1024
    assert built(rope) == rope.params
    assert rope.flops_per_token == ORIGIN.flops_per_token


def test_a_head_of_its_own_is_more_parameters_and_the_same_flops() -> None:
    untied = replace(ORIGIN, structure=Structure(head="untied"))
    assert untied.params - ORIGIN.params == 50257 * 1024
    assert built(untied) == untied.params
    assert untied.flops_per_token == ORIGIN.flops_per_token
    both = replace(ORIGIN, structure=Structure(head="untied", position="rope"))
    assert both.flops_per_token == ORIGIN.flops_per_token
    assert built(both) == both.params


def test_flops_per_token_by_hand() -> None:
    """6 FLOPs per parameter that multiplies, and 12 L d T for the attention scores (PaLM, appendix B)."""
    shape = ModelShape(n_layer=2, n_head=2, d_model=8, d_ff=16, seq_len=4, vocab=10)
    multiplied = shape.params - 4 * 8
    assert shape.flops_per_token == 6 * multiplied + 12 * 2 * 8 * 4
