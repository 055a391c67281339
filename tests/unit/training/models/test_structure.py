"""Each structural switch of the plain GPT against a NumPy model of its own, written from the papers, in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.trials.model_shape import ModelShape, Structure

SHAPE = ModelShape(n_layer=2, n_head=4, d_model=32, d_ff=48, seq_len=16, vocab=61)
Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
SWITCHES = [
    {"activation": "relu2"},
    {"position": "rope"},
    {"qk_norm": "on"},
    {"head": "untied"},
    {"position": "rope", "qk_norm": "on", "activation": "relu2"},
]


def norm(x: Array, weight: Array, bias: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def activate(x: Array, kind: str) -> Array:
    return np.where(x > 0, x, 0.0) ** 2 if kind == "relu2" else x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5))


def turn(x: Array) -> Array:
    """The rotation of ``(seq, width)`` as a product of complex numbers: pair i is x[i] + 1j x[i + width/2]."""
    seq, width = x.shape
    pairs = x[:, : width // 2] + 1j * x[:, width // 2 :]
    theta = np.array([10000.0 ** (-2 * i / width) for i in range(width // 2)])
    turned = pairs * np.exp(1j * np.outer(np.arange(seq), theta))
    return np.concatenate([turned.real, turned.imag], axis=1)


def attend(q: Array, k: Array, v: Array, structure: Structure) -> Array:
    """One head of one sequence, ``(seq, head_dim)`` each."""
    seq, width = q.shape
    if structure.qk_norm == "on":
        q, k = (x / np.sqrt((x**2).sum(1, keepdims=True) / width + 1e-6) for x in (q, k))
    if structure.position == "rope":
        q, k = turn(q), turn(k)
    scores = np.where(np.tri(seq) > 0, q @ k.T / math.sqrt(width), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def numpy_logits(model: GPT, ids: NDArray[np.int64]) -> Array:
    """Logits ``(batch, seq, vocab)``."""
    w = {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    shape, structure = model.shape, model.shape.structure
    x = w["tokens.weight"][ids]
    if structure.position == "learned":
        x = x + w["positions.weight"][: ids.shape[1]]
    for i in range(shape.n_layer):
        p = f"blocks.{i}."
        h = norm(x, w[p + "norm_attn.weight"], w[p + "norm_attn.bias"])
        heads = (h @ w[p + "attn.qkv.weight"].T).reshape(*ids.shape, 3, shape.n_head, -1)
        mixed = np.empty_like(heads[:, :, 0])
        for b, n in np.ndindex(len(ids), shape.n_head):
            mixed[b, :, n] = attend(heads[b, :, 0, n], heads[b, :, 1, n], heads[b, :, 2, n], structure)
        x = x + mixed.reshape(x.shape) @ w[p + "attn.proj.weight"].T
        h = norm(x, w[p + "norm_mlp.weight"], w[p + "norm_mlp.bias"])
        x = x + activate(h @ w[p + "up.weight"].T, structure.activation) @ w[p + "down.weight"].T
    return (
        norm(x, w["norm.weight"], w["norm.bias"])
        @ w["head.weight" if structure.head == "untied" else "tokens.weight"].T
    )


def built(seed: int = 0, **switches: str) -> GPT:
    return GPT.drawn(replace(SHAPE, structure=Structure(**switches)), seed, torch.device("cpu"))


@pytest.fixture
def ids() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, SHAPE.vocab, (3, SHAPE.seq_len))


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_logits_equal_the_independent_computation(ids: NDArray[np.int64], switches: dict[str, str]) -> None:
    model = built(**switches)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():  # far from their small initial values
            weight.add_(torch.randn(weight.shape, generator=draw) * 0.2)
        got = model(torch.from_numpy(ids)).double().numpy()
    expected = numpy_logits(model, ids)
    assert np.abs(got - expected).max() < 3e-4 * max(1.0, np.abs(expected).max())
    other = built()
    shared = {k: v for k, v in model.state_dict().items() if k in other.state_dict()}
    other.load_state_dict(shared, strict=False)
    with torch.no_grad():
        assert np.abs(other(torch.from_numpy(ids)).double().numpy() - expected).max() > 1e-2, "the switch has no effect"


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_no_position_sees_its_future_and_fewer_positions_are_the_same(
    ids: NDArray[np.int64], switches: dict[str, str]
) -> None:
    model = built(**switches)
    changed = ids.copy()
    changed[:, 9:] = (changed[:, 9:] + 1) % SHAPE.vocab
    with torch.no_grad():
        before, after = model(torch.from_numpy(ids)), model(torch.from_numpy(changed))
        fewer, last = model(torch.from_numpy(ids[:, :9])), model(torch.from_numpy(ids), last=5)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])
    torch.testing.assert_close(fewer, before[:, :9])
    torch.testing.assert_close(last, before[:, -5:])


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_the_matrices_that_both_have_are_drawn_alike(switches: dict[str, str]) -> None:
    """Common random numbers: a difference between two structures is not one between two draws."""
    plain, other = dict(built(seed=3).named_parameters()), dict(built(seed=3, **switches).named_parameters())
    shared = set(plain) & set(other)
    assert len(shared) >= len(plain) - 1
    assert all(torch.equal(plain[name], other[name]) for name in shared)


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_parameters_are_counted(switches: dict[str, str]) -> None:
    model = built(**switches)
    assert sum(p.numel() for p in model.parameters()) == model.shape.params


def test_normalised_queries_and_keys_bound_the_scores(ids: NDArray[np.int64]) -> None:
    """However large the weights of qkv are, the attention stays what it is; without the norm it saturates."""
    for switches, same in (({"qk_norm": "on"}, True), ({}, False)):
        model, scaled = built(**switches), built(**switches)
        with torch.no_grad():
            for block in scaled.blocks:
                block.attn.qkv.weight[: 2 * SHAPE.d_model] *= 1000
            one, two = model(torch.from_numpy(ids)), scaled(torch.from_numpy(ids))
        assert torch.allclose(one, two, atol=1e-5) == same


def test_a_head_of_its_own_has_its_own_numbers_of_gpt2s_size() -> None:
    wide = replace(SHAPE, vocab=4096, structure=Structure(head="untied"))
    one, other = (GPT.drawn(wide, seed, torch.device("cpu")) for seed in (0, 1))
    assert one.head is not None
    assert other.head is not None
    assert one.output_weight is one.head.weight
    assert one.head.weight.shape == one.tokens.weight.shape
    assert one.head.weight.std().item() == pytest.approx(0.02, rel=0.02)
    pairs = [(one.head.weight, one.tokens.weight), (one.head.weight, other.head.weight)]
    for a, b in pairs:
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()) < 0.02


def test_the_loss_trains_the_head_and_the_embedding_apart(ids: NDArray[np.int64]) -> None:
    """The gradients of the loss against torch's own cross-entropy of the logits."""
    model = built(head="untied")
    tokens = torch.from_numpy(ids)
    model.mean_nats(tokens).backward()
    got = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    logits = model(tokens[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(got[name], weight.grad, atol=1e-6, rtol=1e-4)
    seen, last = set(tokens[:, :-1].flatten().tolist()), model.tokens.weight.grad
    assert last is not None
    assert all((row.abs().max() > 0) == (number in seen) for number, row in enumerate(last))
