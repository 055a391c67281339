"""Directory, disk, clock and energy: the machine's side of a night."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.power import Method, Scope
from autoresearch.core.records import Resumed
from autoresearch.daemon.doctor import machine
from autoresearch.daemon.doctor.check import Check
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor, SensorBase
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system of its own: file permissions do not hold root back."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount(8) here")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


class TestDirectory:
    def test_one_that_is_not_there_will_be_made(self, tmp_path: Path) -> None:
        check = machine.directory(tmp_path / "runs" / "tiny")
        assert (check.state, check.found) == ("ok", f"{tmp_path}/runs/tiny will be created")
        assert list(tmp_path.iterdir()) == [], "but not by a look"

    def test_one_that_is_there(self, tmp_path: Path) -> None:
        assert machine.directory(tmp_path).found == f"{tmp_path}, not in use"

    def test_one_that_belongs_to_a_daemon_is_75_and_names_it(self, tmp_path: Path) -> None:
        lock = DirectoryLock(tmp_path / LOCK)
        lock.acquire({"pid": 4711, "host": "desk"})
        try:
            check = machine.directory(tmp_path)
        finally:
            lock.release()
        assert (check.state, check.exit_code) == ("fail", 75)
        assert "pid 4711, host desk" in check.found
        assert "autoresearch status" in check.hint
        assert machine.directory(tmp_path).state == "ok", "a lock that nobody holds any more is no lock"

    def test_a_file_in_its_place_is_74(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "file", tmp_path / "file" / "run"):
            check = machine.directory(path)
            assert (check.state, check.exit_code) == ("fail", 74)

    def test_one_that_is_read_only_is_74(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "place", "ro,size=64k") as place:
            check = machine.directory(place / "run")
        assert (check.state, check.exit_code, check.found) == ("fail", 74, f"cannot write in {place}")
        assert "--dir" in check.hint

    def test_a_pause_flag_would_keep_the_night_waiting(self, tmp_path: Path) -> None:
        (tmp_path / PAUSE_FLAG).touch()
        check = machine.directory(tmp_path)
        assert check.state == "warn"
        assert "autoresearch resume" in check.hint


class TestDisk:
    def test_room_enough(self, tmp_path: Path) -> None:
        check = machine.disk(tmp_path / "not" / "there")
        assert check.facts["free_bytes"] > 0
        assert str(tmp_path) in check.found

    def test_a_full_one_is_74(self, tmp_path: Path) -> None:
        with mounted(tmp_path / "place", "size=64k") as place:
            check = machine.disk(place)
        assert (check.state, check.exit_code) == ("fail", 74)
        assert check.found == f"0.0 GiB free at {place}"

    @pytest.mark.parametrize(
        ("free", "state"), [(2 << 30, "ok"), (1 << 30, "ok"), (1 << 29, "warn"), (64 << 20, "warn"), (1 << 20, "fail")]
    )
    def test_how_much_is_enough(self, tmp_path: Path, monkeypatch, free: int, state: str) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=free))
        check = machine.disk(tmp_path)
        assert check.state == state
        assert bool(check.hint) == (state != "ok")


NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


class TestClock:
    def test_one_that_continues_from_the_runs_last_record(self) -> None:
        last = Resumed(ts="2026-11-21T21:59:59.999Z", paused_s=1.0)
        assert machine.clock([last], NOW).state == machine.clock([], NOW).state == "ok"

    def test_one_that_was_set_back(self) -> None:
        check = machine.clock([Resumed(ts="2026-11-21T22:00:00.001Z", paused_s=1.0)], NOW)
        assert check.state == "warn", "the run itself does not mind"
        assert "before the run's last record" in check.found
        assert "timedatectl" in check.hint

    def test_one_that_was_never_set(self) -> None:
        check = machine.clock([], datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
        assert check.state == "warn"
        assert "timedatectl" in check.hint

    def test_whether_it_is_synchronized(self, tmp_path: Path) -> None:
        file = tmp_path / "synchronized"
        assert machine.clock([], NOW, file).facts["synchronized"] is False
        file.touch()
        assert machine.clock([], NOW, file).facts["synchronized"] is True

    def test_a_zone_that_does_not_exist_is_78(self) -> None:
        check = machine.clock([], NOW, environ={"TZ": "Nonsense"})
        assert (check.state, check.exit_code) == ("fail", 78)

    def test_utc_by_default_matters_where_the_clock_ends_the_run(self, tmp_path: Path) -> None:
        missing = tmp_path / "localtime"
        check = machine.clock([], NOW, ends=["ends 06:30 UTC, in 8 h 30 min"], environ={}, localtime=missing)
        assert check.state == "warn"
        assert "ends 06:30 UTC, in 8 h 30 min" in check.found
        assert "UTC by default" in check.found
        assert machine.clock([], NOW, environ={}, localtime=missing).state == "ok"


class Sensor(SensorBase):
    """One of the GPU's."""

    method: Method = "nvml_energy"
    scope: Scope | None = "gpu"
    about = "NVML's energy counter of 1 GPU"

    def read(self, t: float) -> Sequence[Sample]:
        return [Sample(t)]


class TestEnergy:
    def energy(self, monkeypatch: pytest.MonkeyPatch, opened: SelectedSensor, **flags: object) -> Check:
        monkeypatch.setattr(machine, "select_sensor", lambda *_: opened)
        return machine.energy(resolve({f"energy.{name}": value for name, value in flags.items()}, {}).settings, None)

    def test_a_sensor_and_why_better_ones_cannot_be_used(self, monkeypatch) -> None:
        check = self.energy(monkeypatch, SelectedSensor(Sensor(), ("hwmon: no hwmon",)))
        assert (check.state, check.facts["source"], check.facts["scope"]) == ("ok", "nvml_energy", "gpu")
        assert check.found == "NVML's energy counter of 1 GPU, scope gpu; better ones cannot be used: hwmon: no hwmon"

    def test_without_one_joules_are_null_and_that_is_all(self, monkeypatch) -> None:
        check = self.energy(monkeypatch, SelectedSensor(NoSensor(), ("nvml: Driver Not Loaded", "rapl: none")))
        assert (check.state, check.found) == ("warn", "no sensor: nvml: Driver Not Loaded; rapl: none")
        assert "null" in check.hint

    def test_a_limit_on_kwh_cannot_be_enforced_without_one(self, monkeypatch) -> None:
        check = self.energy(monkeypatch, SelectedSensor(NoSensor(), ("rapl: none",)), max_kwh=1.0)
        assert check.state == "fail"
        assert "rapl: none" in check.found

    def test_what_this_machine_has(self) -> None:
        check = machine.energy(resolve({}, {}).settings, None)
        assert check.facts["source"] in get_args(Method)
