"""Muon's FLOPs and memory by counting the products that torch makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from autoresearch.training.models.gpt_torch import GPT
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.estimate import peak_bytes
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.muon_cost import muon_flops, muon_params
from autoresearch.trials.spec import Budget
from autoresearch.trials.trial_budget import budget_flops, flops_per_step, trial_steps
from rails import default_menu

ORIGIN = default_menu().defaults
WITH = {**ORIGIN, "optimizer": "muon"}
CFG: dict[str, Any] = {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "weight_decay": 0.0, "grad_clip": 1.0}


@pytest.mark.parametrize(("d_model", "d_ff", "n_layer"), [(16, 40, 2), (16, 16, 1), (32, 8, 3)])
def test_the_flops_are_those_of_the_products_that_torch_counts(d_model: int, d_ff: int, n_layer: int) -> None:
    shape = ModelShape(n_layer=n_layer, n_head=2, d_model=d_model, d_ff=d_ff, seq_len=8, vocab=31)
    network = GPT.drawn(shape, 0, torch.device("cpu"))
    optimizer = MasterAdamW(network, {**CFG, "optimizer": "muon"}, torch.float32, Ranks())
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    with FlopCounterMode(display=False) as counter:
        optimizer.step(0.1)
    assert muon_flops(shape) == counter.get_total_flops() > 0
    assert optimizer.muon is not None
    assert muon_params(shape) == sum(m.numel() for m in optimizer.muon.momenta)


def test_a_step_with_muon_costs_its_products_more_whatever_the_batch() -> None:
    for batch in (2, 16):
        with_muon, without = ({**cfg, "batch_size": batch} for cfg in (WITH, ORIGIN))
        extra = flops_per_step(with_muon, 50257) - flops_per_step(without, 50257)
        assert extra == muon_flops(ModelShape.of(ORIGIN, 50257))
    assert flops_per_step({**ORIGIN, "optimizer": "adamw"}, 50257) == flops_per_step(ORIGIN, 50257)
    assert extra / flops_per_step(ORIGIN, 50257) == pytest.approx(0.195, abs=0.001)


def test_an_equal_budget_has_fewer_steps_with_muon() -> None:
    small = {**ORIGIN, "n_layer": 2, "n_head": 4, "d_model": 128, "d_ff": 512, "batch_size": 8, "seq_len": 64}
    budget = Budget(kind="flops", size=250)
    with_muon = {**small, "optimizer": "muon"}
    steps = trial_steps(budget, with_muon, small, 4096)
    total = budget_flops(budget, small, 4096)
    assert steps is not None
    assert total is not None
    assert steps == 174
    assert steps * flops_per_step(with_muon, 4096) <= total < (steps + 1) * flops_per_step(with_muon, 4096)


def test_one_moment_instead_of_two_is_less_memory() -> None:
    saved = peak_bytes({**ORIGIN, "precision": "bf16"}, 50257) - peak_bytes({**WITH, "precision": "bf16"}, 50257)
    assert saved == pytest.approx(1.15 * 4 * muon_params(ModelShape.of(ORIGIN, 50257)), rel=1e-6)
