"""Joules of this process's CUDA device, by NVML's energy counter; ``None`` and no error without one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from autoresearch.energy.sensors.nvml import read_counter_j


def energy_counter(uuid: str, nvml: Any) -> Callable[[], float | None]:
    """A function that reads the joules of the GPU ``uuid`` since its driver was loaded, ``None`` where it cannot.

    By UUID, because NVML numbers GPUs without regard to CUDA_VISIBLE_DEVICES. ``nvml`` is the module ``pynvml``.
    """

    def read_j() -> float | None:
        try:
            nvml.nvmlInit()  # counts its callers: once more costs nothing
            return read_counter_j(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid))
        except nvml.NVMLError:  # no driver, an old GPU, a slice of one (MIG), no permission
            return None

    return read_j


def open_energy_counter(device: str) -> Callable[[], float | None]:
    """The counter of this process's CUDA device; for another device, or without pynvml, it returns ``None``."""
    if device == "cuda":
        uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
        with contextlib.suppress(ImportError):
            import pynvml

            return energy_counter(f"GPU-{uuid}", pynvml)
    return lambda: None
