"""``autoresearch energy``: integrate a CSV of power over time into kWh."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.core.text import escape_control, plural

if TYPE_CHECKING:
    from autoresearch.energy.power_csv import EnergyFigures


def add(commands: Any) -> None:
    """The command ``energy``."""
    text = "the kWh in a CSV of power over time: a run's telemetry.csv, or nvidia-smi's"
    parser = add_command(commands, "energy", energy, text)
    parser.add_argument("file", metavar="FILE.csv", help="columns timestamp and power_w, or nvidia-smi's")
    parser.add_argument(
        "--max-gap",
        type=_seconds,
        metavar="S",
        help="samples further apart are not joined (default: three times the median interval)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def energy(args: argparse.Namespace) -> int:
    """``autoresearch energy``."""
    from autoresearch.energy.power_csv import read_figures

    figures = read_figures(Path(args.file), args.max_gap)
    print(json.dumps(asdict(figures), indent=2) if args.json else _text(figures))
    return 0


def _text(f: EnergyFigures) -> str:
    from autoresearch.report.format import format_duration

    kwh = "unknown kWh" if f.energy_kwh is None else f"{f.energy_kwh:.4f} kWh"
    watts = "" if f.mean_w is None or f.peak_w is None else f", mean {f.mean_w:.1f} W, peak {f.peak_w:.1f} W"
    lines = [
        f"{kwh} in {format_duration(f.span_s)}{watts}",
        f"scope {f.scope or 'unknown'}, method {f.method}, coverage {100 * f.coverage:.1f}%",
    ]
    if f.gaps and f.gap_s is not None:
        lines.append(f"{plural(f.gaps, 'gap')} of more than {f.gap_s:g} s: the energy used in them is not known")
    if f.skipped:
        lines.append(f"{plural(f.skipped, 'line')} of {f.rows} could not be read")
    return "\n".join([*lines, *_cells(f), *_choices(f)])


def _cells(f: EnergyFigures) -> list[str]:
    """What was not read of the column of watts."""
    lines = []
    if f.unknown:
        lines.append(f"{plural(f.unknown, 'cell')} of {f.rows} without a power, for example [N/A]")
    if f.unreadable:
        lines.append(f"{plural(f.unreadable, 'cell')} of {f.rows} with an unreadable power, {f.first_unreadable}")
    if lines:
        lines.append(f"these cells leave {100 * f.uncovered_by_cells:.1f}% of the time uncovered")
    if f.not_later:
        lines.append(f"{plural(f.not_later, 'line')} of {f.rows} not later than the line before")
    return lines


def _choices(f: EnergyFigures) -> list[str]:
    """What was concluded from the file, where another reader could conclude something else."""
    lines = []
    if f.other_columns:
        others = ", ".join(map(escape_control, f.other_columns))
        lines.append(f"watts are those of column {escape_control(f.power_column)}; not used: {others}")
    if f.time_format != "dates":
        lines.append(f"times were read as {f.time_format}")
    return lines


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
