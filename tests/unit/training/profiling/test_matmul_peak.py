"""The measured matmul peak, on the CPU and with small matrices."""

from __future__ import annotations

import pytest
import torch

from autoresearch.training.profiling.matmul_peak import matmul_flops_per_s

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_a_plausible_speed(precision: str) -> None:
    per_s = matmul_flops_per_s(CPU, precision, size=128, min_s=0.0)
    assert 1e6 < per_s < 1e15


def test_it_is_the_best_of_several() -> None:
    taken = iter([9.0, 3.0, 2.0, 0.5, *[4.0] * 20])  # the first is the warm-up
    per_s = matmul_flops_per_s(CPU, "fp32", size=10, min_s=0.0, time_product=lambda _multiply: next(taken))
    assert per_s == 2 * 10**3 / 0.5


def test_a_slow_device_is_measured_less_often() -> None:
    taken = iter([9.0, 3.0])
    per_s = matmul_flops_per_s(CPU, "fp32", size=10, max_s=0.0, time_product=lambda _multiply: next(taken))
    assert per_s == 2 * 10**3 / 3.0
