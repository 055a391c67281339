"""One observer made of several: terminal, service manager, progress file for `autoresearch watch`, hooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from autoresearch.core.ports import Observer, Progress
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory


class ObserverGroup(Observer):
    """Passes every call to each of ``observers`` in order; an exception of one does not affect the others."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def opened(self, trajectory: Trajectory) -> None:
        self._call_each(lambda observer: observer.opened(trajectory))

    def recorded(self, event: Event) -> None:
        self._call_each(lambda observer: observer.recorded(event))

    def progressed(self, progress: Progress) -> None:
        self._call_each(lambda observer: observer.progressed(progress))

    def heartbeat(self, stop_reason: str) -> None:
        self._call_each(lambda observer: observer.heartbeat(stop_reason))

    def notify(self, message: str) -> None:
        self._call_each(lambda observer: observer.notify(message))

    def preparing(self, stage: str, fraction: float) -> None:
        self._call_each(lambda observer: observer.preparing(stage, fraction))

    def waiting(self, reason: str) -> None:
        self._call_each(lambda observer: observer.waiting(reason))

    def _call_each(self, call: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            with suppress(Exception):
                call(observer)
