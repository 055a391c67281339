"""Selects a run's sensor: the first, in this order, that can be opened and returns a power or an energy.

The whole system's sensor (hwmon), NVML's energy counter, NVML's power, the program ``nvidia-smi``, the CPU package's
counter (RAPL), none. A trial on the CPU is never metered by a GPU of the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.energy.sensors.hwmon import HWMON, open_hwmon
from autoresearch.energy.sensors.nvidia_smi import open_nvidia_smi
from autoresearch.energy.sensors.nvml import open_nvml
from autoresearch.energy.sensors.rapl import POWERCAP, open_rapl
from autoresearch.energy.sensors.sensor import NoSensor, Sensor, SensorWithGauges


@dataclass(frozen=True, slots=True)
class SelectedSensor:
    """A sensor, and for each better one the reason why it could not be opened."""

    sensor: Sensor
    refused: tuple[str, ...] = ()


def select_sensor(
    device: str,
    gpus: Sequence[str] = (),
    file: Path | None = None,
    *,
    hwmon: Path = HWMON,
    powercap: Path = POWERCAP,
) -> SelectedSensor:
    """The sensor for trials on ``device`` ("cpu" or "cuda").

    ``gpus`` are the UUIDs of the GPUs that train, empty where they are not known; ``file`` is the setting
    ``energy.sensor``.
    """
    candidates: list[tuple[str, Callable[[], Sensor | str]]] = [("hwmon", lambda: open_hwmon(hwmon, file))]
    if device == "cuda":
        candidates += [("nvml", lambda: open_nvml(gpus)), ("nvidia-smi", lambda: open_nvidia_smi(gpus))]
    candidates.append(("rapl", lambda: open_rapl(powercap)))
    refused: list[str] = []
    for name, open_candidate in candidates:
        sensor = open_candidate()
        if not isinstance(sensor, str):
            return SelectedSensor(_with_gauges(sensor, device, gpus), tuple(refused))
        refused.append(f"{name}: {sensor}")
    return SelectedSensor(NoSensor(), tuple(refused))


def _with_gauges(sensor: Sensor, device: str, gpus: Sequence[str]) -> Sensor:
    """Add the GPU's temperature, clocks and utilisation to a sensor that measures more than the GPU."""
    if device != "cuda" or sensor.scope == "gpu":
        return sensor
    gauges = open_nvml(gpus)
    return sensor if isinstance(gauges, str) else SensorWithGauges(sensor, gauges)
