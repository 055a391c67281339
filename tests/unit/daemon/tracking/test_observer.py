"""The tracking process as the daemon sees it: started, started again, ended; a failure is one message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.tracking import Tracking
from autoresearch.daemon.tracking.observer import FINISH_S, MAX_STARTS
from autoresearch.errors import MissingPackage


class FakeChild:
    def __init__(self, code: int | None = None, ends: int | None = 0) -> None:
        self.code, self.ends = code, ends
        self.finished = self.killed = False

    def poll(self) -> int | None:
        return self.code

    def finish(self) -> None:
        self.finished = True

    def wait(self, seconds: float) -> bool:
        if self.finished and self.ends is not None:
            self.code = self.ends
        return self.code is not None

    def kill(self) -> None:
        self.killed = True


class World:
    def __init__(self, settings, *children: FakeChild | OSError) -> None:
        self.children, self.started = list(children), []
        self.now = 0.0
        self.messages: list[str] = []
        self.beats: list[str] = []
        self.tracking = Tracking(
            settings, self.messages.append, heartbeat=self._beat, start=self._start, clock=lambda: self.now
        )

    def _start(self) -> FakeChild:
        child = self.children.pop(0) if self.children else FakeChild(1)
        self.started.append(child)
        if isinstance(child, OSError):
            raise child
        return child

    def _beat(self, reason: str) -> None:
        self.beats.append(reason)
        self.now += 1

    def open(self) -> None:
        self.tracking.opened(Trajectory())


@pytest.fixture
def world(make_settings) -> Callable[..., World]:
    return lambda *children: World(make_settings(track="trackio"), *children)


def test_it_starts_when_the_run_is_open_and_ends_with_it(world):
    w = world(child := FakeChild())
    with w.tracking:
        assert w.started == []
        w.open()
        assert w.started == [child]
    assert (child.finished, child.killed, w.messages) == (True, True, [])


def test_a_failure_is_one_message_and_a_later_start(world):
    w = world(FakeChild(1), FakeChild(1), good := FakeChild())
    with w.tracking:
        w.open()
        w.tracking.heartbeat("")
        assert len(w.started) == 1  # not at once
        for w.now in (29.0, 30.0, 31.0, 89.0, 91.0, 92.0):
            w.tracking.heartbeat("")
        assert w.started[-1] is good
    assert len(w.started) == 3
    assert len(w.messages) == 1
    assert "trackio ended with exit code 1; the run continues" in w.messages[0]
    assert "track.log" in w.messages[0]


def test_it_is_given_up_after_some_starts(world):
    w = world()
    with w.tracking:
        w.open()
        for w.now in range(0, 100_000, 1000):
            w.tracking.recorded(None)
    assert len(w.started) == MAX_STARTS
    assert len(w.messages) == 1


def test_what_cannot_be_started_does_not_raise(world):
    w = world(OSError(11, "Resource temporarily unavailable"), FakeChild())
    with w.tracking:
        w.open()
        w.now = 31.0
        w.tracking.heartbeat("")
    assert len(w.started) == 2
    assert "cannot be started: Resource temporarily unavailable" in w.messages[0]


def test_a_child_that_hangs_at_the_end_is_killed_after_a_minute_and_the_watchdog_is_fed(world):
    w = world(child := FakeChild(ends=None))
    with w.tracking:
        w.open()
    assert child.killed
    assert len(w.beats) == FINISH_S
    assert "was not done" in w.messages[0]


def test_ctrl_c_ends_the_waiting(world):
    w = world(child := FakeChild())

    def interrupt(_seconds: float) -> bool:
        raise KeyboardInterrupt

    child.wait = interrupt
    with w.tracking:
        w.open()
    assert child.killed


def test_a_missing_library_is_refused_at_the_start(make_settings, monkeypatch):
    monkeypatch.setattr("autoresearch.report.trackers.table.find_spec", lambda _name: None)
    with pytest.raises(MissingPackage, match=r"autoresearch\[wandb\]"):
        Tracking(make_settings(track="wandb"), pytest.fail)
