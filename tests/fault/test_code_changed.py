"""The code of a trial is changed while a real daemon runs real trials: exit code 66, named, and no verdict from it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.records import Evaluated, Stopped, TrialEnded, decode
from autoresearch.daemon.trainer_code import PACKAGE
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY
from tests.fault.test_input_changed import run_and_change


def edit_trainer(site: Path) -> str:
    """As an editor, or `git pull` in a source checkout."""
    file = site / "autoresearch" / "training" / "evaluate.py"
    file.write_text(f"{file.read_text()}\n# edited\n")
    return f"{file} has changed since the run read it"


def upgrade_torch(site: Path) -> str:
    """As `pip install --upgrade torch`."""
    (site / "torch-1.dist-info").rename(site / "torch-2.dist-info")
    (site / "torch-2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2\n")
    return "the package torch has changed during the run (version 1 then, 2 now)"


@pytest.mark.slow
@pytest.mark.parametrize("change", [edit_trainer, upgrade_torch], ids=lambda change: change.__name__)
def test_the_run_ends_with_66_and_names_it(
    change: Callable[[Path], str], small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path
) -> None:
    site, run_dir = tmp_path / "site", tmp_path / "run"
    for package in (PACKAGE, PACKAGE.parent / "rails"):
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE.parent / "perturbation_menu.json", site)
    metadata = site / "torch-1.dist-info"  # the first that is found; torch itself is the real one
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1\n")
    (metadata / "RECORD").write_text("")
    command = [sys.executable, "-u", "-m", "autoresearch", "run", "--dir", run_dir, "--corpus", small_corpus]
    command += ["--iters", "500", "--proposer", "random", "--set", "reports=[]"]
    command += [f"--set={setting}={value}" for setting, value in quick_trials.items()]
    said: list[str] = []
    code, error = run_and_change(
        command, lambda: said.append(change(site)), cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}
    )
    assert code == 66, error
    assert said[0] in error
    records = [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]
    assert isinstance(records[-1], Stopped)
    assert said[0] in records[-1].reason
    voided = {r.trial for r in records if isinstance(r, TrialEnded) and r.void}
    assert len(voided) <= 1
    assert not voided & {trial for r in records if isinstance(r, Evaluated) for trial in r.trials}
