"""progress.json: how far the running trial is, for who looks on from another process. Its loss means nothing.

Whole or not there, but never synced: a power cut may take it, and a disk must not be kept awake for it. It carries the
daemon's pid, so that what a killed daemon left behind is known to be stale: only the holder of the lock counts.
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
from autoresearch.storage.files import open_regular
from autoresearch.storage.run_dir import PROGRESS

EVERY_S = 1.0
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """What the file says. ``iter`` is null before the loop begins, where the corpus is prepared."""

    pid: int
    iter: int | None
    phase: str
    fraction: float
    tokens_per_s: float | None


class ProgressFile(Observer):
    """A watcher that keeps progress.json in ``run_dir``: at most one write a second, and none where it cannot write."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = run_dir / PROGRESS
        self._clock = clock
        self._next = -math.inf
        self._there = False

    def progressed(self, progress: ports.Progress) -> None:
        self._write(progress.iter, progress.phase, progress.fraction, progress.tokens_per_s)

    def preparing(self, stage: str, fraction: float) -> None:
        self._write(None, stage, fraction, None)

    def notify(self, message: str) -> None:
        """Whatever was prepared is over: something else is said now."""
        self.close()

    def recorded(self, event: Event) -> None:
        """A trial that begins is shown at once; whatever else happens, none is running."""
        if not isinstance(event, TrialStarted):
            self.close()
        self._next = -math.inf

    def close(self) -> None:
        """Take the file away, if it is this daemon's: another may have begun since the lock was given back."""
        if self._there and (shown := read_progress(self.path.parent)) and shown.pid == os.getpid():
            with suppress(OSError):
                self.path.unlink()
        self._there = False

    def _write(self, n: int | None, phase: str, fraction: float, tokens_per_s: float | None) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY_S
        shown = ProgressSnapshot(os.getpid(), n, phase, fraction, tokens_per_s)
        temporary = self.path.with_name(f".{PROGRESS}.new")
        with suppress(OSError, ValueError):  # ValueError: a number that JSON has no word for
            text = json.dumps(asdict(shown), allow_nan=False)
            temporary.unlink(missing_ok=True)  # what a killed daemon left, or a link that somebody planted
            with os.fdopen(
                open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="ascii"
            ) as file:
                file.write(text)
            temporary.replace(self.path)
            self._there = True


def read_progress(run_dir: Path) -> ProgressSnapshot | None:
    """What the file says, or ``None`` where there is none or it makes no sense."""
    try:
        with os.fdopen(open_regular(run_dir / PROGRESS, os.O_RDONLY), "rb") as file:
            return _shown(json.loads(file.read(MAX_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _shown(fields: dict[str, Any]) -> ProgressSnapshot:
    n, speed = fields["iter"], fields["tokens_per_s"]
    fraction = float(fields["fraction"])
    if not math.isfinite(fraction):
        raise ValueError("no fraction")
    return ProgressSnapshot(
        pid=int(fields["pid"]),
        iter=None if n is None else int(n),
        phase=str(fields["phase"]),
        fraction=min(1.0, max(0.0, fraction)),
        tokens_per_s=None if speed is None else float(speed),
    )
