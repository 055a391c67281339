"""The measured cost of each precision, on this machine as it is and with its instruction set masked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from autoresearch.training.profiling.precision_cost import measure_precision_costs, relative_costs

MASKED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
PROBE = """
import json, sys
from autoresearch.training.profiling.device_probe import probe
print(json.dumps(probe("cpu", "torch").model_dump(mode="json")))
"""


def flags() -> set[str]:
    return set(
        next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    )


@pytest.mark.slow
def test_a_cpu_without_bf16_instructions_takes_several_times_as_long_in_bf16() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], env={**os.environ, **MASKED}, capture_output=True, text=True)
    device = json.loads(done.stdout)
    assert list(device["precision_cost"]) == ["bf16"], done.stderr
    assert 3.0 < device["precision_cost"]["bf16"] < 100
    assert device["precisions"] == ["fp32", "bf16"], "it can compute in it, if slowly"


@pytest.mark.skipif(
    sys.platform != "linux" or not {"avx512_bf16", "amx_bf16"} & flags(), reason="this CPU emulates bf16"
)
def test_a_cpu_with_bf16_instructions_pays_nothing() -> None:
    assert measure_precision_costs(("fp32", "bf16")) == {}


def clock_of(seconds: list[float]) -> Callable[[], float]:
    """A clock that is read before and after each piece of work, which takes the next of ``seconds``; then the last."""

    def ticks() -> Iterator[float]:
        now, left = 0.0, iter(seconds)
        while True:
            yield now
            now += next(left, seconds[-1])
            yield now

    times = ticks()
    return lambda: next(times)


def test_one_undisturbed_round_suffices() -> None:
    """fp32 and bf16 in turn: other processes disturb every round of one of them but the second."""
    clock = clock_of([1.0, 50.0, 40.0, 1.1, 30.0, 60.0, 9.0])
    assert measure_precision_costs(("fp32", "bf16"), clock) == {}


def test_the_thread_count_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    measure_precision_costs(("fp32",))
    assert torch.get_num_threads() == before


def test_costs_are_rounded_and_small_ones_count_as_none() -> None:
    assert relative_costs({"fp32": 0.5, "bf16": 9.6180}) == {"bf16": 19.0}
    assert relative_costs({"fp32": 0.5, "bf16": 0.99}) == {}
    assert relative_costs({"fp32": 0.5, "bf16": 0.1}) == {}, "a faster one earns no allowance"
