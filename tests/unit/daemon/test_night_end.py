"""A crash moves no night's end, and a good end, or a day without the daemon, begins a new night."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event, LoopComplete, Resumed, Started, Stopped
from autoresearch.daemon.night_end import end_of_night
from autoresearch.daemon.service import build_control
from autoresearch.testing.recording_observer import RecordingObserver

TRIAL_S = 1800.0


@pytest.fixture(autouse=True)
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Records carry UTC; the clock on the wall, by which a night ends, shows two hours more."""
    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def started(ts: str) -> Started:
    return Started(ts=ts, pid=1, host="desk", boot_id="b", autoresearch_version="0", proposer="tpe", iters_requested=9)


def worked(ts: str) -> Resumed:
    return Resumed(ts=ts, paused_s=1.0)


EVENING, CRASHED = started("2026-11-20T20:00:00.000Z"), worked("2026-11-21T04:40:00.000Z")  # 22:00, 06:40
STOPPED = Stopped.model_construct(ts="2026-11-20T19:00:00.000Z")
SIX_FORTY = started("2026-11-21T04:40:00.000Z")


@pytest.mark.parametrize(
    ("records", "now", "end"),
    [
        ([], "2026-11-21T18:00", "2026-11-22T07:00"),
        ([EVENING, CRASHED], "2026-11-21T07:03", "2026-11-21T07:00"),  # over: it ends at once, in good order
        ([EVENING, SIX_FORTY, CRASHED], "2026-11-21T07:03", "2026-11-21T07:00"),  # not the first crash
        ([EVENING, CRASHED], "2026-11-21T06:41", "2026-11-21T07:00"),
        ([started("2026-11-18T20:00:00Z"), STOPPED, EVENING, CRASHED], "2026-11-21T07:03", "2026-11-21T07:00"),
        ([EVENING, CRASHED], "2026-11-21T18:00", "2026-11-22T07:00"),  # it had stayed dead; somebody starts it
        ([EVENING, Stopped.model_construct(ts=CRASHED.ts)], "2026-11-21T07:03", "2026-11-22T07:00"),
        ([EVENING, LoopComplete.model_construct(ts=CRASHED.ts)], "2026-11-21T07:03", "2026-11-22T07:00"),
    ],
)
def test_the_end_is_that_of_the_night_that_began(
    records: list[Event], now: str, end: str, make_settings: Callable[..., Settings]
) -> None:
    wanted = datetime.fromisoformat(end)
    assert end_of_night("07:00", records, datetime.fromisoformat(now), TRIAL_S) == wanted
    settings = make_settings({"limits.deadline_s": TRIAL_S}, until="07:00")
    control = build_control(settings, Path(), RecordingObserver(), records, lambda: datetime.fromisoformat(now))
    assert control.stop_reason() == ("it is 07:00 XYZ" if wanted <= control.now() else "")
