"""Integrates a CSV of power over time: a run's telemetry.csv, nvidia-smi's output, or one of another tool.

``power_log`` reads it. Where a column identifies several devices, each is integrated on its own and their joules are
added. A row without a power, and a gap, are not estimated: their time is not covered.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.energy.integrate import integrate, share
from autoresearch.energy.power_log.parse import PowerCsv, parse_power_csv
from autoresearch.energy.power_log.refusal import refusal
from autoresearch.energy.sample import Sample
from autoresearch.errors import AutoresearchError

GAP_INTERVALS = 3.0  # samples further apart than so many median intervals are not joined
MAX_BURST_STEP_S = 0.05  # between the lines of devices that are read one after the other
MIN_STEPS = 3
MAX_BURST_STEP_FRAC = 0.1  # of the interval between two bursts: lines closer together belong to one moment
MIN_BURST_STEPS_FRAC = 1 / 3  # of all steps between lines; two devices make it half of them
DEVICE_HINT = "log uuid or index too: nvidia-smi --query-gpu=timestamp,index,power.draw"


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
    skipped: int  # lines without a time, or cut off
    unknown: int  # cells of the power that state that there is none, for example [N/A]
    unreadable: int  # cells of the power that are neither that nor a number
    first_unreadable: str | None  # the first of these
    uncovered_by_cells: float  # the share of span_s that is not covered because of unknown and unreadable cells
    not_later: int  # lines whose time is not after the line before, so that no time passed
    power_column: str  # empty without a header
    other_columns: tuple[str, ...]  # columns of watts that were not used
    time_format: str  # what the times were taken for, for example "epoch in ms"


def read_figures(path: Path, gap_s: float | None = None) -> EnergyFigures:
    """Read and integrate the file. Raises ``AutoresearchError`` where it cannot be read as a CSV of power."""
    try:
        with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
            power_csv = parse_power_csv(file, str(path))
    except OSError as e:
        raise AutoresearchError(f"cannot read {path}: {e.strerror}", hint="give the path of a CSV file of power") from e
    return integrate_power_csv(power_csv, gap_s)


def integrate_power_csv(power_csv: PowerCsv, gap_s: float | None = None) -> EnergyFigures:
    """Integrate each device by trapezoids and add them up. Raises where the lines of several devices are mixed."""
    devices = list(power_csv.devices.values())
    if list(power_csv.devices) == [""] and _is_interleaved(devices[0]):
        problem = "several lines for one moment, and no column that identifies the device"
        raise refusal(power_csv.name, problem, DEVICE_HINT)
    gap_s = gap_s or _default_gap_s(devices)
    known = [[s for s in samples if s.watts is not None] for samples in devices]
    totals = [integrate(samples, gap_s or 0.0) for samples in devices]
    energies = [t.energy_j for t in totals if t.energy_j is not None]
    means = [t.mean_w for t in totals if t.mean_w is not None]
    spans = sum(t.span_s for t in totals)
    return EnergyFigures(
        energy_kwh=sum(energies) / JOULES_PER_KWH if energies else None,
        mean_w=sum(means) if means else None,
        peak_w=_peak_w(known, gap_s or 0.0),
        span_s=max((t.span_s for t in totals), default=0.0),
        coverage=share(sum(t.covered_s for t in totals), spans),
        scope=power_csv.scope,
        method="trapezoid",
        gap_s=gap_s,
        gaps=sum(t.gaps for t in totals),
        samples=sum(map(len, known)),
        rows=power_csv.rows,
        skipped=power_csv.skipped,
        unknown=power_csv.unknown,
        unreadable=len(power_csv.unreadable),
        first_unreadable=next(iter(power_csv.unreadable), None),
        uncovered_by_cells=share(sum(_uncovered_s(samples, gap_s or 0.0) for samples in devices), spans),
        not_later=sum(b.t <= a.t for samples in devices for a, b in itertools.pairwise(samples)),
        power_column=power_csv.power_column,
        other_columns=power_csv.others,
        time_format=power_csv.time_format,
    )


def _uncovered_s(samples: Sequence[Sample], gap_s: float) -> float:
    """Seconds around samples without a power that no trapezoid covers."""
    known = [n for n, s in enumerate(samples) if s.watts is not None]
    if not known:
        return samples[-1].t - samples[0].t
    holes = [(a, b) for a, b in itertools.pairwise(known) if b - a > 1 and samples[b].t - samples[a].t > gap_s]
    ends = [(0, known[0]), (known[-1], len(samples) - 1)]
    return sum(max(0.0, samples[b].t - samples[a].t) for a, b in holes + ends)


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


def _default_gap_s(devices: Sequence[Sequence[Sample]]) -> float | None:
    """``GAP_INTERVALS`` times the median interval between samples; ``None`` where there are fewer than two."""
    steps: list[float] = []
    for samples in devices:
        steps += [b.t - a.t for a, b in itertools.pairwise(samples) if b.t > a.t]
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
