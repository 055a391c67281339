"""The measured matmul peak, on the CPU and with small matrices."""

from __future__ import annotations

import pytest
import torch

from autoresearch.training.profiling import matmul_peak


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_peak, "MIN_S", 0.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_a_plausible_speed(precision: str) -> None:
    per_s = matmul_peak.matmul_flops_per_s(torch.device("cpu"), precision, size=128)
    assert 1e6 < per_s < 1e15


def test_it_is_the_best_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([9.0, 3.0, 2.0, 0.5, *[4.0] * 20])  # the first is the warm-up
    monkeypatch.setattr(matmul_peak, "_timed_on_cpu", lambda multiply: next(taken))
    assert matmul_peak.matmul_flops_per_s(torch.device("cpu"), "fp32", size=10) == 2 * 10**3 / 0.5


def test_a_device_that_is_too_slow_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_peak, "MAX_S", 0.0)
    taken = iter([9.0, 3.0])
    monkeypatch.setattr(matmul_peak, "_timed_on_cpu", lambda multiply: next(taken))
    assert matmul_peak.matmul_flops_per_s(torch.device("cpu"), "fp32", size=10) == 2 * 10**3 / 3.0
