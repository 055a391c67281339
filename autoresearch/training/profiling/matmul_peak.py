"""The device's dense matmul peak as measured here and now: what MFU is a fraction of.

A data sheet's peak assumes clocks and power that a desk or a shared node may not give; a large square product on this
very device is what a model could reach at best. The operands are random: on zeros a GPU draws less power and clocks
higher, which no training does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

CUDA_SIZE = 8192  # large enough that launch and edges do not count: 1.1 TFLOP a product
CPU_SIZE = 1024
CUDA_PRODUCTS = 5  # timed together: the clock of CUDA events then has milliseconds to measure
MIN_REPEATS, MIN_S = 10, 1.0  # long enough for a moment in which nothing else wants the cores
MAX_S = 20.0  # a slow device has shown what it can after fewer repeats


def matmul_flops_per_s(device: torch.device, precision: str, size: int | None = None) -> float:
    """The best of several square products, in FLOP/s (2 n^3 a product), in ``fp32``, ``bf16`` or ``fp8``.

    fp32 uses TF32 only where the trainer has allowed it. fp8 multiplies e4m3 by e4m3 into bf16, scaled by tensor.
    Raises ``RuntimeError`` where the device or this torch cannot.
    """
    n = size or (CUDA_SIZE if device.type == "cuda" else CPU_SIZE)
    multiply = _product(device, precision, n)
    timed = _timed_on_cuda if device.type == "cuda" else _timed_on_cpu
    timed(multiply)  # picks kernels, wakes threads, raises clocks
    began, taken_s = time.monotonic(), [timed(multiply)]
    while (passed_s := time.monotonic() - began) < MAX_S and (passed_s < MIN_S or len(taken_s) < MIN_REPEATS):
        taken_s.append(timed(multiply))
    return 2 * n**3 / min(taken_s)


def _product(device: torch.device, precision: str, n: int) -> Callable[[], object]:
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    a, b = (torch.randn(n, n, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    if precision != "fp8":
        out = torch.empty(n, n, device=device, dtype=dtype)
        return lambda: torch.mm(a, b, out=out)
    a8, b8 = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()  # the second one column by column
    one = torch.ones((), device=device)
    return lambda: torch._scaled_mm(a8, b8, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True)


def _timed_on_cpu(multiply: Callable[[], object]) -> float:
    began = time.perf_counter()
    multiply()
    return time.perf_counter() - began


def _timed_on_cuda(multiply: Callable[[], object]) -> float:
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    began.record()
    for _ in range(CUDA_PRODUCTS):
        multiply()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / 1000 / CUDA_PRODUCTS
