"""An observer that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.core.ports import (
    Progress,
)
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory


@dataclass(slots=True)
class SilentWatcher:
    """Remembers what it was told."""

    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def recorded(self, event: Event) -> None:
        self.events.append(event)

    def progressed(self, progress: Progress) -> None:
        pass

    def opened(self, trajectory: Trajectory) -> None:
        pass

    def waited(self, stopping: str) -> None:
        pass

    def said(self, message: str) -> None:
        self.messages.append(message)

    def preparing(self, stage: str, fraction: float) -> None:
        pass
