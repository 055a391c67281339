"""The measured peak of dense matrix products on this device: the denominator of MFU.

A data sheet's peak assumes clocks and power that a desktop or a shared node may not provide; a large square product on
this device is the most that a model could reach. The operands are random: on zeros a GPU draws less power and clocks
higher than in training.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

CUDA_SIZE = 8192  # large enough that launch and edge effects are negligible: 1.1 TFLOP per product
CPU_SIZE = 1024
CUDA_PRODUCTS = 5  # timed together, so that CUDA events measure milliseconds
MIN_REPEATS, MIN_S = 10, 1.0  # long enough for a moment without other load
MAX_S = 20.0  # a slow device needs fewer repeats

# a function that computes one product -> its seconds
TimeProduct = Callable[[Callable[[], object]], float]


def matmul_flops_per_s(
    device: torch.device,
    precision: str,
    size: int | None = None,
    *,
    min_s: float = MIN_S,
    max_s: float = MAX_S,
    time_product: TimeProduct | None = None,
) -> float:
    """The fastest of several square products, in FLOP/s (2 n^3 per product), in ``fp32``, ``bf16`` or ``fp8``.

    fp32 uses TF32 only where the trainer has allowed it. fp8 multiplies e4m3 by e4m3 into bf16, scaled by tensor.
    Repeats for ``min_s`` to ``max_s`` seconds; ``time_product`` returns the seconds of one product. Raises
    ``RuntimeError`` where the device or this torch cannot compute it.
    """
    n = size or (CUDA_SIZE if device.type == "cuda" else CPU_SIZE)
    multiply = _product(device, precision, n)
    timed = time_product or (_timed_on_cuda if device.type == "cuda" else _timed_on_cpu)
    timed(multiply)  # picks kernels, wakes threads, raises clocks
    began, taken_s = time.monotonic(), [timed(multiply)]
    while (passed_s := time.monotonic() - began) < max_s and (passed_s < min_s or len(taken_s) < MIN_REPEATS):
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
