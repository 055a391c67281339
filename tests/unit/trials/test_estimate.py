"""The estimate of a configuration for rail R7."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoresearch.trials.estimate import Estimator, peak_bytes, unsupported
from autoresearch.trials.spec import Budget, Device
from rails import STRUCTURAL_KNOBS, Limits, default_menu, over_budget

ORIGIN = default_menu().defaults
GIB = 2**30


def estimator(budget: Any = "steps", size: float = 60, **device: Any) -> Estimator:
    known: dict[str, Any] = {"device": "cpu", "kind": "cpu", "precisions": ("fp32", "bf16"), "free_bytes": None}
    return Estimator(
        ORIGIN, 50257, "torch", Device(**{**known, **device}, versions={}), Budget(kind=budget, size=size), 0
    )


def test_the_baseline_takes_the_baselines_time() -> None:
    assert estimator()(ORIGIN).time_ratio == 1.0


@pytest.mark.parametrize(
    ("change", "ratio"), [({"batch_size": 8}, 0.5), ({"n_layer": 48}, 1.88), ({"d_model": 512}, 0.36)]
)
def test_time_follows_the_floating_point_work(change: dict[str, Any], ratio: float) -> None:
    assert estimator()({**ORIGIN, **change}).time_ratio == pytest.approx(ratio, abs=0.1)


def test_a_budget_in_tokens_costs_a_small_batch_no_less() -> None:
    assert estimator("tokens", 1 << 20)({**ORIGIN, "batch_size": 4}).time_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("change", [{"batch_size": 4}, {"n_layer": 48}, {"d_model": 512}, {"seq_len": 2048}])
def test_a_budget_in_flops_takes_the_same_time_up_to_a_step(change: dict[str, Any]) -> None:
    assert estimator("flops")({**ORIGIN, **change}).time_ratio == pytest.approx(1.0, abs=0.04)


def test_a_single_step_beyond_the_budget_in_flops_still_counts_in_full() -> None:
    assert estimator("flops", 1)({**ORIGIN, "n_layer": 48}).time_ratio == pytest.approx(1.88, abs=0.1)


def test_measured_speeds_count_under_a_budget_in_flops() -> None:
    assert measured({AT_BASELINE: 2.0, IN_BF16: 6.0}, "flops")(BF16).time_ratio == pytest.approx(3.0)


def test_a_budget_in_seconds_is_the_same_for_all() -> None:
    assert estimator("seconds", 60)({**ORIGIN, "n_layer": 48}).time_ratio == 1.0


BF16 = {**ORIGIN, "precision": "bf16"}
AT_BASELINE, IN_BF16 = (16, 1024, "fp8"), (16, 1024, "bf16")


def measured(speeds: dict[Any, float], budget: Any = "steps") -> Estimator:
    return dataclasses.replace(estimator(budget), speeds=speeds)


def test_a_precision_that_was_measured_three_times_slower_takes_three_times_as_long() -> None:
    assert estimator()(BF16).time_ratio == pytest.approx(1.0)
    assert measured({AT_BASELINE: 2.0, IN_BF16: 6.0})(BF16).time_ratio == pytest.approx(3.0)


def test_a_slow_precision_is_refused_once_it_was_measured() -> None:
    limits = Limits(max_time_ratio=2.5)
    cpu = {"precisions": ("fp32", "bf16")}
    fp32 = dataclasses.replace(estimator(**cpu), baseline={**ORIGIN, "precision": "fp32"})
    knows = dataclasses.replace(fp32, speeds={(16, 1024, "fp32"): 2.0, IN_BF16: 6.0})
    assert over_budget(fp32(BF16), limits) is None
    assert "3.0 x the baseline's time" in (over_budget(knows(BF16), limits) or "")


EMULATED = {"precision_cost": {"bf16": 19.0}}
FP32 = {**ORIGIN, "precision": "fp32"}


def in_fp32(budget: Any = "steps", **device: Any) -> Estimator:
    return dataclasses.replace(estimator(budget, **device), baseline=FP32)


@pytest.mark.parametrize("budget", ["steps", "tokens", "seconds"])
def test_an_emulated_precision_is_refused_with_what_it_costs(budget: str) -> None:
    assert over_budget(in_fp32(budget, **EMULATED)(BF16), Limits()) == (
        "bf16 takes about 19 times as long as fp32 on this device; at most 3.0 times is allowed"
    )
    assert over_budget(in_fp32(budget, precision_cost={"bf16": 2.9})(BF16), Limits()) is None
    assert over_budget(in_fp32(budget)(BF16), Limits()) is None


def test_an_emulated_precision_of_the_baseline_costs_other_candidates_nothing() -> None:
    knows = dataclasses.replace(estimator(**EMULATED), baseline=BF16)
    assert knows({**BF16, "batch_size": 8}).time_ratio == pytest.approx(0.5, abs=0.1)
    assert knows(FP32).time_ratio == pytest.approx(1 / 19)
    assert knows(FP32).slow_because == ""


def test_a_measured_speed_wins_over_the_probe() -> None:
    knows = dataclasses.replace(in_fp32(**EMULATED), speeds={(16, 1024, "fp32"): 2.0, IN_BF16: 3.0})
    assert knows(BF16).time_ratio == pytest.approx(1.5)
    assert over_budget(knows(BF16), Limits()) is None
    one_only = dataclasses.replace(knows, speeds={IN_BF16: 3.0})
    assert one_only(BF16).time_ratio == pytest.approx(19)


def test_the_measured_time_is_scaled_by_the_work_of_the_knobs_that_were_not_swept() -> None:
    deeper = {**BF16, "n_layer": 48}
    by_work = estimator()(deeper).time_ratio
    assert measured({AT_BASELINE: 2.0, IN_BF16: 6.0})(deeper).time_ratio == pytest.approx(3 * by_work)


def test_a_small_batch_that_is_inefficient_takes_what_was_measured() -> None:
    """Half the batch, yet three quarters of the time: as measured, not as counted."""
    half = {**ORIGIN, "batch_size": 8}
    assert measured({AT_BASELINE: 2.0, (8, 1024, "fp8"): 1.5})(half).time_ratio == pytest.approx(0.75)


def test_another_seq_len_takes_what_was_measured() -> None:
    assert measured({AT_BASELINE: 2.0, (16, 2048, "fp8"): 5.0})({**ORIGIN, "seq_len": 2048}).time_ratio == (
        pytest.approx(2.5)
    )


@pytest.mark.parametrize("speeds", [{}, {AT_BASELINE: 2.0}, {IN_BF16: 6.0}])
def test_what_was_not_measured_is_counted(speeds: dict[Any, float]) -> None:
    assert measured(speeds)(BF16).time_ratio == estimator()(BF16).time_ratio


def test_a_budget_in_seconds_knows_no_slower_precision() -> None:
    assert measured({AT_BASELINE: 2.0, IN_BF16: 6.0}, "seconds")(BF16).time_ratio == 1.0


def test_the_origin_in_bf16_needs_tens_of_gib() -> None:
    """Its Megatron trainer peaked at 24.3 GiB in fp8; plain fp32 masters with autograd's copies need somewhat more."""
    assert 20 * GIB < peak_bytes({**ORIGIN, "precision": "bf16"}, 50257) < 60 * GIB


@pytest.mark.parametrize("knob", ["n_layer", "d_model", "d_ff", "batch_size", "seq_len"])
def test_more_of_anything_needs_more_memory(knob: str) -> None:
    larger = {**ORIGIN, knob: 2 * ORIGIN[knob], "precision": "bf16"}
    assert peak_bytes(larger, 50257) > peak_bytes({**ORIGIN, "precision": "bf16"}, 50257)


def test_what_the_trainer_or_the_device_cannot_do_is_named() -> None:
    assert "cannot train in fp8, only in fp32 and bf16" in estimator()(ORIGIN).unsupported
    old = estimator(precisions=("fp32",), device="cuda")
    assert "only in fp32" in old({**ORIGIN, "precision": "bf16"}).unsupported
    assert estimator()({**ORIGIN, "precision": "bf16"}).unsupported == ""


@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_trainer_megatron_refuses_a_structural_value_by_its_name(name: str) -> None:
    knob = STRUCTURAL_KNOBS[name]
    cfg = {**ORIGIN, "precision": "bf16", name: knob.others[0]}
    assert unsupported("megatron", cfg, 1, 1) == (
        f"trainer megatron cannot train with {name} = {knob.others[0]}, only with {knob.origin}; take trainer torch"
    )
    assert unsupported("torch", cfg, 1, 1) == ""
    assert unsupported("megatron", {**cfg, name: knob.origin}, 1, 1) == ""
    assert unsupported("torch", {**cfg, name: "other"}, 1, 1).startswith(f"{name} = 'other' is not one of ")


def test_a_rotation_needs_an_even_head_width() -> None:
    cfg = {**ORIGIN, "precision": "bf16", "position": "rope", "d_model": 48}
    assert unsupported("torch", cfg, 1, 1).endswith("d_model / n_head = 3 is odd")
    assert unsupported("torch", {**cfg, "position": "learned"}, 1, 1) == ""
