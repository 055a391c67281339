"""What a kWh costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.report.html.text import clean

MAX_CURRENCY_CHARS = 8


@dataclass(frozen=True, slots=True)
class Price:
    """As the user gave it: with the command, or in the settings of the run's last start."""

    per_kwh: float
    currency: str = ""

    def of(self, kwh: float) -> str:
        """The cost of ``kwh``, in enough digits to be more than zero."""
        cost = kwh * self.per_kwh
        digits = 2 if cost >= 1 or cost == 0 else 4
        return f"{cost:.{digits}f} {clean(self.currency, MAX_CURRENCY_CHARS)}".strip()
