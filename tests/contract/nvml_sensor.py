"""NVML's sensor under the contract of its port; ``test_sensor.py`` runs it where the fake driver is found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.energy.sensors.nvml import Nvml, open_nvml
from autoresearch.testing.contracts.sensor import SensorContract
from tests.nvml_world import gpu, write_state

STATE = Path(os.environ["FAKE_NVML"])
DRIVER_NOT_LOADED, GPU_IS_LOST = 9, 15


class TestNvmlWithACounter(SensorContract):
    has_counter = True

    @pytest.fixture
    def sensor(self) -> Iterator[Nvml]:
        self.state(0)
        sensor = open_nvml(["GPU-0"])
        assert isinstance(sensor, Nvml)
        yield sensor
        sensor.close()

    def state(self, second: int) -> None:
        write_state(STATE, gpu(watts=100.0, joules=100.0 * second if self.has_counter else None))

    def tick(self, sensor: Nvml, second: int) -> None:
        self.state(second)

    def lose(self, sensor: Nvml) -> None:
        lost = {"fail_init": DRIVER_NOT_LOADED, "fail_energy_mj0": GPU_IS_LOST, "fail_power_mw0": GPU_IS_LOST}
        write_state(STATE, {"gpus": 1, **lost})


class TestNvmlWithoutACounter(TestNvmlWithACounter):
    has_counter = False
