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
from autoresearch.core.records import Event, TrialEnded, TrialStarted, TrialSuspended
from autoresearch.storage.files import open_regular, opened_directory
from autoresearch.storage.run_dir import PROGRESS

EVERY_S = 1.0
MAX_BYTES = 1 << 18  # 1,024 trials are 130 KB
TEMPORARY = f".{PROGRESS}.new"


@dataclass(frozen=True, slots=True)
class TrialAt:
    """One of several running trials; ``where`` is its device or worker."""

    trial: int
    iter: int
    seed: int
    where: str
    phase: str
    fraction: float
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """The content of the file. ``iter`` is null before the loop begins, while the corpus is prepared.

    ``trials`` are those of a parallel run, the rest is then the newest of them; the file of a serial run has none.
    """

    pid: int
    iter: int | None
    phase: str
    fraction: float
    tokens_per_s: float | None
    trials: tuple[TrialAt, ...] = ()


class ProgressFile(Observer):
    """An observer that writes progress.json in ``run_dir``, at most once a second; a failed write is ignored."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = run_dir / PROGRESS
        self._clock = clock
        self._next_write_s = -math.inf
        self._written = False
        self._trials: dict[int, TrialAt] = {}

    def progressed(self, progress: ports.Progress) -> None:
        if progress.trial and progress.seed is not None:
            own = (progress.iter, progress.seed, progress.where, progress.phase)
            self._trials[progress.trial] = TrialAt(progress.trial, *own, progress.fraction, progress.tokens_per_s)
        self._write(progress.iter, progress.phase, progress.fraction, progress.tokens_per_s)

    def preparing(self, stage: str, fraction: float) -> None:
        self._write(None, stage, fraction, None)

    def notify(self, message: str) -> None:
        """A message ends the progress of a preparation, so the file is removed; not that of several trials."""
        if not self._trials:
            self.close()

    def recorded(self, event: Event) -> None:
        """The progress of a trial that begins is written at once; after any other record no trial is running.

        Of several trials, the others are.
        """
        if isinstance(event, TrialEnded | TrialSuspended):
            self._trials.pop(event.trial, None)
        if not isinstance(event, TrialStarted) and not self._trials:
            self.close()
        self._next_write_s = -math.inf

    def close(self) -> None:
        """Remove the file if this daemon wrote it: another daemon may have begun since the lock was released."""
        self._trials.clear()
        if self._written and (on_disk := read_progress(self.path.parent)) and on_disk.pid == os.getpid():
            with suppress(OSError), opened_directory(self.path.parent) as folder:
                os.unlink(self.path.name, dir_fd=folder)
        self._written = False

    def _write(self, n: int | None, phase: str, fraction: float, tokens_per_s: float | None) -> None:
        now = self._clock()
        if now < self._next_write_s:
            return
        self._next_write_s = now + EVERY_S
        snapshot = ProgressSnapshot(os.getpid(), n, phase, fraction, tokens_per_s, tuple(self._trials.values()))
        with suppress(OSError, ValueError):  # ValueError: NaN or infinity, which JSON cannot hold
            fields = asdict(snapshot)
            if not self._trials:
                del fields["trials"]
            self._replace(json.dumps(fields, allow_nan=False))
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
        trials=tuple(map(_parse_trial, fields.get("trials", ()))),
    )


def _parse_trial(fields: dict[str, Any]) -> TrialAt:
    fraction, speed = float(fields["fraction"]), fields["tokens_per_s"]
    if not math.isfinite(fraction):
        raise ValueError("the fraction is not finite")
    return TrialAt(
        trial=int(fields["trial"]),
        iter=int(fields["iter"]),
        seed=int(fields["seed"]),
        where=str(fields["where"]),
        phase=str(fields["phase"]),
        fraction=min(1.0, max(0.0, fraction)),
        tokens_per_s=None if speed is None else float(speed),
    )
