"""Parts of a whole, as the page's bars show them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.report.format import format_share
from autoresearch.report.history import total


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    name: str
    amount: str
    share: float

    @property
    def percent(self) -> str:
        return format_share(self.share) if self.share >= 0.01 else "under 1%"


def shares(parts: dict[str, tuple[float | None, str]]) -> tuple[Share, ...]:
    """What is known and more than nothing, as shares of its sum."""
    known = {name: (value, text) for name, (value, text) in parts.items() if value}
    whole = total(*(value for value, _ in known.values()))
    return tuple(Share(name, text, value / whole) for name, (value, text) in known.items()) if whole else ()
