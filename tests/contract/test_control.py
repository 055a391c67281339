"""Every control under the contract of its port."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path

import pytest

from autoresearch.daemon.control import RunControl
from autoresearch.storage.pause_flag import pause, resume
from autoresearch.storage.run_dir import PAUSE_FLAG
from autoresearch.testing.contracts.control import ControlContract
from autoresearch.testing.fake_control import FakeControl


class TestRunControl(ControlContract):
    """Pauses by the flag, stops by a signal."""

    @pytest.fixture
    def control(self, tmp_path: Path) -> RunControl:
        return RunControl(tmp_path / PAUSE_FLAG, drain_max_s=1e9)

    def request_pause(self, control: RunControl, now: bool = False) -> None:
        pause(control.flag.parent, now)

    def end_pause(self, control: RunControl) -> None:
        resume(control.flag.parent)

    def request_stop(self, control: RunControl) -> None:
        control.on_signal(signal.SIGTERM)


class TestRunControlThatStopsByTheClock(TestRunControl):
    """Stops because its time has come; the control has to look at the clock for that."""

    def request_stop(self, control: RunControl) -> None:
        control.until = datetime(2026, 1, 1)


class TestFakeControl(ControlContract):
    @pytest.fixture
    def control(self) -> FakeControl:
        return FakeControl()

    def request_pause(self, control: FakeControl, now: bool = False) -> None:
        control.pause, control.now = "the test pauses", now

    def end_pause(self, control: FakeControl) -> None:
        control.pause = ""

    def request_stop(self, control: FakeControl) -> None:
        control.stop = "the test stops"
