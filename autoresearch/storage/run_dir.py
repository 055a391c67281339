"""A run directory: the name of every file in it, the lock that makes one process its only writer, and its archive."""

from __future__ import annotations

import errno
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.errors import JournalError, LockHeld
from autoresearch.hints import NO_SPACE, REFUSED, hint_after
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
ENVELOPE_FILES = tuple(f"{ENVELOPE}{end}" for end in ("", ".torn-*", ".unplaced-*", f".{BEFORE_REPAIR}*"))  # patterns
VAULT = "vault.jsonl"  # sealed: each trial's bits per byte on the test split (storage/vault_file.py)
CHECKPOINT = "checkpoint"  # directory of the one suspended trial
LOGS = "logs"
TRACKING = "tracking"  # directory of what `run --track` has written, and how far it is
COMMAND_FILES = "command-files.json"  # what a command can read, by name and hash
CORPUS = "corpus"  # directory of a corpus that the run prepared itself
ARCHIVE = "archive"
SETTINGS = "settings.json"  # what the run was last started with
BEST_CONFIG = "best_config.toml"  # the winner, as the baseline of a next run
PROMOTION = "promotion.json"  # whether the winner holds when it is trained longer
PROMOTION_TRIALS = "promotion-trials.jsonl"
REPORT, PAGE = "report.txt", "report.html"


def telemetry_names(device: str) -> tuple[str, str]:
    """The file of samples and the one before it: of all devices together, or of one of several, such as cuda:1."""
    suffix = f"-{re.sub('[^0-9A-Za-z]+', '-', device)}" if device else ""
    return TELEMETRY.replace(".", f"{suffix}.", 1), OLD_TELEMETRY.replace(".", f"{suffix}.", 1)


@contextmanager
def hold(run_dir: Path) -> Iterator[Path]:
    """Hold the lock of a run directory, which is created if missing. Raises ``LockHeld`` or ``JournalError``."""
    with hold_lock(run_dir):
        yield run_dir


@contextmanager
def hold_lock(run_dir: Path) -> Iterator[DirectoryLock]:
    """As ``hold``; the lock can tell other processes what its holder waits for."""
    lock = DirectoryLock(make_run_dir(run_dir) / LOCK)
    lock.acquire({"pid": os.getpid(), "host": socket.gethostname(), "since": utc()})
    try:
        yield lock
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
        hint = f"{hint_after(e, run_dir, 'create')}; or choose another --dir"
        raise JournalError(f"cannot create {run_dir}: {e.strerror}", hint=hint) from e
    return run_dir


def run_files(run_dir: Path) -> list[Path]:
    """Return the files of one run; the corpus and the measured speeds of the device do not belong to it."""
    names = (TRAJECTORY, HISTORY_CACHE, RUN_CACHE, LOGS, CHECKPOINT, TRACKING, COMMAND_FILES, SETTINGS, BEST_CONFIG)
    beside = (f"{TRAJECTORY}.torn-*", f"{TRAJECTORY}.unplaced-*", f"{TRAJECTORY}.{BEFORE_REPAIR}*")
    patterns = ("report.*", *beside, EXCHANGE_FILES, TELEMETRY_FILES, f"{VAULT}*", PROMOTION, f"{PROMOTION_TRIALS}*")
    old = [p for p in (run_dir / name for name in names) if p.exists()]
    return old + [p for pattern in patterns for p in run_dir.glob(pattern)]


def archive(run_dir: Path, old: Sequence[Path], notify: Callable[[str], None], what: str = "the old run") -> None:
    """Move the files ``old`` into archive/, for ``--fresh``; nothing is deleted."""
    if not old:
        return
    if in_use := [path for path in old if is_locked(path)]:  # run.lock may have been removed
        raise LockHeld(
            f"a running autoresearch appends to {in_use[0]}",
            hint=f"stop that process first: fuser {shlex.quote(str(in_use[0].absolute()))} names it",
        )
    target = run_dir / ARCHIVE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        with opened_directory(target.parent, own=True, create=True) as folder, opened_directory(run_dir) as source:
            os.mkdir(target.name, dir_fd=folder)
            for path in old:
                os.rename(path.name, f"{target.name}/{path.name}", src_dir_fd=source, dst_dir_fd=folder)
    except OSError as e:
        raise JournalError(f"cannot move {what} to {target}: {e.strerror}", hint=_how_to_move(e, old, target)) from e
    notify(f"{what} was moved to {target}")


def _how_to_move(e: OSError, old: Sequence[Path], target: Path) -> str:
    """What to try after a failed move of ``old``: its cause, or the commands that move what is still there."""
    if target.parent.is_symlink():
        return f"remove the link, which leaves what is behind it: rm {shlex.quote(str(target.parent.absolute()))}"
    if e.errno in {*NO_SPACE, *REFUSED, errno.EROFS}:
        return hint_after(e, target, "create")
    files = shlex.join(str(path.absolute()) for path in old if os.path.lexists(path))
    folder = shlex.quote(str(target.absolute()))
    return f"mkdir -p {folder} && mv {files} {folder}, then start without --fresh"
