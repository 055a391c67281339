"""``autoresearch bench``: what the rules of a verdict get wrong, by simulation; which model should drive the loop."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli import (
    bench_analyze,
    bench_audit,
    bench_compare,
    bench_fleet,
    bench_grade,
    bench_import,
    bench_run,
    bench_search,
    bench_stop,
    bench_table,
    bench_tonight,
)
from autoresearch.cli.bench_trials import judge_real_gain, noise_of_trials
from autoresearch.cli.parsing import add_command, as_sentence, whole_number
from autoresearch.cli.settings import add_settings
from autoresearch.core.text import plural
from autoresearch.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from autoresearch.verdicts.bench import Cell
    from autoresearch.verdicts.simulate import Draw

    Sources = dict[str, tuple[Draw, float]]  # by name: how to draw a noise, and its standard deviation

# In the order of the help text.
MODULES = (
    bench_stop,
    bench_audit,
    bench_fleet,
    bench_search,
    bench_table,
    bench_run,
    bench_analyze,
    bench_compare,
    bench_grade,
    bench_import,
    bench_tonight,
)
MAX_NOISE_BYTES = 64 << 20
NOTES = """P(any false): share of nights that keep a proposal without any gain.
trials: of candidates, per proposal; trials/keep: all of them per true keep. Trials of the baseline are apart."""
COLUMNS = ("noise", "rho", "gain", "rule", "P(any false)", "upper 95%", "false/night", "power", "trials", "trials/keep")
SD = 0.0046  # relative, of a seed: what profile tiny's seeds have at most


def add(commands: Any) -> None:
    """The command ``bench`` with its suites."""
    text = "prove the verdicts by simulation (aa, planted, stop); measure which model should drive the loop (run)"
    parser = commands.add_parser("bench", help=text, description=as_sentence(text))
    suites = parser.add_subparsers(title="benches", required=True, metavar="BENCH")
    text = "nights of proposals that change nothing: how often is any of them kept"
    parser = add_command(suites, "aa", aa, text)
    _add_flags(parser, nights=10_000)
    text = "draw the noise from N real trials of the baseline with different seeds; resumes earlier ones in --dir"
    parser.add_argument("--trials", type=whole_number(2, 100_000), metavar="N", help=text)
    add_settings(parser, ("profile", "dir", "corpus"))
    text = "nights in which one proposal in ten has a true gain: how many are kept"
    parser = add_command(suites, "planted", planted, text)
    _add_flags(parser, nights=1000)
    text = "measure a real gain, with N seeds a side, and judge it in 1,000 orders; resumes earlier work in --dir"
    parser.add_argument("--trials", type=whole_number(4, 1000), metavar="N", help=text)
    text = "the value of the baseline that is far from good; the profile's own is the gain (default: half its lr)"
    parser.add_argument("--bad", metavar="KNOB=VALUE", help=text)
    add_settings(parser, ("profile", "dir", "corpus"))
    for module in MODULES:
        module.add(suites)


def aa(args: argparse.Namespace) -> int:
    """``autoresearch bench aa``."""
    if args.trials and args.noise:
        raise ConfigError("--trials and --noise each name a noise", hint="give one of them")
    return _run(args, (0.0,), {"real": noise_of_trials(args)} if args.trials else None)


def planted(args: argparse.Namespace) -> int:
    """``autoresearch bench planted``."""
    from autoresearch.verdicts.bench import PLANTED_GAINS

    if args.bad and not args.trials:
        raise ConfigError("--bad names a real baseline, and --trials is missing", hint="add --trials 12")
    if args.trials and args.noise:
        raise ConfigError("--trials and --noise each name a noise", hint="give one of them")
    if args.trials:
        return judge_real_gain(args)
    return _run(args, PLANTED_GAINS)


def _add_flags(parser: argparse.ArgumentParser, nights: int) -> None:
    number = whole_number(1, 10_000_000)
    text = f"nights per cell (default {nights:,})"
    parser.add_argument("--nights", type=number, default=nights, metavar="N", help=text)
    number = whole_number(1, 10_000)
    parser.add_argument("--proposals", type=number, default=100, metavar="N", help="proposals per night (default 100)")
    text = f"standard deviation of a seed, relative (default {SD:g}: {100 * SD:g}%%)"
    parser.add_argument("--sd", type=_sd, metavar="FRAC", help=text)
    text = "draw the noise from repeated measurements instead: CSV with the columns group,value"
    parser.add_argument("--noise", metavar="FILE", help=text)
    number = whole_number(0, 2**63 - 1)
    parser.add_argument("--seed", type=number, default=0, metavar="N", help="seed of the simulation (default 0)")
    text = "give the cost of a true keep in seconds and joules of this run's trials"
    parser.add_argument("--run", metavar="RUN", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(args: argparse.Namespace, gains: tuple[float, ...], sources: Sources | None = None) -> int:
    from autoresearch.verdicts.bench import noises, run_bench

    if args.sd and (args.noise or sources):
        other = "--noise" if args.noise else "--trials"
        raise ConfigError(f"--sd and {other} each name a noise", hint="give one of them")
    if sources is None:
        sources = {"file": _noise_of(Path(args.noise))} if args.noise else noises(args.sd or SD)
    cost = _cost_of(Path(args.run)) if args.run else None
    progress = _Progress()
    cells = list(
        run_bench(sources, gains, nights=args.nights, proposals=args.proposals, seed=args.seed, progress=progress.show)
    )
    progress.clear()
    if args.json:
        print(json.dumps({"cells": [cell.as_json() for cell in cells]}, indent=2))
    else:
        print(_table(cells, cost))
    return 0


def _noise_of(path: Path) -> tuple[Draw, float]:
    """How to draw the noise of a file, and its standard deviation. Raises ``CorpusError`` that names the file."""
    from statistics import pstdev

    from autoresearch.verdicts.repeats import parse_repeats, relative_residuals
    from autoresearch.verdicts.simulate import resampled

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_NOISE_BYTES + 1)
        if len(raw) > MAX_NOISE_BYTES:
            raise CorpusError(f"larger than {MAX_NOISE_BYTES >> 20} MiB", hint="a sample of the measurements")
        groups = parse_repeats(raw.decode())
        residuals = relative_residuals(groups)
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="--noise takes a CSV file") from e
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path}: byte {e.start} is not UTF-8", hint="--noise takes a CSV file as UTF-8 text") from e
    except CorpusError as e:
        raise CorpusError(f"{path}: {e.what}", hint=e.hint) from e
    print(f"{path}: {_describe_noise(groups, residuals)}", file=sys.stderr)
    return resampled(residuals), pstdev(residuals)


def _describe_noise(groups: dict[str, list[float]], residuals: Sequence[float]) -> str:
    """``740 measurements of 250 groups: SD 2.3%, kurtosis 315; 1 group of one measurement left out``."""
    single = sum(len(values) == 1 for values in groups.values())
    largest = max(map(abs, residuals))  # squares relative to it cannot underflow all
    squares = [(r / largest) ** 2 for r in residuals]
    kurtosis = len(squares) * math.fsum(s * s for s in squares) / math.fsum(squares) ** 2
    sd = largest * math.sqrt(math.fsum(squares) / len(squares))
    noise = f"SD {100 * sd:.2g}%, kurtosis {kurtosis:.3g}"
    left_out = f"; {plural(single, 'group')} of one measurement left out" if single else ""
    return f"{plural(len(residuals), 'measurement')} of {plural(len(groups) - single, 'group')}: {noise}{left_out}"


def _cost_of(path: Path) -> tuple[float, float | None]:
    """The mean seconds of a measured trial of this run, and its mean joules where they are known."""
    from statistics import fmean

    from autoresearch.core.measurement import Measurement
    from autoresearch.core.records import TrialEnded
    from autoresearch.report.load import stream_records

    ended = (r.outcome for r in stream_records(path) if isinstance(r, TrialEnded) and not r.void)
    measured = [(o.trial_wall_s, o.energy_j) for o in ended if isinstance(o, Measurement)]
    if not measured:
        raise CorpusError(f"{path} has no measured trial", hint="name a run that has measured something")
    joules = [energy_j for _, energy_j in measured if energy_j is not None]
    return fmean(wall_s for wall_s, _ in measured), fmean(joules) if joules else None


def _table(cells: Sequence[Cell], cost: tuple[float, float | None] | None) -> str:
    """One line a cell. The last columns are per true keep, all trials of the night included."""
    first = cells[0].tally
    head = list(COLUMNS)
    if cost:
        head += ["s/keep", "J/keep"]
    rows = [head, *(_row(cell, cost) for cell in cells)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(_pad(i, *pair) for i, pair in enumerate(zip(row, widths, strict=True))) for row in rows]
    size = f"{first.nights:,} nights of {first.proposals // first.nights} proposals"
    lines += ["", f"Each line: {size}. {NOTES}"]
    return "\n".join(lines)


def _pad(column: int, text: str, width: int) -> str:
    return f"{text:<{width}}" if column in (0, 3) else f"{text:>{width}}"


def _row(cell: Cell, cost: tuple[float, float | None] | None) -> list[str]:
    per_keep = cell.trials_per_true_keep
    row = [
        cell.noise,
        f"{cell.rho:g}",
        f"{100 * cell.gain:g}%",
        cell.rule,
        f"{cell.p_any_false_keep:.4f}",
        f"{cell.p_any_upper95:.4f}",
        f"{cell.tally.false_keeps / cell.tally.nights:.3f}",
        "-" if cell.power is None else f"{cell.power:.3f}",
        f"{cell.trials_per_proposal:.2f}",
        "-" if per_keep is None else f"{per_keep:.1f}",
    ]
    if cost:
        row += ["-" if unit is None or per_keep is None else f"{unit * per_keep:.0f}" for unit in cost]
    return row


class _Progress:
    """One line on stderr that is overwritten; without a terminal, one line a world."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ""

    def show(self, text: str) -> None:
        if self._terminal:
            print(f"\r{text:<100}", end="", file=sys.stderr, flush=True)
        elif (world := text.split(", night")[0]) != self._last:
            print(world, file=sys.stderr, flush=True)
            self._last = world

    def clear(self) -> None:
        if self._terminal:
            print(f"\r{'':<100}\r", end="", file=sys.stderr, flush=True)


def _sd(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 0.5, for example 0.0046")
    return value
