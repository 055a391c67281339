"""What the machine itself says of the time that a meter looks at: sleep, waiting for cores, memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from autoresearch.machine import own_cgroups

PRESSURE = Path("/proc/pressure/cpu")


def asleep_s() -> float:
    """Seconds that the machine has been suspended since it was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def pressure_files() -> tuple[Path, ...]:
    """Where the kernel says how long processes waited for a core: our own cgroup, else the whole machine."""
    return (*(group / "cpu.pressure" for group in own_cgroups()), PRESSURE)


def cpu_wait_s(files: Sequence[Path]) -> float | None:
    """Seconds in which some process waited for a core, since some moment; ``None`` where the kernel does not count."""
    for file in files:
        try:
            some = file.read_text().splitlines()[0]
            return int(some.rpartition("total=")[2]) / 1e6
        except (OSError, ValueError, IndexError):
            continue
    return None


def mem_used_bytes() -> int:
    """MemTotal without MemAvailable: on unified memory that is the GPU's too."""
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)
