"""A run directory: the name of every file in it, the lock that makes one process its only writer, and its archive."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.errors import JournalError, LockHeld
from autoresearch.machine import utc
from autoresearch.storage.files import opened_directory
from autoresearch.storage.lock import DirectoryLock, is_locked

TRAJECTORY = "trajectory.jsonl"
HISTORY_CACHE = "trajectory.history-cache"  # of a long run, for status and report; may be deleted at any time
RUN_CACHE = "trajectory.run-cache"  # of a long run, for its next start; may be deleted at any time
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
ENVELOPE_FILES = (ENVELOPE, f"{ENVELOPE}.torn-*", f"{ENVELOPE}.unplaced-*")  # glob patterns
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


def has_writer(run_dir: Path) -> bool:
    """Whether a live process writes in the run directory; also where its run.lock was removed."""
    return is_locked(run_dir / LOCK) or is_locked(run_dir / TRAJECTORY)


def make_run_dir(run_dir: Path) -> Path:
    """Create the run directory if it is missing. Raises ``JournalError``."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise JournalError(f"cannot create {run_dir}: {e.strerror}", hint="choose another --dir") from e
    return run_dir


def run_files(run_dir: Path) -> list[Path]:
    """Return the files of one run; the corpus and the measured speeds of the device do not belong to it."""
    names = (TRAJECTORY, HISTORY_CACHE, RUN_CACHE, LOGS, CHECKPOINT)
    beside = (f"{TRAJECTORY}.torn-*", f"{TRAJECTORY}.unplaced-*", f"{TRAJECTORY}.{BEFORE_REPAIR}*")
    patterns = ("report.*", *beside, EXCHANGE_FILES, TELEMETRY_FILES)
    old = [p for p in (run_dir / name for name in names) if p.exists()]
    return old + [p for pattern in patterns for p in run_dir.glob(pattern)]


def archive(run_dir: Path, old: Sequence[Path], notify: Callable[[str], None], what: str = "the old run") -> None:
    """Move the files ``old`` into archive/, for ``--fresh``; nothing is deleted."""
    if not old:
        return
    if in_use := [path for path in old if is_locked(path)]:  # run.lock may have been removed
        raise LockHeld(f"a running autoresearch appends to {in_use[0]}", hint="stop that process first")
    target = run_dir / ARCHIVE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        with opened_directory(target.parent, own=True, create=True) as folder, opened_directory(run_dir) as source:
            os.mkdir(target.name, dir_fd=folder)
            for path in old:
                os.rename(path.name, f"{target.name}/{path.name}", src_dir_fd=source, dst_dir_fd=folder)
    except OSError as e:
        raise JournalError(f"cannot move {what} to {target}: {e.strerror}", hint="move it by hand") from e
    notify(f"{what} was moved to {target}")
