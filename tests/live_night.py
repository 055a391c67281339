"""A run directory that grows while a page shows it: an invented night with lock, progress and telemetry."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.core.records import Event, LoopComplete, Started, TrialStarted, encode
from autoresearch.energy.telemetry import HEADER
from autoresearch.storage.journal import seal, unseal
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, PROGRESS, TELEMETRY, TRAJECTORY
from benchmarks.long_night import records


class LiveNight:
    """The night of ``iterations`` in ``path``, written as far as ``grow`` was asked to."""

    def __init__(self, path: Path, iterations: int) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._records: Iterator[Event] = records(iterations, 900.0)
        self._written = 0
        self._lock = DirectoryLock(path / LOCK)
        self.open_iter = 0  # of the trial that has begun and not ended
        self.is_open = False

    def begin(self) -> None:
        """Hold the run's lock, as its daemon does."""
        self._lock.acquire({"pid": os.getpid(), "host": socket.gethostname()})

    def end(self) -> None:
        self._lock.release()

    def grow(self, count: int) -> None:
        """Append the next ``count`` records, never the last one."""
        lines = []
        for _ in range(count):
            record = next(self._records)
            if isinstance(record, LoopComplete):
                break
            if isinstance(record, TrialStarted):
                self.open_iter = record.iter
            self.is_open = isinstance(record, TrialStarted)
            if isinstance(record, Started):
                record = record.model_copy(update={"pid": os.getpid()})
            lines.append(seal(self._written, encode(record)))
            self._written += 1
        with (self.path / TRAJECTORY).open("ab") as file:
            file.write(b"".join(lines))

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Write every record again, changed, with its checksum."""
        file = self.path / TRAJECTORY
        lines = [unseal(line) for line in file.read_bytes().splitlines()]
        file.write_bytes(b"".join(seal(line[0], change(line[1].decode())) for line in lines if line))

    def progress(self, i: int, fraction: float) -> None:
        """Replace progress.json, and add a line of telemetry."""
        fields = {"pid": os.getpid(), "iter": i, "phase": "train", "fraction": fraction, "tokens_per_s": 13900.0}
        (self.path / f"{PROGRESS}.new").write_text(json.dumps(fields))
        (self.path / f"{PROGRESS}.new").rename(self.path / PROGRESS)
        telemetry = self.path / TELEMETRY
        if not telemetry.exists():
            telemetry.write_text(HEADER)
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with telemetry.open("a") as file:
            file.write(f"{stamp},97,24576,{60 + 10 * fraction:.1f},71,2100,,train,gpu\n")
