"""The whole system's power, where a sensor of the kernel (hwmon) has it: in microwatts, by a name that says so.

Known are the ACPI power meter of servers, Apple's and Corsair's totals, and ``sys_total`` of spbm, a driver for the DGX
Spark that is not in the kernel. Another one can be named by its file (setting ``energy.sensor``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.sensor import Base

HWMON = Path("/sys/class/hwmon")
WHOLE = re.compile(r"sys(tem)?[ _]?(total|power)|total[ _](system[ _])?power|power[ _]total", re.IGNORECASE)
ACPI_METER = "power_meter"


class Hwmon(Base):
    """One file that holds microwatts."""

    method: Method = "hwmon"
    scope: Scope | None = "system"

    def __init__(self, file: Path, name: str) -> None:
        self.file = file
        self.about = f"{name} ({file})"

    def read(self, t: float) -> Sequence[Sample]:
        watts = _watts(self.file)
        return [] if watts is None else [Sample(t, power_w=watts)]


def open_hwmon(root: Path = HWMON, sensor: Path | None = None) -> Hwmon | str:
    """The sensor, or why there is none."""
    if sensor is not None:
        source = Hwmon(sensor, "the sensor of the settings")
        return source if _watts(sensor) is not None else f"{sensor} holds no number of microwatts"
    silent = ""
    for file, name in _candidates(root):
        if _watts(file):  # 0 W is what some firmware says instead of nothing
            return Hwmon(file, name)
        silent = f"{name} ({file}) says nothing"
    return silent or "no sensor of the whole system"


def _candidates(root: Path) -> Iterator[tuple[Path, str]]:
    try:
        devices = sorted(root.iterdir())
    except OSError:
        return
    for device in devices:
        name = _text(device / "name")
        for file in sorted([*device.glob("power*_input"), *device.glob("power*_average")]):
            stem = file.name.rpartition("_")[0]
            label, part = _text(device / f"{stem}_label"), _text(device / f"{stem}_oem_info")
            if WHOLE.fullmatch(label):
                yield file, f"hwmon {name}, {label}"
            elif name == ACPI_METER and not label and (not part or WHOLE.fullmatch(part)):
                yield file, "hwmon, the ACPI power meter"  # those of a Grace board name the part that they measure


def _watts(file: Path) -> float | None:
    try:
        return int(_text(file)) / 1e6
    except ValueError:
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
