"""Equal FLOPs as a number of steps for each configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.resolve import profile_names, resolve
from autoresearch.daemon.policy import build_policy
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import Budget
from autoresearch.trials.trial_budget import budget_flops, flops_per_step, trial_budget, trial_steps
from rails import ChoiceKnob, default_menu

ORIGIN = default_menu().defaults
SHAPES = st.fixed_dictionaries(
    {
        "n_layer": st.integers(1, 48),
        "n_head": st.just(1),
        "d_model": st.integers(1, 2048),
        "d_ff": st.integers(1, 8192),
        "seq_len": st.integers(1, 4096),
        "batch_size": st.integers(1, 64),
    }
)
VOCABULARIES = st.integers(2, 100_000)
SIZES = st.integers(1, 10_000)


@given(size=SIZES, baseline=SHAPES, candidate=SHAPES, vocab=VOCABULARIES)
def test_a_candidate_computes_at_most_the_budget_and_all_but_less_than_a_step_of_it(
    size: int, baseline: dict[str, int], candidate: dict[str, int], vocab: int
) -> None:
    budget = Budget(kind="flops", size=size)
    flops = budget_flops(budget, baseline, vocab)
    steps = trial_steps(budget, candidate, baseline, vocab)
    assert flops is not None
    assert steps is not None
    used = steps * candidate["batch_size"] * candidate["seq_len"] * ModelShape.of(candidate, vocab).flops_per_token
    assert used <= flops or steps == 1
    assert used > flops - flops_per_step(candidate, vocab)
    assert trial_budget(budget, candidate, baseline, vocab) == Budget(kind="steps", size=steps)


@given(size=SIZES, baseline=SHAPES, vocab=VOCABULARIES)
def test_the_baseline_makes_exactly_the_steps_of_the_budget(size: int, baseline: dict[str, int], vocab: int) -> None:
    assert trial_steps(Budget(kind="flops", size=size), baseline, baseline, vocab) == size


@given(baseline=SHAPES, candidate=SHAPES, vocab=VOCABULARIES, kind=st.sampled_from(["steps", "tokens", "seconds"]))
def test_every_other_budget_is_the_same_for_all(
    baseline: dict[str, int], candidate: dict[str, int], vocab: int, kind: Any
) -> None:
    budget = Budget(kind=kind, size=100)
    assert trial_budget(budget, candidate, baseline, vocab) is budget
    assert budget_flops(budget, baseline, vocab) is None
    expected = budget.steps(candidate["batch_size"], candidate["seq_len"])
    assert trial_steps(budget, candidate, baseline, vocab) == expected


def test_a_budget_in_flops_does_not_reach_a_trial() -> None:
    with pytest.raises(ValueError, match="trial_budget"):
        Budget(kind="flops", size=60).steps(16, 1024)


def test_knobs_that_compute_the_same_make_the_same_steps() -> None:
    budget = Budget(kind="flops", size=60)
    for change in ({"lr": 1e-3}, {"beta1": 0.8}, {"lr_warmup": 0}, {"precision": "bf16"}):
        assert trial_steps(budget, {**ORIGIN, **change}, ORIGIN, 50257) == 60
    assert trial_steps(budget, {**ORIGIN, "batch_size": 8}, ORIGIN, 50257) == 120
    assert trial_steps(budget, {**ORIGIN, "batch_size": 32}, ORIGIN, 50257) == 30
    assert trial_steps(budget, {**ORIGIN, "n_layer": 48}, ORIGIN, 50257) == 32


def test_every_choice_of_profile_tiny_makes_enough_steps_for_the_baselines_warmup() -> None:
    policy = build_policy(resolve({"profile": "tiny"}, {}).settings)
    choices = [
        (name, value)
        for name, knob in policy.menu.knobs.items()
        for value in (knob.choices if isinstance(knob, ChoiceKnob) else (knob.low, knob.high))
    ]
    refused = [c for c in choices if policy.menu.broken_rule(policy.baseline | dict([c]), policy.steps)]
    assert len(choices) > 30
    assert refused == []


@pytest.mark.parametrize("profile", sorted({*profile_names()} - {"command"}))
def test_a_costlier_candidate_with_too_long_a_warmup_is_refused_with_the_reason(profile: str) -> None:
    policy = build_policy(resolve({"profile": profile, "budget.kind": "flops"}, {}).settings)
    costly = {**policy.baseline, "lr_warmup": 25, "batch_size": 16 * int(policy.baseline["batch_size"])}
    steps = policy.steps(costly)
    assert steps == int(policy.budget.size) // 16
    why = policy.menu.broken_rule(costly, policy.steps)
    assert why.startswith("warmup_leaves_room: ")
    assert f"lr_warmup = 25, steps = {steps}" in why
