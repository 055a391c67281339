"""``autoresearch bench search``: proposers on a surrogate of a measured joint space."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.errors import ConfigError

if TYPE_CHECKING:
    from autoresearch.benches.search.nights import Row
    from autoresearch.benches.search.surrogate import Quality, Surrogate
    from autoresearch.benches.search.table import Table

MARKS = (30, 60, 100)
SEEDS = 64


def add(suites: Any) -> None:
    """The suite ``search``."""
    text = "run proposers on a surrogate of measured configurations: the true mean of what each would hand over"
    parser = add_command(suites, "search", search, text)
    text = 'the measured configurations: JSON, a list of {"cfg": {...}, "value": number, or null for a crash}, or CSV'
    parser.add_argument("--table", metavar="FILE", required=True, help=text)
    text = "the knobs of the table; its defaults are the start (a table of `bench table` has its own)"
    parser.add_argument("--menu", metavar="FILE", help=text)
    text = "keep each night here once it has ended: the same command continues after a kill"
    parser.add_argument("--dir", metavar="DIR", help=text)
    text = "draw the true mean over the trials as .svg or .png (needs matplotlib)"
    parser.add_argument("--plot", metavar="FILE", help=text)
    text = f"nights of each proposer; the same seed has the same luck for all (default {SEEDS})"
    parser.add_argument("--seeds", type=whole_number(1, 10_000), default=SEEDS, metavar="N", help=text)
    text = f"numbers of trials after which a night is judged (default {','.join(map(str, MARKS))})"
    parser.add_argument("--trials", type=_marks, default=MARKS, metavar="N,N", help=text)
    parser.add_argument("--proposers", type=_names, metavar="NAME,NAME", help="run these only (default: all)")
    parser.add_argument(
        "--jobs", type=whole_number(1, 1024), metavar="N", help="processes (default: every usable core)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def search(args: argparse.Namespace) -> int:
    """``autoresearch bench search``."""
    from autoresearch.benches.search.curve_plot import check_plot, write_plot
    from autoresearch.benches.search.curves import describe_reached, mean_curves, reached
    from autoresearch.benches.search.night_file import conditions_of, open_nights
    from autoresearch.benches.search.nights import BUILDERS, missing, run_nights, summarise
    from autoresearch.benches.search.surrogate import fit_surrogate
    from autoresearch.benches.search.table import read_table
    from autoresearch.benches.search.table_menu import read_menu
    from autoresearch.machine import usable_cpus

    chosen = args.proposers or list(BUILDERS)
    if unknown := [name for name in chosen if name not in BUILDERS]:
        raise ConfigError(f"--proposers: there is no {unknown[0]!r}", hint=", ".join(BUILDERS))
    if args.plot:
        check_plot(Path(args.plot))
    table = read_table(Path(args.table), read_menu(Path(args.menu)) if args.menu else None)
    surrogate, quality = fit_surrogate(table)
    for line in _describe(table, surrogate, quality):
        print(line, file=sys.stderr)
    jobs = args.jobs or usable_cpus()
    with open_nights(Path(args.dir), conditions_of(table, args.trials)) if args.dir else nullcontext() as file:
        known, keep = (file.known, file.keep) if file else ({}, lambda _: None)
        if file and (known or file.others):
            print(f"{len(known)} nights are known; {file.others} of other conditions are left out", file=sys.stderr)
        nights = run_nights(surrogate, chosen, args.seeds, args.trials, jobs, _show_progress, known, keep)
    rows, absent, curves = summarise(nights), missing(nights), mean_curves(nights)
    if args.plot:
        write_plot(Path(args.plot), curves, surrogate.mean(surrogate.baseline))
    for name, why in absent.items():
        print(f"{name}: not run: {why}", file=sys.stderr)
    if args.json:
        found = {
            "rows": [row.as_json() for row in rows],
            "surrogate": _quality(table, surrogate, quality),
            "missing": absent,
            "curves": {name: curve.as_json() for name, curve in curves.items()},
            "reach": reached(curves),
        }
        print(json.dumps(found, indent=2))
    else:
        print(_table(rows))
        for line in describe_reached(reached(curves)):
            print(line)
    return 0


def _describe(table: Table, surrogate: Surrogate, quality: Quality) -> list[str]:
    noise = "residuals of repeats" if surrogate.are_measured else "a Gaussian: the table repeats too little"
    lines = [
        f"{len(table.rows)} rows, {table.crashes} crashed; {len(table.menu.knobs)} knobs",
        f"surrogate, on configurations that it had not seen: Spearman {quality.spearman:.3f}, mean error "
        f"{quality.mae:.4f}, crashes right {100 * quality.crash_accuracy:.1f}%",
        f"noise: sd {surrogate.residuals.std():.5f} ({noise})",
        f"the default's true mean: {surrogate.mean(surrogate.baseline):.4f}",
    ]
    if table.default_only_crashed:
        lines.append("the default crashed in every one of its rows; a night begins with it, so it is taken to run here")
    return lines + ([f"{table.outside} rows are off the menu and were left out"] if table.outside else [])


def _quality(table: Table, surrogate: Surrogate, quality: Quality) -> dict[str, Any]:
    return {
        "spearman": quality.spearman,
        "mae": quality.mae,
        "crash_accuracy": quality.crash_accuracy,
        "rows": len(table.rows),
        "crashes": table.crashes,
        "outside": table.outside,
        "noise_sd": float(surrogate.residuals.std()),
        "noise_measured": surrogate.are_measured,
        "default_mean": surrogate.mean(surrogate.baseline),
    }


def _table(rows: Sequence[Row]) -> str:
    left = f"{'proposer':<20} {'equal':<6} {'trials':>6} {'seeds':>5}  {'true mean':>9}  {'se':>7}"
    lines = [f"{left}  {'crashed':>7}  {'- ours':>8}  {'95%':>20}  {'p':>7}"]
    for r in rows:
        se = "-" if r.se is None else f"{r.se:.5f}"
        difference = "" if r.difference is None else f"{r.difference:+.5f}"
        between = "" if r.low is None else f"{r.low:+.5f} to {r.high:+.5f}"
        p = "" if r.p is None else f"{r.p:.5f}"
        lines.append(
            f"{r.proposer:<20} {r.equal:<6} {r.trials:>6} {r.seeds:>5}  {r.mean_true:>9.5f}  {se:>7}  "
            f"{100 * r.crash_frac:>6.1f}%  {difference:>8}  {between:>20}  {p:>7}".rstrip()
        )
    return "\n".join(lines)


def _show_progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} nights ", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done == of or done % max(1, of // 20) == 0:
        print(f"{done} of {of} nights", file=sys.stderr, flush=True)


def _marks(text: str) -> tuple[int, ...]:
    """Parse numbers of trials; a type for argparse."""
    number = whole_number(1, 10_000)
    return tuple(sorted({number(part.strip()) for part in text.split(",")}))


def _names(text: str) -> list[str]:
    """Parse names of proposers; a type for argparse."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
