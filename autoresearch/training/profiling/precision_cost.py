"""How much longer each precision takes than fp32 on this device, measured with one layer's forward and backward pass.

A CPU without bf16 instructions (AVX2 without AVX-512 or AMX) emulates bf16: a step then takes ten times as long and
more. FLOPs do not show that, so rail R7 needs the measured number. A GPU that only emulates a precision does not list
it (``device_probe``), so nothing is measured there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch

from autoresearch.training.models.gpt_torch import Block
from autoresearch.trials.model_shape import ModelShape

SEQUENCES = 2
SHAPE = ModelShape(n_layer=1, n_head=4, d_model=128, d_ff=512, seq_len=128, vocab=257)  # a layer of profile tiny
MIN_ROUNDS, MIN_S = 3, 0.1
# A smaller difference depends on the model, and is within what other processes change: it counts as none, so that the
# recorded estimates of two runs on one machine are the same.
MIN_COST = 2.0
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure_precision_costs(
    precisions: Sequence[str], clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Time of each of the CPU's precisions over that of fp32; only those that take at least ``MIN_COST`` times as long.

    Counts CPU time of one thread, which other processes change little, and takes the fastest of several rounds.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return relative_costs(_fastest({name: _layer(DTYPES[name]) for name in precisions if name in DTYPES}, clock))
    finally:
        torch.set_num_threads(threads)


def relative_costs(seconds: Mapping[str, float]) -> dict[str, float]:
    """The costs from the seconds of each precision, rounded to two digits."""
    ratios = {name: taken / seconds["fp32"] for name, taken in seconds.items()}
    return {name: float(f"{ratio:.2g}") for name, ratio in ratios.items() if ratio >= MIN_COST}


def _fastest(work: Mapping[str, Callable[[], object]], clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of the fastest round of each, in alternation so that a slow moment meets them all."""
    for run in work.values():
        run()  # picks kernels, allocates
    fastest, rounds, began = dict.fromkeys(work, float("inf")), 0, time.monotonic()
    while rounds < MIN_ROUNDS or time.monotonic() - began < MIN_S:
        for name, run in work.items():
            before = clock()
            run()
            fastest[name] = min(fastest[name], clock() - before)
        rounds += 1
    return fastest


def _layer(dtype: torch.dtype) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    layer = Block(SHAPE).to(dtype)
    x = torch.randn(SEQUENCES, SHAPE.seq_len, SHAPE.d_model, generator=generator).to(dtype)
    return lambda: layer(x).sum().backward()
