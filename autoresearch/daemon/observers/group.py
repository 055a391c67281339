"""Several who look on at one run: a terminal, the service manager, a file for `autoresearch watch`, hooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from autoresearch.core.ports import Observer, Progress
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory


class ObserverGroup(Observer):
    """Tells each of ``observers`` the same, in their order; what one of them raises keeps nothing from the others."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def opened(self, trajectory: Trajectory) -> None:
        self._tell(lambda observer: observer.opened(trajectory))

    def recorded(self, event: Event) -> None:
        self._tell(lambda observer: observer.recorded(event))

    def progressed(self, progress: Progress) -> None:
        self._tell(lambda observer: observer.progressed(progress))

    def heartbeat(self, stopping: str) -> None:
        self._tell(lambda observer: observer.heartbeat(stopping))

    def notify(self, message: str) -> None:
        self._tell(lambda observer: observer.notify(message))

    def preparing(self, stage: str, fraction: float) -> None:
        self._tell(lambda observer: observer.preparing(stage, fraction))

    def _tell(self, how: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            with suppress(Exception):
                how(observer)
