"""The ``Sensor`` of a meter: it reports each sample once, in order, without waiting, and raises nothing once open."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

import pytest

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.sensor import Sensor

PATIENCE_S = 60.0  # for a read that returns; it is only spent where one never does
SECONDS = 5


class SensorContract:
    """For every implementation of ``autoresearch.energy.sensors.sensor.Sensor``. The fixture's sensor is open."""

    @pytest.fixture
    def sensor(self) -> Any:
        """A sensor that is open and was not read yet, closed after the test."""
        raise NotImplementedError

    def tick(self, sensor: Any, second: int) -> None:
        """Let the device have drawn about 100 W up to ``second``; return when the sensor can know it."""
        raise NotImplementedError

    def lose(self, sensor: Any) -> None:
        """Take the device away, as a driver that is unloaded does. Nothing to do where there is no device."""
        raise NotImplementedError

    def read_ticks(self, sensor: Sensor) -> list[Sample]:
        """What it reports over ``SECONDS`` ticks."""
        samples: list[Sample] = []
        for second in range(SECONDS):
            self.tick(sensor, second)
            samples += self.read(sensor, float(second))
        return samples

    def read(self, sensor: Sensor, t: float) -> Sequence[Sample]:
        """``sensor.read``, with a failure instead of a test that hangs where it waits."""
        found: list[Sequence[Sample]] = []
        thread = threading.Thread(target=lambda: found.append(sensor.read(t)), daemon=True)
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the read waits"
        assert found, "the read raised"
        return found[0]

    def test_it_names_its_method_its_scope_and_itself(self, sensor: Sensor) -> None:
        assert sensor.method in get_args(Method)
        assert sensor.scope in (*get_args(Scope), None)
        assert (sensor.scope is None) == (sensor.method == "none")
        assert sensor.about
        assert sensor.about.isprintable()
        assert isinstance(sensor.is_polled, bool)

    def test_samples_come_in_order_once_and_are_not_of_the_future(self, sensor: Sensor) -> None:
        times: list[float] = []
        for second in range(SECONDS):
            self.tick(sensor, second)
            times += [sample.t for sample in self.read(sensor, float(second))]
            assert not times or times[-1] <= second
        assert times
        assert times == sorted(set(times))

    def test_power_and_energy_are_reported_and_the_counter_never_falls(self, sensor: Sensor) -> None:
        samples = self.read_ticks(sensor)
        assert any(sample.has_energy for sample in samples) == (sensor.method != "none")
        counted = [sample.joules for sample in samples if sample.joules is not None]
        assert counted == sorted(counted)
        for before, after in pairwise(counted):
            assert after - before == pytest.approx(100.0)
        for sample in samples:
            assert sample.watts is None or sample.watts == pytest.approx(100.0)

    def test_a_read_returns_where_there_is_nothing_new(self, sensor: Sensor) -> None:
        """One that reports in its own time has nothing to report then; one that answers when asked answers again."""
        self.tick(sensor, 0)
        self.read(sensor, 0.0)
        for _ in range(3):
            again = self.read(sensor, 0.0)
            assert sensor.is_polled or list(again) == []

    def test_a_device_that_is_lost_is_a_sensor_with_nothing_to_report(self, sensor: Sensor) -> None:
        self.read_ticks(sensor)
        self.lose(sensor)
        for t in (SECONDS, SECONDS + 1.0, SECONDS + 100.0, SECONDS + 1000.0):
            assert not any(sample.has_energy for sample in self.read(sensor, t))
            sensor.watch(frozenset({1}))
            pids = sensor.compute_pids()
            assert pids is None or all(isinstance(pid, int) for pid in pids)

    def test_processes_on_the_device_are_pids_or_not_known(self, sensor: Sensor) -> None:
        pids = sensor.compute_pids()
        assert pids is None or (isinstance(pids, frozenset) and all(isinstance(pid, int) for pid in pids))
        sensor.watch(pids or frozenset())
        self.tick(sensor, 0)
        self.read(sensor, 0.0)

    def test_closing_twice_is_harmless(self, sensor: Sensor) -> None:
        self.tick(sensor, 0)
        self.read(sensor, 0.0)
        sensor.close()
        sensor.close()
