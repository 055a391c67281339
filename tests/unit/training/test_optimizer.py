"""MasterAdamW against torch's AdamW on fp32 weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.model_shape import ModelShape

SHAPE = ModelShape(n_layer=1, n_head=2, d_model=16, d_ff=32, seq_len=8, vocab=31)
CFG: dict[str, Any] = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.2, "grad_clip": 0.05}


def gpt() -> GPT:
    return GPT.drawn(SHAPE, 0, torch.device("cpu"))


def ids(seed: int) -> torch.Tensor:
    return torch.randint(SHAPE.vocab, (4, 9), generator=torch.Generator().manual_seed(seed))


def plain_steps(network: GPT, cfg: dict[str, Any], rates: list[float]) -> None:
    """Clip, update: as torch's own manual does it."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": cfg["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(cfg["beta1"], cfg["beta2"]))
    for step, lr in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        network.mean_nats(ids(step)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), cfg["grad_clip"])
        optimizer.step()


@pytest.mark.parametrize("clip", [0.05, 1e6], ids=["clipped", "not-clipped"])
def test_in_fp32_it_is_torchs_adamw_with_clipping(clip: float) -> None:
    ours, theirs = gpt(), gpt()
    cfg = {**CFG, "grad_clip": clip}
    optimizer = MasterAdamW(ours, cfg, torch.float32, Ranks())
    for step, lr in enumerate((0.01, 0.005, 0.001)):
        ours.mean_nats(ids(step)).backward()  # type: ignore[no-untyped-call]
        optimizer.step(lr)
    plain_steps(theirs, cfg, [0.01, 0.005, 0.001])
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_vectors_do_not_decay() -> None:
    network = gpt()
    optimizer = MasterAdamW(network, {**CFG, "weight_decay": 0.5}, torch.float32, Ranks())
    before = copy.deepcopy(network)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step(0.1)
    for (name, old), new in zip(before.named_parameters(), network.parameters(), strict=True):
        expected = old * (1 - 0.1 * 0.5) if old.ndim >= 2 else old
        assert torch.allclose(new, expected), name


def test_in_bf16_updates_too_small_for_bf16_add_up_in_the_master() -> None:
    network = gpt()
    optimizer = MasterAdamW(network, {**CFG, "weight_decay": 0.0}, torch.bfloat16, Ranks())
    assert {w.dtype for w in network.parameters()} == {torch.bfloat16}
    assert {m.dtype for m in optimizer.masters} == {torch.float32}
    start = [m.detach().clone() for m in optimizer.masters]
    for _ in range(50):  # each moves a weight by 1e-5; LayerNorm's gains of 1 have no bf16 neighbour so near
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        optimizer.step(1e-5)
    for weight, master, was in zip(network.parameters(), optimizer.masters, start, strict=True):
        assert torch.allclose(was - master, torch.full_like(master, 50e-5), rtol=0.05)
        assert torch.equal(weight, master.to(torch.bfloat16))


def test_the_model_is_left_without_gradients() -> None:
    network = gpt()
    optimizer = MasterAdamW(network, CFG, torch.bfloat16, Ranks())
    network.mean_nats(ids(0)).backward()  # type: ignore[no-untyped-call]
    optimizer.step(0.1)
    assert all(w.grad is None for w in network.parameters())
