"""progress.json: the progress of the running trial, for other processes. Nothing depends on it.

It is replaced atomically but never synced: it may be lost in a power cut, and it must not keep a disk from sleeping. It
holds the daemon's pid, so that a file that a killed daemon left is recognised as stale: only the lock's holder counts.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoresearch.core import ports
from autoresearch.core.ports import Observer
from autoresearch.core.records import Event, TrialStarted
from autoresearch.storage.files import open_regular, opened_directory
from autoresearch.storage.run_dir import PROGRESS

EVERY_S = 1.0
MAX_BYTES = 4096
TEMPORARY = f".{PROGRESS}.new"


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """The content of the file. ``iter`` is null before the loop begins, while the corpus is prepared."""

    pid: int
    iter: int | None
    phase: str
    fraction: float
    tokens_per_s: float | None


class ProgressFile(Observer):
    """An observer that writes progress.json in ``run_dir``, at most once a second; a failed write is ignored."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = run_dir / PROGRESS
        self._clock = clock
        self._next_write_s = -math.inf
        self._written = False

    def progressed(self, progress: ports.Progress) -> None:
        self._write(progress.iter, progress.phase, progress.fraction, progress.tokens_per_s)

    def preparing(self, stage: str, fraction: float) -> None:
        self._write(None, stage, fraction, None)

    def notify(self, message: str) -> None:
        """A message ends the progress of a preparation, so the file is removed."""
        self.close()

    def recorded(self, event: Event) -> None:
        """The progress of a trial that begins is written at once; after any other record no trial is running."""
        if not isinstance(event, TrialStarted):
            self.close()
        self._next_write_s = -math.inf

    def close(self) -> None:
        """Remove the file if this daemon wrote it: another daemon may have begun since the lock was released."""
        if self._written and (on_disk := read_progress(self.path.parent)) and on_disk.pid == os.getpid():
            with suppress(OSError), opened_directory(self.path.parent) as folder:
                os.unlink(self.path.name, dir_fd=folder)
        self._written = False

    def _write(self, n: int | None, phase: str, fraction: float, tokens_per_s: float | None) -> None:
        now = self._clock()
        if now < self._next_write_s:
            return
        self._next_write_s = now + EVERY_S
        snapshot = ProgressSnapshot(os.getpid(), n, phase, fraction, tokens_per_s)
        with suppress(OSError, ValueError):  # ValueError: NaN or infinity, which JSON cannot hold
            self._replace(json.dumps(asdict(snapshot), allow_nan=False))
            self._written = True

    def _replace(self, text: str) -> None:
        """Replace the file's content, through another name in the same directory. Raises ``OSError``."""
        with opened_directory(self.path.parent) as folder:
            with suppress(FileNotFoundError):  # left by a killed daemon, or a link that another user placed
                os.unlink(TEMPORARY, dir_fd=folder)
            fd = open_regular(TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(text)
            os.rename(TEMPORARY, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)


def read_progress(run_dir: Path) -> ProgressSnapshot | None:
    """Return the content of the file, or ``None`` if it is missing or invalid."""
    try:
        with opened_directory(run_dir) as folder:
            fd = open_regular(PROGRESS, os.O_RDONLY, dir_fd=folder)
        with os.fdopen(fd, "rb") as file:
            return _parse_snapshot(json.loads(file.read(MAX_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _parse_snapshot(fields: dict[str, Any]) -> ProgressSnapshot:
    n, speed = fields["iter"], fields["tokens_per_s"]
    fraction = float(fields["fraction"])
    if not math.isfinite(fraction):
        raise ValueError("the fraction is not finite")
    return ProgressSnapshot(
        pid=int(fields["pid"]),
        iter=None if n is None else int(n),
        phase=str(fields["phase"]),
        fraction=min(1.0, max(0.0, fraction)),
        tokens_per_s=None if speed is None else float(speed),
    )
