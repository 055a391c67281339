"""An observer that records events and messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.core.ports import (
    Observer,
)
from autoresearch.core.records import Event


@dataclass(slots=True)
class RecordingObserver(Observer):
    """Records events and messages in lists."""

    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def recorded(self, event: Event) -> None:
        self.events.append(event)

    def notify(self, message: str) -> None:
        self.messages.append(message)
