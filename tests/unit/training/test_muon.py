"""Muon against NumPy in float64, against the singular value decomposition, and against ``torch.optim.Muon``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.training.muon import Muon, orthogonalised
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.model_shape import ModelShape

Array = NDArray[np.float64]
SHAPE = ModelShape(n_layer=2, n_head=2, d_model=16, d_ff=40, seq_len=8, vocab=31)
CFG: dict[str, Any] = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.2, "grad_clip": 1e6}
sizes = st.integers(1, 24)


def newton_schulz(x: Array) -> Array:
    """The published iteration: 5 steps of a X + b X X^T X + c (X X^T)^2 X, from X over its Frobenius norm."""
    x = x / np.linalg.norm(x)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
    return x


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@given(sizes, sizes, st.integers(0, 2**32))
def test_it_is_the_published_iteration(rows: int, columns: int, seed: int) -> None:
    """Tall or wide, in any scale."""
    matrix = normal(seed, rows, columns)
    expected = newton_schulz(matrix)
    for scale in (1.0, 1e-3, 1e4):
        got = orthogonalised(torch.from_numpy(matrix * scale), torch.float64).numpy()
        np.testing.assert_allclose(got, expected, atol=1e-6)
    in_fp32 = orthogonalised(torch.from_numpy(matrix).float(), torch.float32).numpy()
    np.testing.assert_allclose(in_fp32, expected, atol=2e-3)


@given(sizes, sizes, st.integers(0, 2**32))
def test_it_maps_each_singular_value_by_the_polynomial_and_keeps_the_vectors(
    rows: int, columns: int, seed: int
) -> None:
    u, values, v = np.linalg.svd(normal(seed, rows, columns), full_matrices=False)
    mapped = values / np.sqrt((values**2).sum())
    for _ in range(5):
        mapped = 3.4445 * mapped - 4.7750 * mapped**3 + 2.0315 * mapped**5
    got = orthogonalised(torch.from_numpy(u * values @ v), torch.float64).numpy()
    np.testing.assert_allclose(got, u * mapped @ v, atol=1e-6)


def test_singular_values_end_near_one() -> None:
    """Those of at least a hundredth of the norm; the polynomial does not converge to 1, and needs not."""
    u, _, v = np.linalg.svd(normal(0, 12, 20), full_matrices=False)
    values = np.geomspace(0.01, 0.9, 12)
    got = orthogonalised(torch.from_numpy(u * values @ v), torch.float64)
    ended = torch.linalg.svdvals(got)
    assert 0.6 < float(ended.min()) < float(ended.max()) < 1.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_matrix_of_zeros_stays_one(dtype: torch.dtype) -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 5), dtype), torch.zeros(3, 5, dtype=dtype))


def numpy_muon(weight: Array, gradients: Sequence[Array], rates: Sequence[float], decay: float, parts: int) -> Array:
    """Momentum as a running mean, Nesterov, decoupled decay, and Liu et al.'s scale of each part."""
    momentum = np.zeros_like(weight)
    for gradient, lr in zip(gradients, rates, strict=True):
        momentum = 0.95 * momentum + 0.05 * gradient
        ahead = 0.05 * gradient + 0.95 * momentum
        steps = [newton_schulz(p) * 0.2 * math.sqrt(max(p.shape)) for p in np.split(ahead, parts)]
        weight = weight * (1 - lr * decay) - lr * np.concatenate(steps)
    return weight


@pytest.mark.parametrize(("rows", "columns", "parts"), [(12, 8, 1), (8, 20, 1), (24, 8, 3), (8, 8, 1)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_several_steps_are_numpys(rows: int, columns: int, parts: int, decay: float) -> None:
    start, gradients = normal(1, rows, columns), [normal(10 + i, rows, columns) * 10**i for i in range(4)]
    rates = [0.1, 0.05, 0.02, 0.0]
    weight = torch.from_numpy(start.copy()).requires_grad_()
    muon = Muon([weight], [parts], decay, torch.float64)
    for gradient, lr in zip(gradients, rates, strict=True):
        weight.grad = torch.from_numpy(gradient.copy())
        muon.step(lr)
        assert torch.equal(weight.grad, torch.from_numpy(gradient)), "a gradient is read, not changed"
    expected = numpy_muon(start, gradients, rates, decay, parts)
    np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon from 2.9 on")
@pytest.mark.parametrize(("rows", "columns"), [(12, 8), (8, 20)])
def test_several_steps_are_torchs_up_to_its_bf16(rows: int, columns: int) -> None:
    ours = torch.from_numpy(normal(1, rows, columns)).float().requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.3, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    muon = Muon([ours], [1], 0.3, torch.bfloat16)
    for i in range(4):
        ours.grad = torch.from_numpy(normal(10 + i, rows, columns)).float()
        theirs.grad = ours.grad.clone()
        muon.step(0.1)
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    exact = torch.from_numpy(normal(1, rows, columns)).float().requires_grad_()
    in_fp32 = Muon([exact], [1], 0.3, torch.float32)
    for i in range(4):
        exact.grad = torch.from_numpy(normal(10 + i, rows, columns)).float()
        in_fp32.step(0.1)
    assert float((exact - theirs).detach().abs().max()) < 0.02


def gpt() -> GPT:
    return GPT.drawn(SHAPE, 0, torch.device("cpu"))


def train(network: GPT, optimizer: MasterAdamW, steps: range) -> None:
    for step in steps:
        ids = torch.randint(SHAPE.vocab, (4, 9), generator=torch.Generator().manual_seed(step))
        network.mean_nats(ids).backward()  # type: ignore[no-untyped-call]
        optimizer.step(0.1 / (1 + step))


def test_the_layers_matrices_are_muons_and_all_other_weights_adamws() -> None:
    """Each against a step by hand: q, k and v as matrices of their own, the rest as with AdamW alone."""
    network, plain = gpt(), gpt()
    start = {name: weight.detach().double().numpy().copy() for name, weight in network.named_parameters()}
    ids = torch.randint(SHAPE.vocab, (4, 9), generator=torch.Generator().manual_seed(0))
    for model, cfg in ((network, {**CFG, "optimizer": "muon"}), (plain, CFG)):
        optimizer = MasterAdamW(model, cfg, torch.float32, Ranks())
        model.mean_nats(ids).backward()  # type: ignore[no-untyped-call]
        gradients = {n: w.grad.double().numpy().copy() for n, w in model.named_parameters() if w.grad is not None}
        optimizer.step(0.1)
    by_muon = 0
    for (name, weight), other in zip(network.named_parameters(), plain.parameters(), strict=True):
        if name.startswith("blocks") and weight.ndim == 2:
            by_muon += 1
            parts = 3 if "qkv" in name else 1
            expected = numpy_muon(start[name], [gradients[name]], [0.1], CFG["weight_decay"], parts)
            np.testing.assert_allclose(weight.detach().numpy(), expected, atol=2e-4, err_msg=name)
            assert not torch.allclose(weight, other, atol=1e-3)
        else:
            assert torch.equal(weight, other), name
    assert by_muon == 4 * SHAPE.n_layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_suspended_and_resumed_equals_the_whole_to_the_bit(dtype: torch.dtype, tmp_path: Any) -> None:
    cfg = {**CFG, "optimizer": "muon"}
    whole, first, second = gpt(), gpt(), GPT.drawn(SHAPE, 7, torch.device("cpu"))
    train(whole, MasterAdamW(whole, cfg, dtype, Ranks()), range(6))
    suspended, resumed = MasterAdamW(first, cfg, dtype, Ranks()), MasterAdamW(second, cfg, dtype, Ranks())
    train(first, suspended, range(3))
    torch.save(suspended.state(), tmp_path / "state")
    resumed.load(torch.load(tmp_path / "state", weights_only=True))
    train(second, resumed, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))
    without = dict(suspended.state())
    without["momenta"] = [torch.zeros_like(m) for m in without["momenta"]]
    third = gpt()
    forgetful = MasterAdamW(third, cfg, dtype, Ranks())
    forgetful.load(without)
    train(third, forgetful, range(3, 6))
    assert not all(torch.equal(a, b) for a, b in zip(whole.parameters(), third.parameters(), strict=True))


def test_with_adamw_the_state_is_what_it_was() -> None:
    network = gpt()
    optimizer = MasterAdamW(network, CFG, torch.float32, Ranks())
    train(network, optimizer, range(1))
    assert set(optimizer.state()) == {"masters", "moments"}
    assert optimizer.muon is None
