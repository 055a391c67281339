"""The CPU's package, by its own energy counter (RAPL, as Intel's and AMD's processors have it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.sensor import Base

POWERCAP = Path("/sys/class/powercap")
FORGET_S = 300.0  # 1 kW fills the smallest counter (2^32 steps of 61 microjoules) in 260 s: it may have run over unseen


@dataclass(slots=True)
class Package:
    """One package's counter. It runs over at ``range_uj``, which is not a reset."""

    energy: Path
    range_uj: int
    last_uj: int | None = None
    whole_uj: int = 0

    def read_uj(self) -> int | None:
        """Microjoules since the first reading; begins anew, lower, where nobody can know."""
        now = _number(self.energy)
        if now is None:
            return None
        if self.last_uj is not None:
            moved = now - self.last_uj
            self.whole_uj += moved if moved >= 0 else moved + self.range_uj
        self.last_uj = now
        return self.whole_uj

    def forget(self) -> None:
        self.last_uj, self.whole_uj = None, 0


@dataclass(slots=True)
class Rapl(Base):
    """All packages together."""

    packages: list[Package]
    last_t: float | None = None
    method: Method = "rapl"
    scope: Scope | None = "package"
    about: str = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.packages)
        self.about = f"RAPL, {n} CPU {'package' if n == 1 else 'packages'}"

    def read(self, t: float) -> Sequence[Sample]:
        if self.last_t is not None and t - self.last_t > FORGET_S:
            for package in self.packages:
                package.forget()
        self.last_t = t
        known = [uj for p in self.packages if (uj := p.read_uj()) is not None]
        return [Sample(t, counter_j=sum(known) / 1e6)] if len(known) == len(self.packages) else []


def open_rapl(root: Path = POWERCAP) -> Rapl | str:
    """The counters, or why they cannot be read."""
    found: list[Package] = []
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
        found.append(Package(energy, _number(zone / "max_energy_range_uj") or 0))
    return Rapl(found) if found else "no RAPL"


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
