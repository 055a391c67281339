"""The order of the sensors, and the reasons that are kept for those that were refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors import select
from autoresearch.energy.sensors.sensor import NoSensor, Sensor, SensorBase, SensorWithGauges


class Fake(SensorBase):
    def __init__(self, method: Method, scope: Scope, sample: Sample) -> None:
        self.method: Method = method
        self.scope: Scope | None = scope
        self.about = f"a fake of {method}"
        self.sample = sample
        self.closed = False

    def read(self, t: float) -> Sequence[Sample]:
        return [self.sample]

    def compute_pids(self) -> frozenset[int] | None:
        return frozenset({7})

    def close(self) -> None:
        self.closed = True


HWMON = Fake("hwmon", "system", Sample(1.0, power_w=40.0))
NVML = Fake("nvml_energy", "gpu", Sample(1.0, power_w=10.0, counter_j=99.0, temp_c=61.0))
SMI = Fake("nvidia_smi", "gpu", Sample(1.0, power_w=10.0))
RAPL = Fake("rapl", "package", Sample(1.0, counter_j=5.0))


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch):
    """Make only these sensors available."""

    def make(*sensors: Fake) -> None:
        for name, sensor in (("hwmon", HWMON), ("nvml", NVML), ("nvidia_smi", SMI), ("rapl", RAPL)):
            answer: Sensor | str = sensor if sensor in sensors else f"no {name}"
            monkeypatch.setattr(select, f"open_{name}", lambda *_, answer=answer: answer)

    return make


def test_the_first_available_sensor_is_taken_and_each_better_one_has_a_reason(available) -> None:
    order = [HWMON, NVML, SMI, RAPL]
    for n, first in enumerate(order):
        available(*order[n:])
        selected = select.select_sensor("cuda")
        assert selected.sensor.method == first.method
        assert len(selected.refused) == n
    assert selected.refused == ("hwmon: no hwmon", "nvml: no nvml", "nvidia-smi: no nvidia_smi")


def test_a_trial_on_the_cpu_is_not_metered_by_a_gpu(available) -> None:
    available(NVML, SMI, RAPL)
    assert select.select_sensor("cpu").sensor is RAPL
    available(NVML, SMI)
    selected = select.select_sensor("cpu")
    assert isinstance(selected.sensor, NoSensor)
    assert selected.refused == ("hwmon: no hwmon", "rapl: no rapl")


def test_no_sensor_knows_nothing() -> None:
    nothing = NoSensor()
    assert (nothing.method, nothing.scope, nothing.compute_pids()) == ("none", None, None)
    assert nothing.read(3.0) == [Sample(3.0)]


def test_the_gpu_s_gauges_stand_beside_another_sensor_s_joules(available) -> None:
    available(HWMON, NVML)
    sensor = select.select_sensor("cuda").sensor
    assert isinstance(sensor, SensorWithGauges)
    assert (sensor.method, sensor.scope, sensor.about) == ("hwmon", "system", "a fake of hwmon")
    assert sensor.read(1.0) == [Sample(1.0, power_w=40.0, temp_c=61.0)]
    assert sensor.compute_pids() == frozenset({7})
    sensor.close()
    assert HWMON.closed
    assert NVML.closed


def test_without_gauges_the_energy_sensor_is_used_alone(available) -> None:
    available(HWMON)
    assert select.select_sensor("cuda").sensor is HWMON
    available(HWMON, NVML)
    assert select.select_sensor("cpu").sensor is HWMON


def test_with_empty_roots_there_is_no_sensor(tmp_path: Path) -> None:
    selected = select.select_sensor("cpu", hwmon=tmp_path, powercap=tmp_path)
    assert selected.sensor.method == "none"
    assert len(selected.refused) == 2
