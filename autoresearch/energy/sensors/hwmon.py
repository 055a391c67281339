"""The whole system's power from the kernel's hardware monitor (hwmon), in microwatts.

A sensor counts if its label names the whole system: the ACPI power meter of servers, Apple's and Corsair's totals, and
``sys_total`` of spbm, a driver for the DGX Spark that is not in the kernel. The setting ``energy.sensor`` names another
one by its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.sensor import SensorBase

HWMON = Path("/sys/class/hwmon")
WHOLE_SYSTEM_LABEL = re.compile(
    r"sys(tem)?[ _]?(total|power)|total[ _](system[ _])?power|power[ _]total", re.IGNORECASE
)
ACPI_METER = "power_meter"


class Hwmon(SensorBase):
    """One file that holds microwatts."""

    method: Method = "hwmon"
    scope: Scope | None = "system"

    def __init__(self, file: Path, name: str) -> None:
        self.file = file
        self.about = f"{name} ({file})"

    def read(self, t: float) -> Sequence[Sample]:
        watts = _watts(self.file)
        return [] if watts is None else [Sample(t, power_w=watts)]


def open_hwmon(root: Path = HWMON, file: Path | None = None) -> Hwmon | str:
    """The sensor, or the reason why there is none."""
    if file is not None:
        hwmon = Hwmon(file, "the sensor of the settings")
        return (
            hwmon if _watts(file) is not None else f"{file} does not hold a number of microwatts; check energy.sensor"
        )
    no_reading = ""
    for candidate, name in _candidates(root):
        if _watts(candidate):  # some firmware reports 0 W where it has no reading
            return Hwmon(candidate, name)
        no_reading = f"{name} ({candidate}) has no reading"
    return no_reading or "no sensor of the whole system"


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
            if WHOLE_SYSTEM_LABEL.fullmatch(label):
                yield file, f"hwmon {name}, {label}"
            elif name == ACPI_METER and not label and (not part or WHOLE_SYSTEM_LABEL.fullmatch(part)):
                yield file, "hwmon, the ACPI power meter"  # on a Grace board oem_info names the part that is measured


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
