"""Parts of a whole, for the page's bars. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.report.format import format_share
from autoresearch.report.history import total


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole: its name, its amount with a unit, and its fraction of the whole."""

    name: str
    amount: str
    share: float

    @property
    def percent(self) -> str:
        return format_share(self.share) if self.share >= 0.01 else "under 1%"


def build_shares(parts: dict[str, tuple[float | None, str]]) -> tuple[Share, ...]:
    """The parts that are known and not zero, as shares of their sum; ``parts`` maps a name to value and text."""
    known = {name: (value, text) for name, (value, text) in parts.items() if value}
    whole = total(*(value for value, _ in known.values()))
    return tuple(Share(name, text, value / whole) for name, (value, text) in known.items()) if whole else ()
