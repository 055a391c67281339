"""What the machine offers a trial. Runs in a forked child, so that the daemon never holds a CUDA context."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from autoresearch.training.spec import Device


def probe(wanted: str) -> Device:
    """Look at the device called ``wanted`` ("auto", "cpu", "cuda"). Raises ``ValueError`` if it is not there."""
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ValueError("device cuda is not there: torch sees no CUDA device")
    versions = {"torch": str(torch.__version__)}
    if wanted == "cpu" or not has_cuda:
        return Device(device="cpu", kind=_cpu_name(), precisions=("fp32", "bf16"), free_bytes=None, versions=versions)
    precisions = ("fp32", "bf16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp32",)
    free: int | None = torch.cuda.mem_get_info()[0]
    if torch.cuda.get_device_properties().is_integrated:
        free = None  # unified memory: only the host's MemAvailable is true there
    kind = torch.cuda.get_device_name()
    versions["cuda"] = str(torch.version.cuda)
    return Device(device="cuda", kind=kind, precisions=precisions, free_bytes=free, versions=versions)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"cpu {platform.machine()} {names[0] if names else 'unknown'}"
