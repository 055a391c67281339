"""Several who look on: each is told everything, whatever another one does."""

from __future__ import annotations

from autoresearch.core.ports import Progress
from autoresearch.core.records import Resumed
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.observers.group import ObserverGroup

EVENT = Resumed(ts="2026-11-21T22:00:00Z", paused_s=1.0)
TRAJECTORY = Trajectory()
PROGRESS = Progress(1, "train", 0.5, 10, None)


class Hears:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def opened(self, trajectory: object) -> None:
        self.heard.append(trajectory)

    def recorded(self, event: object) -> None:
        self.heard.append(event)

    def heartbeat(self, stopping: str) -> None:
        self.heard.append(f"stopping: {stopping}")

    def progressed(self, progress: object) -> None:
        self.heard.append(progress)

    def notify(self, message: str) -> None:
        self.heard.append(message)

    def preparing(self, stage: str, fraction: float) -> None:
        self.heard.append((stage, fraction))


class Breaks(Hears):
    def recorded(self, event: object) -> None:
        raise OSError("no")

    opened = progressed = heartbeat = said = recorded

    def preparing(self, stage: str, fraction: float) -> None:
        raise ValueError("no")


def test_each_is_told_everything_also_after_one_that_breaks():
    first, last = Hears(), Hears()
    several = ObserverGroup(first, Breaks(), last)
    several.opened(TRAJECTORY)
    several.recorded(EVENT)
    several.progressed(PROGRESS)
    several.heartbeat("SIGTERM")
    several.notify("word")
    several.preparing("tokenizing", 0.5)
    assert first.heard == last.heard == [TRAJECTORY, EVENT, PROGRESS, "stopping: SIGTERM", "word", ("tokenizing", 0.5)]


def test_nobody_may_be_watching():
    ObserverGroup().notify("word")
