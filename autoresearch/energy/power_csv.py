"""Integrates a CSV of power over time: a run's telemetry.csv, nvidia-smi's output, or one of another tool.

The columns of times and of watts are found by their names. A cell such as ``[N/A]`` is not known; a line that is cut
off or has no time is skipped and counted. Where a column identifies several devices, each is integrated on its own and
their joules are added.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal, TextIO

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.energy.integrate import integrate
from autoresearch.energy.sample import Sample
from autoresearch.errors import AutoresearchError

TIME_COLUMNS = ("timestamp", "time", "datetime", "date", "ts", "time_s", "elapsed_s")
POWER_COLUMNS = (
    *("power_w", "power.draw", "power.draw.average", "power.draw.instant", "power_draw_w", "power_draw"),
    *("gpu_power_w", "power_watts", "power", "watts"),
)
DEVICE_COLUMNS = ("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "index", "gpu_index", "gpu")
SCOPES = ("gpu", "package", "system")
WATTS_CELL = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(m|k)?W?", re.IGNORECASE)
UNIT = re.compile(r"\s*\[(.*)\]\s*$")
UNIT_FACTORS = {"m": 1e-3, "k": 1e3, "": 1.0}
EPOCH_MS = 1e11  # a larger number counts milliseconds: as seconds it would be after the year 5000
GAP_INTERVALS = 3.0  # samples further apart than so many median intervals are not joined
MAX_BURST_STEP_S = 0.05  # between the lines of devices that are read one after the other
MIN_STEPS = 3
MAX_BURST_STEP_FRAC = 0.1  # of the interval between two bursts: lines closer together belong to one moment
MIN_BURST_STEPS_FRAC = 1 / 3  # of all steps between lines; two devices make it half of them
HINT = "give a CSV with the columns timestamp and power_w, or those of nvidia-smi --query-gpu=timestamp,power.draw"


@dataclass(frozen=True, slots=True)
class EnergyFigures:
    """The result for one file. ``None`` means not known; the units are in the names."""

    energy_kwh: float | None  # of the covered seconds
    mean_w: float | None
    peak_w: float | None
    span_s: float
    coverage: float  # the share of span_s that energy_kwh and mean_w cover
    scope: str | None  # what the watts are of, where the file tells it
    method: Literal["trapezoid"]
    gap_s: float | None  # samples further apart were not joined
    gaps: int
    samples: int  # with a power
    rows: int
    skipped: int  # lines without a time


@dataclass(slots=True)
class PowerCsv:
    """The samples of each device, in the file's order."""

    devices: dict[str, list[Sample]] = field(default_factory=dict)
    rows: int = 0
    skipped: int = 0
    scope: str | None = None


def read_figures(path: Path, gap_s: float | None = None) -> EnergyFigures:
    """Read and integrate the file. Raises ``AutoresearchError`` where it cannot be read as a CSV of power."""
    try:
        with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
            power_csv = parse_power_csv(file, str(path))
    except OSError as e:
        raise AutoresearchError(f"cannot read {path}: {e.strerror}", hint="give the path of a CSV file of power") from e
    return integrate_power_csv(power_csv, gap_s)


def parse_power_csv(lines: TextIO | Iterable[str], name: str) -> PowerCsv:
    """The samples of a CSV. Raises ``AutoresearchError`` where no column of times or of watts can be found."""
    rows = _rows(lines, name)
    first = next(rows, None)
    if first is None:
        raise AutoresearchError(f"{name} is empty", hint=HINT)
    columns = _columns_without_header(first) if _time_of(first[0]) is not None else _columns(first, name)
    power_csv = PowerCsv(scope=columns.scope)
    if columns.first_row_is_data:
        _add_row(power_csv, columns, first)
    for row in rows:
        _add_row(power_csv, columns, row)
    if not power_csv.devices:
        raise AutoresearchError(f"{name} has no line with a valid time", hint=HINT)
    if columns.device is None and _is_interleaved(power_csv.devices[""]):
        what = f"{name} has several lines for one moment and no column that identifies the device"
        raise AutoresearchError(what, hint="log uuid or index too: nvidia-smi --query-gpu=timestamp,index,power.draw")
    return power_csv


def integrate_power_csv(power_csv: PowerCsv, gap_s: float | None = None) -> EnergyFigures:
    """Integrate each device by trapezoids and add them up."""
    gap_s = gap_s or _default_gap_s(power_csv)
    known = [[s for s in samples if s.watts is not None] for samples in power_csv.devices.values()]
    totals = [integrate(samples, gap_s or 0.0) for samples in power_csv.devices.values()]
    energies = [t.energy_j for t in totals if t.energy_j is not None]
    means = [t.mean_w for t in totals if t.mean_w is not None]
    spans = sum(t.span_s for t in totals)
    return EnergyFigures(
        energy_kwh=sum(energies) / JOULES_PER_KWH if energies else None,
        mean_w=sum(means) if means else None,
        peak_w=_peak_w(known, gap_s or 0.0),
        span_s=max(t.span_s for t in totals),
        coverage=min(1.0, sum(t.covered_s for t in totals) / spans) if spans > 0 else 0.0,
        scope=power_csv.scope,
        method="trapezoid",
        gap_s=gap_s,
        gaps=sum(t.gaps for t in totals),
        samples=sum(map(len, known)),
        rows=power_csv.rows,
        skipped=power_csv.skipped,
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    time: int
    power: int
    factor: float = 1.0
    device: int | None = None
    scope_at: int | None = None
    scope: str | None = None
    first_row_is_data: bool = False
    header: tuple[str, ...] = ()


def _columns(header: Sequence[str], name: str) -> _Columns:
    names = [UNIT.sub("", cell).strip().lower() for cell in header]
    time = next((names.index(n) for n in TIME_COLUMNS if n in names), None)
    power = next((names.index(n) for n in POWER_COLUMNS if n in names), None)
    if time is None or power is None:
        missing = "times" if time is None else "watts"
        what = f"{name} has no column of {missing}; its first line is {ascii(','.join(header))[:200]}"
        raise AutoresearchError(what, hint=HINT)
    unit = UNIT.search(header[power])
    return _Columns(
        time=time,
        power=power,
        factor=1e-3 if unit and unit[1].strip().lower() == "mw" else 1.0,
        device=next((names.index(n) for n in DEVICE_COLUMNS if n in names), None),
        scope_at=names.index("scope") if "scope" in names else None,
        scope="gpu" if names[power].startswith(("power.draw", "gpu_")) else None,  # nvidia-smi reports nothing else
        header=tuple(header),
    )


def _columns_without_header(first: Sequence[str]) -> _Columns:
    """Of a file of ``nvidia-smi --format=csv,noheader``: the watts are the cell that ends in W."""
    power = next(
        (n for n, cell in enumerate(first) if cell.strip().endswith("W") and _watts_of(cell) is not None), None
    )
    if power is None:
        raise AutoresearchError(
            "the file has no header, and no cell of its first line is a number that ends in W", hint=HINT
        )
    return _Columns(time=0, power=power, scope="gpu", first_row_is_data=True)


def _add_row(power_csv: PowerCsv, columns: _Columns, row: Sequence[str]) -> None:
    if tuple(row) == columns.header:  # the header again: two logs in one file
        return
    power_csv.rows += 1
    t = _time_of(row[columns.time]) if columns.time < len(row) else None
    if t is None:
        power_csv.skipped += 1
        return
    watts = _watts_of(row[columns.power]) if columns.power < len(row) else None
    device = row[columns.device].strip() if columns.device is not None and columns.device < len(row) else ""
    if columns.scope_at is not None and columns.scope_at < len(row) and (scope := row[columns.scope_at].strip()):
        power_csv.scope = scope if scope in SCOPES and power_csv.scope in (None, scope) else "mixed"
    power_w = None if watts is None else watts * columns.factor
    power_csv.devices.setdefault(device, []).append(Sample(t, power_w=power_w))


def _rows(lines: TextIO | Iterable[str], name: str) -> Iterator[list[str]]:
    """The rows that are not blank. The rest of a row that a crash cut off (zeros, half a line) is not an error."""
    try:
        for row in csv.reader((line.replace("\0", "") for line in lines), skipinitialspace=True):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as e:
        raise AutoresearchError(f"{name} is not a CSV file: {e}", hint=HINT) from e


def _time_of(cell: str) -> float | None:
    """Seconds: ISO 8601, nvidia-smi's ``2026/11/21 22:00:00.123``, or a number (of seconds or milliseconds)."""
    text = cell.strip()
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        seconds = number / 1000 if number > EPOCH_MS else number
        return seconds if 0 <= seconds < math.inf else None
    try:
        when = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _watts_of(cell: str) -> float | None:
    match = WATTS_CELL.fullmatch(cell.strip())
    return float(match[1]) * UNIT_FACTORS[(match[2] or "").lower()] if match else None


def _is_interleaved(samples: Sequence[Sample]) -> bool:
    """Whether the lines come in bursts, which is how a log of two to eight devices looks.

    As one series, each interval would be counted once instead of once for each device.
    """
    steps = sorted(b.t - a.t for a, b in itertools.pairwise(samples) if b.t >= a.t)
    if len(steps) < MIN_STEPS:
        return False
    interval_s = steps[len(steps) * 9 // 10]
    # Bounded: in a log with many gaps, normal steps would look like bursts.
    burst_step_s = min(MAX_BURST_STEP_FRAC * interval_s, MAX_BURST_STEP_S)
    return sum(step <= burst_step_s for step in steps) >= MIN_BURST_STEPS_FRAC * len(steps)


def _default_gap_s(power_csv: PowerCsv) -> float | None:
    """``GAP_INTERVALS`` times the median interval between samples; ``None`` where there are fewer than two."""
    steps: list[float] = []
    for samples in power_csv.devices.values():
        times = [s.t for s in samples]
        steps += [b - a for a, b in itertools.pairwise(times) if b > a]
    return GAP_INTERVALS * median(steps) if steps else None


def _peak_w(devices: Sequence[Sequence[Sample]], gap_s: float) -> float | None:
    """The largest sum over all devices of their last readings that are at most ``gap_s`` old."""
    merged = sorted((s.t, n, s.watts or 0.0) for n, samples in enumerate(devices) for s in samples)
    latest: dict[int, tuple[float, float]] = {}
    peak: float | None = None
    for t, n, watts in merged:
        latest[n] = (t, watts)
        peak = max(peak or 0.0, sum(w for at, w in latest.values() if t - at <= gap_s))
    return peak


def _encoding(path: Path) -> str:
    """UTF-16 where the file starts with its byte order mark (PowerShell's ``>`` writes it), else UTF-8."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
