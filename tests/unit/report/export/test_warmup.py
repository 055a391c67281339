"""The exported learning rate is the trial's: exactly during the warmup, nearly afterwards."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.report.export.warmup import Warmup, largest_gap
from autoresearch.trials.schedule import LrSchedule
from autoresearch.trials.spec import Budget


def trial_factors(warmup: int, steps: int) -> list[float]:
    clock = LrSchedule(Budget(kind="steps", size=steps), steps, warmup)
    found = []
    for _ in range(steps):
        found.append(clock.lr_factor())
        clock.advance()
    return found


def megatron_factors(warmup: Warmup, steps: int) -> list[float]:
    """What Megatron-core's own scheduler sets, with the arguments that pretrain_gpt.py computes from the flags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    optimizer.param_groups[0].update(max_lr=1.0, min_lr=0.0, wd_mult=1.0)
    batch = 16  # Megatron counts sequences
    scheduler = OptimizerParamScheduler(
        optimizer,
        init_lr=warmup.init_lr(1.0),
        max_lr=1.0,
        min_lr=0.0,
        lr_warmup_steps=warmup.iters * batch,
        lr_decay_steps=warmup.decay_iters * batch,
        lr_decay_style="cosine",
        start_wd=0.0,
        end_wd=0.0,
        wd_incr_steps=steps * batch,
        wd_incr_style="constant",
    )
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        scheduler.step(batch)
    return found


@pytest.mark.parametrize(
    ("warmup", "steps"), [(0, 60), (1, 60), (2, 60), (5, 60), (100, 220), (1, 1), (50, 30), (3, 3)]
)
def test_megatrons_own_scheduler_computes_what_we_say_it_does(warmup, steps):
    exported = Warmup.of(warmup, steps)
    expected = [exported.lr_factor(step) for step in range(steps)]
    assert megatron_factors(exported, steps) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 200), st.integers(1, 400))
def test_the_warmup_is_the_trials(warmup, steps):
    exported = Warmup.of(warmup, steps)
    ours = trial_factors(warmup, steps)
    assert exported.iters < exported.decay_iters, "or Megatron refuses it"
    assert exported.init_lr(3e-4) <= 3e-4, "or Megatron refuses it"
    for step in range(min(warmup, steps)):
        assert exported.lr_factor(step) == pytest.approx(ours[step], abs=1e-12)


@pytest.mark.parametrize("warmup", [0, 1])
def test_without_a_warmup_to_speak_of_all_of_it_is_the_trials(warmup):
    assert largest_gap(warmup, 60) < 1e-12
    assert megatron_factors(Warmup.of(warmup, 60), 60) == pytest.approx(trial_factors(warmup, 60), abs=1e-12)


def test_the_cosine_differs_by_no_more_than_said():
    assert largest_gap(5, 60) == pytest.approx(0.0164, abs=1e-4)
    apart = [abs(a - b) for a, b in zip(megatron_factors(Warmup.of(5, 60), 60), trial_factors(5, 60), strict=True)]
    assert max(apart) == pytest.approx(largest_gap(5, 60), abs=1e-12)
