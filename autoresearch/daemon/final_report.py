"""Write report.txt and report.html at the end of a run, each in a child process with a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from autoresearch.config.secrets import without_secrets
from autoresearch.core.ports import Observer
from autoresearch.storage.run_dir import PAGE, REPORT

REPORT_DEADLINE_S = 120.0


def write_report(run_dir: Path, observer: Observer, *, again: bool = True) -> None:
    """Have children write the reports, or those that are missing: whatever is wrong with one cannot hurt the run."""
    for name, flags in reports().items():
        if again or not (run_dir / name).exists():
            observer.heartbeat("")  # each may take its deadline, and a service manager waits for little more than one
            _write_one(run_dir, name, flags, observer)


def reports() -> dict[str, tuple[str, ...]]:
    """What can be written here, each with its flags: the page where its extra is installed."""
    page = {PAGE: ("--html",)} if find_spec("bokeh") and find_spec("jinja2") else {}
    return {REPORT: (), **page}


def _write_one(run_dir: Path, name: str, flags: Sequence[str], observer: Observer) -> None:
    command = [sys.executable, "-P", "-m", "autoresearch", "report", str(run_dir), *flags, "--out", str(run_dir / name)]
    try:
        env = without_secrets(os.environ)
        done = subprocess.run(command, capture_output=True, timeout=REPORT_DEADLINE_S, check=False, text=True, env=env)
        problem = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as e:
        problem = str(e)
    if problem:
        observer.notify(f"no {name} was written: {problem.splitlines()[-1]}")
