"""A run directory: the name of every file in it, the lock that makes one process its only writer, and its archive."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.errors import JournalError
from autoresearch.machine import utc
from autoresearch.storage.lock import DirectoryLock

TRAJECTORY = "trajectory.jsonl"
BEFORE_REPAIR = "before-repair-"  # with a number: the trajectory before `autoresearch repair` changed it
LOCK = "run.lock"
PAUSE_FLAG = "pause.flag"
PROGRESS = "progress.json"
EXCHANGES = "exchanges.jsonl"  # exchanges with an LLM server; full segments are compressed beside it
EXCHANGE_FILES = "exchanges*.jsonl*"  # glob pattern, torn tails included
TELEMETRY = "telemetry.csv"
OLD_TELEMETRY = "telemetry.old.csv"
TELEMETRY_FILES = "telemetry*.csv"  # glob pattern
ENVELOPE = "envelope.jsonl"  # measured speeds of the device
CHECKPOINT = "checkpoint"  # directory of the one suspended trial
LOGS = "logs"
CORPUS = "corpus"  # directory of a corpus that the run prepared itself
ARCHIVE = "archive"
REPORT, PAGE = "report.txt", "report.html"


@contextmanager
def hold(run_dir: Path) -> Iterator[Path]:
    """Hold the lock of a run directory, which is created if missing. Raises ``LockHeld`` or ``JournalError``."""
    lock = DirectoryLock(make_run_dir(run_dir) / LOCK)
    lock.acquire({"pid": os.getpid(), "host": socket.gethostname(), "since": utc()})
    try:
        yield run_dir
    finally:
        lock.release()


def make_run_dir(run_dir: Path) -> Path:
    """Create the run directory if it is missing. Raises ``JournalError``."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise JournalError(f"cannot create {run_dir}: {e.strerror}", hint="choose another --dir") from e
    return run_dir


def run_files(run_dir: Path) -> list[Path]:
    """Return the files of one run; the corpus and the measured speeds of the device do not belong to it."""
    names = (TRAJECTORY, LOGS, CHECKPOINT)
    patterns = ("report.*", f"{TRAJECTORY}.torn-*", f"{TRAJECTORY}.{BEFORE_REPAIR}*", EXCHANGE_FILES, TELEMETRY_FILES)
    old = [p for p in (run_dir / name for name in names) if p.exists()]
    return old + [p for pattern in patterns for p in run_dir.glob(pattern)]


def archive(run_dir: Path, old: Sequence[Path], notify: Callable[[str], None], what: str = "the old run") -> None:
    """Move the files ``old`` into archive/, for ``--fresh``; nothing is deleted."""
    if not old:
        return
    target = run_dir / ARCHIVE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        target.mkdir(parents=True)
        for path in old:
            path.rename(target / path.name)
    except OSError as e:
        raise JournalError(f"cannot move {what} to {target}: {e.strerror}", hint="move it by hand") from e
    notify(f"{what} was moved to {target}")
