"""Describe the device that trials run on. Runs in a forked child, so that the daemon never holds a CUDA context."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from autoresearch.training.build import import_function
from autoresearch.training.profiling.precision_cost import measure_precision_costs
from autoresearch.trials.spec import Device
from autoresearch.trials.trainers import TRAINERS

ARITHMETIC = "2"  # version of our trainer: raised with every change of what a trial computes
FP8_CAPABILITY = (8, 9)
CPU_PRECISIONS = ("fp32", "bf16")


def probe(requested: str, trainer: str) -> Device:
    """Describe the device ``requested`` ("auto", "cpu", "cuda"). Raises ``ValueError`` if there is none."""
    has_cuda = torch.cuda.is_available()
    if requested == "cuda" and not has_cuda:
        raise ValueError("device cuda is not available: torch sees no CUDA device")
    versions = {"torch": str(torch.__version__), "arithmetic": ARITHMETIC, **package_versions(trainer)}
    if requested == "cpu" or not has_cuda:
        without = {"fp8": "it needs a CUDA device"}
        return Device(
            device="cpu",
            kind=_cpu_name(),
            precisions=CPU_PRECISIONS,
            without=without,
            free_bytes=None,
            versions=versions,
            precision_cost=measure_precision_costs(CPU_PRECISIONS),
        )
    precisions: tuple[str, ...] = ("fp32", "bf16")
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        precisions = ("fp32",)
    without = {}
    if torch.cuda.get_device_capability() < FP8_CAPABILITY:
        without["fp8"] = "it needs compute capability 8.9"
    elif "transformer-engine" not in versions:
        without["fp8"] = "it needs trainer megatron with Transformer Engine: pip install transformer-engine[pytorch]"
    else:
        precisions = (*precisions, "fp8")
    free: int | None = torch.cuda.mem_get_info()[0]
    if torch.cuda.get_device_properties(torch.cuda.current_device()).is_integrated:
        free = None  # unified memory: only the host's MemAvailable counts
    kind = torch.cuda.get_device_name()
    versions["cuda"] = str(torch.version.cuda)
    return Device(
        device="cuda",
        kind=kind,
        precisions=precisions,
        without=without,
        free_bytes=free,
        versions=versions,
        gpus=_uuids(),
    )


def _uuids() -> tuple[str, ...]:
    """NVML's names of the GPUs that torch sees: NVML ignores CUDA_VISIBLE_DEVICES."""
    uuids = [getattr(torch.cuda.get_device_properties(n), "uuid", None) for n in range(torch.cuda.device_count())]
    return () if None in uuids else tuple(f"GPU-{uuid}" for uuid in uuids)


def package_versions(trainer: str) -> dict[str, str]:
    """Versions of the trainer's packages beside torch; imports the trainer."""
    return dict(import_function(TRAINERS[trainer].package_versions)())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"cpu {platform.machine()} {names[0] if names else 'unknown'}"
