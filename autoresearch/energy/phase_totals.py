"""The sums of one phase so far: its energy, and the means and maxima of the sensor's other readings."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.core.power import Method, Power, Scope
from autoresearch.energy.integrate import Interval, Total, share
from autoresearch.energy.sample import Sample


@dataclass(slots=True)
class Mean:
    """The mean of the values that are not ``None``."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class PhaseTotals:
    """Starts empty with each phase of each record."""

    energy: Total = field(default_factory=Total)
    clock_mhz: Mean = field(default_factory=Mean)
    util_pct: Mean = field(default_factory=Mean)
    slowed: Mean = field(default_factory=Mean)
    others_util_pct: Mean = field(default_factory=Mean)
    temp_c: float | None = None
    mem_used_bytes: int | None = None
    slowdowns: set[str] = field(default_factory=set)
    cpu_wait_s: float | None = None

    def add_time(self, span_s: float, cpu_wait_s: float | None) -> None:
        """Add ``span_s`` to the phase; in ``cpu_wait_s`` of it some process waited for a core."""
        self.energy.span_s += span_s
        if cpu_wait_s is not None:
            self.cpu_wait_s = (self.cpu_wait_s or 0.0) + cpu_wait_s

    def add_sample(self, sample: Sample) -> None:
        """Add the readings of one moment. Its energy is added by ``add_interval``."""
        self.clock_mhz.add(sample.clock_mhz)
        self.util_pct.add(sample.util_pct)
        self.others_util_pct.add(sample.others_util_pct)
        if sample.slowdowns is not None:
            self.slowed.add(1.0 if sample.slowdowns else 0.0)
            self.slowdowns.update(sample.slowdowns)
        if sample.temp_c is not None:
            self.temp_c = max(sample.temp_c, self.temp_c or sample.temp_c)
        if sample.mem_used_bytes is not None:
            self.mem_used_bytes = max(sample.mem_used_bytes, self.mem_used_bytes or 0)

    def add_interval(self, interval: Interval) -> None:
        self.energy.add(interval)

    def power(self, method: Method, scope: Scope | None, shared: bool | None, unrecorded_s: float = 0.0) -> Power:
        """The record of the phase; ``unrecorded_s`` is time of the phase that ``add_time`` has not received yet."""
        total, wait_s = self.energy, self.cpu_wait_s
        span_s = total.span_s + unrecorded_s
        return Power(
            method=method,
            scope=scope,
            span_s=span_s,
            coverage=share(total.covered_s, span_s),
            energy_j=total.energy_j,
            mean_w=total.mean_w,
            peak_w=total.peak_w,
            temp_c=self.temp_c,
            clock_mhz=self.clock_mhz.value,
            util_pct=self.util_pct.value,
            mem_used_bytes=self.mem_used_bytes,
            slowed_frac=self.slowed.value,
            slowdowns=tuple(sorted(self.slowdowns)),
            shared=shared,
            others_util_pct=self.others_util_pct.value,
            cpu_wait_frac=share(max(0.0, wait_s), span_s) if wait_s is not None and span_s > 0 else None,
        )
