"""An input is changed while a real daemon runs real trials: exit code 66, the file is named, no keep comes from it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.records import Evaluated, Stopped, TrialEnded, decode
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY


def cut(path: Path) -> None:
    os.truncate(path, 100)


def scramble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b" " * path.stat().st_size)


def change_toml(path: Path) -> None:
    path.write_text(path.read_text() + "\n# edited\n")


def run_and_change(command: Sequence[str | Path], change: Callable[[], object], **how: Any) -> tuple[int, str]:
    """Run a daemon, make the change once its baseline is measured; its exit code and error."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how) as process:
        watchdog = threading.Timer(240, process.send_signal, [signal.SIGKILL])
        watchdog.start()
        assert process.stdout is not None
        for line in process.stdout:
            if "baseline" in line and "bits per byte" in line:
                change()
                break
        output, error = process.communicate()
        watchdog.cancel()
    return process.returncode, error or output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [("train.bin", cut), ("val.bin", scramble), ("tokenizer.json", scramble), ("settings.toml", change_toml)],
)
def test_the_run_ends_with_66_and_names_the_file(
    name: str, change: Callable[[Path], None], small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path
) -> None:
    corpus, run_dir = tmp_path / "corpus", tmp_path / "run"
    shutil.copytree(small_corpus, corpus)
    (tmp_path / "settings.toml").write_text('proposer = "random"\nreports = []\n')
    command = [sys.executable, "-u", "-m", "autoresearch", "run", "--dir", run_dir, "--corpus", corpus]
    command += ["--iters", "500", "--config", tmp_path / "settings.toml"]
    command += [f"--set={setting}={value}" for setting, value in quick_trials.items()]
    changed = tmp_path / name if name.endswith("toml") else corpus / name
    code, error = run_and_change(command, lambda: change(changed))
    assert code == 66, error
    assert f"{changed} has changed" in error
    records = [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]
    assert isinstance(records[-1], Stopped)
    assert str(changed) in records[-1].reason
    voided = [r for r in records if isinstance(r, TrialEnded) and r.void]
    assert len(voided) <= 1
    judged = [trial for r in records if isinstance(r, Evaluated) for trial in r.trials]
    assert not {r.trial for r in voided} & set(judged)
