"""Several who look on at one run: a terminal, the service manager, a file for `autoresearch watch`, hooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from autoresearch.core.ports import Progress, Watcher
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory


class Several:
    """Tells each of ``watchers`` the same, in their order; what one of them raises keeps nothing from the others."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def opened(self, trajectory: Trajectory) -> None:
        self._tell(lambda watcher: watcher.opened(trajectory))

    def recorded(self, event: Event) -> None:
        self._tell(lambda watcher: watcher.recorded(event))

    def progressed(self, progress: Progress) -> None:
        self._tell(lambda watcher: watcher.progressed(progress))

    def waited(self, stopping: str) -> None:
        self._tell(lambda watcher: watcher.waited(stopping))

    def said(self, message: str) -> None:
        self._tell(lambda watcher: watcher.said(message))

    def preparing(self, stage: str, fraction: float) -> None:
        self._tell(lambda watcher: watcher.preparing(stage, fraction))

    def _tell(self, how: Callable[[Watcher], None]) -> None:
        for watcher in self.watchers:
            with suppress(Exception):
                how(watcher)
