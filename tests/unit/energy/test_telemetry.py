"""telemetry.csv: bounded, readable by other tools; a disk error loses lines and stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.energy.power_csv import read_figures
from autoresearch.energy.sample import Sample
from autoresearch.energy.telemetry import COLUMNS, HEADER, Telemetry
from autoresearch.storage.run_dir import OLD_TELEMETRY, TELEMETRY


def write(telemetry: Telemetry, seconds: range, watts: float = 100.0) -> None:
    for t in seconds:
        telemetry.write(Sample(float(t), power_w=watts), watts, 1.8e9 + t, "train", "gpu")


def test_the_first_columns_are_those_that_other_tools_read() -> None:
    assert COLUMNS[:5] == ("timestamp", "gpu_util_pct", "mem_used_mib", "power_w", "temp_c")


def test_our_own_command_reads_it(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path)
    write(telemetry, range(61))
    telemetry.close()
    figures = read_figures(tmp_path / TELEMETRY)
    assert figures.energy_kwh == pytest.approx(6000 / 3.6e6)
    assert (figures.scope, figures.coverage) == ("gpu", 1.0)


def test_it_is_bounded(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, max_bytes=1000)
    write(telemetry, range(200))
    telemetry.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [TELEMETRY, OLD_TELEMETRY]
    for name in (TELEMETRY, OLD_TELEMETRY):
        text = (tmp_path / name).read_text()
        assert len(text) <= 1000
        assert text.startswith(HEADER)
    last = (tmp_path / TELEMETRY).read_text().splitlines()[-1]
    assert last.startswith("2027-01-15T08:03:19.000Z")


def test_a_restart_appends(tmp_path: Path) -> None:
    for first in (0, 10):
        telemetry = Telemetry(tmp_path)
        write(telemetry, range(first, first + 10))
        telemetry.close()
    assert read_figures(tmp_path / TELEMETRY).samples == 20


def test_a_line_that_is_cut_off_affects_no_other_line(tmp_path: Path) -> None:
    (tmp_path / TELEMETRY).write_text(HEADER + "2027-01-15T08:00:00.000Z,97,24")
    telemetry = Telemetry(tmp_path)
    write(telemetry, range(1, 4))
    telemetry.close()
    figures = read_figures(tmp_path / TELEMETRY)
    assert (figures.samples, figures.rows) == (3, 4)


def test_a_directory_that_is_missing_stops_nothing(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "nowhere")
    write(telemetry, range(3))
    (tmp_path / "nowhere").mkdir()
    write(telemetry, range(3, 6))
    telemetry.close()
    assert read_figures(tmp_path / "nowhere" / TELEMETRY).samples == 3, "it resumes once it can"


def test_a_full_disk_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry(tmp_path)
    write(telemetry, range(3))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        write(telemetry, range(3, 6))
    write(telemetry, range(6, 9))
    telemetry.close()
    assert read_figures(tmp_path / TELEMETRY).samples == 6


@pytest.mark.parametrize("pipe", [False, True])
def test_a_link_or_pipe_in_its_place_is_left_alone(tmp_path: Path, pipe: bool) -> None:
    precious = tmp_path / "trajectory.jsonl"
    precious.write_text("kept")
    if pipe:
        os.mkfifo(tmp_path / TELEMETRY)
    else:
        (tmp_path / TELEMETRY).symlink_to(precious)
    telemetry = Telemetry(tmp_path)
    write(telemetry, range(3))
    telemetry.close()
    assert precious.read_text() == "kept"


def test_a_full_disk_that_takes_half_a_line_affects_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry(tmp_path)
    write(telemetry, range(1))
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
        write(telemetry, range(1, 2))
    write(telemetry, range(2, 4))
    telemetry.close()
    assert read_figures(tmp_path / TELEMETRY).samples == 3
