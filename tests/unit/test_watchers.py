"""Several who look on: each is told everything, whatever another one does."""

from __future__ import annotations

from autoresearch.ports import Progress
from autoresearch.records import Resumed
from autoresearch.watchers import Several

EVENT = Resumed(ts="2026-11-21T22:00:00Z", paused_s=1.0)
PROGRESS = Progress(1, "train", 0.5, 10, None)


class Hears:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def recorded(self, event: object) -> None:
        self.heard.append(event)

    def progressed(self, progress: object) -> None:
        self.heard.append(progress)

    def said(self, message: str) -> None:
        self.heard.append(message)

    def preparing(self, stage: str, fraction: float) -> None:
        self.heard.append((stage, fraction))


class Breaks(Hears):
    def recorded(self, event: object) -> None:
        raise OSError("no")

    progressed = said = recorded

    def preparing(self, stage: str, fraction: float) -> None:
        raise ValueError("no")


def test_each_is_told_everything_also_after_one_that_breaks():
    first, last = Hears(), Hears()
    several = Several(first, Breaks(), last)
    several.recorded(EVENT)
    several.progressed(PROGRESS)
    several.said("word")
    several.preparing("tokenizing", 0.5)
    assert first.heard == last.heard == [EVENT, PROGRESS, "word", ("tokenizing", 0.5)]


def test_nobody_may_be_watching():
    Several().said("word")
