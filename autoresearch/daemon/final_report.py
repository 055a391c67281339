"""Write report.txt and report.html at the end of a run, each in a child process with a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from autoresearch.config.secrets import without_secrets
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.daemon.bounded_run import run_bounded
from autoresearch.hints import NO_SPACE, command
from autoresearch.storage.disk_space import shortage
from autoresearch.storage.run_dir import PAGE, REPORT

REPORT_DEADLINE_S = 120.0
SPACE_DEADLINE_S = 60.0  # that a finished run waits for disk space for its reports
POLL_S = 1.0


def write_reports(
    settings: Settings,
    observer: Observer,
    *,
    unless_since: str | None = None,
    may_wait: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write every report, but none that was written after ``unless_since``; a failure never fails the run.

    What a full disk prevented is tried once more when there is space, while ``may_wait`` returns true and for
    ``SPACE_DEADLINE_S`` at most. Afterwards the next start writes it.
    """

    def is_full(name: str) -> bool:
        observer.heartbeat("")  # each may take its deadline, and a service manager waits for little more than one
        return _write_one(settings, name, observer)

    names = [name for name in report_names(settings) if not _is_after(settings.run_dir / name, unless_since)]
    if not (full := [name for name in names if is_full(name)]):
        return
    observer.notify(f"{' and '.join(full)}: tried again when there is disk space, in {SPACE_DEADLINE_S:.0f} s at most")
    if not _wait_for_space(settings, observer, may_wait, sleep):
        later = command("report", settings.run_dir)
        observer.notify(f"{' and '.join(full)}: no disk space; the next start writes it, and so does `{later} --html`")
        return
    for name in full:
        if not is_full(name):
            observer.notify(f"{name} is written: there was disk space again")


def report_names(settings: Settings) -> tuple[str, ...]:
    """The files that a run writes at its end: what ``reports`` lists, the page only where its extra is installed."""
    has_page = "html" in settings.reports and find_spec("bokeh") and find_spec("jinja2")
    text = (REPORT,) if "text" in settings.reports else ()
    return (*text, PAGE) if has_page else text


def _is_after(report: Path, ts: str | None) -> bool:
    """Whether the report was written after the time ``ts`` of a record; false without one."""
    try:
        return ts is not None and report.stat().st_mtime >= datetime.fromisoformat(ts).timestamp()
    except OSError:
        return False


def _write_one(settings: Settings, name: str, observer: Observer) -> bool:
    """Write one report; return whether a full disk prevented it. Every failure is reported."""
    run_dir, flags = settings.run_dir, ("--html",) if name == PAGE else ()
    argv = [sys.executable, "-P", "-m", "autoresearch", "report", str(run_dir), *flags, "--out", str(run_dir / name)]
    is_full = False
    try:
        code, output = run_bounded(argv, without_secrets(os.environ), REPORT_DEADLINE_S)
        problem = (output.strip() or f"exit code {code}") if code else ""
    except OSError as e:
        problem, is_full = str(e), e.errno in NO_SPACE
    except subprocess.TimeoutExpired as e:
        problem = str(e)
    if not problem:
        return False
    observer.notify(f"{name} was not written: {problem.splitlines()[0]}")
    return is_full or any(os.strerror(number) in problem for number in NO_SPACE)


def _wait_for_space(
    settings: Settings, observer: Observer, may_wait: Callable[[], bool], sleep: Callable[[float], None]
) -> bool:
    """Whether there was enough disk space in time."""
    for _ in range(round(SPACE_DEADLINE_S / POLL_S)):
        reason = shortage(settings.run_dir, settings.limits.min_free_disk_mib)
        if not reason:
            break
        if not may_wait():
            return False
        observer.waiting(reason)
        observer.heartbeat("")
        sleep(POLL_S)
    observer.waiting("")
    return not reason
