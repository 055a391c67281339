"""Every meter under the contract of its port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from autoresearch.core.ports import Meter, NullMeter
from autoresearch.core.power import TRIAL_PHASES, Method, Phase, Scope
from autoresearch.energy.meter import PowerMeter
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.testing.contracts.meter import MeterContract
from autoresearch.testing.fake_meter import FakeMeter, fake_power


@dataclass
class Clock:
    """Shows the time that the test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class ScriptedSensor:
    """Reports what ``report`` answers for the time."""

    report: Callable[[float], Sequence[Sample]]
    method: Method = "nvml_energy"
    scope: Scope | None = "gpu"
    about: str = "a scripted sensor"
    is_polled: bool = True

    def read(self, t: float) -> Sequence[Sample]:
        return self.report(t)

    def users(self) -> frozenset[int] | None:
        return None

    def watch(self, strangers: frozenset[int]) -> None:
        pass

    def close(self) -> None:
        pass


def broken(t: float) -> Sequence[Sample]:
    raise RuntimeError("the sensor's library is broken")


SENSORS: dict[str, ScriptedSensor] = {
    "counter": ScriptedSensor(lambda t: [Sample(t, counter_j=100.0 * t)]),
    "power": ScriptedSensor(lambda t: [Sample(t, power_w=100.0)], method="nvml_power"),
    "reports in its own time": ScriptedSensor(lambda t: [Sample(t, power_w=100.0)], "nvidia_smi", is_polled=False),
    "silent": ScriptedSensor(lambda _t: []),
    "implausible": ScriptedSensor(lambda t: [Sample(t, power_w=float("nan"), counter_j=-1.0)]),
    "broken": ScriptedSensor(broken),
}


class TestPowerMeter(MeterContract):
    """On a clock that only the test moves."""

    @pytest.fixture(params=SENSORS)
    def meter(self, request: pytest.FixtureRequest) -> PowerMeter:
        meter = PowerMeter(
            clock=Clock(), cpu_clock=lambda: 0.0, suspended_s=lambda: 0.0, mem_used_bytes=lambda: 1 << 20
        )
        meter.use(SelectedSensor(SENSORS[request.param]))
        return meter

    def spend(self, meter: PowerMeter, phase: Phase, seconds: float) -> None:
        assert isinstance(meter.clock, Clock)
        meter.phase(phase)
        for _ in range(round(10 * seconds)):
            meter.clock.now += 0.1
            meter.poll()


class TestPowerMeterWithoutASensor(TestPowerMeter):
    """One that was never given a sensor."""

    @pytest.fixture
    def meter(self) -> PowerMeter:
        return PowerMeter(clock=Clock())


class TestNullMeter(MeterContract):
    @pytest.fixture
    def meter(self) -> NullMeter:
        return NullMeter()

    def spend(self, meter: Meter, phase: Phase, seconds: float) -> None:
        meter.phase(phase)
        meter.poll()


class TestFakeMeter(MeterContract):
    """Its figures are those of the test, one trial after the other."""

    @pytest.fixture
    def meter(self) -> FakeMeter:
        return FakeMeter()

    def spend(self, meter: FakeMeter, phase: Phase, seconds: float) -> None:
        meter.phase(phase)
        meter.poll()
        if phase == TRIAL_PHASES[0]:
            meter.trials.append({})
        if phase in TRIAL_PHASES:
            meter.trials[-1][phase] = fake_power(100 * seconds, seconds)
