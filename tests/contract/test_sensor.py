"""Every sensor under the contract of its port."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.energy.sensors.hwmon import Hwmon, open_hwmon
from autoresearch.energy.sensors.nvidia_smi import NvidiaSmi, open_nvidia_smi
from autoresearch.energy.sensors.rapl import Rapl, open_rapl
from autoresearch.energy.sensors.sensor import NoSensor, SensorWithGauges
from autoresearch.testing.contracts.sensor import PATIENCE_S, SensorContract
from tests import nvml_world


class TestNoSensor(SensorContract):
    @pytest.fixture
    def sensor(self) -> NoSensor:
        return NoSensor()

    def tick(self, sensor: NoSensor, second: int) -> None:
        pass

    def lose(self, sensor: NoSensor) -> None:
        pass


class TestHwmon(SensorContract):
    @pytest.fixture
    def device(self, tmp_path: Path) -> Path:
        self.folder = tmp_path / "hwmon2"
        self.folder.mkdir()
        (self.folder / "name").write_text("power_meter\n")
        (self.folder / "power1_average").write_text("100000000\n")
        return tmp_path

    @pytest.fixture
    def sensor(self, device: Path) -> Hwmon:
        sensor = open_hwmon(device)
        assert isinstance(sensor, Hwmon)
        return sensor

    def tick(self, sensor: Hwmon, second: int) -> None:
        pass

    def lose(self, sensor: Hwmon) -> None:
        shutil.rmtree(self.folder)


class TestRapl(SensorContract):
    @pytest.fixture
    def sensor(self, tmp_path: Path) -> Rapl:
        self.zone = tmp_path / "intel-rapl:0"
        self.zone.mkdir()
        (self.zone / "name").write_text("package-0\n")
        (self.zone / "energy_uj").write_text("1000000\n")
        (self.zone / "max_energy_range_uj").write_text("262143328850\n")
        sensor = open_rapl(tmp_path)
        assert isinstance(sensor, Rapl)
        return sensor

    def tick(self, sensor: Rapl, second: int) -> None:
        uj = (262143328850 - 250_000_000 + 100_000_000 * second) % 262143328850  # it overflows after 2.5 s
        (self.zone / "energy_uj").write_text(f"{uj}\n")

    def lose(self, sensor: Rapl) -> None:
        shutil.rmtree(self.zone)


PROGRAM = """#!/bin/sh
case "$*" in
*--loop-ms*) exec cat "$FAKE_SMI/lines";;
*) cat "$FAKE_SMI/once";;
esac
"""


class TestNvidiaSmi(SensorContract):
    """With a program of that name that prints what is written into a pipe."""

    @pytest.fixture
    def sensor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NvidiaSmi]:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("FAKE_SMI", str(tmp_path))
        os.mkfifo(tmp_path / "lines")
        (tmp_path / "once").write_text(self.line(0))
        (tmp_path / "nvidia-smi").write_text(PROGRAM)
        (tmp_path / "nvidia-smi").chmod(0o755)
        self.folder = tmp_path
        self.pipe = os.open(tmp_path / "lines", os.O_RDWR)
        sensor = open_nvidia_smi()
        assert isinstance(sensor, NvidiaSmi)
        assert sensor.read(-1.0) == [], "it has only been started"
        yield sensor
        sensor.close()
        if self.pipe >= 0:
            os.close(self.pipe)

    def line(self, second: int) -> str:
        return f"2026/11/21 22:00:{second:02d}.000, GPU-0, 100.00, 97, 24300, 61, 1980, 0x0000000000000000\n"

    def tick(self, sensor: NvidiaSmi, second: int) -> None:
        os.write(self.pipe, self.line(second).encode())
        assert select.select([sensor.fileno()], [], [], PATIENCE_S)[0], "nothing came"

    def lose(self, sensor: NvidiaSmi) -> None:
        """The program ends, and cannot be started again."""
        (self.folder / "nvidia-smi").unlink()
        fd = sensor.fileno()
        os.close(self.pipe)
        self.pipe = -1
        assert select.select([fd], [], [], PATIENCE_S)[0], "it did not end"


class Gauges(NoSensor):
    """Knows which processes compute, and no energy."""

    def users(self) -> frozenset[int] | None:
        return frozenset({os.getpid()})


class TestSensorWithGauges(TestHwmon):
    """The energy of one sensor, the gauges of another."""

    @pytest.fixture
    def sensor(self, device: Path) -> SensorWithGauges:
        energy = open_hwmon(device)
        assert isinstance(energy, Hwmon)
        return SensorWithGauges(energy, Gauges())


@pytest.mark.skipif(bool(nvml_world.missing()), reason=nvml_world.missing() or "the fake driver can be built")
def test_nvml(tmp_path: Path) -> None:
    suite = Path(__file__).with_name("nvml_sensor.py")
    alone = ["-p", "no:cacheprovider", "-o", "addopts=--strict-markers --import-mode=importlib"]  # no other processes
    command = [sys.executable, "-m", "pytest", "-q", *alone, str(suite)]
    environment = nvml_world.environment(tmp_path / "nvml.state")
    done = subprocess.run(command, cwd=nvml_world.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
