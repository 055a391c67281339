"""Write report.txt and report.html at the end of a run, each in a child process with a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from autoresearch.config.secrets import without_secrets
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.daemon.bounded_run import run_bounded
from autoresearch.storage.run_dir import PAGE, REPORT

REPORT_DEADLINE_S = 120.0


def write_reports(settings: Settings, observer: Observer, *, again: bool = True) -> None:
    """Write every report, or those that are missing; a report that cannot be written never fails the run."""
    for name in report_names(settings):
        if again or not (settings.run_dir / name).exists():
            observer.heartbeat("")  # each may take its deadline, and a service manager waits for little more than one
            _write_one(settings, name, observer)


def report_names(settings: Settings) -> tuple[str, ...]:
    """The files that a run writes at its end: what ``reports`` lists, the page only where its extra is installed."""
    has_page = "html" in settings.reports and find_spec("bokeh") and find_spec("jinja2")
    text = (REPORT,) if "text" in settings.reports else ()
    return (*text, PAGE) if has_page else text


def _write_one(settings: Settings, name: str, observer: Observer) -> None:
    run_dir, flags = settings.run_dir, ("--html",) if name == PAGE else ()
    command = [sys.executable, "-P", "-m", "autoresearch", "report", str(run_dir), *flags, "--out", str(run_dir / name)]
    try:
        code, output = run_bounded(command, without_secrets(os.environ), REPORT_DEADLINE_S)
        problem = (output.strip() or f"exit code {code}") if code else ""
    except (OSError, subprocess.TimeoutExpired) as e:
        problem = str(e)
    if problem:
        observer.notify(f"{name} was not written: {problem.splitlines()[-1]}")
