"""Which sensor a run is metered with: the first, in this order, that can be opened and has something to say.

The whole system's sensor (hwmon), NVML's energy counter, NVML's power, ``nvidia-smi`` as a process, the CPU package's
counter (RAPL), none. A trial on the CPU is never metered by a GPU that stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.energy.sensors.hwmon import HWMON, open_hwmon
from autoresearch.energy.sensors.nvidia_smi import open_nvidia_smi
from autoresearch.energy.sensors.nvml import open_nvml
from autoresearch.energy.sensors.rapl import POWERCAP, open_rapl
from autoresearch.energy.sensors.sensor import NoSensor, SensorWithGauges, Source


@dataclass(frozen=True, slots=True)
class SelectedSensor:
    """A sensor, and why no better one was taken."""

    source: Source
    refused: tuple[str, ...] = ()


def select_sensor(
    device: str,
    gpus: Sequence[str] = (),
    sensor: Path | None = None,
    *,
    hwmon: Path = HWMON,
    powercap: Path = POWERCAP,
) -> SelectedSensor:
    """The sensor for trials on ``device`` ("cpu" or "cuda"), on the GPUs of these UUIDs if they are known."""
    ways: list[tuple[str, Callable[[], Source | str]]] = [("hwmon", lambda: open_hwmon(hwmon, sensor))]
    if device == "cuda":
        ways += [("nvml", lambda: open_nvml(gpus)), ("nvidia-smi", lambda: open_nvidia_smi(gpus))]
    ways.append(("rapl", lambda: open_rapl(powercap)))
    refused: list[str] = []
    for name, opened in ways:
        source = opened()
        if not isinstance(source, str):
            return SelectedSensor(_with_gauges(source, device, gpus), tuple(refused))
        refused.append(f"{name}: {source}")
    return SelectedSensor(NoSensor(), tuple(refused))


def _with_gauges(source: Source, device: str, gpus: Sequence[str]) -> Source:
    """The GPU's temperature, clocks and use are worth having beside another sensor's joules."""
    if device != "cuda" or source.scope == "gpu":
        return source
    gauges = open_nvml(gpus)
    return source if isinstance(gauges, str) else SensorWithGauges(source, gauges)
