"""Anyone's CSV of power over time, integrated: our own telemetry, the origin's, nvidia-smi's in any of its dialects.

Wanted are a column of times and a column of watts, found by name. A cell such as ``[N/A]`` is not known; a line that
was torn or has no time is passed over and counted. Where a column tells several devices apart, each is integrated for
itself, and their joules are added.
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

TIMES = ("timestamp", "time", "datetime", "date", "ts", "time_s", "elapsed_s")
POWERS = (
    *("power_w", "power.draw", "power.draw.average", "power.draw.instant", "power_draw_w", "power_draw"),
    *("gpu_power_w", "power_watts", "power", "watts"),
)
DEVICES = ("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "index", "gpu_index", "gpu")
SCOPES = ("gpu", "package", "system")
CELL_W = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(m|k)?W?", re.IGNORECASE)
UNIT = re.compile(r"\s*\[(.*)\]\s*$")
FACTORS = {"m": 1e-3, "k": 1e3, "": 1.0}
EPOCH_MS = 1e11  # a larger number counts milliseconds: as seconds it would be after the year 5000
GAP_INTERVALS = 3.0  # samples that are further apart than so many usual intervals are not joined
AT_ONCE_S = 0.05  # devices that are asked one after the other
MIN_STEPS = 3
BURST = 0.1  # of the interval between two bursts: lines that are closer together are of one moment
BURSTS = 1 / 3  # of all intervals; of two devices' lines it is half
HINT = "wanted are the columns timestamp and power_w, or those of nvidia-smi --query-gpu=timestamp,power.draw"


@dataclass(frozen=True, slots=True)
class EnergyFigures:
    """What a sheet comes to. ``None`` is "not known"; seconds, watts and kWh as the names say."""

    energy_kwh: float | None  # of the covered seconds
    mean_w: float | None
    peak_w: float | None
    span_s: float
    coverage: float  # the share of span_s that energy_kwh and mean_w speak of
    scope: str | None  # what the watts are of, where the sheet says it
    method: Literal["trapezoid"]
    gap_s: float | None  # samples further apart were not joined
    gaps: int
    samples: int  # with a power
    rows: int
    skipped: int  # lines without a time


@dataclass(slots=True)
class PowerCsv:
    """What was read: the samples of each device, in the file's order."""

    devices: dict[str, list[Sample]] = field(default_factory=dict)
    rows: int = 0
    skipped: int = 0
    scope: str | None = None


def read_figures(path: Path, gap_s: float | None = None) -> EnergyFigures:
    """Read and integrate the file. Raises ``AutoresearchError`` for what is no such sheet."""
    try:
        with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
            sheet = parse_power_csv(file, str(path))
    except OSError as e:
        raise AutoresearchError(f"cannot read {path}: {e.strerror}", hint="give a CSV file") from e
    return integrate_power_csv(sheet, gap_s)


def parse_power_csv(lines: TextIO | Iterable[str], name: str) -> PowerCsv:
    """The samples of a CSV. Raises ``AutoresearchError`` where no column of times or of watts can be found."""
    rows = _rows(lines, name)
    first = next(rows, None)
    if first is None:
        raise AutoresearchError(f"{name} is empty", hint=HINT)
    columns = _headless(first) if _time_of(first[0]) is not None else _columns(first, name)
    sheet = PowerCsv(scope=columns.scope)
    if columns.is_headless:
        _take(sheet, columns, first)
    for row in rows:
        _take(sheet, columns, row)
    if not sheet.devices:
        raise AutoresearchError(f"{name} has no line with a time that can be read", hint=HINT)
    if columns.device is None and _is_interleaved(sheet.devices[""]):
        what = f"{name} has several lines for one moment and no column that tells devices apart"
        raise AutoresearchError(what, hint="log uuid or index too: nvidia-smi --query-gpu=timestamp,index,power.draw")
    return sheet


def integrate_power_csv(sheet: PowerCsv, gap_s: float | None = None) -> EnergyFigures:
    """The trapezoids of every device, added up."""
    gap_s = gap_s or _usual_gap_s(sheet)
    known = [[s for s in samples if s.watts is not None] for samples in sheet.devices.values()]
    totals = [integrate(samples, gap_s or 0.0) for samples in sheet.devices.values()]
    energies = [t.energy_j for t in totals if t.energy_j is not None]
    means = [t.mean_w for t in totals if t.mean_w is not None]
    spans = sum(t.span_s for t in totals)
    return EnergyFigures(
        energy_kwh=sum(energies) / JOULES_PER_KWH if energies else None,
        mean_w=sum(means) if means else None,
        peak_w=_peak_w(known, gap_s or 0.0),
        span_s=max(t.span_s for t in totals),
        coverage=min(1.0, sum(t.covered_s for t in totals) / spans) if spans > 0 else 0.0,
        scope=sheet.scope,
        method="trapezoid",
        gap_s=gap_s,
        gaps=sum(t.gaps for t in totals),
        samples=sum(map(len, known)),
        rows=sheet.rows,
        skipped=sheet.skipped,
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    time: int
    power: int
    factor: float = 1.0
    device: int | None = None
    scope_at: int | None = None
    scope: str | None = None
    is_headless: bool = False
    header: tuple[str, ...] = ()


def _columns(header: Sequence[str], name: str) -> _Columns:
    bare = [UNIT.sub("", cell).strip().lower() for cell in header]
    time = next((bare.index(n) for n in TIMES if n in bare), None)
    power = next((bare.index(n) for n in POWERS if n in bare), None)
    if time is None or power is None:
        missing = "times" if time is None else "watts"
        what = f"{name} has no column of {missing}; its first line is {ascii(','.join(header))[:200]}"
        raise AutoresearchError(what, hint=HINT)
    unit = UNIT.search(header[power])
    return _Columns(
        time=time,
        power=power,
        factor=1e-3 if unit and unit[1].strip().lower() == "mw" else 1.0,
        device=next((bare.index(n) for n in DEVICES if n in bare), None),
        scope_at=bare.index("scope") if "scope" in bare else None,
        scope="gpu" if bare[power].startswith(("power.draw", "gpu_")) else None,  # nvidia-smi knows nothing else
        header=tuple(header),
    )


def _headless(first: Sequence[str]) -> _Columns:
    """``--format=csv,noheader``: the watts are the cell that says so."""
    power = next(
        (n for n, cell in enumerate(first) if cell.strip().endswith("W") and _watts_of(cell) is not None), None
    )
    if power is None:
        raise AutoresearchError("the file has no header, and no cell of its first line ends in W", hint=HINT)
    return _Columns(time=0, power=power, scope="gpu", is_headless=True)


def _take(sheet: PowerCsv, columns: _Columns, row: Sequence[str]) -> None:
    if tuple(row) == columns.header:  # two logs, one behind the other
        return
    sheet.rows += 1
    t = _time_of(row[columns.time]) if columns.time < len(row) else None
    if t is None:
        sheet.skipped += 1
        return
    watts = _watts_of(row[columns.power]) if columns.power < len(row) else None
    device = row[columns.device].strip() if columns.device is not None and columns.device < len(row) else ""
    if columns.scope_at is not None and columns.scope_at < len(row) and (said := row[columns.scope_at].strip()):
        sheet.scope = said if said in SCOPES and sheet.scope in (None, said) else "mixed"
    power_w = None if watts is None else watts * columns.factor
    sheet.devices.setdefault(device, []).append(Sample(t, power_w=power_w))


def _rows(lines: TextIO | Iterable[str], name: str) -> Iterator[list[str]]:
    """The rows that hold anything; what a crash left of one (zeros, half a line) is no error."""
    try:
        for row in csv.reader((line.replace("\0", "") for line in lines), skipinitialspace=True):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as e:
        raise AutoresearchError(f"{name} is no CSV: {e}", hint=HINT) from e


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
    found = CELL_W.fullmatch(cell.strip())
    return float(found[1]) * FACTORS[(found[2] or "").lower()] if found else None


def _is_interleaved(samples: Sequence[Sample]) -> bool:
    """Whether lines come in bursts, as several devices do that are asked one after the other, up to eight of them.

    Joined into one series each interval would be counted once, whatever the number of devices.
    """
    steps = sorted(b.t - a.t for a, b in itertools.pairwise(samples) if b.t >= a.t)
    if len(steps) < MIN_STEPS:
        return False
    usual_s = steps[len(steps) * 9 // 10]
    at_once_s = min(BURST * usual_s, AT_ONCE_S)  # bounded, or a log with many gaps looks like bursts
    return sum(step <= at_once_s for step in steps) >= BURSTS * len(steps)


def _usual_gap_s(sheet: PowerCsv) -> float | None:
    """Three times the usual interval between samples; ``None`` where there is none."""
    steps: list[float] = []
    for samples in sheet.devices.values():
        times = [s.t for s in samples]
        steps += [b - a for a, b in itertools.pairwise(times) if b > a]
    return GAP_INTERVALS * median(steps) if steps else None


def _peak_w(devices: Sequence[Sequence[Sample]], gap_s: float) -> float | None:
    """The most that all devices took together, each at its last reading that is not too old."""
    merged = sorted((s.t, n, s.watts or 0.0) for n, samples in enumerate(devices) for s in samples)
    now: dict[int, tuple[float, float]] = {}
    peak: float | None = None
    for t, n, watts in merged:
        now[n] = (t, watts)
        peak = max(peak or 0.0, sum(w for at, w in now.values() if t - at <= gap_s))
    return peak


def _encoding(path: Path) -> str:
    """UTF-8, unless it begins as what PowerShell's ``>`` writes."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
