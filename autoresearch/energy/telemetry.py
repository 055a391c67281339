"""telemetry.csv: every sample of a run, in columns that other tools read. Its size is bounded; a line may be lost."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.core.power import Phase, Scope
from autoresearch.energy.sample import Sample
from autoresearch.storage.files import open_regular, opened_directory
from autoresearch.storage.run_dir import telemetry_names

COLUMNS = (
    *("timestamp", "gpu_util_pct", "mem_used_mib", "power_w", "temp_c"),  # in this order, which other tools read
    *("clock_mhz", "slowdowns", "phase", "scope"),
)
MAX_BYTES = 8 << 20  # about a day at one line a second; the previous file is kept beside it
HEADER = ",".join(COLUMNS) + "\n"


class Telemetry:
    """The writer. Where the disk refuses a line, that line is lost and nothing else."""

    def __init__(self, run_dir: Path, max_bytes: int = MAX_BYTES, device: str = "") -> None:
        """``device``: one of several, which has a file of its own beside that of all."""
        self._path, self._old = (run_dir / name for name in telemetry_names(device))
        self._max_bytes = max_bytes
        self._fd: int | None = None
        self._size = 0

    def write(self, sample: Sample, power_w: float | None, now: float, phase: Phase, scope: Scope | None) -> None:
        """Append one line: ``sample`` with ``power_w``, at ``now`` seconds since the epoch."""
        stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        mib = None if sample.mem_used_bytes is None else sample.mem_used_bytes / 2**20
        numbers = (sample.util_pct, mib, power_w, sample.temp_c, sample.clock_mhz)
        cells = ["" if n is None else f"{n:.3f}".rstrip("0").rstrip(".") for n in numbers]
        line = ",".join([stamp, *cells, " ".join(sample.slowdowns or ()), phase, scope or ""]) + "\n"
        try:
            self._append(line.encode("ascii", "replace"))
        except OSError:
            self.close()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, line: bytes) -> None:
        if self._fd is not None and self._size + len(line) > self._max_bytes:
            self.close()
            with opened_directory(self._path.parent) as folder:
                os.rename(self._path.name, self._old.name, src_dir_fd=folder, dst_dir_fd=folder)
        if self._fd is None:
            self._open()
        assert self._fd is not None
        self._size += (written := os.write(self._fd, line))
        if written < len(line):  # the disk is full; the next line begins with a line break
            self.close()

    def _open(self) -> None:
        with opened_directory(self._path.parent) as folder:
            self._fd = open_regular(self._path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, dir_fd=folder)
        self._size = os.fstat(self._fd).st_size
        # A line break ends a line that a crash left incomplete; the reader skips that one.
        self._size += os.write(self._fd, b"\n" if self._size else HEADER.encode())
