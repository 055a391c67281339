"""The order of the sensors, and what is said of those that were passed over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors import select
from autoresearch.energy.sensors.sensor import Base, NoSensor, SensorWithGauges, Source


class Fake(Base):
    def __init__(self, method: Method, scope: Scope, sample: Sample) -> None:
        self.method: Method = method
        self.scope: Scope | None = scope
        self.about = f"a fake of {method}"
        self.sample = sample
        self.closed = False

    def read(self, t: float) -> Sequence[Sample]:
        return [self.sample]

    def users(self) -> frozenset[int] | None:
        return frozenset({7})

    def close(self) -> None:
        self.closed = True


HWMON = Fake("hwmon", "system", Sample(1.0, power_w=40.0))
NVML = Fake("nvml_energy", "gpu", Sample(1.0, power_w=10.0, counter_j=99.0, temp_c=61.0))
SMI = Fake("nvidia_smi", "gpu", Sample(1.0, power_w=10.0))
RAPL = Fake("rapl", "package", Sample(1.0, counter_j=5.0))


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch):
    """Only these sensors are there."""

    def make(*sources: Fake) -> None:
        for name, source in (("hwmon", HWMON), ("nvml", NVML), ("nvidia_smi", SMI), ("rapl", RAPL)):
            answer: Source | str = source if source in sources else f"no {name}"
            monkeypatch.setattr(select, f"open_{name}", lambda *_, answer=answer: answer)

    return make


def test_the_first_that_is_there_is_taken_and_the_better_ones_are_accounted_for(there) -> None:
    order = [HWMON, NVML, SMI, RAPL]
    for n, first in enumerate(order):
        there(*order[n:])
        opened = select.select_sensor("cuda")
        assert opened.source.method == first.method
        assert len(opened.refused) == n
    assert opened.refused == ("hwmon: no hwmon", "nvml: no nvml", "nvidia-smi: no nvidia_smi")


def test_a_trial_on_the_cpu_is_not_metered_by_a_gpu(there) -> None:
    there(NVML, SMI, RAPL)
    assert select.select_sensor("cpu").source is RAPL
    there(NVML, SMI)
    opened = select.select_sensor("cpu")
    assert isinstance(opened.source, NoSensor)
    assert opened.refused == ("hwmon: no hwmon", "rapl: no rapl")


def test_where_there_is_nothing_nothing_is_known() -> None:
    nothing = NoSensor()
    assert (nothing.method, nothing.scope, nothing.users()) == ("none", None, None)
    assert nothing.read(3.0) == [Sample(3.0)]


def test_the_gpu_s_gauges_stand_beside_another_sensor_s_joules(there) -> None:
    there(HWMON, NVML)
    source = select.select_sensor("cuda").source
    assert isinstance(source, SensorWithGauges)
    assert (source.method, source.scope, source.about) == ("hwmon", "system", "a fake of hwmon")
    assert source.read(1.0) == [Sample(1.0, power_w=40.0, temp_c=61.0)]
    assert source.users() == frozenset({7})
    source.close()
    assert HWMON.closed
    assert NVML.closed


def test_without_gauges_the_joules_are_there_alone(there) -> None:
    there(HWMON)
    assert select.select_sensor("cuda").source is HWMON
    there(HWMON, NVML)
    assert select.select_sensor("cpu").source is HWMON


def test_on_this_machine_it_answers_whatever_there_is(tmp_path: Path) -> None:
    opened = select.select_sensor("cpu", hwmon=tmp_path, powercap=tmp_path)
    assert opened.source.method == "none"
    assert len(opened.refused) == 2
