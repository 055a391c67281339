"""The newest readings in telemetry.csv: the end of the file, of which any line may be torn or not be of ours."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.energy.telemetry import COLUMNS
from autoresearch.report.html.text import clean
from autoresearch.storage.files import open_regular, opened_directory
from autoresearch.storage.run_dir import telemetry_names

TAIL_BYTES = 8192  # about a minute at one line a second
MAX_SCOPES = 16
TEXT_CHARS = 40


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of the file; ``None`` where it has no number."""

    ts: str
    util_pct: float | None
    mem_used_mib: float | None
    power_w: float | None
    temp_c: float | None
    clock_mhz: float | None
    slowdowns: str
    phase: str
    scope: str


def read_readings(run_dir: Path, device: str = "") -> tuple[Reading, ...]:
    """The newest reading of each scope, in the order of their names; empty without a file that can be read.

    Of all devices together, or of one of several.
    """
    try:
        with opened_directory(run_dir) as folder:
            fd = open_regular(telemetry_names(device)[0], os.O_RDONLY, dir_fd=folder)
        with os.fdopen(fd, "rb") as file:
            size = os.fstat(fd).st_size
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError:
        return ()
    whole = data[: data.rfind(b"\n") + 1].decode("ascii", "replace").splitlines()
    newest: dict[str, Reading] = {}
    for reading in _parse(whole):
        if reading.scope in newest or len(newest) < MAX_SCOPES:
            newest[reading.scope] = reading
    return tuple(newest[scope] for scope in sorted(newest))


def _parse(lines: list[str]) -> Iterator[Reading]:
    for line in lines:
        cells = line.split(",")
        if len(cells) != len(COLUMNS) or cells[0] == COLUMNS[0]:
            continue
        try:
            util, mem, power, temp, clock = (_number(cell) for cell in cells[1:6])
        except ValueError:
            continue
        ts, slowdowns, phase, scope = (clean(cells[n], TEXT_CHARS) for n in (0, 6, 7, 8))
        yield Reading(ts, util, mem, power, temp, clock, slowdowns, phase, scope)


def _number(cell: str) -> float | None:
    if not cell:
        return None
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value
