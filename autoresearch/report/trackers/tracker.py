"""What every tracker does, whatever its library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoresearch.report.trackers.tracked_run import TrackedRun

PROJECT = "autoresearch"  # the project or experiment that runs are written to, where the tool's variables name none


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tracker writes: to ``path``, or to the server that the tool's own variables in ``environ`` name."""

    path: Path
    environ: Mapping[str, str] | None = None  # None: to ``path``, whatever the environment says


class Tracker(Protocol):
    """Writes runs by the tool's own library. Errors are the library's."""

    def write(self, run: TrackedRun) -> None:
        """Write a whole run and return when the library has it. One that a kill left unfinished is completed."""
        ...

    def close(self) -> None:
        """Hand over what is left."""
        ...
