"""The CPU package's own energy counter (RAPL, Running Average Power Limit, on processors of Intel and AMD)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.sensor import SensorBase

POWERCAP = Path("/sys/class/powercap")
MAX_UNREAD_S = 300.0  # 1 kW fills the smallest counter (2^32 steps of 61 microjoules) in 260 s: it may wrap unseen


@dataclass(slots=True)
class Package:
    """One package's counter. It wraps to 0 at ``range_uj``, which is not a reset."""

    energy: Path
    range_uj: int
    last_uj: int | None = None
    total_uj: int = 0

    def read_uj(self) -> int | None:
        """Microjoules since the first reading after ``reset``; ``None`` where the file cannot be read."""
        now = _number(self.energy)
        if now is None:
            return None
        if self.last_uj is not None:
            moved = now - self.last_uj
            self.total_uj += moved if moved >= 0 else moved + self.range_uj
        self.last_uj = now
        return self.total_uj

    def reset(self) -> None:
        """Start over at 0: the counter may have wrapped an unknown number of times."""
        self.last_uj, self.total_uj = None, 0


@dataclass(slots=True)
class Rapl(SensorBase):
    """The sum over all packages."""

    packages: list[Package]
    last_t: float | None = None
    method: Method = "rapl"
    scope: Scope | None = "package"
    about: str = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.packages)
        self.about = f"RAPL, {n} CPU {'package' if n == 1 else 'packages'}"

    def read(self, t: float) -> Sequence[Sample]:
        if self.last_t is not None and t - self.last_t > MAX_UNREAD_S:
            for package in self.packages:
                package.reset()
        self.last_t = t
        readings = [uj for p in self.packages if (uj := p.read_uj()) is not None]
        return [Sample(t, counter_j=sum(readings) / 1e6)] if len(readings) == len(self.packages) else []


def open_rapl(root: Path = POWERCAP) -> Rapl | str:
    """The counters, or the reason why they cannot be read."""
    packages: list[Package] = []
    for zone in sorted(root.glob("intel-rapl:*")):
        if not _name(zone).startswith("package"):
            continue  # a part of a package, or the platform
        energy = zone / "energy_uj"
        try:
            energy.read_text()
        except PermissionError:
            return f"{energy} is readable by root only"
        except OSError as e:
            return f"{energy}: {e.strerror}"
        packages.append(Package(energy, _number(zone / "max_energy_range_uj") or 0))
    return Rapl(packages) if packages else "no RAPL"


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
