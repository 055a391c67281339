"""The examination with the real trial server: what it finds is what a real run then measures with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.daemon import service
from autoresearch.daemon.doctor import Check, examine
from autoresearch.errors import TrialServerError
from autoresearch.testing.recording_observer import RecordingObserver


@pytest.fixture
def settings(tmp_path: Path, small_corpus: Path, quick_trials: dict[str, Any]) -> Callable[..., Settings]:
    """A run of small real trials."""
    small = {"baseline.n_layer": 1, "baseline.d_model": 64, "baseline.d_ff": 128, "baseline.seq_len": 64}
    given = {**quick_trials, **small, "dir": tmp_path / "run", "corpus": str(small_corpus), "proposer": "random"}
    return lambda **changes: resolve({**given, **changes}, {}).settings


def examined(settings: Settings) -> dict[str, Check]:
    before = psutil.Process().children()
    checks = {check.name: check for check in examine(settings)}
    assert psutil.Process().children() == before, "the trial server is gone again"
    return checks


@pytest.mark.slow
def test_a_run_that_went_well_is_found_well(settings) -> None:
    assert service.run(settings(iters=1), RecordingObserver()) == "complete"
    checks = examined(settings(iters=2))
    assert {name for name, check in checks.items() if check.state == "fail"} == set()
    assert checks["trainer"].facts["device"] == "cpu"
    assert checks["memory"].facts["needed_bytes"] > 1 << 20
    assert checks["yardstick"].found == "the run's own"
    assert checks["run"].found == "continues at iteration 2 of 2"


def test_a_trainer_that_cannot_be_imported_is_71_as_for_the_run(settings, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "broken"), os.environ.get("PYTHONPATH", "")]))
    check = examined(settings())["trainer"]
    assert (check.state, check.exit_code) == ("fail", 71)
    assert "libcudart.so.12" in check.found
    assert "python -c 'import torch'" in check.hint
    assert "trial-server.log" not in check.hint, "a file that is gone helps nobody"
    with pytest.raises(TrialServerError) as refusal:
        service.run(settings(), RecordingObserver())
    assert refusal.value.exit_code == check.exit_code


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there may be one here")
def test_a_device_that_is_not_there_is_71(settings) -> None:
    check = examined(settings(device="cuda"))["trainer"]
    assert (check.state, check.exit_code) == ("fail", 71)
    assert "--device cpu" in check.hint
