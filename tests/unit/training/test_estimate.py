"""What R7 is told about a configuration before it runs."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.training.estimate import Estimator, peak_bytes
from autoresearch.training.spec import Budget, Device
from rails import default_menu

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


def test_a_budget_in_seconds_is_the_same_for_all() -> None:
    assert estimator("seconds", 60)({**ORIGIN, "n_layer": 48}).time_ratio == 1.0


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
