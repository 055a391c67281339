"""A journal in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.storage.journal import seal


@dataclass(slots=True)
class MemoryJournal:
    """Keeps payloads in a list, and refuses with ``ValueError`` what the journal of a run directory refuses."""

    payloads: list[str] = field(default_factory=list)

    def append(self, payload: str) -> int:
        seal(len(self.payloads), payload)
        self.payloads.append(payload)
        return len(self.payloads) - 1
