"""The joules of attempts: of each by itself where only one runs at a time, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.ports import Meter
from autoresearch.core.power import Phase, Power, joined

BUSY: Phase = "propose"  # the phase of a meter in which an LLM server is asked
MIN_COVERAGE = 0.9  # of an attempt's time, below which its joules are not known


@dataclass(slots=True)
class AttemptEnergy:
    """Reads a meter around attempts. Joules that several attempts share are never divided among them."""

    meter: Meter
    one_at_a_time: bool
    total: Power | None = None
    _under_way: int = 0

    def began(self) -> None:
        if not self._under_way:
            self.meter.phase(BUSY)
        self._under_way += 1

    def ended(self) -> float | None:
        """The joules of the attempt that ended; ``None`` where others ran too, or too little was metered."""
        self._under_way -= 1
        if self._under_way:
            return None
        power = self._settle()
        is_known = self.one_at_a_time and power is not None and power.coverage >= MIN_COVERAGE
        return power.energy_j if is_known and power is not None else None

    def close(self) -> None:
        """Add what attempts took that did not end."""
        if self._under_way:
            self._under_way = 0
            self._settle()

    def _settle(self) -> Power | None:
        self.meter.phase("idle")
        power = self.meter.settle((BUSY,)).get(BUSY)
        if power is not None:
            same = self.total is None or self.total.scope == power.scope
            self.total = power if self.total is None else joined(self.total, power) if same else self.total
        return power
