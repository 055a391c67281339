"""When a service manager is fed, and what it is shown: a run that moves, one that hangs, one that is paused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from autoresearch.core.ports import Progress
from autoresearch.core.records import Baseline, LoopComplete, Paused, Proposed, Resumed, Started, Stopped, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.observers.group import ObserverGroup
from autoresearch.daemon.systemd.watchdog import FEED_S, SILENCE_S, WatchdogObserver, max_silence_s
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver

TS = "2026-11-21T22:00:00Z"
STARTED = Started(ts=TS, pid=1, host="h", boot_id="b", autoresearch_version="0", proposer="random", iters_requested=3)
TRIAL = TrialStarted(ts=TS, trial=1, iter=0, seed=0, cfg={}, boot_id="b")
PAUSED = Paused(ts=TS, reason="pause.flag is there", completed_iters=0, requested_iters=3)
RESUMED = Resumed(ts=TS, paused_s=1.0)
STOPPED = Stopped(ts=TS, reason="SIGTERM", completed_iters=0, requested_iters=3)


@dataclass
class Manager:
    """Stands where a ``Notifier`` stands, and keeps what it is told."""

    told: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, **values: Any) -> bool:
        self.told.append(values)
        return True

    @property
    def status(self) -> str:
        return str(self.told[-1]["STATUS"])


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def unit(manager: Manager, clock: Clock) -> WatchdogObserver:
    return WatchdogObserver(manager, iters=3, max_silence_s=60.0, clock=clock)  # type: ignore[arg-type]


def training(fraction: float) -> Progress:
    return Progress(iter=0, phase="train", fraction=fraction, step=int(100 * fraction), tokens_per_s=1.0)


def fed(unit: WatchdogObserver, manager: Manager, clock: Clock, seconds: float) -> int:
    """How often the manager is told something while the daemon only waits for so long."""
    before, end = len(manager.told), clock.now + seconds
    while clock.now < end:
        clock.now += 0.1
        unit.heartbeat("")
    return len(manager.told) - before


def test_it_is_ready_when_the_run_has_started_and_not_before(unit, manager):
    unit.notify("starting the trial server")
    unit.preparing("tokenizing", 0.5)
    assert not any("READY" in told for told in manager.told)
    unit.opened(Trajectory())
    unit.recorded(STARTED)
    assert manager.told[-1]["READY"] == 1


def test_every_sign_of_life_feeds_all_three_clocks(unit, manager):
    unit.recorded(STARTED)
    assert manager.told[-1]["WATCHDOG"] == 1
    assert manager.told[-1]["EXTEND_TIMEOUT_USEC"] == SILENCE_S * 1_000_000


def test_a_start_that_takes_its_time_is_fed_while_it_waits(unit, manager, clock):
    assert fed(unit, manager, clock, 30) == pytest.approx(30 / FEED_S, abs=4)


def test_a_trial_that_moves_is_fed_for_ever(unit, manager, clock):
    unit.recorded(TRIAL)
    for percent in range(100):
        unit.progressed(training(percent / 100))
        assert fed(unit, manager, clock, 50) > 0


def test_a_trial_that_repeats_the_same_progress_does_not_move(unit, manager, clock):
    unit.recorded(TRIAL)
    for _ in range(3):
        unit.progressed(training(0.5))
        fed(unit, manager, clock, 30)
    assert fed(unit, manager, clock, 60) == 0


def test_a_silent_trial_starves_the_watchdog_only_when_its_deadline_should_have_ended_it(unit, manager, clock):
    unit.recorded(TRIAL)
    assert fed(unit, manager, clock, 59) > 0
    fed(unit, manager, clock, 2)
    assert fed(unit, manager, clock, 1000) == 0
    unit.recorded(TRIAL)  # it moves again
    assert fed(unit, manager, clock, 10) > 0


def test_a_pause_may_last_as_long_as_it_wants(unit, manager, clock):
    unit.recorded(PAUSED)
    assert "paused: pause.flag is there" in manager.status
    assert fed(unit, manager, clock, 1000) > 0
    unit.recorded(RESUMED)
    fed(unit, manager, clock, 61)
    assert fed(unit, manager, clock, 1000) == 0


def test_patience_is_what_the_slowest_of_trial_and_llm_may_take(make_settings):
    assert max_silence_s(make_settings({"limits.deadline_s": 3600})) == 3600
    assert max_silence_s(make_settings({"limits.deadline_s": 10, "llm.deadline_s": 100, "llm.rounds": 2})) == 400


@pytest.mark.parametrize("last", [STOPPED, LoopComplete])
def test_the_end_is_announced_and_gets_time_for_the_report(unit, manager, last):
    if last is LoopComplete:
        last = LoopComplete.model_construct(ts=TS)
    unit.heartbeat("SIGTERM")
    unit.recorded(last)
    assert manager.told[-1]["STOPPING"] == 1
    assert "after this trial" not in manager.status


def test_a_run_with_nothing_left_to_do_was_ready_all_the_same(unit, manager):
    """systemd calls a notify service failed that ends before it was ready."""
    unit.ended("complete")
    assert manager.told[-2]["READY"] == 1
    assert manager.told[-1]["STOPPING"] == 1
    assert manager.status == "complete"


def test_the_status_of_a_real_run_shows_iteration_change_state_and_best(make_settings, manager):
    settings = make_settings(iters=3)
    unit = WatchdogObserver(manager, settings.iters, max_silence_s(settings))  # type: ignore[arg-type]
    silent = RecordingObserver()
    assert service.run(settings, ObserverGroup(silent, unit), make_backend=fake_backend) == "complete"
    said = [told["STATUS"] for told in manager.told]
    assert said[0] == "baseline; starting"
    assert any(s.startswith("baseline; ") for s in said)
    assert any(s.startswith("iteration 2 of 3; ") and " = " in s and "starting the trial" in s for s in said)
    assert any(s.startswith("iteration 1 of 3; ") and "no keep yet" in s for s in said)
    assert "complete" in said[-1]
    assert len(silent.events) > 5


def test_what_is_known_of_earlier_nights_is_shown_from_the_start(make_settings, manager):
    settings = make_settings({"decision.accept_delta_frac": 0.0}, iters=8)
    service.run(settings, RecordingObserver(), make_backend=fake_backend)
    again = make_settings({"decision.accept_delta_frac": 0.0}, iters=9)
    unit = WatchdogObserver(manager, again.iters, max_silence_s(again))  # type: ignore[arg-type]
    service.run(again, unit, make_backend=fake_backend)
    (ready,) = (told for told in manager.told if "READY" in told)
    assert ready["STATUS"].startswith("iteration 9 of 9; proposing; best ")


def test_a_stop_in_a_trial_is_shown(unit, manager, clock):
    unit.opened(Trajectory())
    unit.recorded(TRIAL)
    clock.now += 2
    unit.heartbeat("SIGTERM")
    assert manager.status.endswith("stopping after this trial (SIGTERM)")


@pytest.mark.parametrize("request_", ["after_trial", "now"])
def test_a_pause_that_has_not_taken_effect_is_shown_until_it_has(manager, clock, request_):
    wanted = [request_]
    unit = WatchdogObserver(
        manager,  # type: ignore[arg-type]
        iters=3,
        max_silence_s=60.0,
        clock=clock,
        requested_pause=lambda: wanted[0],
    )
    unit.opened(Trajectory())
    unit.recorded(TRIAL)
    when = {"after_trial": "after this trial", "now": "at the next step of this trial"}[request_]
    assert manager.status.endswith(f"pausing {when} (pause.flag is there)")
    unit.recorded(PAUSED)
    assert manager.status == "baseline; paused: pause.flag is there"
    wanted[0] = ""
    unit.recorded(RESUMED)
    assert "paus" not in manager.status


def test_a_stop_that_suspends_says_so(manager, clock):
    unit = WatchdogObserver(manager, 3, 60.0, clock, drain_max_s=60.0)  # type: ignore[arg-type]
    unit.opened(Trajectory())
    unit.recorded(TRIAL)
    clock.now += 2
    unit.heartbeat("SIGTERM")
    assert "this trial is suspended if it has not ended in 60 s" in manager.status


def test_after_a_restart_the_open_change_and_the_closed_iterations_are_shown(make_settings, manager):
    """A first daemon ends inside iteration 3; the second has that change in its status from the start."""
    settings = make_settings({"decision.accept_delta_frac": 0.0}, iters=4)
    first = RecordingObserver()
    service.run(settings, first, make_backend=fake_backend)
    path = settings.run_dir / "trajectory.jsonl"
    third = next(n for n, r in enumerate(first.events) if isinstance(r, Proposed) and r.iter == 3)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: third + 1]))
    change = first.events[third].proposal
    unit = WatchdogObserver(manager, settings.iters, max_silence_s(settings))  # type: ignore[arg-type]
    service.run(settings, unit, make_backend=fake_backend)
    (ready,) = (told["STATUS"] for told in manager.told if "READY" in told)
    assert ready.startswith(f"iteration 3 of 4; {change.knob} = {change.new_value}; continuing; ")
    assert ready.endswith(" in 2 closed iterations")
    assert manager.status.startswith("4 of 4 iterations closed; complete; ")


def test_between_baseline_and_first_trial_the_status_says_that_it_proposes(unit, manager):
    unit.opened(Trajectory())
    unit.recorded(TRIAL)
    unit.recorded(Baseline.model_construct(ts=TS))
    assert "proposing" in manager.status


def test_a_watcher_that_fails_keeps_nothing_from_the_others():
    class Broken(RecordingObserver):
        def notify(self, message: str) -> None:
            raise RuntimeError

    second = RecordingObserver()
    ObserverGroup(Broken(), second).notify("hello")
    assert second.messages == ["hello"]


def test_a_wait_for_disk_space_at_the_start_is_shown_before_there_is_a_record(unit, manager, clock):
    unit.waiting("waits for disk space: 3 MiB free on /x, needs 64 MiB")
    assert "waits for disk space: 3 MiB free" in manager.status
    assert "READY" not in manager.told[-1]
    assert fed(unit, manager, clock, 30.0) >= 20


def test_a_wait_for_disk_space_is_shown_and_is_not_a_hang(unit, manager, clock):
    unit.recorded(STARTED)
    for free in (3, 2):
        unit.waiting(f"waits for disk space: {free} MiB free on /x, needs 64 MiB")
        assert fed(unit, manager, clock, 2.0)
        assert f"waits for disk space: {free} MiB free" in manager.status
    for _ in range(300):
        clock.now += 1
        unit.waiting("waits for disk space: 2 MiB free on /x, needs 64 MiB")
        unit.heartbeat("")
    assert manager.told[-1]["WATCHDOG"] == 1
    assert fed(unit, manager, clock, 30.0) >= 20
    told = len(manager.told)
    clock.now += 1
    unit.waiting("")
    assert "waits" not in manager.status
    unit.waiting("")
    assert len(manager.told) == told + 1, "nothing is sent where nothing waited"
