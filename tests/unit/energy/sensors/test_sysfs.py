"""hwmon and RAPL over directories that are laid out like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.energy.integrate import integrate
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.hwmon import Hwmon, open_hwmon
from autoresearch.energy.sensors.rapl import MAX_UNREAD_S, Rapl, open_rapl


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


SPARK = {
    "hwmon0/name": "acpitz",
    "hwmon0/temp1_input": "41000",
    "hwmon3/name": "spbm",
    "hwmon3/power1_label": "soc_pkg",
    "hwmon3/power1_input": "22000000",
    "hwmon3/power2_label": "sys_total",
    "hwmon3/power2_input": "36500000",
}
GRACE = {
    "hwmon1/name": "power_meter",
    "hwmon1/power1_average": "80000000",
    "hwmon1/power1_oem_info": "Grace Power Socket 0",
    "hwmon2/name": "power_meter",
    "hwmon2/power1_average": "500000000",
    "hwmon2/power1_oem_info": "Module Power Socket 0",
}
SERVER = {"hwmon2/name": "power_meter", "hwmon2/power1_average": "312000000"}
LAPTOP = {"hwmon2/name": "BAT0", "hwmon2/power1_input": "9000000", "hwmon3/name": "amdgpu", "hwmon3/power1_input": "8"}
CORSAIR = {"hwmon4/name": "corsairpsu", "hwmon4/power1_label": "power total", "hwmon4/power1_input": "250000000"}


class TestHwmon:
    @pytest.mark.parametrize(
        ("files", "watts", "words"),
        [
            (SPARK, 36.5, "spbm, sys_total"),
            (SERVER, 312.0, "ACPI power meter"),
            (CORSAIR, 250.0, "corsairpsu, power total"),
        ],
    )
    def test_the_whole_system_is_found_by_its_name(
        self, tmp_path: Path, files: dict[str, str], watts: float, words: str
    ) -> None:
        sensor = open_hwmon(tree(tmp_path, files))
        assert isinstance(sensor, Hwmon)
        assert (sensor.method, sensor.scope) == ("hwmon", "system")
        assert words in sensor.about
        assert sensor.read(3.0) == [Sample(3.0, power_w=watts)]

    @pytest.mark.parametrize("files", [{}, LAPTOP, GRACE], ids=["none", "a battery and a GPU", "parts of a board"])
    def test_a_part_of_the_system_is_not_the_whole(self, tmp_path: Path, files: dict[str, str]) -> None:
        assert open_hwmon(tree(tmp_path, files)) == "no sensor of the whole system"

    def test_a_sensor_that_reads_zero_is_not_taken(self, tmp_path: Path) -> None:
        refused = open_hwmon(tree(tmp_path, {**SERVER, "hwmon2/power1_average": "0"}))
        assert isinstance(refused, str)
        assert "has no reading" in refused

    def test_a_sensor_that_breaks_later_returns_no_samples(self, tmp_path: Path) -> None:
        sensor = open_hwmon(tree(tmp_path, SERVER))
        assert isinstance(sensor, Hwmon)
        for text in ("", "ERR", "-"):
            (tmp_path / "hwmon2/power1_average").write_text(text)
            assert sensor.read(1.0) == []
        (tmp_path / "hwmon2/power1_average").unlink()
        assert sensor.read(2.0) == []

    def test_a_sensor_can_be_named(self, tmp_path: Path) -> None:
        file = tree(tmp_path, {"hwmon9/power7_input": "99000000"}) / "hwmon9/power7_input"
        sensor = open_hwmon(tmp_path, file=file)
        assert isinstance(sensor, Hwmon)
        assert sensor.read(0.0)[0].power_w == 99.0

    def test_a_named_file_that_is_missing_is_refused(self, tmp_path: Path) -> None:
        refused = open_hwmon(tree(tmp_path, SERVER), file=tmp_path / "nowhere")
        assert isinstance(refused, str)
        assert "microwatts" in refused

    def test_where_there_is_no_hwmon_at_all(self, tmp_path: Path) -> None:
        assert open_hwmon(tmp_path / "nowhere") == "no sensor of the whole system"


RANGE_UJ = 262143328850
PACKAGE = {
    "intel-rapl:0/name": "package-0",
    "intel-rapl:0/energy_uj": "1000000",
    "intel-rapl:0/max_energy_range_uj": str(RANGE_UJ),
    "intel-rapl:0:0/name": "core",
    "intel-rapl:0:0/energy_uj": "999",
    "intel-rapl:1/name": "psys",
    "intel-rapl:1/energy_uj": "5",
}


class TestRapl:
    @pytest.fixture
    def rapl(self, tmp_path: Path) -> Rapl:
        sensor = open_rapl(tree(tmp_path, PACKAGE))
        assert isinstance(sensor, Rapl)
        return sensor

    def put(self, tmp_path: Path, uj: int) -> None:
        (tmp_path / "intel-rapl:0/energy_uj").write_text(f"{uj}\n")

    def samples(self, rapl: Rapl, tmp_path: Path, readings: dict[float, int]) -> list[Sample]:
        samples: list[Sample] = []
        for t, uj in readings.items():
            self.put(tmp_path, uj)
            samples += rapl.read(t)
        return samples

    def test_the_package_alone_is_counted(self, rapl: Rapl, tmp_path: Path) -> None:
        assert (rapl.method, rapl.scope, rapl.about) == ("rapl", "package", "RAPL, 1 CPU package")
        total = integrate(self.samples(rapl, tmp_path, {0.0: 1_000_000, 1.0: 16_000_000, 2.0: 31_000_000}))
        assert (total.energy_j, total.mean_w, total.peak_w) == (30.0, 15.0, 15.0)

    def test_a_counter_that_wraps_loses_nothing(self, rapl: Rapl, tmp_path: Path) -> None:
        total = integrate(self.samples(rapl, tmp_path, {0.0: RANGE_UJ - 5_000_000, 1.0: 10_000_000, 2.0: 25_000_000}))
        assert total.energy_j == pytest.approx(30.0)

    def test_after_a_time_in_which_it_may_have_wrapped_twice_it_starts_over(self, rapl: Rapl, tmp_path: Path) -> None:
        late = 1.0 + MAX_UNREAD_S + 1.0
        readings = {0.0: 0, 1.0: 15_000_000, late: 10_000_000, late + 1.0: 25_000_000}
        total = integrate(self.samples(rapl, tmp_path, readings))
        assert (total.energy_j, total.gaps) == (30.0, 1)

    def test_two_packages_are_added(self, tmp_path: Path) -> None:
        second = {n.replace("rapl:0", "rapl:2"): t for n, t in PACKAGE.items() if n.startswith("intel-rapl:0/")}
        sensor = open_rapl(tree(tmp_path, {**PACKAGE, **second, "intel-rapl:2/name": "package-1"}))
        assert isinstance(sensor, Rapl)
        sensor.read(0.0)
        self.put(tmp_path, 11_000_000)
        (tmp_path / "intel-rapl:2/energy_uj").write_text("21000000")
        assert sensor.read(1.0) == [Sample(1.0, counter_j=30.0)]
        (tmp_path / "intel-rapl:2/energy_uj").unlink()
        assert sensor.read(2.0) == [], "one package of two is not the sum"

    def test_a_counter_for_root_only_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read_text = Path.read_text

        def refuse(self: Path, *_: object, **__: object) -> str:
            if self.name == "energy_uj":
                raise PermissionError(13, "Permission denied")
            return read_text(self)

        tree(tmp_path, PACKAGE)
        monkeypatch.setattr(Path, "read_text", refuse)
        refused = open_rapl(tmp_path)
        assert isinstance(refused, str)
        assert "readable by root only" in refused

    def test_where_there_is_none(self, tmp_path: Path) -> None:
        assert open_rapl(tmp_path) == "no RAPL"
        assert open_rapl(tmp_path / "nowhere") == "no RAPL"
