"""The user's hand on a run: the flag in every shape, signals, and the clocks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autoresearch.config.local_time import zone_name
from autoresearch.config.window import Window
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.night_end import next_time
from autoresearch.storage.pause_flag import resume
from autoresearch.storage.run_dir import PAUSE_FLAG
from tests.flag_shapes import SHAPES

NIGHT = datetime(2026, 11, 20, 22, 0)


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / PAUSE_FLAG


@contextmanager
def meanwhile(deed: Callable[[], object]) -> Iterator[None]:
    """Does the deed in another thread while the block runs, and sees it through."""
    thread = threading.Thread(target=deed)
    thread.start()
    try:
        yield
    finally:
        thread.join()


class Waiting(RunControl):
    """A control that tells a test when it has begun to wait: that is when it asks whether to stop."""

    def __init__(self, flag: Path) -> None:
        super().__init__(flag)
        self.began = threading.Event()

    def stop_reason(self) -> str:
        self.began.set()
        return super().stop_reason()


# The flag.


def test_without_a_thread_that_watches_the_flag_it_is_polled(flag, monkeypatch: pytest.MonkeyPatch):
    """RLIMIT_NPROC: a pause must not end the run."""
    flag.touch()

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("autoresearch.daemon.control.POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    polls: list[int] = []
    control = RunControl(flag, poll=lambda: (polls.append(1), len(polls) == 3 and flag.unlink()))
    control.wait_while_paused()
    assert len(polls) == 3


def test_without_a_flag_nothing_pauses(flag):
    control = RunControl(flag)
    assert control.pause_reason() == ""
    control.wait_while_paused()  # returns at once


@pytest.mark.parametrize("shape", SHAPES)
def test_anything_called_pause_flag_pauses(flag, shape):
    SHAPES[shape](flag)
    control = RunControl(flag)
    assert control.pause_reason() == "pause.flag is there"
    assert control.stop_reason() == ""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pause_ends_when_the_flag_is_taken_away(flag, shape):
    SHAPES[shape](flag)
    control = Waiting(flag)
    with meanwhile(lambda: control.began.wait(30) and resume(flag.parent)):
        control.wait_while_paused()
    assert control.pause_reason() == ""


def test_a_pause_ends_when_the_flag_is_renamed(flag):
    flag.touch()
    control = Waiting(flag)
    with meanwhile(lambda: control.began.wait(30) and flag.rename(flag.with_name("pause.later"))):
        control.wait_while_paused()
    assert not flag.exists()


def test_without_a_directory_there_is_no_pause_to_wait_for(tmp_path):
    polls: list[int] = []
    RunControl(tmp_path / "nowhere" / PAUSE_FLAG, poll=lambda: polls.append(1)).wait_while_paused()
    assert polls == []


def test_a_pause_outlives_other_things_that_happen_in_the_directory(flag):
    """Other files come and go; only the flag's end, or a stop, ends the pause."""
    flag.touch()
    times_asked = 0

    class Busy(RunControl):
        def stop_reason(self) -> str:
            nonlocal times_asked
            times_asked += 1
            other = self.flag.with_name("report.txt")
            other.touch()
            other.unlink()
            return "enough" if times_asked == 4 else ""

    Busy(flag).wait_while_paused()
    assert times_asked == 4
    assert flag.exists()


def test_a_pause_in_a_directory_that_is_gone_is_over(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    control = Waiting(run_dir / PAUSE_FLAG)
    control.flag.touch()

    def remove() -> None:
        control.began.wait(30)
        control.flag.unlink()
        run_dir.rmdir()

    with meanwhile(remove):
        control.wait_while_paused()
    assert not run_dir.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_waiting_though_the_flag_stays(flag, number):
    flag.touch()
    control = Waiting(flag)
    with control.listening(), meanwhile(lambda: control.began.wait(30) and os.kill(os.getpid(), number)):
        control.wait_while_paused()
    assert control.stop_reason() == number.name
    assert control.pause_reason()


# Callbacks while it waits.


def test_callbacks_are_called_at_every_poll_with_the_reason_to_stop(flag):
    told: list[str] = []
    looks: list[int] = []
    control = RunControl(flag, poll=lambda: looks.append(1), heartbeat=told.append)
    assert not control.must_abort()
    assert not control.stop_or_pause_requested()
    control.on_signal(signal.SIGTERM)
    assert control.stop_or_pause_requested()
    control.on_signal(signal.SIGTERM)
    assert control.must_abort()
    assert told == ["", "", "SIGTERM", "SIGTERM"]
    assert len(looks) == len(told)


def test_a_flag_is_a_request(flag):
    flag.touch()
    assert RunControl(flag).stop_or_pause_requested()


def test_the_heartbeat_continues_during_a_pause(flag):
    flag.touch()
    RunControl(flag, heartbeat=lambda _stopping: flag.unlink()).wait_while_paused()
    assert not flag.exists()


def test_a_callback_that_fails_changes_nothing(flag):
    def fails(_stopping: str) -> None:
        raise RuntimeError

    told: list[str] = []
    assert not RunControl(flag, heartbeat=fails).must_abort()
    assert not RunControl(flag, poll=lambda: fails(""), heartbeat=told.append).must_abort()
    assert told == [""]


# Signals.


def test_the_first_signal_stops_and_the_second_aborts(flag):
    control = RunControl(flag)
    with control.listening():
        assert (control.stop_reason(), control.aborted) == ("", False)
        signal.raise_signal(signal.SIGTERM)
        assert (control.stop_reason(), control.aborted) == ("SIGTERM", False)
        signal.raise_signal(signal.SIGINT)
        assert (control.stop_reason(), control.aborted) == ("SIGTERM", True)
        signal.raise_signal(signal.SIGINT)
        assert (control.stop_reason(), control.aborted) == ("SIGTERM", True)


def test_afterwards_signals_go_where_they_went_before(flag):
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(s) for s in signals]
    with RunControl(flag).listening():
        assert not {signal.getsignal(s) for s in signals} & set(before)
    assert [signal.getsignal(s) for s in signals] == before


# Not waiting for the running trial.


def test_a_flag_that_says_now_does_not_wait_for_the_trial(flag):
    control = RunControl(flag)
    assert not control.suspend_requested()
    flag.write_text("now\n")
    assert control.pause_reason() == "pause.flag is there"
    assert control.suspend_requested()


@pytest.mark.parametrize("shape", SHAPES)
def test_any_other_flag_does_unless_the_settings_say_now(flag, shape):
    SHAPES[shape](flag)
    assert not RunControl(flag).suspend_requested()
    assert RunControl(flag, pause_immediately=True).suspend_requested()


def test_without_a_flag_a_setting_alone_wants_nothing(flag):
    assert not RunControl(flag, pause_immediately=True).suspend_requested()


def test_a_signal_lets_the_trial_run_for_as_long_as_the_settings_say(flag):
    clock = Clock(1000.0)
    control = RunControl(flag, drain_max_s=30.0, clock=clock)
    assert not control.suspend_requested()
    control.on_signal(signal.SIGTERM)
    clock.shows = 1029.0
    assert not control.suspend_requested()
    clock.shows = 1030.0
    assert (control.suspend_requested(), control.aborted) == (True, False)
    clock.shows = 1020.0
    control.on_signal(signal.SIGTERM)
    assert control.aborted, "the second signal does not wait for a checkpoint either"


def test_a_signal_waits_for_the_trials_end_if_nothing_else_is_set(flag):
    clock = Clock(0.0)
    control = RunControl(flag, clock=clock)
    control.on_signal(signal.SIGTERM)
    clock.shows = 1e9
    assert not control.suspend_requested()


# Clocks.


class Clock:
    """A clock that shows what it is told."""

    def __init__(self, shows: object) -> None:
        self.shows = shows

    def __call__(self) -> object:
        return self.shows


def test_a_run_ends_at_its_time(flag):
    now = Clock(NIGHT)
    control = RunControl(flag, until=NIGHT + timedelta(hours=8, minutes=30), now=now)
    assert control.stop_reason() == ""
    now.shows = NIGHT + timedelta(hours=8, minutes=29, seconds=59)
    assert control.stop_reason() == ""
    now.shows = NIGHT + timedelta(hours=8, minutes=30)
    assert control.stop_reason() == f"it is 06:30 {zone_name(NIGHT)}"


def test_the_end_is_in_local_time_with_its_zone_and_the_time_until_then(flag):
    zone = zone_name(NIGHT)
    control = RunControl(flag, until=NIGHT + timedelta(hours=8, minutes=12), now=Clock(NIGHT))
    assert control.describe_end() == [f"ends 06:12 {zone}, in 8 h 12 min"]
    control = RunControl(flag, window=Window.parse("22:00-22:40"), now=Clock(NIGHT))
    assert control.describe_end() == [f"window 22:00-22:40: closes 22:40 {zone}, in 40 min"]
    control = RunControl(flag, window=Window.parse("23:00-22:00"), now=Clock(NIGHT))
    assert control.describe_end() == [f"window 23:00-22:00: opens 23:00 {zone}, in 1 h 00 min"]
    assert RunControl(flag, now=Clock(NIGHT)).describe_end() == []


def test_a_run_ends_after_its_hours(flag):
    clock = Clock(1000.0)
    control = RunControl(flag, max_hours=1.5, clock=clock)
    clock.shows = 1000.0 + 1.5 * 3600 - 1
    assert control.stop_reason() == ""
    clock.shows = 1000.0 + 1.5 * 3600
    assert control.stop_reason() == "1.5 hours are over"


def test_clocks_that_go_backwards_stop_nothing(flag):
    clock, now = Clock(1000.0), Clock(NIGHT)
    control = RunControl(flag, until=NIGHT + timedelta(hours=1), max_hours=1, clock=clock, now=now)
    clock.shows, now.shows = -1e9, NIGHT - timedelta(days=400)
    assert control.stop_reason() == ""
    clock.shows = 1000.0 + 3600
    assert control.stop_reason() == "1 hours are over"


def test_a_signal_is_named_before_any_clock(flag):
    control = RunControl(flag, until=NIGHT, max_hours=1e-9, clock=Clock(0.0), now=Clock(NIGHT))
    control.on_signal(signal.SIGTERM)
    assert control.stop_reason() == "SIGTERM"


def test_a_time_ends_a_pause_too(flag):
    flag.touch()
    RunControl(flag, until=NIGHT, now=Clock(NIGHT)).wait_while_paused()
    assert flag.exists()


@pytest.mark.parametrize(
    ("clock_time", "now", "expected"),
    [
        ("06:30", NIGHT, datetime(2026, 11, 21, 6, 30)),  # tomorrow morning
        ("6:30", NIGHT, datetime(2026, 11, 21, 6, 30)),
        ("23:59", NIGHT, datetime(2026, 11, 20, 23, 59)),  # tonight
        ("00:00", NIGHT, datetime(2026, 11, 21, 0, 0)),
        ("00:00", datetime(2026, 11, 20, 0, 0), datetime(2026, 11, 21, 0, 0)),  # not this very moment
        ("22:00", NIGHT, datetime(2026, 11, 21, 22, 0)),
        ("22:00", NIGHT - timedelta(microseconds=1), NIGHT),
        ("22:00", NIGHT + timedelta(seconds=30), datetime(2026, 11, 21, 22, 0)),
        ("00:01", datetime(2026, 12, 31, 23, 59, 59), datetime(2027, 1, 1, 0, 1)),
        ("08:00", datetime(2028, 2, 28, 9, 0), datetime(2028, 2, 29, 8, 0)),
    ],
)
def test_the_next_time_that_the_clock_shows(clock_time, now, expected):
    assert next_time(clock_time, now) == expected
