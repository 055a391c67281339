"""``autoresearch bench fleet``: the parallel loop with up to 1,024 simulated workers."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.errors import ConfigError

if TYPE_CHECKING:
    from autoresearch.benches.fleet.levels import LevelRow
    from autoresearch.benches.fleet.summary import FleetRow

WORKERS = (1, 4, 16, 64, 1024)
TRIALS = 400  # below 135 serial trials no proposer has 0.90 at 16 workers, below 189 none has 0.75 at 64: see levels.py
APPENDS = 50  # to measure what a durable append takes


def add(suites: Any) -> None:
    """The suite ``fleet``."""
    text = "simulate the parallel loop on up to 1,024 workers: what a sample is worth, worker use, cost of the loop"
    parser = add_command(suites, "fleet", fleet, text)
    text = "the measured configurations, as for `bench search`; a table of `bench table` has its own menu and times"
    parser.add_argument("--table", metavar="FILE", required=True, help=text)
    parser.add_argument("--menu", metavar="FILE", help="the knobs of the table, if it is not one of `bench table`")
    text = "a table of `bench table` whose seconds the trials take (default: those of --table, or assumed ones)"
    parser.add_argument("--times", metavar="FILE", help=text)
    text = "seconds of the median trial (default: the measured one)"
    parser.add_argument("--trial-s", type=whole_number(1, 10_000_000), metavar="S", help=text)
    text = f"numbers of workers; 1 is the serial run (default {','.join(map(str, WORKERS))})"
    parser.add_argument("--workers", type=_counts, default=WORKERS, metavar="N,N", help=text)
    text = f"trials of the serial run; the others have twice as many, and four rounds at least (default {TRIALS})"
    parser.add_argument("--trials", type=whole_number(5, 100_000), default=TRIALS, metavar="N", help=text)
    parser.add_argument(
        "--seeds", type=whole_number(1, 1000), default=8, metavar="N", help="nights of each (default 8)"
    )
    parser.add_argument("--proposers", default="trust-region,tpe", metavar="NAME,NAME", help="trust-region, tpe")
    text = "decision rule of the loop; threshold has one trial for each candidate (default sequential)"
    parser.add_argument("--rule", choices=("sequential", "threshold"), default="sequential", help=text)
    text = "keep each night here once it has ended: the same command continues after a kill"
    parser.add_argument("--dir", metavar="DIR", help=text)
    text = "draw efficiency by level and the curves as .png or .svg (extra plot)"
    parser.add_argument("--plot", metavar="FILE", help=text)
    text = "processes (default: every usable core)"
    parser.add_argument("--jobs", type=whole_number(1, 1024), metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")


def fleet(args: argparse.Namespace) -> int:
    """``autoresearch bench fleet``."""
    from autoresearch.benches.fleet.night import PROPOSERS, Plan
    from autoresearch.benches.fleet.night_file import conditions_of, open_nights
    from autoresearch.benches.fleet.nights import run_nights
    from autoresearch.benches.fleet.plot import write_fleet_plot
    from autoresearch.benches.fleet.summary import GOALS, mean_curves, summarise, summarise_levels
    from autoresearch.benches.fleet.trial_times import times_of
    from autoresearch.benches.search.curve_plot import check_plot
    from autoresearch.benches.search.surrogate import fit_surrogate
    from autoresearch.benches.search.table import read_table
    from autoresearch.benches.search.table_menu import read_menu
    from autoresearch.machine import usable_cpus

    names = list(dict.fromkeys(name.strip() for name in args.proposers.split(",") if name.strip()))
    if unknown := [name for name in names if name not in PROPOSERS]:
        raise ConfigError(f"--proposers: there is no {unknown[0]!r}", hint=", ".join(PROPOSERS))
    if args.plot:
        check_plot(Path(args.plot))
    table = read_table(Path(args.table), read_menu(Path(args.menu)) if args.menu else None)
    timed = read_table(Path(args.times), None) if args.times else table
    times = times_of(timed, table, args.trial_s)
    surrogate, quality = fit_surrogate(table)
    plan = Plan(args.trials, args.rule, _append_s(args.dir))
    source = "measured" if times.are_measured else "assumed: --times has fewer than 20 measured trials"
    print(
        f"surrogate: Spearman {quality.spearman:.3f}; median trial {times.typical_s:.1f} s ({source}); "
        f"a durable append {1000 * plan.append_s:.1f} ms",
        file=sys.stderr,
    )
    keys = [(name, count, seed) for count in args.workers for seed in range(args.seeds) for name in names]
    with open_nights(Path(args.dir), conditions_of(table, plan, times)) if args.dir else nullcontext() as file:
        known, keep = (file.known, file.keep) if file else ({}, lambda _: None)
        if file and (known or file.others):
            print(f"{len(known)} nights are known; {file.others} of other conditions are left out", file=sys.stderr)
        jobs = args.jobs or usable_cpus()
        nights = run_nights((surrogate, times, plan), keys, jobs, _show_progress, known, keep)
    rows, levels = summarise(nights, plan), summarise_levels(nights, plan)
    if args.plot:
        write_fleet_plot(Path(args.plot), levels, mean_curves(nights, plan))
    if args.json:
        found = {
            "rows": [row.as_json() for row in rows],
            "levels": [row.as_json() for row in levels],
            "trial_s": times.typical_s,
            "times_measured": times.are_measured,
            "append_s": plan.append_s,
            "rule": plan.rule,
            "trials": plan.trials,
            "goals": GOALS,
        }
        print(json.dumps(found, indent=2))
    else:
        print(_table(rows))
        print(_level_table(levels))
        print(f"goals: {GOALS}")
    return 0


def _append_s(directory: str | None) -> float:
    """The median seconds of a durable append to a journal, on the disk of ``--dir`` or of temporary files."""
    from autoresearch.storage.journal import Journal

    parent = Path(directory) if directory and Path(directory).is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        journal = Journal(Path(folder) / "append.jsonl")
        try:
            spent = []
            for n in range(APPENDS):
                began = time.monotonic()
                journal.append(json.dumps({"n": n, "text": "x" * 1500}))
                spent.append(time.monotonic() - began)
        finally:
            journal.close()
    return statistics.median(spent)


def _table(rows: Sequence[FleetRow]) -> str:
    left = f"{'proposer':<13} {'workers':>7} {'seeds':>5} {'to level':>8} {'efficiency':>10} {'speedup':>7} {'use':>6}"
    lines = [f"{left} {'proposal':>9} {'needed/s':>8} {'records/s':>9} {'loop':>6} {'proposer':>8}"]
    for r in rows:
        reached = "never" if r.trials_to_level is None else f"{r.trials_to_level:.0f}"
        efficiency = "-" if r.efficiency is None else f"{r.efficiency:.2f}"
        speedup = "-" if r.speedup is None else f"{r.speedup:.1f}"
        lines.append(
            f"{r.proposer:<13} {r.workers:>7} {r.seeds:>5} {reached:>8} {efficiency:>10} {speedup:>7} "
            f"{100 * r.worker_use:>5.1f}% {1000 * r.proposal_s:>6.1f} ms {r.needed_per_s:>8.2f} "
            f"{r.records_per_s:>9.2f} {100 * r.loop_core_frac:>5.2f}% {100 * r.propose_core_frac:>7.2f}%"
        )
    return "\n".join(lines)


def _level_table(levels: Sequence[LevelRow]) -> str:
    left = f"{'proposer':<13} {'workers':>7} {'level of trial':>14} {'to level':>8} {'efficiency':>10}"
    lines = [f"{left} {'95% interval':>14} delay alone"]
    for r in levels:
        reached = "never" if r.trials_to_level is None else f"{r.trials_to_level:.0f}"
        efficiency = f"<{r.seen_from:.2f}" if r.efficiency is None else f"{r.efficiency:.2f}"
        interval = f"{r.low:.2f} to {r.high:.2f}" if r.low else f"up to {r.high:.2f}" if r.high else "-"
        lines.append(
            f"{r.proposer:<13} {r.workers:>7} {r.serial_trials:>14} {reached:>8} {efficiency:>10} {interval:>14} "
            f"{r.delay_alone:>11.2f}"
        )
    return "\n".join(lines)


def _show_progress(done: int, of: int) -> None:
    print(f"{done} of {of} nights", file=sys.stderr, flush=True)


def _counts(text: str) -> tuple[int, ...]:
    """Parse numbers of workers; a type for argparse."""
    number = whole_number(1, 4096)
    return tuple(sorted({number(part.strip()) for part in text.split(",")}))
