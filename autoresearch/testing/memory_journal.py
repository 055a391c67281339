"""A journal in memory."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class MemoryJournal:
    """Keeps payloads in a list."""

    payloads: list[str] = field(default_factory=list)

    def append(self, payload: str) -> int:
        self.payloads.append(payload)
        return len(self.payloads) - 1
