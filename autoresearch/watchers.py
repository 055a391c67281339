"""Several who look on at one run: a terminal, a file for `autoresearch watch`, hooks."""

from __future__ import annotations

from contextlib import suppress

from autoresearch.bench import Watcher
from autoresearch.ports import Progress
from autoresearch.records import Event


class Several:
    """Tells each of ``watchers`` the same, in their order; what one of them raises keeps nothing from the others."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def recorded(self, event: Event) -> None:
        for watcher in self.watchers:
            with suppress(Exception):
                watcher.recorded(event)

    def progressed(self, progress: Progress) -> None:
        for watcher in self.watchers:
            with suppress(Exception):
                watcher.progressed(progress)

    def said(self, message: str) -> None:
        for watcher in self.watchers:
            with suppress(Exception):
                watcher.said(message)

    def preparing(self, stage: str, fraction: float) -> None:
        for watcher in self.watchers:
            with suppress(Exception):
                watcher.preparing(stage, fraction)
