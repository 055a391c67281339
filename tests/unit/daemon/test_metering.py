"""A metered run: the real service and the real meter, a scripted sensor, a fake trial."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from autoresearch.config.local_time import zone_name
from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.power import Method, Scope
from autoresearch.core.records import LoopComplete, Metered, Started, Stopped, TrialEnded, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.metering import UNKNOWN_S, idle_power, is_local, kwh_of, meter_run, spent, spent_reason
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.run_context import RunContext, RunTiming
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.energy.meter import PowerMeter
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor, SensorBase
from autoresearch.errors import ConfigError
from autoresearch.report import load, summarise
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import PAUSE_FLAG, TELEMETRY, TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_meter import fake_power
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

WATTS = 100.0


class Sensor(SensorBase):
    """A GPU's, of a power that never changes."""

    method: Method = "nvml_power"
    scope: Scope | None = "gpu"
    about = "a sensor"

    def __init__(self) -> None:
        self.closed = 0

    def read(self, t: float) -> Sequence[Sample]:
        return [Sample(t, power_w=WATTS, temp_c=50.0)]

    def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class Phased(FakeTrial):
    """A trial that reports its phase."""

    def measure(self, cfg: Any, seed: int, on_progress: Any, *rest: Any) -> Any:
        outcome = FakeTrial.measure(self, cfg, seed, on_progress, *rest)
        on_progress("validate", 1.0, 10, None)
        return outcome


def backend_with(opened: SelectedSensor | None) -> service.MakeBackend:
    def make(settings: Settings, policy: Any, run_dir: Any, aborted: Callable[[], bool], observer: Any) -> TrialBackend:
        sensor = (lambda: opened) if opened else None
        return TrialBackend(Phased(takes_s=0.01, aborted=aborted), YARDSTICK, None, select_sensor=sensor)

    return make


# The idle power is known after a moment.
BRIEF = RunTiming(idle_s=1e-6, poll_s=1e-3)


def run(
    settings: Settings,
    opened: SelectedSensor | None,
    observer: RecordingObserver | None = None,
    *,
    timing: RunTiming = BRIEF,
    **flags: Any,
) -> str:
    observer = observer or RecordingObserver()
    return service.run(settings, observer, make_backend=backend_with(opened), timing=timing, **flags)


def records(settings: Settings) -> list[Any]:
    return [decode(payload) for payload in read(settings.run_dir / TRAJECTORY).payloads]


class TestNight:
    def test_every_second_is_accounted_for_once(self, make_settings) -> None:
        settings = make_settings({"energy.price_per_kwh": 0.3, "energy.currency": "EUR"}, iters=2)
        sensor, observer = Sensor(), RecordingObserver()
        assert run(settings, SelectedSensor(sensor, ("hwmon: none",)), observer) == "complete"
        found = records(settings)
        powers = [p for r in found if isinstance(r, Metered) for p in r.power.values()]
        assert {p.scope for p in powers} == {"gpu"}
        for power in powers:
            assert power.energy_j == pytest.approx(WATTS * power.span_s * power.coverage)
        (started,) = [r for r in found if isinstance(r, Started)]
        assert started.metering is not None
        assert (started.metering.method, started.metering.refused) == ("nvml_power", ("hwmon: none",))
        assert started.metering.idle is not None
        assert started.metering.idle.mean_w == pytest.approx(WATTS)
        assert sensor.closed == 1
        assert any("100.0 W before the first trial" in m for m in observer.messages)
        for trial in (r for r in found if isinstance(r, TrialEnded)):
            assert {"train", "validate"} <= set(trial.power)
            assert trial.outcome.energy_j == pytest.approx(sum(p.energy_j or 0.0 for p in trial.power.values()))
        (gpu,) = summarise(load(settings.run_dir)).energy
        assert gpu.mean_w == pytest.approx(WATTS)
        assert gpu.cost == pytest.approx(0.3 * (gpu.energy_kwh or 0.0))
        assert {"train", "validate", "idle"} <= set(gpu.phases)
        assert (
            (settings.run_dir / TELEMETRY).read_text().startswith("timestamp,gpu_util_pct,mem_used_mib,power_w,temp_c,")
        )

    def test_a_fresh_run_has_a_telemetry_of_its_own(self, make_settings) -> None:
        settings = make_settings(iters=1)
        run(settings, SelectedSensor(Sensor()))
        run(settings, None, fresh=True)
        assert not (settings.run_dir / TELEMETRY).exists()
        assert list(settings.run_dir.glob(f"archive/*/{TELEMETRY}"))

    @pytest.mark.parametrize("meter", ["off", "auto"])
    def test_without_a_sensor_or_with_metering_off_no_joule_is_recorded(self, make_settings, meter: str) -> None:
        settings = make_settings({"energy.meter": meter}, iters=1)
        assert run(settings, SelectedSensor(NoSensor() if meter == "auto" else Sensor(), ("rapl: none",))) == "complete"
        found = records(settings)
        assert {r.outcome.energy_j for r in found if isinstance(r, TrialEnded)} == {None}
        metering = next(r.metering for r in found if isinstance(r, Started))
        assert metering is None if meter == "off" else metering.method == "none"
        assert summarise(load(settings.run_dir)).energy == []
        assert not (settings.run_dir / TELEMETRY).exists()

    def test_a_sensor_that_breaks_is_reported_and_the_run_completes(self, make_settings) -> None:
        class Broken(Sensor):
            def read(self, t: float) -> Sequence[Sample]:
                raise RuntimeError("the driver is gone")

        settings, observer = make_settings(iters=1), RecordingObserver()
        assert run(settings, SelectedSensor(Broken()), observer) == "complete"
        assert {r.outcome.energy_j for r in records(settings) if isinstance(r, TrialEnded)} == {None}
        assert any("metering stopped with an error (RuntimeError: the driver is gone)" in m for m in observer.messages)


class TestMaxKwh:
    def test_it_ends_the_run_in_good_order_and_says_why(self, make_settings) -> None:
        settings = make_settings({"energy.max_kwh": 1e-9}, iters=3)
        ending = run(settings, SelectedSensor(Sensor()))
        assert "kWh are spent" in ending
        last = records(settings)[-1]
        assert isinstance(last, Stopped)
        assert last.reason == ending

    def test_a_restart_keeps_counting(self, make_settings) -> None:
        settings = make_settings({"energy.max_kwh": 1e-9}, iters=3)
        run(settings, SelectedSensor(Sensor()))
        stops = len(records(settings))
        assert "kWh are spent" in run(settings, SelectedSensor(Sensor()))
        assert len(records(settings)) == stops + 2, "a start and a stop"

    def test_a_limit_that_is_not_reached_changes_nothing(self, make_settings) -> None:
        settings = make_settings({"energy.max_kwh": 1e3}, iters=1)
        assert run(settings, SelectedSensor(Sensor())) == "complete"
        assert isinstance(records(settings)[-1], LoopComplete)

    @pytest.mark.parametrize("opened", [None, SelectedSensor(NoSensor(), ("rapl: permission denied",))])
    def test_one_that_cannot_be_enforced_is_refused_before_anything_begins(self, make_settings, opened) -> None:
        settings = make_settings({"energy.max_kwh": 1.0}, iters=1)
        with pytest.raises(ConfigError, match="cannot be enforced") as refused:
            run(settings, opened)
        assert (opened is None) or "rapl: permission denied" in str(refused.value)
        assert records(settings) == []

    def test_unmetered_seconds_count_like_the_mean_of_the_metered_ones(self) -> None:
        meter, trajectory = PowerMeter(), Trajectory()
        meter.use(SelectedSensor(Sensor()))
        trajectory.power["gpu"] = {"train": fake_power(3.6e6, 7200.0, coverage=0.5)}
        total = spent(meter, trajectory)
        assert total is not None
        assert kwh_of(total) == pytest.approx(2.0, rel=1e-3)
        settings = resolve({"energy.max_kwh": 1.5}, {}).settings
        assert spent_reason(settings, meter, trajectory).endswith("of 1.5 kWh are spent")
        meter.close()
        assert spent_reason(settings, meter, trajectory) == "", "nothing is metered any more"

    def test_a_sensor_that_never_reports_a_joule_ends_the_run_by_name(self) -> None:
        meter, trajectory = PowerMeter(), Trajectory()
        meter.use(SelectedSensor(Sensor()))
        settings = resolve({"energy.max_kwh": 1.5}, {}).settings
        trajectory.power["gpu"] = {"train": fake_power(None, UNKNOWN_S / 2)}
        assert spent_reason(settings, meter, trajectory) == ""
        trajectory.power["gpu"] = {"train": fake_power(None, 2 * UNKNOWN_S)}
        assert "cannot be enforced: the sensor has reported nothing in 1200 s" in spent_reason(
            settings, meter, trajectory
        )

    def test_a_meter_that_failed_ends_the_run_by_name(self) -> None:
        meter = PowerMeter()
        meter.disable(RuntimeError("the driver is gone"))
        settings = resolve({"energy.max_kwh": 1.5}, {}).settings
        assert "RuntimeError: the driver is gone" in spent_reason(settings, meter, Trajectory())
        assert spent_reason(resolve({}, {}).settings, meter, Trajectory()) == ""

    def test_a_limit_is_refused_where_earlier_joules_have_another_scope(self, make_settings) -> None:
        settings = make_settings({"energy.max_kwh": 1e-9}, iters=3)
        run(settings, SelectedSensor(Sensor()))
        of_the_system = Sensor()
        of_the_system.scope = "system"
        with pytest.raises(ConfigError, match="metered in scope gpu, and this start meters scope system"):
            run(settings, SelectedSensor(of_the_system))


class TestIdle:
    def test_a_silent_sensor_is_not_waited_for_for_ever(self) -> None:
        class Silent(Sensor):
            def read(self, t: float) -> Sequence[Sample]:
                return []

        clock = iter(float(n) for n in range(1000))
        meter = PowerMeter(clock=lambda: next(clock))
        meter.use(SelectedSensor(Silent()))
        slept: list[float] = []
        idle = idle_power(meter, FakeControl(), RunTiming(sleep=slept.append))
        assert slept
        assert idle is not None
        assert (idle.energy_j, idle.coverage) == (None, 0.0)

    def test_a_stop_is_not_kept_waiting(self) -> None:
        meter = PowerMeter()
        meter.use(SelectedSensor(Sensor()))
        never = RunTiming(sleep=lambda _s: pytest.fail("it waits"))
        idle_power(meter, FakeControl(stop=signal.SIGTERM.name), never)

    @pytest.mark.parametrize(("proposer", "shared"), [("nim", True), ("hybrid", True), ("tpe", None)])
    def test_an_llm_server_on_this_machine_is_reported(self, make_settings, proposer: str, shared: bool | None) -> None:
        settings, observer = make_settings({"llm.base_url": "http://127.0.0.1:8000/v1"}), RecordingObserver()
        settings.run_dir.mkdir()
        with closing(Journal(settings.run_dir / TRAJECTORY)) as journal:
            context = RunContext(
                settings=settings,
                policy=build_policy(settings),
                run_dir=settings.run_dir,
                journal=journal,
                trajectory=Trajectory(),
                observer=observer,
                control=RunControl(settings.run_dir / PAUSE_FLAG),
                meter=PowerMeter(),
                timing=BRIEF,
            )
            with meter_run(context, lambda: SelectedSensor(Sensor()), proposer) as found:
                assert found is not None
                assert found.shared is shared
        assert ("another process is on the device" in observer.messages[0]) is bool(shared)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.7:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://nim.local:8000/v1", False),
        ("http://192.168.1.7:8000/v1", False),
    ],
)
def test_whether_a_server_is_on_this_machine(url: str, here: bool) -> None:
    assert is_local(url) is here


def test_the_start_of_a_run_records_when_the_clock_ends_it(make_settings) -> None:
    settings = make_settings(iters=1, until="06:30", window="22:00-07:00")
    run(settings, None, timing=RunTiming(now=lambda: datetime(2026, 11, 21, 23, 0), idle_s=1e-6, poll_s=1e-3))
    start = next(r for r in records(settings) if isinstance(r, Started))
    assert start.ends_at == datetime(2026, 11, 22, 6, 30).astimezone().isoformat()
    assert start.zone == zone_name(datetime(2026, 11, 22, 6, 30))


def test_a_run_outside_its_window_ends_in_good_order(make_settings) -> None:
    settings = make_settings(iters=3, window="22:00-07:00")
    at_noon = RunTiming(now=lambda: datetime(2026, 11, 21, 12, 0))
    ending = run(settings, None, timing=at_noon)
    assert ending == f"it is 12:00 {zone_name(datetime(2026, 11, 21))}, and the window is 22:00-07:00"
    assert isinstance(records(settings)[-1], Stopped)
