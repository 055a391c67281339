"""The GPT against a plain NumPy forward pass written from the description, not from the code."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.trials.model_shape import ModelShape

SHAPE = ModelShape(n_layer=2, n_head=4, d_model=32, d_ff=48, seq_len=16, vocab=61)
Array = NDArray[np.float64]


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def numpy_logits(model: GPT, ids: NDArray[np.int64]) -> Array:
    """Pre-LayerNorm GPT in float64: learned positions, causal attention, exact GELU, tied output."""
    w = {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    heads, width = SHAPE.n_head, SHAPE.d_model
    seq = ids.shape[1]
    x = w["tokens.weight"][ids] + w["positions.weight"][:seq]
    future = np.triu(np.full((seq, seq), -np.inf), 1)
    for i in range(SHAPE.n_layer):
        p = f"blocks.{i}."
        h = layer_norm(x, w[p + "norm_attn.weight"], w[p + "norm_attn.bias"])
        q, k, v = np.split(h @ w[p + "attn.qkv.weight"].T, 3, axis=-1)
        mixed = np.empty_like(q)
        for j in range(heads):
            part = slice(j * width // heads, (j + 1) * width // heads)
            scores = q[..., part] @ k[..., part].swapaxes(-1, -2) / math.sqrt(width // heads) + future
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed[..., part] = weights / weights.sum(-1, keepdims=True) @ v[..., part]
        x = x + mixed @ w[p + "attn.proj.weight"].T
        h = layer_norm(x, w[p + "norm_mlp.weight"], w[p + "norm_mlp.bias"])
        x = x + gelu(h @ w[p + "up.weight"].T) @ w[p + "down.weight"].T
    return layer_norm(x, w["norm.weight"], w["norm.bias"]) @ w["tokens.weight"].T


@pytest.fixture
def ids() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, SHAPE.vocab, (3, SHAPE.seq_len))


def test_logits_equal_the_independent_computation(ids: NDArray[np.int64]) -> None:
    model = GPT(SHAPE).initialise(0)
    with torch.no_grad():
        for parameter in model.parameters():  # weights far from their small initial values, biases and gains included
            parameter.add_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.2
            )
        got = model(torch.from_numpy(ids)).double().numpy()
    assert np.abs(got - numpy_logits(model, ids)).max() < 2e-4


def test_no_position_sees_its_future(ids: NDArray[np.int64]) -> None:
    model = GPT(SHAPE).initialise(0)
    changed = ids.copy()
    changed[:, 9:] = (changed[:, 9:] + 1) % SHAPE.vocab
    with torch.no_grad():
        before, after = model(torch.from_numpy(ids)), model(torch.from_numpy(changed))
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_the_last_positions_alone_are_the_same_logits(ids: NDArray[np.int64]) -> None:
    model = GPT(SHAPE).initialise(0)
    with torch.no_grad():
        whole, tail = model(torch.from_numpy(ids)), model(torch.from_numpy(ids), last=5)
    assert torch.allclose(whole[:, -5:], tail, atol=1e-6)


def test_initial_weights_are_the_seeds_and_of_gpt2s_size() -> None:
    one, again, other = (GPT(SHAPE).initialise(s) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.tokens.weight, other.tokens.weight)
    large = GPT(ModelShape(n_layer=8, n_head=4, d_model=128, d_ff=256, seq_len=16, vocab=500)).initialise(0)
    assert large.tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert large.blocks[0].attn.proj.weight.std().item() == pytest.approx(0.02 / math.sqrt(16), rel=0.05)


def test_an_untrained_model_is_nearly_uniform(ids: NDArray[np.int64]) -> None:
    with torch.no_grad():
        logits = GPT(SHAPE).initialise(0)(torch.from_numpy(ids))
    others = torch.from_numpy(np.random.default_rng(1).integers(0, SHAPE.vocab, ids.size))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), others)
    assert loss.item() == pytest.approx(math.log(SHAPE.vocab), rel=0.05)


def test_linear_layers_have_no_bias_and_embeddings_are_tied() -> None:
    names = dict(GPT(SHAPE).named_parameters())
    assert {n for n in names if n.endswith("bias")} == {n for n in names if n.endswith("bias") and "norm" in n}
    assert not any("head" in n for n in names)


WIDE = ModelShape(n_layer=2, n_head=4, d_model=128, d_ff=256, seq_len=16, vocab=61)


def weights(seed: int = 0, **changes: int) -> dict[str, torch.Tensor]:
    return dict(GPT.drawn(replace(WIDE, **changes), seed, torch.device("cpu")).named_parameters())


def test_a_deeper_model_begins_with_the_layers_of_a_shallower_one() -> None:
    """But for the scale of what is written to the residual stream, which depends on the depth."""
    few, many = weights(), weights(n_layer=5)
    assert len(many) > len(few)
    for name, weight in few.items():
        scale = math.sqrt(5 / 2) if name.endswith(("attn.proj.weight", "down.weight")) else 1.0
        torch.testing.assert_close(weight, many[name] * scale)


@pytest.mark.parametrize("change", [{"d_ff": 512}, {"d_model": 192}, {"d_model": 96}, {"seq_len": 32}, {"vocab": 80}])
def test_a_larger_matrix_begins_with_a_smaller_one(change: dict[str, int]) -> None:
    """In each of q, k and v too."""
    for name, weight in weights().items():
        other = weights(**change)[name]
        parts = 3 if name.endswith("qkv.weight") else 1
        for one, two in zip(weight.chunk(parts), other.chunk(parts), strict=True):
            corner = tuple(slice(0, min(a, b)) for a, b in zip(one.shape, two.shape, strict=True))
            assert torch.equal(one[corner], two[corner]), name


def test_no_two_matrices_and_no_two_seeds_have_the_same_numbers() -> None:
    tiles = [
        tile[:16].detach().double()  # the smallest matrix has 16 rows
        for seed in (0, 1)
        for weight in weights(seed).values()
        if weight.ndim == 2
        for part in weight.chunk(max(1, weight.shape[0] // 128))
        for tile in part.split(64, dim=1)
    ]
    assert len(tiles) > 40
    assert len({round(float(tile.std() / tile.abs().max()), 9) for tile in tiles}) == len(tiles)


@pytest.mark.parametrize("name", ["tokens.weight", "blocks.0.attn.qkv.weight", "blocks.1.up.weight"])
def test_the_numbers_are_normal_with_the_standard_deviation_of_gpt_2(name: str) -> None:
    drawn = weights(vocab=4096)[name].detach().double()
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.02)
    assert abs(float(drawn.mean())) < 5 * 0.02 / math.sqrt(drawn.numel())
    assert float((drawn / 0.02).pow(4).mean()) == pytest.approx(3.0, abs=0.15)
