"""What a column's name means: a quantity, and a unit in brackets, after a slash or as the last word."""

from __future__ import annotations

import re
from dataclasses import dataclass

POWER_NAMES = (
    *("power_w", "power.draw", "power.draw.average", "power.draw.instant", "power_draw_w", "power_draw"),
    *("gpu_power_w", "gpu_power", "power_watts", "power", "watts", "watt", "w", "pwr"),
)
GPU_NAMES = ("power.draw", "power_draw", "gpu_", "pwr")  # nvidia-smi reports nothing else
TIME_NAMES = (
    *("timestamp", "datetime", "date_time", "date/time", "time", "date", "ts", "time_s", "elapsed_s", "elapsed"),
    *("elapsed_time", "unix_time", "unix", "epoch", "system_time", "seconds", "t"),
)
DEVICE_NAMES = ("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "index", "gpu_index", "gpu")
WATT_UNITS = {"w": 1.0, "watt": 1.0, "watts": 1.0, "mw": 1e-3, "milliwatts": 1e-3, "uw": 1e-6, "kw": 1e3}
TIME_UNITS = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "ns": 1e-9,
    "nsec": 1e-9,
    "min": 60.0,
    "h": 3600.0,
}
OTHER_UNITS = ("j", "mj", "kj", "wh", "kwh", "mwh", "%", "v", "mv", "a", "ma", "va", "kva", "joules", "joule")
NOT_A_DRAW = re.compile(r"limit|cap\b|_cap|max|min|default|enforced|tdp|threshold|budget|peak|request")
BRACKETED = re.compile(r"^(.*?)\s*[\[(]([^\])]*)[\])]\s*$")
LAST_WORD = re.compile(r"^(.+?)[\s_/]+([^\s_/]+)$")


@dataclass(frozen=True, slots=True)
class ColumnName:
    """``text`` as in the file; ``name`` in lower case, without its unit; ``unit`` as in the file, empty if none."""

    text: str
    name: str
    unit: str

    @property
    def full(self) -> str:
        """The name with a unit that was its last word: ``power_w``."""
        return re.sub(r"[\s-]+", "_", BRACKETED.sub(r"\1", self.text).strip().lower())

    def is_one_of(self, names: tuple[str, ...]) -> int | None:
        """The position in ``names``, or ``None``."""
        return next((n for n, known in enumerate(names) if known in (self.full, self.name)), None)

    @property
    def watts_per_unit(self) -> float | None:
        """``None`` without a unit of power."""
        return WATT_UNITS.get(self.unit.lower())

    @property
    def is_draw(self) -> bool:
        """Whether it may be the power that was drawn: by its name or its unit, and not a limit or an extreme."""
        if NOT_A_DRAW.search(self.full) or self.unit.lower() in OTHER_UNITS:
            return False
        return self.is_one_of(POWER_NAMES) is not None or self.watts_per_unit is not None

    @property
    def may_be_power(self) -> bool:
        """Whether it names a power, known or not: ``cpu_power``, ``ram_power``. Such a column is named, not read."""
        return "power" in re.split(r"[_.]", self.full) and not NOT_A_DRAW.search(self.full)

    @property
    def is_time(self) -> bool:
        return self.is_one_of(TIME_NAMES) is not None

    @property
    def is_energy(self) -> bool:
        return self.unit.lower() in ("j", "mj", "kj", "joule", "joules", "wh", "kwh", "mwh")


def parse_column_name(text: str) -> ColumnName:
    """``Power (W)``, ``power.draw [W]``, ``power_mw``, ``time/ms``: name and unit."""
    text = text.strip().strip('"').strip()
    units = (*WATT_UNITS, *TIME_UNITS, *OTHER_UNITS)
    match = BRACKETED.match(text)
    unit = match[2].strip().replace("\u00b5", "u").replace("\u03bc", "u") if match else ""
    if match and unit.lower() in units:
        return ColumnName(text, _plain(match[1]), unit)
    bare = match[1] if match else text  # what stands in brackets is not a unit: time (UTC)
    word = LAST_WORD.match(bare.strip())
    if word and word[2].lower() in units:
        return ColumnName(text, _plain(word[1]), word[2])
    return ColumnName(text, _plain(bare), "")


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
