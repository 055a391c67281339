"""Joules of one GPU, by the counter that NVML keeps (Volta and newer); nothing, and no error, where there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any


def energy_counter(uuid: str, nvml: Any) -> Callable[[], float | None]:
    """Reads the joules that the GPU called ``uuid`` has used since its driver was loaded, or ``None`` if it cannot.

    By UUID, because NVML numbers GPUs without regard to CUDA_VISIBLE_DEVICES. ``nvml`` is the module ``pynvml``.
    """

    def read_j() -> float | None:
        try:
            nvml.nvmlInit()  # counts its callers: once more costs nothing
            gpu = nvml.nvmlDeviceGetHandleByUUID(uuid)
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000  # it counts in mJ
        except nvml.NVMLError:  # no driver, an old GPU, a slice of one (MIG), no permission
            return None

    return read_j


def open_energy_counter(device: str) -> Callable[[], float | None]:
    """The counter of this process's CUDA device, or one that always answers ``None``."""
    if device == "cuda":
        import torch

        uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
        with contextlib.suppress(ImportError):
            import pynvml

            return energy_counter(f"GPU-{uuid}", pynvml)
    return lambda: None
