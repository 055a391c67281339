"""The meter as the daemon uses it: reads when it is polled, adds up by phase, over a sensor that the test controls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.power import PHASES, TRIAL_PHASES, Method, Phase, Power, Scope
from autoresearch.energy.meter import MAX_CPU_SHARE, MAX_INTERVAL_S, MAX_WAIT_SHARE, SAMPLE_INTERVAL_S, PowerMeter
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor, SensorBase
from autoresearch.energy.telemetry import Telemetry
from autoresearch.storage.run_dir import TELEMETRY


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSensor(SensorBase):
    """Returns ``reading(t)``, and counts the calls of ``read``."""

    reading: Callable[[float], Sample | None]
    is_polled: bool = True
    method: Method = "nvml_power"
    scope: Scope | None = "gpu"
    about: str = "a sensor"
    on_device: frozenset[int] | None = None
    watched: list[frozenset[int]] = field(default_factory=list)
    reads: int = 0
    closed: bool = False

    def read(self, t: float) -> Sequence[Sample]:
        self.reads += 1
        sample = self.reading(t)
        return [] if sample is None else [sample]

    def compute_pids(self) -> frozenset[int] | None:
        return self.on_device

    def watch(self, other_pids: frozenset[int]) -> None:
        self.watched.append(other_pids)

    def close(self) -> None:
        self.closed = True


def constant(watts: float = 100.0) -> Callable[[float], Sample]:
    return lambda t: Sample(t, power_w=watts)


@dataclass
class World:
    """A meter over a sensor, with a clock that only the test moves."""

    sensor: FakeSensor
    telemetry: Telemetry | None = None
    clock: Clock = field(default_factory=Clock)
    suspended: Clock = field(default_factory=lambda: Clock(0.0))
    cpu_wait: Clock = field(default_factory=lambda: Clock(0.0))
    cpu: Clock = field(default_factory=lambda: Clock(0.0))
    meter: PowerMeter = field(init=False)

    def __post_init__(self) -> None:
        self.meter = PowerMeter(
            clock=self.clock,
            wall_clock=lambda: 1.8e9 + self.clock.now,
            cpu_clock=self.cpu,
            suspended_s=self.suspended,
            cpu_wait_s=self.cpu_wait,
            mem_used_bytes=lambda: 7 << 20,
        )
        self.meter.use(SelectedSensor(self.sensor, ("hwmon: none",)), self.telemetry)

    def wait(self, seconds: float, step: float = 0.1) -> None:
        """What the daemon does while it waits: it polls ten times a second."""
        for _ in range(round(seconds / step)):
            self.clock.now += step
            self.meter.poll()

    def during(self, phase: Phase, seconds: float) -> None:
        self.meter.phase(phase)
        self.wait(seconds)


@pytest.fixture
def world() -> World:
    return World(FakeSensor(constant()))


class TestPhases:
    def test_every_joule_goes_to_its_phase(self) -> None:
        watts: dict[Phase, float] = {"idle": 10, "propose": 50, "start": 20, "train": 300, "validate": 200, "paused": 5}
        w = World(FakeSensor(lambda t: Sample(t, power_w=watts[w.meter._phase] if t > 1000.0 else 10.0)))
        for phase, seconds in (("propose", 20), ("start", 10), ("train", 60), ("validate", 30), ("paused", 50)):
            w.during(phase, seconds)
        w.meter.phase("idle")
        settled = w.meter.settle()
        for phase, seconds in (("propose", 20), ("start", 10), ("train", 60), ("validate", 30), ("paused", 50)):
            power = settled[phase]
            assert power.span_s == pytest.approx(seconds)
            assert power.coverage == pytest.approx(1.0)
            assert power.energy_j == pytest.approx(seconds * watts[phase], abs=watts[phase] + 300), phase
            assert (power.method, power.scope) == ("nvml_power", "gpu")

    @pytest.mark.parametrize("is_polled", [True, False])
    @given(
        plan=st.lists(st.tuples(st.sampled_from(PHASES), st.integers(1, 80)), max_size=12),
        settles=st.lists(st.integers(0, 11), max_size=4),
    )
    def test_the_phases_add_up_to_the_whole(
        self, plan: list[tuple[Phase, int]], settles: list[int], is_polled: bool
    ) -> None:
        """However they are cut and settled: 100 W all the time are 100 J a second, once."""
        w = World(FakeSensor(constant(), is_polled=is_polled))
        powers: list[Power] = []
        for n, (phase, tenths) in enumerate(plan):
            w.meter.phase(phase)
            w.wait(tenths / 10)
            if n in settles:
                powers += w.meter.settle().values()
        powers += w.meter.settle().values()
        seconds = sum(tenths for _, tenths in plan) / 10
        assert sum(p.energy_j or 0.0 for p in powers) == pytest.approx(100 * seconds)
        assert sum(p.span_s for p in powers) == pytest.approx(seconds)

    def test_a_counter_s_joules_are_cut_where_the_phase_ends(self) -> None:
        w = World(FakeSensor(lambda t: Sample(t, counter_j=100.0 * t), method="nvml_energy"))
        w.during("train", 10.45)
        w.during("validate", 3.35)
        settled = w.meter.settle()
        assert settled["train"].energy_j == pytest.approx(1040, abs=11)
        assert settled["validate"].energy_j == pytest.approx(330, abs=11)

    def test_some_phases_can_be_settled_and_the_others_wait(self, world: World) -> None:
        world.during("propose", 5)
        world.during("train", 10)
        world.meter.phase("idle")
        assert set(world.meter.settle(TRIAL_PHASES)) == {"train"}
        world.wait(2)
        later = world.meter.settle()
        assert later["propose"].energy_j == pytest.approx(500)
        assert later["idle"].energy_j == pytest.approx(200)

    def test_a_phase_that_was_settled_starts_over_at_zero(self, world: World) -> None:
        world.during("train", 5)
        world.meter.settle()
        again = world.meter.settle()["train"]
        assert (again.span_s, again.energy_j, again.coverage) == (0.0, None, 0.0)
        world.wait(3)
        assert world.meter.settle()["train"].energy_j == pytest.approx(300)

    def test_what_is_not_settled_yet_can_be_read(self, world: World) -> None:
        world.during("train", 5)
        (train,) = [p for p in world.meter.unsettled() if p.span_s]
        assert train.span_s == pytest.approx(5.0)
        assert 400 <= (train.energy_j or 0.0) <= 500.001, "at most the last second is not read yet"
        assert train.coverage == pytest.approx((train.energy_j or 0.0) / 500)


class TestLooks:
    def test_at_most_one_sample_a_second_however_often_it_is_polled(self, world: World) -> None:
        reads = world.sensor.reads
        world.wait(10.05, step=0.01)
        assert 9 <= world.sensor.reads - reads <= 10

    def test_a_sensor_that_is_not_polled_is_read_at_each_poll(self) -> None:
        w = World(FakeSensor(constant(), is_polled=False))
        w.wait(1.0)
        assert w.sensor.reads >= 10

    def test_a_sensor_whose_reading_costs_cpu_time_is_read_less_often(self) -> None:
        """The reads' share of a core stays below the bound, and the slow series has no gaps."""
        w = World(FakeSensor(constant()))

        def slowly(t: float) -> Sample:
            w.cpu.now += 0.04
            return Sample(t, power_w=100.0)

        w.sensor.reading = slowly
        w.wait(600)
        reads = w.sensor.reads
        w.wait(600)
        assert (w.sensor.reads - reads) * 0.04 <= 600 * MAX_CPU_SHARE * 1.2
        assert w.sensor.reads - reads >= 600 / MAX_INTERVAL_S - 1
        assert w.meter.settle()["idle"].coverage == pytest.approx(1.0, abs=0.01)

    @pytest.mark.parametrize("waits_s", [1.0, 10.0])
    def test_a_sensor_that_blocks_is_read_seldom(self, waits_s: float) -> None:
        """A read that sleeps costs no CPU time, but it delays the loop."""
        w = World(FakeSensor(constant()))

        def late(t: float) -> Sample:
            w.clock.now += waits_s
            return Sample(t, power_w=100.0)

        w.sensor.reading = late
        began, reads = w.clock.now, w.sensor.reads
        w.wait(2000)
        assert (w.sensor.reads - reads) * waits_s <= (w.clock.now - began) * MAX_WAIT_SHARE * 1.1
        assert w.sensor.reads - reads >= 5
        assert w.meter.settle()["idle"].coverage == pytest.approx(1.0, abs=0.05)

    def test_before_use_it_reads_and_returns_nothing(self) -> None:
        meter = PowerMeter(clock=lambda: 1 / 0, cpu_wait_s=lambda: 1 / 0)
        meter.poll()
        meter.phase("train")
        assert meter.settle() == {}
        assert meter.unsettled() == []
        assert meter.failed == ""

    def test_after_close_it_returns_nothing(self, world: World) -> None:
        world.meter.close()
        assert world.sensor.closed
        world.wait(3)
        assert world.meter.settle() == {}


class TestFaults:
    @pytest.mark.parametrize("broken", ["read", "compute_pids", "watch", "close"])
    def test_an_exception_of_the_sensor_turns_off_the_meter_alone(self, world: World, broken: str) -> None:
        def raises(*_: object) -> None:
            raise RuntimeError("the driver is gone")

        world.during("train", 5)
        setattr(world.sensor, broken, raises)
        world.meter.phase("start")
        world.wait(5)
        world.meter.phase("validate")
        world.meter.unsettled()
        settled = world.meter.settle()
        world.meter.close()
        assert world.meter.failed == ("" if broken == "close" else "RuntimeError: the driver is gone")
        assert bool(settled) is (broken == "close")
        assert not world.meter.is_on

    def test_a_sensor_that_fails_at_the_first_read_is_never_on(self) -> None:
        w = World(FakeSensor(lambda t: Sample(t, power_w=1 / 0)))
        assert (w.meter.is_on, w.sensor.closed) == (False, True)
        assert "ZeroDivisionError" in w.meter.failed

    def test_a_sensor_without_samples_lowers_the_coverage(self, world: World) -> None:
        world.during("train", 10)
        world.sensor.reading = lambda t: None
        world.wait(30)
        world.sensor.reading = constant()
        world.wait(10)
        train = world.meter.settle()["train"]
        assert train.span_s == pytest.approx(50)
        assert train.energy_j == pytest.approx(2000, rel=0.1)
        assert train.coverage == pytest.approx(0.4, abs=0.05)
        assert train.mean_w == pytest.approx(100)

    def test_an_interval_with_a_suspend_has_no_energy(self, world: World) -> None:
        world.during("train", 10)
        world.suspended.now += 3600
        world.wait(10)
        train = world.meter.settle()["train"]
        assert train.span_s == pytest.approx(20)
        assert train.energy_j == pytest.approx(1900)
        assert train.coverage == pytest.approx(0.95)

    def test_a_daemon_that_was_stopped_leaves_a_gap(self, world: World) -> None:
        world.during("train", 10)
        world.clock.now += 300
        world.wait(10)
        train = world.meter.settle()["train"]
        assert train.energy_j == pytest.approx(1900, rel=0.1)
        assert train.coverage == pytest.approx(20 / 320, abs=0.01)

    def test_a_pause_is_a_phase_of_its_own(self, world: World) -> None:
        world.during("train", 10)
        world.during("paused", 100)
        world.during("train", 10)
        settled = world.meter.settle()
        assert settled["train"].energy_j == pytest.approx(2000)
        assert settled["paused"].energy_j == pytest.approx(10_000)


class TestGauges:
    def test_means_and_maxima_of_a_phase(self) -> None:
        numbers = itertools.count()
        w = World(FakeSensor(lambda t: None))
        w.during("train", 0.2)

        def reading(t: float) -> Sample:
            n = next(numbers)
            return Sample(t, 100.0 + n, None, 50.0 + n, (n + 1) << 20, 60.0 - n, 1000.0, ("hw_thermal",) * (n % 2), 5.0)

        w.sensor.reading = reading
        w.wait(9.85)
        train = w.meter.settle()["train"]
        samples = next(numbers)
        assert train.peak_w == pytest.approx(100 + samples - 1, abs=1)
        assert (train.temp_c, train.clock_mhz, train.others_util_pct) == (60.0, 1000.0, 5.0)
        assert train.mem_used_bytes == samples << 20
        assert train.util_pct == pytest.approx(50 + (samples - 1) / 2)
        assert train.slowed_frac == pytest.approx(0.5, abs=0.1)
        assert train.slowdowns == ("hw_thermal",)

    def test_memory_is_the_machine_s_where_the_sensor_has_none(self, world: World) -> None:
        world.during("train", 3)
        assert world.meter.settle()["train"].mem_used_bytes == 7 << 20

    def test_how_long_processes_waited_for_a_core(self, world: World) -> None:
        world.during("train", 5)
        world.cpu_wait.now += 5
        world.wait(5)
        assert world.meter.settle()["train"].cpu_wait_frac == pytest.approx(0.5)

    def test_without_any_sensor_training_is_still_described(self) -> None:
        w = World(FakeSensor(constant()))
        w.meter.use(SelectedSensor(NoSensor()))
        w.during("train", 5)
        w.during("idle", 5)
        settled = w.meter.settle()
        assert list(settled) == ["train"]
        train = settled["train"]
        assert (train.method, train.scope, train.energy_j, train.coverage) == ("none", None, None, 0.0)
        assert train.mem_used_bytes == 7 << 20


class TestShared:
    """Another process, for example an LLM server, on the same GPU."""

    @pytest.mark.parametrize(
        ("llm_is_here", "on_device", "shared"),
        [(False, None, None), (False, frozenset(), False), (False, frozenset({7}), True), (True, None, True)],
    )
    def test_what_is_on_the_device_before_a_trial_is_not_ours(
        self, world: World, llm_is_here: bool, on_device: frozenset[int] | None, shared: bool | None
    ) -> None:
        world.sensor.on_device = on_device
        world.meter.llm_is_here = llm_is_here
        world.meter.phase("start")
        assert world.sensor.watched[-1] == (on_device or frozenset())
        world.sensor.on_device = frozenset({99, *(on_device or ())}) if on_device is not None else None
        world.during("train", 3)
        world.during("validate", 3)
        assert world.meter.settle()["train"].shared is shared

    def test_in_a_container_that_hides_all_processes_shared_is_not_known(self, world: World) -> None:
        world.sensor.on_device = frozenset()
        for phase in ("start", "train", "validate"):
            world.during(phase, 3)
        assert world.meter.settle()["train"].shared is None

    def test_the_metering_record_describes_the_sensor(self, world: World) -> None:
        world.meter.llm_is_here = True
        world.wait(5)
        idle = world.meter.settle()["idle"]
        metering = world.meter.metering(idle, 0.3, "EUR")
        assert (metering.method, metering.scope, metering.about) == ("nvml_power", "gpu", "a sensor")
        assert (metering.refused, metering.shared, metering.idle) == (("hwmon: none",), True, idle)
        assert (metering.price_per_kwh, metering.currency) == (0.3, "EUR")


class TestTelemetry:
    def test_a_line_for_each_sample(self, tmp_path: Path) -> None:
        reading = lambda t: replace(constant()(t), util_pct=97.0, temp_c=61.0, slowdowns=("sw_thermal",))  # noqa: E731
        w = World(FakeSensor(reading), Telemetry(tmp_path))
        w.during("train", 3.05)
        w.meter.close()
        header, *lines = (tmp_path / TELEMETRY).read_text().splitlines()
        assert header.startswith("timestamp,gpu_util_pct,mem_used_mib,power_w,temp_c,")
        assert lines[-1] == "2027-01-15T08:16:43.000Z,97,7,100,61,,sw_thermal,train,gpu"
        assert len(lines) == w.sensor.reads

    def test_a_sensor_that_only_counts_has_its_mean_watts_there(self, tmp_path: Path) -> None:
        w = World(FakeSensor(lambda t: Sample(t, counter_j=50.0 * t)), Telemetry(tmp_path))
        w.wait(SAMPLE_INTERVAL_S * 3)
        w.meter.close()
        watts = [line.split(",")[3] for line in (tmp_path / TELEMETRY).read_text().splitlines()[1:]]
        assert watts[0] == ""
        assert set(watts[1:]) == {"50"}

    def test_without_a_sensor_there_is_no_file(self, tmp_path: Path) -> None:
        w = World(FakeSensor(constant()))
        w.meter.use(SelectedSensor(NoSensor()), Telemetry(tmp_path))
        w.wait(3)
        w.meter.close()
        assert list(tmp_path.iterdir()) == []
