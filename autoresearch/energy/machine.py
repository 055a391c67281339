"""Readings of the machine that belong to a sample: time in suspend, time of waiting for cores, memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from autoresearch.machine import own_cgroups

PRESSURE = Path("/proc/pressure/cpu")


def suspended_s() -> float:
    """Seconds that the machine has been suspended since it booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def pressure_files() -> tuple[Path, ...]:
    """The kernel's pressure (PSI) files of our own cgroup and its ancestors, then of the whole machine."""
    return (*(group / "cpu.pressure" for group in own_cgroups()), PRESSURE)


def cpu_wait_s(files: Sequence[Path]) -> float | None:
    """Seconds, from an arbitrary start, in which some process waited for a core; ``None`` where the kernel has none."""
    for file in files:
        try:
            some = file.read_text().splitlines()[0]
            return int(some.rpartition("total=")[2]) / 1e6
        except (OSError, ValueError, IndexError):
            continue
    return None


def mem_used_bytes() -> int:
    """MemTotal minus MemAvailable: on unified memory it includes the GPU's."""
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)
