"""A run's winner at several times the budget: verdict, durability, refusal, the end of a night."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import LoopComplete, Started
from autoresearch.core.values import Cfg
from autoresearch.daemon import service
from autoresearch.daemon.best_config import read_run
from autoresearch.daemon.night import control_after, energy_limit, run_night, time_left_s
from autoresearch.daemon.promote import SEED_OFFSET, promote, settings_at
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed, ConfigError, YardstickMismatch
from autoresearch.report import load, render_report, summarise, summary_json
from autoresearch.report.promotion import Certificate, read_certificate
from autoresearch.storage.run_dir import ARCHIVE, PROMOTION, PROMOTION_TRIALS
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

RULE = {"decision.rule": "sequential", "decision.vault": "off", "early_stop.enabled": "off"}
REPLIES = ((json.dumps({"knob": "lr", "new_value": 3e-3, "reason": "a hunch"}),),)
SHORT_SIZE = YARDSTICK.budget_size


class World:
    """A run of one kept change, whose gain is ``long_gain`` at a longer budget and 3% at the run's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.long_gain = settings, 0.03
        self.fakes: list[FakeTrial] = []
        self.fail: Callable[[Cfg], Failure | None] = lambda _cfg: None
        self.yardstick: dict[str, Any] = {}
        self.signal_at = 0  # the trial during which SIGTERM comes; 0 for none

    def backend(self, settings: Settings, policy: Any, _dir: Any, aborted: Any, _observer: Any) -> TrialBackend:
        is_long = settings.budget.size > SHORT_SIZE
        gain = self.long_gain if is_long else 0.03

        def bpb(cfg: Cfg, seed: int) -> float:
            if len(self.measured) == self.signal_at:
                os.kill(os.getpid(), signal.SIGTERM)
            value = (1.9 if is_long else 2.0) * (1 - gain * (cfg["lr"] == 3e-3))
            return value + 0.0002 * ((seed + 1) * (int(1e4 * cfg["lr"]) + 1) % 7 - 3)

        fake = FakeTrial(bpb=bpb, fail=self.fail, aborted=aborted)
        self.fakes.append(fake)
        changes = {"budget_size": settings.budget.size, **self.yardstick}
        return TrialBackend(fake, YARDSTICK.model_copy(update=changes), None)

    def run(self, **flags: Any) -> None:
        settings = self.settings.model_copy(update=flags)
        assert service.run(settings, RecordingObserver(), replies=REPLIES, make_backend=self.backend) == "complete"

    def promote(self, times: int = 4, seeds: int = 4) -> tuple[Certificate, bool]:
        run = read_run(self.settings.run_dir)
        return promote(self.settings, run, times, seeds, RecordingObserver(), make_backend=self.backend)

    @property
    def measured(self) -> list[tuple[float, int]]:
        return [(float(cfg["lr"]), seed) for cfg, seed in self.fakes[-1].measured]


@pytest.fixture
def world(make_settings: Callable[..., Settings]) -> World:
    kept = {"budget.kind": "steps", "budget.size": SHORT_SIZE, "baseline.lr_warmup": 1, "menu.knobs.lr_warmup.high": 2}
    return World(make_settings({**RULE, **kept}, proposer="replay", iters=1))


@pytest.mark.parametrize(
    ("long_gain", "text"), [(0.03, "holds"), (0.015, "shrinks to 50%"), (-0.02, "reverses"), (0.0, "shrinks to 0%")]
)
def test_the_verdict_is_of_paired_seeds_at_four_times_the_budget(world: World, long_gain: float, text: str) -> None:
    world.run()
    world.long_gain = long_gain
    certificate, complete = world.promote()
    assert complete
    assert certificate.text == text
    assert certificate.seeds == tuple(range(SEED_OFFSET, SEED_OFFSET + 4))
    assert certificate.gain_frac == pytest.approx(long_gain, abs=1e-3)
    assert [seed for _, seed in world.measured] == [s for s in certificate.seeds for _ in range(2)]
    assert read_certificate(world.settings.run_dir, certificate.run_id) == certificate


def test_the_same_call_measures_nothing_twice_and_more_seeds_only_the_new_ones(world: World) -> None:
    world.run()
    first, _ = world.promote(seeds=2)
    again, _ = world.promote(seeds=2)
    assert (again, world.measured) == (first, [])
    world.promote(seeds=3)
    assert {seed for _, seed in world.measured} == {SEED_OFFSET + 2}
    world.promote(times=2, seeds=2)
    assert len(world.measured) == 4


def test_the_budget_and_the_deadline_are_that_much_longer(world: World) -> None:
    world.run()
    meta = read_run(world.settings.run_dir).meta
    assert meta is not None
    longer = settings_at(world.settings, meta, 4)
    assert (longer.budget.kind, longer.budget.size) == ("steps", 4 * SHORT_SIZE)
    assert longer.limits.deadline_s == 4 * world.settings.limits.deadline_s


def test_another_yardstick_is_refused_by_name(world: World) -> None:
    world.run()
    world.yardstick = {"device_kind": "other"}
    with pytest.raises(YardstickMismatch, match="device_kind: 'fake' then, 'other' now"):
        world.promote()
    assert not (world.settings.run_dir / PROMOTION).exists()


def test_a_run_without_a_keep_has_no_winner_to_promote(world: World) -> None:
    replies = ((json.dumps({"knob": "lr", "new_value": 1e-2, "reason": "a hunch"}),),)
    service.run(world.settings, RecordingObserver(), replies=replies, make_backend=world.backend)
    with pytest.raises(ConfigError, match="kept nothing"):
        world.promote()


def test_a_winner_that_fails_is_named_and_a_baseline_that_fails_ends_it(world: World) -> None:
    world.run()
    nan = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss is NaN")
    world.fail = lambda cfg: nan if cfg["lr"] == 3e-3 else None
    certificate, complete = world.promote(seeds=2)
    assert (certificate.text, complete, len(certificate.failures)) == ("cannot tell", True, 2)
    world.fail = lambda _cfg: nan
    with pytest.raises(BaselineFailed, match="the loss is NaN"):
        world.promote(times=3)


def test_the_report_shows_the_certificate_and_one_of_another_run_is_ignored(world: World) -> None:
    world.run()
    certificate, _ = world.promote()
    run_dir = world.settings.run_dir
    summary = summarise(load(run_dir))
    assert summary.promotion == certificate
    assert "at 4 times the budget: holds" in render_report(summary, load(run_dir), width=400)
    assert json.loads(summary_json(summary))["promotion"]["text"] == "holds"
    (run_dir / PROMOTION).write_text(certificate.model_copy(update={"run_id": "other"}).model_dump_json())
    assert summarise(load(run_dir)).promotion is None
    (run_dir / PROMOTION).write_bytes(b"\0garbage")
    assert summarise(load(run_dir)).promotion is None


def test_a_fresh_start_archives_the_certificate_with_its_run(world: World) -> None:
    world.run()
    world.promote(seeds=2)
    service.run(world.settings, RecordingObserver(), fresh=True, replies=REPLIES, make_backend=world.backend)
    run_dir: Path = world.settings.run_dir
    assert not (run_dir / PROMOTION).exists()
    assert {p.name for p in (run_dir / ARCHIVE).glob("*/promotion*")} == {PROMOTION, PROMOTION_TRIALS}


def night(world: World, observer: RecordingObserver, **flags: Any) -> str:
    settings = world.settings.model_copy(update={"promote": 4, **flags})
    return run_night(settings, observer, replies=REPLIES, make_backend=world.backend)


def test_a_night_promotes_once(world: World) -> None:
    observer = RecordingObserver()
    assert night(world, observer) == "complete"
    assert any("4 times the budget: holds" in message for message in observer.messages)
    backends = len(world.fakes)
    assert night(world, RecordingObserver()) == "complete"
    assert len(world.fakes) == backends


def test_a_night_without_time_says_so_and_names_the_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.daemon.night.expected_s", lambda *_: 7200.0)
    observer = RecordingObserver()
    assert night(world, observer, max_hours=1.0) == "complete"
    assert any("120 min" in m and "promote" in m for m in observer.messages)
    assert not (world.settings.run_dir / PROMOTION).exists()


def test_a_promotion_that_fails_does_not_fail_the_night(world: World) -> None:
    world.run()
    world.yardstick = {"threads": 3}
    observer = RecordingObserver()
    assert night(world, observer) == "complete"
    assert any("threads" in message for message in observer.messages)


def test_a_night_that_a_signal_ends_in_its_last_trial_does_not_promote(world: World) -> None:
    night(world, RecordingObserver(), promote=1, iters=1)
    trials = len(world.measured)
    world.signal_at = trials
    observer = RecordingObserver()
    assert night(world, observer, dir=world.settings.run_dir / "again") == "complete"
    assert len(world.measured) == trials, "the signal came during the last trial"
    assert not [message for message in observer.messages if "times the budget" in message]
    assert not (world.settings.run_dir / "again" / PROMOTION).exists()


def test_nor_one_that_its_clock_has_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is complete just after ``until``, whose next occurrence is tomorrow."""

    def run_until_morning(*_args: Any, on_end: Callable[[str], None], **_more: Any) -> str:
        on_end("it is 07:00 UTC")
        return "complete"

    world.run()
    monkeypatch.setattr(service, "run", run_until_morning)
    backends = len(world.fakes)
    assert night(world, RecordingObserver()) == "complete"
    assert len(world.fakes) == backends
    assert not (world.settings.run_dir / PROMOTION).exists()


NOW = datetime(2026, 11, 27, 3, 20)


def left_of(settings: Settings, records: Any = ()) -> float | None:
    control = control_after(settings, RecordingObserver(), 0.0, records, lambda: NOW)
    return time_left_s(settings, control, 0.0)


def test_a_complete_run_that_is_started_after_its_night_has_no_time_left(
    make_settings: Callable[..., Settings],
) -> None:
    now = NOW.astimezone()
    until = make_settings(until="03:15")

    def night_of(begin: datetime, end: datetime) -> list[Any]:
        common = {"pid": 1, "host": "h", "boot_id": "b", "autoresearch_version": "0", "proposer": "tpe"}
        started = Started.model_validate({"ts": begin.isoformat(), "iters_requested": 1, "torn_bytes": 0, **common})
        return [started, LoopComplete.model_construct(ts=end.isoformat())]

    tonight = night_of(now - timedelta(hours=3), now - timedelta(minutes=20))
    assert left_of(until, tonight) == 0.0
    yesterday = night_of(now - timedelta(hours=27), now - timedelta(hours=24))
    assert left_of(until, yesterday) == 86_100, "a new night"


def test_a_pause_is_obeyed_inside_of_a_promotion(world: World) -> None:
    """The flag appears in the second trial; the third begins after the flag has gone."""
    world.run()
    flag, observer = world.settings.run_dir / "pause.flag", RecordingObserver()
    asked: list[str] = []

    def pause(cfg: Cfg) -> None:
        if len(world.measured) == 2 and not asked:
            flag.touch()
            asked.append("pause")

    world.fail = pause  # type: ignore[assignment]
    observer.notify = lambda text: (
        observer.messages.append(text),
        flag.unlink(missing_ok=True) if "paused" in text else 0,
    )  # type: ignore[assignment,method-assign,return-value]
    run = read_run(world.settings.run_dir)
    _, complete = promote(world.settings, run, 4, 2, observer, make_backend=world.backend)
    assert complete
    words = [m.partition(":")[0] for m in observer.messages]
    assert words[:5] == ["trial 1/4", "trial 2/4", "paused", "resumed", "trial 3/4"]
    asked.clear()
    exits = world.settings.model_copy(update={"on_pause": "exit"})
    _, complete = promote(exits, run, 4, 4, RecordingObserver(), make_backend=world.backend)
    assert not complete


def test_max_kwh_ends_a_promotion(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.daemon.night.refuse_unmetered_limit", lambda *_: None)
    spent = lambda *_: "2.000 of 1 kWh are spent" if len(world.fakes) > 1 and len(world.measured) >= 3 else ""  # noqa: E731
    monkeypatch.setattr("autoresearch.daemon.night.spent_reason", spent)
    world.run()
    settings = world.settings.model_copy(update={"energy": world.settings.energy.model_copy(update={"max_kwh": 1.0})})
    run, observer = read_run(settings.run_dir), RecordingObserver()
    control = control_after(settings, observer)
    limit = partial(energy_limit, settings, run)
    _, complete = promote(settings, run, 4, 4, observer, make_backend=world.backend, control=control, limit=limit)
    assert (complete, len(world.measured)) == (False, 3)
    assert "kWh" in control.stop_reason()


def test_outside_of_the_window_no_time_is_left(make_settings: Callable[..., Settings]) -> None:
    now = datetime.now()
    begin, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (3, 6))
    assert left_of(make_settings(window=f"{begin}-{end}")) == 0.0
    assert left_of(make_settings()) is None


def test_the_seeds_follow_the_runs_own_seed(world: World) -> None:
    world.settings = world.settings.model_copy(update={"seed": 700})
    world.run()
    certificate, _ = world.promote(seeds=2)
    assert certificate.seeds == (700 + SEED_OFFSET, 701 + SEED_OFFSET)


def test_a_pipe_in_the_place_of_the_certificate_blocks_nobody(world: World) -> None:
    world.run()
    os.mkfifo(world.settings.run_dir / PROMOTION)
    loaded: list[Any] = []
    reading = Thread(target=lambda: loaded.append(load(world.settings.run_dir)), daemon=True)
    reading.start()
    reading.join(30.0)
    assert not reading.is_alive()
    assert summarise(loaded[0]).promotion is None
