"""Trials side by side on devices that are metered by themselves: each has its joules, and the run has them once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.core.records import TrialEnded, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.report import load
from autoresearch.report.energy import device_lines
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY, telemetry_names
from autoresearch.web.telemetry_tail import read_readings
from tests import nvml_night, nvml_world


@pytest.mark.skipif(bool(nvml_world.missing()), reason=nvml_world.missing())
def test_every_trial_has_the_joules_of_its_own_gpu_and_the_run_has_each_once(tmp_path: Path) -> None:
    state, run_dir = tmp_path / "nvml.state", tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "tests.nvml_night", str(state), str(run_dir)],
        env=nvml_world.environment(state),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("complete\n")
    assert "each of 2 GPUs is metered by itself" in done.stdout
    records = [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]
    trials = [r for r in records if isinstance(r, TrialEnded)]
    assert {t.device for t in trials} == {"cuda:0", "cuda:1"}
    spends = dict(zip(("cuda:0", "cuda:1"), nvml_night.SPENDS_J, strict=True))
    for trial in trials:
        assert trial.outcome.energy_j == pytest.approx(spends[trial.device or ""], abs=1.0)
    run = Trajectory.fold(records)
    spent = sum(spends[t.device or ""] for t in trials)
    assert run.trials_j == {"gpu": pytest.approx(spent, rel=0.01)}
    assert sum(p.energy_j or 0.0 for p in run.power["gpu"].values()) == pytest.approx(spent, rel=0.01)
    by_device = {name: sum(spends[name] for t in trials if t.device == name) for name in spends}
    assert run.device_j == {name: pytest.approx(joules, rel=0.05) for name, joules in by_device.items()}
    (line,) = device_lines(run.device_j)
    assert line.startswith("trials by device: cuda:0 ")
    rows = load(run_dir).rows
    assert all(
        row.energy_j in (pytest.approx(40.0, abs=1.0), pytest.approx(900.0, abs=1.0)) for row in rows if row.trials
    )
    for name in ("cuda:0", "cuda:1"):
        (reading,) = read_readings(run_dir, name)
        assert reading.scope == "gpu"
    assert telemetry_names("cuda:1") == ("telemetry-cuda-1.csv", "telemetry-cuda-1.old.csv")
