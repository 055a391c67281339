"""A group of observers: each receives every call, whatever another one raises."""

from __future__ import annotations

from autoresearch.core.ports import Progress
from autoresearch.core.records import Resumed
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.observers.group import ObserverGroup

EVENT = Resumed(ts="2026-11-21T22:00:00Z", paused_s=1.0)
TRAJECTORY = Trajectory()
PROGRESS = Progress(1, "train", 0.5, 10, None)


class Remembers:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def opened(self, trajectory: object) -> None:
        self.calls.append(trajectory)

    def recorded(self, event: object) -> None:
        self.calls.append(event)

    def heartbeat(self, stopping: str) -> None:
        self.calls.append(f"stopping: {stopping}")

    def progressed(self, progress: object) -> None:
        self.calls.append(progress)

    def notify(self, message: str) -> None:
        self.calls.append(message)

    def preparing(self, stage: str, fraction: float) -> None:
        self.calls.append((stage, fraction))


class Breaks(Remembers):
    def recorded(self, event: object) -> None:
        raise OSError("no")

    opened = progressed = heartbeat = notify = recorded

    def preparing(self, stage: str, fraction: float) -> None:
        raise ValueError("no")


def test_each_receives_every_call_also_after_one_that_raises():
    first, last = Remembers(), Remembers()
    group = ObserverGroup(first, Breaks(), last)
    group.opened(TRAJECTORY)
    group.recorded(EVENT)
    group.progressed(PROGRESS)
    group.heartbeat("SIGTERM")
    group.notify("word")
    group.preparing("tokenizing", 0.5)
    assert first.calls == last.calls == [TRAJECTORY, EVENT, PROGRESS, "stopping: SIGTERM", "word", ("tokenizing", 0.5)]
