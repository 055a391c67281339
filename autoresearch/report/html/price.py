"""What a kWh costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.report.format import format_cost
from autoresearch.report.html.text import clean

MAX_CURRENCY_CHARS = 8


@dataclass(frozen=True, slots=True)
class Price:
    """The price that the user set: with the command, or in the settings of the run's last start."""

    per_kwh: float
    currency: str = ""

    def of(self, kwh: float) -> str:
        """The cost of ``kwh`` with the currency, where one is set."""
        return f"{format_cost(kwh * self.per_kwh)} {clean(self.currency, MAX_CURRENCY_CHARS)}".strip()
